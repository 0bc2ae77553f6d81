//! Where a message ends on a stream (RFC 8489 section 6.2.2, RFC 8656 section 12.5).

use super::{HEADER_BYTES, padded};

/// The next message of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextMessage {
    /// It is whole and has so many bytes, at least 4, padding included.
    Whole(usize),
    /// More bytes are needed.
    Partial,
    /// This is neither STUN nor ChannelData: there is no telling where the next message would begin.
    Garbage,
}

/// Finds the end of the first message. The first two bits tell STUN (00) from ChannelData (01).
pub fn next_message(bytes: &[u8]) -> NextMessage {
    let &[first, _, l0, l1, ..] = bytes else {
        return if bytes.first().is_some_and(|first| first & 0x80 != 0) {
            NextMessage::Garbage
        } else {
            NextMessage::Partial
        };
    };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let whole = match first >> 6 {
        0 if length.is_multiple_of(4) => HEADER_BYTES + length,
        1 => 4 + padded(length),
        _ => return NextMessage::Garbage,
    };
    if bytes.len() < whole { NextMessage::Partial } else { NextMessage::Whole(whole) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_told_apart_by_their_first_bits() {
        let mut binding = vec![0; 20];
        binding[1] = 1;
        assert_eq!(next_message(&binding), NextMessage::Whole(20));
        assert_eq!(next_message(&binding[..19]), NextMessage::Partial);
        assert_eq!(next_message(&[0x40, 0, 0, 1, 9, 0, 0, 0, 1]), NextMessage::Whole(8));
        assert_eq!(next_message(&[0x40, 0, 0, 1, 9]), NextMessage::Partial);
        assert_eq!(next_message(b"GET / HTTP/1.1"), NextMessage::Partial, "a letter looks like a channel");
        assert_eq!(next_message(&[0x80]), NextMessage::Garbage);
        assert_eq!(next_message(&[0, 1, 0, 3]), NextMessage::Garbage);
    }

    proptest! {
        #[test]
        fn the_end_found_is_within_the_bytes_or_bounded(bytes: Vec<u8>) {
            if let NextMessage::Whole(whole) = next_message(&bytes) {
                prop_assert!(whole >= 4 && whole <= bytes.len());
            }
        }
    }
}
