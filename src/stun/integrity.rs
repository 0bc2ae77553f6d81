//! MESSAGE-INTEGRITY, its kin with SHA-256, USERHASH and the password algorithms (RFC 8489).

use ::hmac::{Hmac, KeyInit as _, Mac as _};
use ::stun::attributes::{ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256};
use ring::{digest, hmac};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

use super::{ATTRIBUTE_HEADER_BYTES, Attribute, Frame, HEADER_BYTES, plain};

/// Bytes of an HMAC-SHA1.
const SHA1_BYTES: usize = 20;
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

/// HMAC-SHA1, by the instructions that processors have for it: ring does without them.
pub fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> [u8; SHA1_BYTES] {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key) else { unreachable!("a key of any length is taken") };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// Whether MESSAGE-INTEGRITY-SHA256, or MESSAGE-INTEGRITY where there is none, was made with this key (RFC 8489 sections
/// 14.5 and 14.6). False without either.
pub(super) fn verifies(frame: &Frame<'_>, key: &[u8]) -> bool {
    let before = |attribute: Attribute<'_>| frame.before(attribute.offset - ATTRIBUTE_HEADER_BYTES);
    match (frame.sha256(), frame.get(ATTR_MESSAGE_INTEGRITY)) {
        (Some(attribute), _) => {
            let (length, right) = (attribute.value.len(), sha256(before(attribute), attribute.value.len(), key));
            attribute.value.ct_eq(&right.as_ref()[..length]).into()
        }
        (None, Some(attribute)) => attribute.value.ct_eq(&sha1(before(attribute), key)).into(),
        (None, None) => false,
    }
}

/// Appends MESSAGE-INTEGRITY-SHA256 to the message that begins at `start`, and puts its length right.
pub(super) fn sign_sha256(start: usize, key: &[u8], out: &mut Vec<u8>) {
    let tag = sha256(&out[start..], SHA256_BYTES, key);
    plain::attribute(ATTR_MESSAGE_INTEGRITY_SHA256, tag.as_ref(), out);
    plain::length(start, out);
}

/// The same with MESSAGE-INTEGRITY.
pub(super) fn sign_sha1(start: usize, key: &[u8], out: &mut Vec<u8>) {
    let tag = sha1(&out[start..], key);
    plain::attribute(ATTR_MESSAGE_INTEGRITY, &tag, out);
    plain::length(start, out);
}

fn sha1(before: &[u8], key: &[u8]) -> [u8; SHA1_BYTES] {
    hmac_sha1(key, &[&before[..2], &reaching(before, SHA1_BYTES), &before[4..]])
}

fn sha256(before: &[u8], value_bytes: usize, key: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(&before[..2]);
    context.update(&reaching(before, value_bytes));
    context.update(&before[4..]);
    context.sign()
}

/// The length in the header that what stands before the attribute is signed with: it reaches to the attribute's end.
fn reaching(before: &[u8], value_bytes: usize) -> [u8; 2] {
    ((before.len() - HEADER_BYTES + ATTRIBUTE_HEADER_BYTES + value_bytes) as u16).to_be_bytes()
}
