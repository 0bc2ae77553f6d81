//! Answers, written straight into a buffer: those that carry no MESSAGE-INTEGRITY into that which is sent.

use std::net::SocketAddr;

use ::stun::attributes::{
    ATTR_ERROR_CODE, ATTR_FINGERPRINT, ATTR_NONCE, ATTR_PASSWORD_ALGORITHMS, ATTR_REALM, ATTR_UNKNOWN_ATTRIBUTES,
    ATTR_XORMAPPED_ADDRESS,
};
use ::stun::fingerprint::fingerprint_value;

use super::{
    AttrType, Frame, HEADER_BYTES, MAGIC_COOKIE, PasswordAlgorithm, THIRD_PARTY_AUTHORIZATION, TransactionId,
    encode_xor_address, padded,
};

/// The type of a Binding success (RFC 8489 section 5): the method, and the class.
pub const BINDING_SUCCESS: u16 = 0x0101;

pub(super) const SUCCESS: u16 = 0x0100;
pub(super) const ERROR: u16 = 0x0110;

/// A Binding request without attributes (RFC 8489 section 5).
pub fn binding_request(id: TransactionId) -> [u8; HEADER_BYTES] {
    let mut request = [0; HEADER_BYTES];
    request[1] = 1;
    request[4..8].copy_from_slice(&MAGIC_COOKIE);
    request[8..].copy_from_slice(&id.0);
    request
}

/// Appends a Binding success with the address that the request came from (RFC 8489 section 7.3.1.1).
pub fn binding_success(frame: &Frame<'_>, mapped: SocketAddr, out: &mut Vec<u8>) {
    let start = begin(frame, SUCCESS, out);
    let mut value = [0; 20];
    let length = encode_xor_address(mapped, frame.transaction_id(), &mut value);
    attribute(ATTR_XORMAPPED_ADDRESS, &value[..length], out);
    end(frame, start, out);
}

/// What an unsigned error says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refusal<'a> {
    /// The RFC's code, 300 to 699.
    pub code: u16,
    /// The RFC's phrase for it.
    pub reason: &'a str,
    /// The realm and a fresh nonce, with which the client may ask again.
    pub challenge: Option<(&'a str, &'a str)>,
    /// Whether access tokens for this server, which has the name of the realm, are taken as well.
    pub takes_tokens: bool,
    /// What UNKNOWN-ATTRIBUTES lists.
    pub unknown: &'a [AttrType],
}

/// Appends an error response (RFC 8489 section 6.3.1.1).
pub fn refusal(frame: &Frame<'_>, refusal: Refusal<'_>, out: &mut Vec<u8>) {
    let start = begin(frame, ERROR, out);
    error_code(refusal.code, refusal.reason, out);
    if let Some((realm, nonce)) = refusal.challenge {
        attribute(ATTR_REALM, realm.as_bytes(), out);
        attribute(ATTR_NONCE, nonce.as_bytes(), out);
        attribute(ATTR_PASSWORD_ALGORITHMS, &PasswordAlgorithm::OFFERED, out);
        if refusal.takes_tokens {
            attribute(THIRD_PARTY_AUTHORIZATION, realm.as_bytes(), out);
        }
    }
    if !refusal.unknown.is_empty() {
        unknown_attributes(refusal.unknown, out);
    }
    end(frame, start, out);
}

/// ERROR-CODE (RFC 8489 section 14.8).
pub(super) fn error_code(code: u16, reason: &str, out: &mut Vec<u8>) {
    let mut value = [0; 4 + 64];
    let reason = &reason.as_bytes()[..reason.len().min(64)];
    value[2] = (code / 100) as u8;
    value[3] = (code % 100) as u8;
    value[4..4 + reason.len()].copy_from_slice(reason);
    attribute(ATTR_ERROR_CODE, &value[..4 + reason.len()], out);
}

/// UNKNOWN-ATTRIBUTES (RFC 8489 section 14.13).
pub(super) fn unknown_attributes(list: &[AttrType], out: &mut Vec<u8>) {
    let list: Vec<u8> = list.iter().flat_map(|kind| kind.0.to_be_bytes()).collect();
    attribute(ATTR_UNKNOWN_ATTRIBUTES, &list, out);
}

pub(super) fn begin(frame: &Frame<'_>, class: u16, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&(frame.raw_type() | class).to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&MAGIC_COOKIE);
    out.extend_from_slice(&frame.transaction_id().0);
    start
}

pub(super) fn attribute(kind: AttrType, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&kind.0.to_be_bytes());
    out.extend_from_slice(&(value.len() as u16).to_be_bytes());
    out.extend_from_slice(value);
    out.extend_from_slice(&[0; 3][..padded(value.len()) - value.len()]);
}

/// An attribute of zeroes. The length is a multiple of four.
pub(super) fn padding(kind: AttrType, length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&kind.0.to_be_bytes());
    out.extend_from_slice(&(length as u16).to_be_bytes());
    out.resize(out.len() + length, 0);
}

/// Writes the length, and a FINGERPRINT when the request had one.
pub(super) fn end(frame: &Frame<'_>, start: usize, out: &mut Vec<u8>) {
    length(start, out);
    if frame.is_fingerprinted() {
        fingerprint(start, out);
    }
}

/// Writes the length of the message that begins at `start`.
pub(super) fn length(start: usize, out: &mut [u8]) {
    let length = (out.len() - start - HEADER_BYTES) as u16;
    out[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends a FINGERPRINT to the message that begins at `start`, and puts its length right (RFC 8489 section 14.7).
pub(super) fn fingerprint(start: usize, out: &mut Vec<u8>) {
    let length = (out.len() - start - HEADER_BYTES + 8) as u16;
    out[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
    let value = fingerprint_value(&out[start..]).to_be_bytes();
    attribute(ATTR_FINGERPRINT, &value, out);
}

#[cfg(test)]
mod tests {
    use ::stun::error_code::ErrorCodeAttribute;
    use ::stun::fingerprint::FINGERPRINT;
    use ::stun::message::{
        BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS as BINDING_SUCCEEDED, Getter as _, Message, Setter as _,
    };
    use ::stun::textattrs::{Nonce, Realm};
    use ::stun::uattrs::UnknownAttributes;
    use ::stun::xoraddr::XorMappedAddress;

    use super::*;

    fn request(fingerprinted: bool) -> Message {
        let mut request = Message::new();
        request.set_type(BINDING_REQUEST);
        request.new_transaction_id().unwrap();
        request.write_header();
        if fingerprinted {
            FINGERPRINT.add_to(&mut request).unwrap();
        }
        request
    }

    fn read(bytes: &[u8]) -> Message {
        let mut message = Message::new();
        message.unmarshal_binary(bytes).unwrap();
        message
    }

    #[test]
    fn another_codec_reads_the_binding_answer() {
        let request = request(true);
        let mut out = Vec::new();
        binding_success(&Frame::parse(&request.raw).unwrap(), "[2001:db8::7]:4000".parse().unwrap(), &mut out);
        let answer = read(&out);
        assert_eq!((answer.typ, answer.transaction_id), (BINDING_SUCCEEDED, request.transaction_id));
        assert_eq!(Frame::parse(&out).unwrap().raw_type(), BINDING_SUCCESS);
        let mut mapped = XorMappedAddress::default();
        mapped.get_from(&answer).unwrap();
        assert_eq!((mapped.ip.to_string(), mapped.port), ("2001:db8::7".into(), 4000));
        FINGERPRINT.check(&answer).unwrap();
    }

    #[test]
    fn another_codec_reads_the_binding_request() {
        let id = TransactionId(*b"twelve bytes");
        let request = read(&binding_request(id));
        assert_eq!((request.typ, request.transaction_id, request.length), (BINDING_REQUEST, id, 0));
    }

    #[test]
    fn another_codec_reads_a_refusal() {
        let request = request(false);
        let mut out = Vec::new();
        let unknown = [AttrType(0x7777), AttrType(0x7778), AttrType(0x7779)];
        let says = Refusal {
            code: 420,
            reason: "Unknown Attribute",
            challenge: Some(("home", "nonce")),
            takes_tokens: false,
            unknown: &unknown,
        };
        refusal(&Frame::parse(&request.raw).unwrap(), says, &mut out);
        let answer = read(&out);
        assert_eq!(answer.typ, BINDING_ERROR);
        let mut code = ErrorCodeAttribute::default();
        code.get_from(&answer).unwrap();
        assert_eq!(code.to_string(), "420: Unknown Attribute");
        assert_eq!(Realm::get_from_as(&answer, ATTR_REALM).unwrap().text, "home");
        assert_eq!(Nonce::get_from_as(&answer, ATTR_NONCE).unwrap().text, "nonce");
        let mut list = UnknownAttributes(Vec::new());
        list.get_from(&answer).unwrap();
        assert_eq!(list.0, unknown);
    }
}
