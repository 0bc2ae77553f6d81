//! What is put around a payload on its way to a client: a ChannelData header or a Data indication.

use std::net::SocketAddr;

use ::stun::attributes::{ATTR_DATA, ATTR_XOR_PEER_ADDRESS};

use super::{
    ATTRIBUTE_HEADER_BYTES, ChannelNumber, HEADER_BYTES, MAGIC_COOKIE, TransactionId, encode_xor_address, padded,
};

/// The most that stands before a payload: a Data indication with an IPv6 XOR-PEER-ADDRESS.
pub const HEADROOM: usize = HEADER_BYTES + ATTRIBUTE_HEADER_BYTES + 20 + ATTRIBUTE_HEADER_BYTES;

/// The message type of a Data indication: method 0x007, class indication.
pub(super) const DATA_INDICATION: [u8; 2] = 0x0017u16.to_be_bytes();

/// The bytes before a payload and the count of zero bytes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    head: [u8; HEADROOM],
    length: u8,
    padding: u8,
}

impl Framing {
    /// A ChannelData header (RFC 8656 section 12.4). On streams the message is padded to a multiple of four
    /// (section 12.5). `None` for a payload over 65,535 bytes.
    pub fn channel_data(channel: ChannelNumber, payload: usize, stream: bool) -> Option<Self> {
        let mut head = [0; HEADROOM];
        head[..2].copy_from_slice(&channel.get().to_be_bytes());
        head[2..4].copy_from_slice(&u16::try_from(payload).ok()?.to_be_bytes());
        let padding = if stream { padded(payload) - payload } else { 0 };
        Some(Self { head, length: 4, padding: padding as u8 })
    }

    /// A Data indication (RFC 8656 section 11.3). `None` when the payload is too large for one.
    ///
    /// ```text
    /// 0      2        4        8    20                       32 or 44
    /// | type | length | cookie | id | XOR-PEER-ADDRESS, 8/20 | DATA header | payload | padding
    /// ```
    pub fn data_indication(peer: SocketAddr, id: TransactionId, payload: usize) -> Option<Self> {
        let mut address = [0; 20];
        let taken = encode_xor_address(peer, id, &mut address);
        let data_at = HEADER_BYTES + ATTRIBUTE_HEADER_BYTES + taken;
        let length = data_at + ATTRIBUTE_HEADER_BYTES;
        let message = u16::try_from(length - HEADER_BYTES + padded(payload)).ok()?;

        let mut head = [0; HEADROOM];
        head[..2].copy_from_slice(&DATA_INDICATION);
        head[2..4].copy_from_slice(&message.to_be_bytes());
        head[4..8].copy_from_slice(&MAGIC_COOKIE);
        head[8..20].copy_from_slice(&id.0);
        head[20..22].copy_from_slice(&ATTR_XOR_PEER_ADDRESS.0.to_be_bytes());
        head[22..24].copy_from_slice(&(taken as u16).to_be_bytes());
        head[24..24 + taken].copy_from_slice(&address[..taken]);
        head[data_at..data_at + 2].copy_from_slice(&ATTR_DATA.0.to_be_bytes());
        head[data_at + 2..length].copy_from_slice(&(payload as u16).to_be_bytes());
        Some(Self { head, length: length as u8, padding: (padded(payload) - payload) as u8 })
    }

    /// What goes before the payload.
    pub fn head(&self) -> &[u8] {
        &self.head[..usize::from(self.length)]
    }

    /// How many zero bytes go behind it: 0 to 3.
    pub fn padding(&self) -> usize {
        usize::from(self.padding)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Frame, method};
    use super::*;

    fn wrap(framing: &Framing, payload: &[u8]) -> Vec<u8> {
        [framing.head(), payload, &[0; 3][..framing.padding()]].concat()
    }

    #[test]
    fn a_data_indication_reads_back() {
        for (peer, payload) in [("192.0.2.1:9", &b"hello"[..]), ("[2001:db8::1]:65535", b"")] {
            let peer = peer.parse().unwrap();
            let framing = Framing::data_indication(peer, TransactionId([7; 12]), payload.len()).unwrap();
            let packet = wrap(&framing, payload);
            let frame = Frame::parse(&packet).unwrap();
            assert_eq!((frame.class(), frame.method()), (Class::Indication, method::DATA));
            assert_eq!(frame.xor_address(ATTR_XOR_PEER_ADDRESS), Some(peer));
            assert_eq!(frame.get(ATTR_DATA).unwrap().value, payload);
        }
    }

    #[test]
    fn channel_data_is_padded_on_streams_only() {
        let channel = ChannelNumber::new(0x4001).unwrap();
        assert_eq!(wrap(&Framing::channel_data(channel, 2, false).unwrap(), b"ab"), b"\x40\x01\x00\x02ab");
        assert_eq!(wrap(&Framing::channel_data(channel, 2, true).unwrap(), b"ab"), b"\x40\x01\x00\x02ab\0\0");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let peer = "192.0.2.1:9".parse().unwrap();
        assert!(Framing::data_indication(peer, TransactionId([0; 12]), 65_535).is_none());
        assert!(Framing::data_indication(peer, TransactionId([0; 12]), 65_507).is_some());
        assert!(Framing::channel_data(ChannelNumber::new(0x4000).unwrap(), 65_536, false).is_none());
    }
}
