//! The messages that the RFCs print, with the keys that they were made with.

use ::stun::attributes::{
    ATTR_NONCE, ATTR_PASSWORD_ALGORITHM, ATTR_REALM, ATTR_SOFTWARE, ATTR_USER_HASH, ATTR_USERNAME,
};

use super::*;
use crate::credentials::IntegrityKey;

/// RFC 5769 section 2.1.
const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae\
    802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36\
    000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
/// RFC 5769 section 2.2.
const IPV4_RESPONSE: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae\
    8022000b7465737420766563746f7220002000080001a147e112a643\
    000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
/// RFC 5769 section 2.3.
const IPV6_RESPONSE: &str = "010100482112a442b7e7a701bc34d686fa87dfae\
    8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9\
    00080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";
/// RFC 5769 section 2.4.
const LONG_TERM: &str = "000100602112a44278ad3433c6ad72c029da412e\
    00060012e3839ee38388e383aae38383e382afe382b90000\
    0015001c662f2f3439396b39353464364f4c33346f4c39465354767936347341\
    0014000b6578616d706c652e6f726700\
    00080014f67024656dd64a3e02b8e0712e85c9a28ca89666";
/// RFC 8489 appendix B.1, as its erratum 6268 has it.
const LONG_TERM_SHA256: &str = "000100902112a44278ad3433c6ad72c029da412e\
    001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704\
    001500296f624d61744a6f7332414141\
    43662f2f3439396b39353464364f4c33346f4c39465354767936347341000000\
    0014000b6578616d706c652e6f726700001d000400020000\
    001c0020b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65";

/// The password of the short-term credential in RFC 5769.
const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";
const USERNAME: &str = "マトリックス";
const REALM: &str = "example.org";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn key(algorithm: PasswordAlgorithm) -> IntegrityKey {
    // As the password is after OpaqueString (RFC 8265).
    IntegrityKey::derive(algorithm, USERNAME, REALM, "TheMatrIX")
}

fn is_signed_with(packet: &[u8], key: &[u8]) -> bool {
    Request::new(Frame::parse(packet).unwrap()).is_signed_with(key)
}

#[test]
fn the_sample_request_verifies_and_none_that_differs_in_a_bit() {
    let packet = bytes(REQUEST);
    let frame = Frame::parse(&packet).unwrap();
    assert_eq!((frame.class(), frame.method(), frame.is_fingerprinted()), (Class::Request, method::BINDING, true));
    assert_eq!((frame.text(ATTR_SOFTWARE), frame.text(ATTR_USERNAME)), (Some("STUN test client"), Some("evtj:h6vY")));
    assert!(is_signed_with(&packet, PASSWORD.as_bytes()) && !is_signed_with(&packet, b"another"));
    for bit in 0..packet.len() * 8 {
        let mut changed = packet.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // A changed length may hide the fingerprint inside another attribute.
        assert!(!Frame::parse(&changed).is_ok_and(|frame| frame.is_fingerprinted()), "bit {bit}");
    }
}

#[test]
fn the_sample_responses_are_read_and_written_alike() {
    for (hex, mapped) in
        [(IPV4_RESPONSE, "192.0.2.1:32853"), (IPV6_RESPONSE, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
    {
        let packet = bytes(hex);
        let frame = Frame::parse(&packet).unwrap();
        let mapped = mapped.parse().unwrap();
        assert_eq!(frame.xor_address(::stun::attributes::ATTR_XORMAPPED_ADDRESS), Some(mapped));
        assert_eq!(frame.text(ATTR_SOFTWARE), Some("test vector"));
        assert!(is_signed_with(&packet, PASSWORD.as_bytes()));
        let mut value = [0; 20];
        let length = encode_xor_address(mapped, frame.transaction_id(), &mut value);
        assert_eq!(value[..length], *frame.get(::stun::attributes::ATTR_XORMAPPED_ADDRESS).unwrap().value);
    }
}

#[test]
fn the_sample_of_a_long_term_credential_verifies() {
    let packet = bytes(LONG_TERM);
    let frame = Frame::parse(&packet).unwrap();
    assert_eq!((frame.text(ATTR_USERNAME), frame.text(ATTR_REALM)), (Some(USERNAME), Some(REALM)));
    assert_eq!(frame.text(ATTR_NONCE), Some("f//499k954d6OL34oL9FSTvy64sA"));
    assert!(is_signed_with(&packet, key(PasswordAlgorithm::Md5).bytes()));
    assert!(!is_signed_with(&packet, key(PasswordAlgorithm::Sha256).bytes()));
}

#[test]
fn the_sample_with_sha256_and_userhash_verifies_and_none_that_differs_in_a_bit() {
    let packet = bytes(LONG_TERM_SHA256);
    let frame = Frame::parse(&packet).unwrap();
    assert!(frame.unknown_attributes().is_empty());
    assert_eq!(frame.get(ATTR_USER_HASH).unwrap().value, userhash(USERNAME, REALM));
    let algorithm = PasswordAlgorithm::read(frame.get(ATTR_PASSWORD_ALGORITHM).unwrap().value).unwrap();
    let key = key(algorithm);
    assert!(algorithm == PasswordAlgorithm::Sha256 && is_signed_with(&packet, key.bytes()));
    for bit in 0..packet.len() * 8 {
        let mut changed = packet.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let verifies = Frame::parse(&changed).is_ok_and(|frame| Request::new(frame).is_signed_with(key.bytes()));
        assert!(!verifies, "bit {bit}");
    }
}
