//! XOR-MAPPED-ADDRESS and its kin (RFC 8489 section 14.2), without an allocation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{MAGIC_COOKIE, TransactionId};

const FAMILY_IPV4: u8 = 1;
const FAMILY_IPV6: u8 = 2;

/// Writes the value of an XOR address attribute to the front of `out` and says how many bytes it took: 8 for IPv4,
/// 20 for IPv6.
///
/// ```text
/// 0      1        2        4
/// | zero | family | x-port | x-address (4 or 16 bytes)
/// ```
pub fn encode_xor_address(address: SocketAddr, id: TransactionId, out: &mut [u8; 20]) -> usize {
    let port = address.port().to_be_bytes();
    out[0] = 0;
    out[2] = port[0] ^ MAGIC_COOKIE[0];
    out[3] = port[1] ^ MAGIC_COOKIE[1];
    match address.ip() {
        IpAddr::V4(v4) => {
            out[1] = FAMILY_IPV4;
            xor(&v4.octets(), id, &mut out[4..8]);
            8
        }
        IpAddr::V6(v6) => {
            out[1] = FAMILY_IPV6;
            xor(&v6.octets(), id, &mut out[4..20]);
            20
        }
    }
}

/// The value of MAPPED-ADDRESS and its kin (RFC 8489 section 14.1), and its length: 8 for IPv4, 20 for IPv6.
pub(super) fn encode_address(address: SocketAddr, out: &mut [u8; 20]) -> usize {
    out[0] = 0;
    out[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(v4) => {
            out[1] = FAMILY_IPV4;
            out[4..8].copy_from_slice(&v4.octets());
            8
        }
        IpAddr::V6(v6) => {
            out[1] = FAMILY_IPV6;
            out[4..20].copy_from_slice(&v6.octets());
            20
        }
    }
}

/// Reads the value of an XOR address attribute. `None` when its family or its length is wrong.
pub fn decode_xor_address(value: &[u8], id: TransactionId) -> Option<SocketAddr> {
    let (&[_, family, high, low], address) = value.split_first_chunk()?;
    let port = u16::from_be_bytes([high ^ MAGIC_COOKIE[0], low ^ MAGIC_COOKIE[1]]);
    let ip = match (family, address.len()) {
        (FAMILY_IPV4, 4) => {
            let mut octets = [0; 4];
            xor(address, id, &mut octets);
            IpAddr::V4(Ipv4Addr::from(octets))
        }
        (FAMILY_IPV6, 16) => {
            let mut octets = [0; 16];
            xor(address, id, &mut octets);
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The pad is the magic cookie followed by the transaction id.
fn xor(from: &[u8], id: TransactionId, to: &mut [u8]) {
    let pad = MAGIC_COOKIE.iter().chain(&id.0);
    for ((to, from), pad) in to.iter_mut().zip(from).zip(pad) {
        *to = from ^ pad;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stun::attributes::ATTR_XORMAPPED_ADDRESS;
    use stun::message::{Getter as _, Message};
    use stun::xoraddr::XorMappedAddress;

    use super::*;

    proptest! {
        #[test]
        fn another_codec_reads_what_we_write(ip: IpAddr, port: u16, id: [u8; 12]) {
            let (address, id) = (SocketAddr::new(ip, port), TransactionId(id));
            let mut value = [0; 20];
            let length = encode_xor_address(address, id, &mut value);
            prop_assert_eq!(decode_xor_address(&value[..length], id), Some(address));

            let mut message = Message::new();
            message.transaction_id = id;
            message.write_header();
            message.add(ATTR_XORMAPPED_ADDRESS, &value[..length]);
            let mut theirs = XorMappedAddress::default();
            theirs.get_from(&message).unwrap();
            prop_assert_eq!((theirs.ip, theirs.port), (ip, port));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>, id: [u8; 12]) {
            let _ = decode_xor_address(&value, TransactionId(id));
        }
    }
}
