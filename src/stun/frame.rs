//! One STUN message, checked and borrowed.

use std::net::SocketAddr;

use ::stun::attributes::{ATTR_FINGERPRINT, ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256};
use ::stun::fingerprint::fingerprint_value;
use ::stun::message::{MessageType, Method};
use thiserror::Error;

use super::{
    ATTRIBUTE_HEADER_BYTES, AttrType, HEADER_BYTES, MAGIC_COOKIE, TransactionId, decode_xor_address, is_known, padded,
};

/// An HMAC-SHA1 (RFC 8489 section 14.5).
const MESSAGE_INTEGRITY_BYTES: usize = 20;
/// The lengths of an HMAC-SHA256, which may be cut short (RFC 8489 section 14.6).
const MESSAGE_INTEGRITY_SHA256_BYTES: std::ops::RangeInclusive<usize> = 16..=32;
/// A CRC-32 (RFC 8489 section 14.7).
const FINGERPRINT_BYTES: usize = 4;
/// The most that UNKNOWN-ATTRIBUTES lists. A packet has room for 16,000 types, and to list each of them once would
/// take a stranger's packet milliseconds.
const MAX_UNKNOWN: usize = 16;

/// Why a packet is no STUN message. None of these is answered.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// Under 20 bytes, or the header's length field is not that of the packet, or not a multiple of four.
    #[error("the length is wrong")]
    Length,
    /// The first two bits are not zero, or the magic cookie is another.
    #[error("the header is not STUN's")]
    Header,
    /// An attribute runs over the end of the message or of its own fixed size.
    #[error("an attribute is cut short")]
    Attribute,
    /// The FINGERPRINT is wrong, or something follows it.
    #[error("the fingerprint is wrong")]
    Fingerprint,
}

/// The four classes (RFC 8489 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// An answer: a server has no use for one.
    Response,
}

/// One attribute, its value without the padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// The type.
    pub kind: AttrType,
    /// The value.
    pub value: &'a [u8],
    /// Where the value begins in the packet.
    pub offset: usize,
}

/// A message that is well-formed, up to and including MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 where it has one: what
/// stands behind that is not authenticated and is never seen (RFC 8489 section 14.5).
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    packet: &'a [u8],
    end: usize,
    signed: bool,
    /// Where MESSAGE-INTEGRITY-SHA256 is: alone, or right behind MESSAGE-INTEGRITY.
    sha256: Option<Attribute<'a>>,
    fingerprinted: bool,
}

impl<'a> Frame<'a> {
    /// Checks a whole packet.
    ///
    /// # Errors
    /// [`Malformed`] says what is wrong.
    pub fn parse(packet: &'a [u8]) -> Result<Self, Malformed> {
        let Some(header) = packet.first_chunk::<HEADER_BYTES>() else { return Err(Malformed::Length) };
        if header[0] & 0b1100_0000 != 0 || header[4..8] != MAGIC_COOKIE {
            return Err(Malformed::Header);
        }
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if !length.is_multiple_of(4) || HEADER_BYTES + length != packet.len() {
            return Err(Malformed::Length);
        }
        let mut frame = Self { packet, end: packet.len(), signed: false, sha256: None, fingerprinted: false };
        frame.check_attributes()?;
        Ok(frame)
    }

    fn check_attributes(&mut self) -> Result<(), Malformed> {
        let mut at = HEADER_BYTES;
        while at < self.packet.len() {
            let (attribute, next) = self.attribute_at(at).ok_or(Malformed::Attribute)?;
            match attribute.kind {
                ATTR_FINGERPRINT => {
                    self.check_fingerprint(attribute, next)?;
                    if !self.is_signed() {
                        self.end = at;
                    }
                    self.fingerprinted = true;
                }
                ATTR_MESSAGE_INTEGRITY if !self.is_signed() => {
                    if attribute.value.len() != MESSAGE_INTEGRITY_BYTES {
                        return Err(Malformed::Attribute);
                    }
                    self.signed = true;
                    self.end = next;
                }
                ATTR_MESSAGE_INTEGRITY_SHA256 if self.sha256.is_none() && (!self.signed || self.end == at) => {
                    let length = attribute.value.len();
                    if !MESSAGE_INTEGRITY_SHA256_BYTES.contains(&length) || !length.is_multiple_of(4) {
                        return Err(Malformed::Attribute);
                    }
                    self.sha256 = Some(attribute);
                    if !self.signed {
                        self.end = next;
                    }
                }
                _ => {}
            }
            at = next;
        }
        Ok(())
    }

    /// FINGERPRINT is the last attribute, over all bytes before it (RFC 8489 section 14.7).
    fn check_fingerprint(&self, attribute: Attribute<'_>, next: usize) -> Result<(), Malformed> {
        let start = attribute.offset - ATTRIBUTE_HEADER_BYTES;
        let value: [u8; FINGERPRINT_BYTES] = attribute.value.try_into().map_err(|_| Malformed::Fingerprint)?;
        let right = next == self.packet.len() && u32::from_be_bytes(value) == fingerprint_value(&self.packet[..start]);
        if right { Ok(()) } else { Err(Malformed::Fingerprint) }
    }

    fn attribute_at(&self, at: usize) -> Option<(Attribute<'a>, usize)> {
        let &[t0, t1, l0, l1] = self.packet.get(at..at + ATTRIBUTE_HEADER_BYTES)?.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let offset = at + ATTRIBUTE_HEADER_BYTES;
        let next = offset + padded(length);
        if next > self.packet.len() {
            return None;
        }
        let kind = AttrType(u16::from_be_bytes([t0, t1]));
        Some((Attribute { kind, value: &self.packet[offset..offset + length], offset }, next))
    }

    /// The class.
    pub fn class(&self) -> Class {
        match self.raw_type() & 0x0110 {
            0x0000 => Class::Request,
            0x0010 => Class::Indication,
            _ => Class::Response,
        }
    }

    /// The method.
    pub fn method(&self) -> Method {
        let mut kind = MessageType::default();
        kind.read_value(self.raw_type());
        kind.method
    }

    /// The message type as it stands in the header, class bits and all.
    pub fn raw_type(&self) -> u16 {
        u16::from_be_bytes([self.packet[0], self.packet[1]])
    }

    /// The transaction id.
    pub fn transaction_id(&self) -> TransactionId {
        let mut id = TransactionId::default();
        id.0.copy_from_slice(&self.packet[8..HEADER_BYTES]);
        id
    }

    /// Whether it carries MESSAGE-INTEGRITY, of either kind. Whether that is right is for [`super::Request`] to say.
    pub fn is_signed(&self) -> bool {
        self.signed || self.sha256.is_some()
    }

    /// MESSAGE-INTEGRITY-SHA256: what counts where there are both (RFC 8489 section 9.2.4).
    pub fn sha256(&self) -> Option<Attribute<'a>> {
        self.sha256
    }

    /// The packet before a byte.
    pub(super) fn before(&self, offset: usize) -> &'a [u8] {
        &self.packet[..offset]
    }

    /// Whether it carried a (right) FINGERPRINT, and so may be answered with one.
    pub fn is_fingerprinted(&self) -> bool {
        self.fingerprinted
    }

    /// The length of the whole packet.
    pub fn length(&self) -> usize {
        self.packet.len()
    }

    /// The bytes up to and including MESSAGE-INTEGRITY, or all but the FINGERPRINT of an unsigned message.
    pub fn bytes(&self) -> &'a [u8] {
        &self.packet[..self.end]
    }

    /// All attributes that count, in order, repeated ones too.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let frame = *self;
        let mut at = HEADER_BYTES;
        std::iter::from_fn(move || {
            if at >= frame.end {
                return None;
            }
            let (attribute, next) = frame.attribute_at(at)?;
            at = next;
            Some(attribute)
        })
    }

    /// The first attribute of a type.
    pub fn get(&self, kind: AttrType) -> Option<Attribute<'a>> {
        self.attributes().find(|attribute| attribute.kind == kind)
    }

    /// An attribute as UTF-8 text, if it is there and is such.
    pub fn text(&self, kind: AttrType) -> Option<&'a str> {
        std::str::from_utf8(self.get(kind)?.value).ok()
    }

    /// An attribute as an XOR address, IPv4-mapped ones as IPv4.
    pub fn xor_address(&self, kind: AttrType) -> Option<SocketAddr> {
        self.decode_address(self.get(kind)?)
    }

    /// An attribute's value as an XOR address.
    pub fn decode_address(&self, attribute: Attribute<'_>) -> Option<SocketAddr> {
        let address = decode_xor_address(attribute.value, self.transaction_id())?;
        Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// The comprehension-required attributes that this server does not understand, each once: the first 16 of them.
    pub fn unknown_attributes(&self) -> Vec<AttrType> {
        let mut unknown = Vec::new();
        for Attribute { kind, .. } in self.attributes() {
            if kind.required() && !is_known(kind) && !unknown.contains(&kind) {
                unknown.push(kind);
                if unknown.len() == MAX_UNKNOWN {
                    break;
                }
            }
        }
        unknown
    }
}

#[cfg(test)]
mod tests {
    use ::stun::attributes::{ATTR_LIFETIME, ATTR_REALM, ATTR_SOFTWARE, ATTR_USERNAME};
    use ::stun::fingerprint::FINGERPRINT;
    use ::stun::integrity::MessageIntegrity;
    use ::stun::message::{BINDING_REQUEST, Message, Setter as _};
    use proptest::prelude::*;

    use super::*;

    fn message(attributes: &[(AttrType, &[u8])]) -> Message {
        let mut message = Message::new();
        message.set_type(BINDING_REQUEST);
        message.write_header();
        for (kind, value) in attributes {
            message.add(*kind, value);
        }
        message
    }

    #[test]
    fn what_follows_the_integrity_is_never_seen() {
        let mut message = message(&[(ATTR_USERNAME, b"anna")]);
        MessageIntegrity(b"key".to_vec()).add_to(&mut message).unwrap();
        message.add(ATTR_LIFETIME, &[0, 0, 0, 0]);
        FINGERPRINT.add_to(&mut message).unwrap();
        let frame = Frame::parse(&message.raw).unwrap();
        assert!(frame.is_signed() && frame.is_fingerprinted());
        let seen: Vec<_> = frame.attributes().map(|attribute| attribute.kind).collect();
        assert_eq!(seen, [ATTR_USERNAME, ATTR_MESSAGE_INTEGRITY]);
    }

    #[test]
    fn lax_lengths_are_refused() {
        let whole = message(&[(ATTR_SOFTWARE, b"abc")]).raw;
        assert!(Frame::parse(&whole).is_ok());
        let trailing = [&whole[..], &[0; 4]].concat();
        assert_eq!(Frame::parse(&trailing).unwrap_err(), Malformed::Length);
        let mut odd = whole.clone();
        odd[3] -= 1;
        assert_eq!(Frame::parse(&odd[..odd.len() - 1]).unwrap_err(), Malformed::Length);
        let mut over = whole.clone();
        over[23] = 5;
        assert_eq!(Frame::parse(&over).unwrap_err(), Malformed::Attribute);
        let mut bits = whole.clone();
        bits[0] |= 0x80;
        assert_eq!(Frame::parse(&bits).unwrap_err(), Malformed::Header);
        assert_eq!(Frame::parse(&whole[..19]).unwrap_err(), Malformed::Length);
    }

    #[test]
    fn a_wrong_fingerprint_or_one_that_is_not_last_is_refused() {
        let mut right = message(&[]);
        FINGERPRINT.add_to(&mut right).unwrap();
        assert!(Frame::parse(&right.raw).unwrap().is_fingerprinted());
        let mut wrong = right.raw.clone();
        wrong[27] ^= 1;
        assert_eq!(Frame::parse(&wrong).unwrap_err(), Malformed::Fingerprint);
        right.add(ATTR_SOFTWARE, b"late");
        assert_eq!(Frame::parse(&right.raw).unwrap_err(), Malformed::Fingerprint);
    }

    #[test]
    fn unknown_attributes_are_listed_once_and_repeated_ones_are_seen() {
        let odd = AttrType(0x7777);
        let message =
            message(&[(odd, b""), (AttrType(0xC777), b""), (odd, b""), (ATTR_REALM, b"a"), (ATTR_REALM, b"b")]);
        let frame = Frame::parse(&message.raw).unwrap();
        assert_eq!(frame.unknown_attributes(), [odd]);
        assert_eq!(frame.attributes().filter(|attribute| attribute.kind == ATTR_REALM).count(), 2);
    }

    #[test]
    fn the_list_of_unknown_attributes_is_bounded() {
        let kinds: Vec<_> = (0x1000..0x4000).map(AttrType).collect();
        let message = message(&kinds.iter().map(|kind| (*kind, &b""[..])).collect::<Vec<_>>());
        assert_eq!(Frame::parse(&message.raw).unwrap().unknown_attributes(), kinds[..16]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(packet: Vec<u8>) {
            let _ = Frame::parse(&packet);
        }

        #[test]
        fn any_attributes_are_read_as_the_other_codec_reads_them(values: Vec<(u16, Vec<u8>)>) {
            let kind = |n: u16| AttrType(0xC100 | (n & 0xFF));
            let list: Vec<_> = values.iter().map(|(n, value)| (kind(*n), &value[..])).collect();
            let message = message(&list);
            let frame = Frame::parse(&message.raw).unwrap();
            let seen: Vec<_> = frame.attributes().map(|attribute| (attribute.kind, attribute.value)).collect();
            prop_assert_eq!(seen, list);
        }
    }
}
