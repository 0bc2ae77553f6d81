//! MESSAGE-INTEGRITY-SHA256, USERHASH and the password algorithms (RFC 8489).

use ::stun::attributes::ATTR_MESSAGE_INTEGRITY_SHA256;
use ring::{digest, hmac};

use super::{ATTRIBUTE_HEADER_BYTES, Frame, HEADER_BYTES};

/// Bytes of a whole HMAC-SHA256.
const SHA256_BYTES: usize = 32;

/// How the key of a long-term credential is made (RFC 8489 section 18.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordAlgorithm {
    /// 0x0001
    Md5,
    /// 0x0002
    Sha256,
}

impl PasswordAlgorithm {
    /// The value of PASSWORD-ALGORITHMS: those that this server knows, the better one first, without parameters (RFC 8489
    /// section 14.11).
    pub const OFFERED: [u8; 8] = [0, 2, 0, 0, 0, 1, 0, 0];

    /// From the value of PASSWORD-ALGORITHM (RFC 8489 section 14.12), if it is one of those offered.
    pub fn read(value: &[u8]) -> Option<Self> {
        match value {
            [0, 1, 0, 0] => Some(Self::Md5),
            [0, 2, 0, 0] => Some(Self::Sha256),
            _ => None,
        }
    }
}

/// The value of USERHASH: SHA-256(username ":" realm), RFC 8489 section 14.4.
pub fn userhash(username: &str, realm: &str) -> [u8; SHA256_BYTES] {
    let mut hash = [0; SHA256_BYTES];
    hash.copy_from_slice(digest::digest(&digest::SHA256, format!("{username}:{realm}").as_bytes()).as_ref());
    hash
}

/// Whether MESSAGE-INTEGRITY-SHA256 was made with this key. False without one.
pub(super) fn verifies(frame: &Frame<'_>, key: &[u8]) -> bool {
    let Some(attribute) = frame.sha256() else { return false };
    let before = frame.before(attribute.offset - ATTRIBUTE_HEADER_BYTES);
    let right = mac(before, attribute.value.len(), key);
    subtle::ConstantTimeEq::ct_eq(attribute.value, &right.as_ref()[..attribute.value.len()]).into()
}

/// Appends MESSAGE-INTEGRITY-SHA256 to the message that begins at `start`, and puts its length right.
pub(super) fn sign(start: usize, key: &[u8], out: &mut Vec<u8>) {
    let tag = mac(&out[start..], SHA256_BYTES, key);
    out.extend_from_slice(&ATTR_MESSAGE_INTEGRITY_SHA256.0.to_be_bytes());
    out.extend_from_slice(&(SHA256_BYTES as u16).to_be_bytes());
    out.extend_from_slice(tag.as_ref());
    let length = (out.len() - start - HEADER_BYTES) as u16;
    out[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Over what stands before the attribute, with a length in the header that reaches to its end (RFC 8489 section 14.6).
fn mac(before: &[u8], value_bytes: usize, key: &[u8]) -> hmac::Tag {
    let length = (before.len() - HEADER_BYTES + ATTRIBUTE_HEADER_BYTES + value_bytes) as u16;
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(&before[..2]);
    context.update(&length.to_be_bytes());
    context.update(&before[4..]);
    context.sign()
}
