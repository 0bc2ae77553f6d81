//! ChannelData messages (RFC 8656 section 12.4).

use std::ops::{Range, RangeInclusive};

/// Bytes before the application data.
const HEADER_BYTES: usize = 4;

/// The numbers a channel may have. RFC 8656 section 12 ends them at 0x4FFF, but clients of RFC 5766 (section 11), whose
/// range this is, choose from all of it.
pub const CHANNEL_NUMBERS: RangeInclusive<u16> = 0x4000..=0x7FFF;

/// A channel number in [`CHANNEL_NUMBERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelNumber(u16);

impl ChannelNumber {
    /// `None` outside of [`CHANNEL_NUMBERS`].
    pub fn new(number: u16) -> Option<Self> {
        CHANNEL_NUMBERS.contains(&number).then_some(Self(number))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

/// A ChannelData message in the packet that carried it.
///
/// ```text
/// 0         2        4
/// | channel | length | application data | padding, on streams
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelData {
    /// The channel.
    pub channel: ChannelNumber,
    /// Where in the packet the application data is.
    pub data: Range<usize>,
}

impl ChannelData {
    /// Reads a packet. `None` when the number is no channel's or the data is cut short. Bytes behind the data are
    /// padding and passed over, as section 12.6 has it.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let &[c0, c1, l0, l1, ..] = packet else { return None };
        let channel = ChannelNumber::new(u16::from_be_bytes([c0, c1]))?;
        let end = HEADER_BYTES + usize::from(u16::from_be_bytes([l0, l1]));
        (end <= packet.len()).then_some(Self { channel, data: HEADER_BYTES..end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_field_bounds_the_data() {
        let parsed = ChannelData::parse(&[0x40, 0, 0, 3, 1, 2, 3, 0]).unwrap();
        assert_eq!((parsed.channel.get(), parsed.data), (0x4000, 4..7));
        assert_eq!(ChannelData::parse(&[0x40, 0, 0, 0]).unwrap().data, 4..4, "no data is a message too");
    }

    #[test]
    fn short_packets_and_reserved_numbers_are_refused() {
        for bad in [&[0x40, 0, 0][..], &[0x40, 0, 0, 3, 1, 2], &[0x80, 0, 0, 0], &[0x3F, 0xFF, 0, 0]] {
            assert_eq!(ChannelData::parse(bad), None, "{bad:x?}");
        }
    }
}
