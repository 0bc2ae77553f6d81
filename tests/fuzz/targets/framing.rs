//! A stream cut into pieces anywhere has the same messages as in one piece.

#![no_main]

use lanturn::stun::{NextMessage, next_message};
use libfuzzer_sys::fuzz_target;

/// The longest message: a STUN header and all that its length field can say.
const LONGEST: usize = 20 + 65_535;

#[derive(Debug, PartialEq)]
enum End {
    Partial,
    Garbage,
}

/// Takes whole messages from the front.
fn drain(bytes: &mut Vec<u8>, messages: &mut Vec<Vec<u8>>) -> End {
    loop {
        match next_message(bytes) {
            NextMessage::Whole(length) => {
                assert!((4..=bytes.len().min(LONGEST)).contains(&length));
                messages.push(bytes.drain(..length).collect());
            }
            NextMessage::Partial => {
                assert!(bytes.len() < LONGEST, "a message that never ends");
                return End::Partial;
            }
            NextMessage::Garbage => return End::Garbage,
        }
    }
}

fuzz_target!(|input: (Vec<u8>, &[u8])| {
    let (cuts, stream) = input;
    let (mut whole, mut expected) = (stream.to_vec(), Vec::new());
    let expected_end = drain(&mut whole, &mut expected);

    let (mut rest, mut partial, mut messages) = (stream, Vec::new(), Vec::new());
    let mut end = End::Partial;
    for cut in cuts.into_iter().map(usize::from).chain([usize::MAX]) {
        let (piece, behind) = rest.split_at(cut.min(rest.len()));
        rest = behind;
        partial.extend_from_slice(piece);
        end = drain(&mut partial, &mut messages);
        if end == End::Garbage {
            break;
        }
    }
    assert_eq!((messages, end), (expected, expected_end));
});
