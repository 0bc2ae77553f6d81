//! Received packets with room around them, so that what a client needs in front of a payload is written in place.

use std::ops::Range;

use crate::stun::{Framing, HEADROOM};

/// The largest payload that IPv4 carries in a datagram is 65,507 bytes; IPv6's is a little larger.
pub(super) const MAX_DATAGRAM: usize = 65_535;
/// Behind a payload: the padding of ChannelData on a stream, or of a DATA attribute.
const TAILROOM: usize = 4;
/// What one packet takes with the room around it.
pub(super) const SLOT: usize = HEADROOM + MAX_DATAGRAM + TAILROOM;

/// Where received bytes go in a slot.
pub(super) fn receive_into(slot: &mut [u8]) -> &mut [u8] {
    &mut slot[HEADROOM..HEADROOM + MAX_DATAGRAM]
}

/// Where `range` of what was received stands in its slot.
pub(super) fn in_slot(range: Range<usize>) -> Range<usize> {
    range.start + HEADROOM..range.end + HEADROOM
}

/// Writes the framing around a payload that is already in place, hands the whole message to `send`, and puts back
/// what stood behind the payload: it may be the beginning of the next packet.
///
/// ```text
/// | … headroom | head | payload | zeroes |
///              ^----- message ----------^
/// ```
pub(super) fn wrap(slot: &mut [u8], payload: Range<usize>, framing: &Framing, send: impl FnOnce(&[u8])) {
    let head = framing.head();
    let start = payload.start - head.len();
    let end = payload.end + framing.padding();
    let mut behind = [0; TAILROOM];
    behind[..framing.padding()].copy_from_slice(&slot[payload.end..end]);
    slot[start..payload.start].copy_from_slice(head);
    slot[payload.end..end].fill(0);
    send(&slot[start..end]);
    slot[payload.end..end].copy_from_slice(&behind[..framing.padding()]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stun::ChannelNumber;

    #[test]
    fn the_packet_behind_is_left_as_it_was() {
        let mut slot = vec![0xAA; SLOT];
        let payload = in_slot(4..9);
        let framing = Framing::channel_data(ChannelNumber::new(0x4000).unwrap(), 5, true).unwrap();
        wrap(&mut slot, payload.clone(), &framing, |message| {
            assert_eq!(message, b"\x40\x00\x00\x05\xAA\xAA\xAA\xAA\xAA\0\0\0");
        });
        assert!(slot[payload.start..].iter().all(|&byte| byte == 0xAA));
    }
}
