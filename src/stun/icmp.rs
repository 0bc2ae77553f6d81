//! ICMP errors on their way to a client: a Data indication that has no data.

use std::net::SocketAddr;

use ::stun::attributes::ATTR_XOR_PEER_ADDRESS;

use super::framing::DATA_INDICATION;
use super::{AttrType, HEADER_BYTES, MAGIC_COOKIE, TransactionId, encode_xor_address};

/// ICMP (RFC 8656 section 18.13).
const ICMP: AttrType = AttrType(0x8004);

/// IPv4 (RFC 792).
const DESTINATION_UNREACHABLE: u8 = 3;
const FRAGMENTATION_NEEDED: u8 = 4;
const TIME_EXCEEDED: u8 = 11;
/// IPv6 (RFC 4443): destination unreachable, packet too big, time exceeded.
const OF_IPV6: std::ops::RangeInclusive<u8> = 1..=3;
const PACKET_TOO_BIG: u8 = 2;

/// What a router or a peer said of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    kind: u8,
    code: u8,
    data: u32,
}

impl Icmp {
    /// An error of a type and a code, of ICMP for IPv4 or for IPv6, and the MTU of the next link in bytes, which counts where
    /// the type and the code are of the kind that has one. `None` for what clients are not told (RFC 8656 section 11.5).
    pub fn new(is_v6: bool, kind: u8, code: u8, mtu: u32) -> Option<Self> {
        let (is_told, has_mtu) = if is_v6 {
            (OF_IPV6.contains(&kind), kind == PACKET_TOO_BIG)
        } else {
            let is_told = [DESTINATION_UNREACHABLE, TIME_EXCEEDED].contains(&kind);
            (is_told, (kind, code) == (DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED))
        };
        is_told.then_some(Self { kind, code, data: if has_mtu { mtu } else { 0 } })
    }

    /// Appends a Data indication that says so of a datagram to `peer` (RFC 8656 section 11.5).
    ///
    /// ```text
    /// 0      2        4        8    20                       32 or 44
    /// | type | length | cookie | id | XOR-PEER-ADDRESS, 8/20 | ICMP header | zero, 16 | type, 7 | code, 9 | data, 32 bits
    /// ```
    pub fn data_indication(self, peer: SocketAddr, id: TransactionId, out: &mut Vec<u8>) {
        let start = out.len();
        let mut address = [0; 20];
        let taken = encode_xor_address(peer, id, &mut address);
        out.extend_from_slice(&DATA_INDICATION);
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&MAGIC_COOKIE);
        out.extend_from_slice(&id.0);
        out.extend_from_slice(&ATTR_XOR_PEER_ADDRESS.0.to_be_bytes());
        out.extend_from_slice(&(taken as u16).to_be_bytes());
        out.extend_from_slice(&address[..taken]);
        out.extend_from_slice(&ICMP.0.to_be_bytes());
        out.extend_from_slice(&8u16.to_be_bytes());
        let kind_and_code = u32::from(self.kind) << 9 | u32::from(self.code);
        out.extend_from_slice(&kind_and_code.to_be_bytes());
        out.extend_from_slice(&self.data.to_be_bytes());
        let length = (out.len() - start - HEADER_BYTES) as u16;
        out[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Frame, method};
    use super::*;

    #[test]
    fn a_data_indication_reads_back() {
        for (peer, icmp, value) in [
            ("192.0.2.1:9", Icmp::new(false, 3, 4, 1280), [0, 0, 6, 4, 0, 0, 5, 0]),
            ("192.0.2.1:9", Icmp::new(false, 11, 0, 77), [0, 0, 22, 0, 0, 0, 0, 0]),
            ("[2001:db8::1]:65535", Icmp::new(true, 2, 0, 1400), [0, 0, 4, 0, 0, 0, 5, 120]),
            ("[2001:db8::1]:65535", Icmp::new(true, 1, 4, 1400), [0, 0, 2, 4, 0, 0, 0, 0]),
        ] {
            let (peer, mut packet) = (peer.parse().unwrap(), b"before".to_vec());
            icmp.unwrap().data_indication(peer, TransactionId([7; 12]), &mut packet);
            let frame = Frame::parse(&packet[6..]).unwrap();
            assert_eq!((frame.class(), frame.method()), (Class::Indication, method::DATA));
            assert_eq!(frame.xor_address(ATTR_XOR_PEER_ADDRESS), Some(peer));
            assert_eq!(frame.get(ICMP).unwrap().value, value);
            assert_eq!(frame.attributes().count(), 2, "and no DATA");
        }
    }

    #[test]
    fn only_errors_of_two_kinds_and_of_three_are_told() {
        let told = |is_v6| (0..=255).filter(|&kind| Icmp::new(is_v6, kind, 0, 0).is_some()).collect::<Vec<u8>>();
        assert_eq!((told(false), told(true)), (vec![3, 11], vec![1, 2, 3]));
    }
}
