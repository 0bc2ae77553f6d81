//! Connections of a TCP allocation on the wire (RFC 6062 section 6).

use std::net::SocketAddr;

use ::stun::attributes::{ATTR_CONNECTION_ID, ATTR_XOR_PEER_ADDRESS};

use super::{Frame, HEADER_BYTES, MAGIC_COOKIE, TransactionId, encode_xor_address, plain};

/// The message type of a ConnectionAttempt indication: method 0x00c, class indication.
const CONNECTION_ATTEMPT: [u8; 2] = 0x001Cu16.to_be_bytes();

/// CONNECTION-ID (RFC 6062 section 6.2.1): names a connection to a peer, on the whole box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u32);

impl Frame<'_> {
    /// CONNECTION-ID, if it is there and has its 4 bytes.
    pub fn connection_id(&self) -> Option<ConnectionId> {
        let value = self.get(ATTR_CONNECTION_ID)?.value.try_into().ok()?;
        Some(ConnectionId(u32::from_be_bytes(value)))
    }
}

/// Appends a ConnectionAttempt indication (RFC 6062 section 5.3) to `out`.
///
/// ```text
/// 0      2        4        8    20                       32 or 44
/// | type | length | cookie | id | XOR-PEER-ADDRESS, 8/20 | CONNECTION-ID, 4
/// ```
pub fn connection_attempt(peer: SocketAddr, connection: ConnectionId, id: TransactionId, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&CONNECTION_ATTEMPT);
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&MAGIC_COOKIE);
    out.extend_from_slice(&id.0);
    let mut address = [0; 20];
    let taken = encode_xor_address(peer, id, &mut address);
    plain::attribute(ATTR_XOR_PEER_ADDRESS, &address[..taken], out);
    plain::attribute(ATTR_CONNECTION_ID, &connection.0.to_be_bytes(), out);
    let length = (out.len() - start - HEADER_BYTES) as u16;
    out[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::{Class, method};
    use super::*;

    #[test]
    fn an_attempt_reads_back() {
        for peer in ["192.0.2.1:9", "[2001:db8::1]:65535"] {
            let (peer, mut out) = (peer.parse().unwrap(), b"before".to_vec());
            connection_attempt(peer, ConnectionId(0xFEED_0001), TransactionId([7; 12]), &mut out);
            let frame = Frame::parse(&out[6..]).unwrap();
            assert_eq!((frame.class(), frame.method()), (Class::Indication, method::CONNECTION_ATTEMPT));
            assert_eq!(frame.xor_address(ATTR_XOR_PEER_ADDRESS), Some(peer));
            assert_eq!(frame.connection_id(), Some(ConnectionId(0xFEED_0001)));
        }
    }
}
