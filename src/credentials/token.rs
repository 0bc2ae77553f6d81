//! Access tokens that another server hands out: third-party authorization (RFC 7635).

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use thiserror::Error;

use super::verify::{Denied, IntegrityKey};

/// How far the clocks of the two servers may be apart, in seconds (RFC 7635 section 4.1.1, "delta").
const CLOCK_DELTA: u64 = 5;
/// Bytes of the key that a token carries: HMAC-SHA1's are 20.
const MAC_KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

/// What is wrong with a file of token keys.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TokenKeysError {
    /// The file has no key in it.
    #[error("has no key: a line such as `north MTIzNDU2…`, which is the key's id and the key in base64")]
    Empty,
    /// A line that is no id and key.
    #[error("line {0}: is no id and key: the key's id, a space, and 16 or 32 bytes in base64")]
    Line(usize),
    /// An id that is there twice.
    #[error("line {0}: an id that is there twice: another for each key")]
    Twice(usize),
}

/// The keys that this server shares with authorization servers, by their ids. `Debug` never shows them.
#[derive(Clone, Debug, Default)]
pub struct TokenKeys(HashMap<String, LessSafeKey>);

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Signs the requests of whoever holds it.
    pub key: IntegrityKey,
    /// When it was made, in seconds since the Unix epoch.
    pub since: u64,
    /// When it ends, in seconds since the Unix epoch.
    pub ends: u64,
}

impl TokenKeys {
    /// Reads an id (`kid`) and a key a line: AES-128-GCM for 16 bytes, AES-256-GCM for 32. Blank lines and lines that begin
    /// with `#` are passed over.
    ///
    /// # Errors
    /// [`TokenKeysError`] for the first line that will not do.
    pub fn parse(text: &str) -> Result<Self, TokenKeysError> {
        let mut keys = HashMap::new();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (id, key) = line.split_once(' ').ok_or(TokenKeysError::Line(index + 1))?;
            let key = key_of(key.trim()).ok_or(TokenKeysError::Line(index + 1))?;
            if keys.insert(id.to_owned(), key).is_some() {
                return Err(TokenKeysError::Twice(index + 1));
            }
        }
        if keys.is_empty() { Err(TokenKeysError::Empty) } else { Ok(Self(keys)) }
    }

    /// Whether there is none: then no token is taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Opens the value of an ACCESS-TOKEN (RFC 7635 section 6.2). `kid` is the USERNAME it came with, `name` that of this
    /// server in THIRD-PARTY-AUTHORIZATION, `now` in seconds since the Unix epoch.
    ///
    /// ```text
    ///  nonce length (2) | nonce | encrypted: key length (2) | key | timestamp (8) | lifetime (4) | tag (16)
    /// ```
    ///
    /// # Errors
    /// [`Denied::Unknown`] when it was not made for this server under that key, [`Denied::Expired`] when now is further from
    /// when it was made than it lasts (RFC 7635 section 4.1.1).
    pub fn open(&self, kid: &str, sealed: &[u8], name: &str, now: u64) -> Result<Token, Denied> {
        let token = self.decrypt(kid, sealed, name).and_then(|plain| read(&plain)).ok_or(Denied::Unknown)?;
        let lasts = token.ends - token.since + CLOCK_DELTA;
        if now.abs_diff(token.since) < lasts { Ok(token) } else { Err(Denied::Expired) }
    }

    fn decrypt(&self, kid: &str, sealed: &[u8], name: &str) -> Option<Vec<u8>> {
        let (length, rest) = sealed.split_first_chunk::<2>()?;
        let (nonce, block) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut block = block.to_vec();
        let plain = self.0.get(kid)?.open_in_place(nonce, Aad::from(name.as_bytes()), &mut block).ok()?;
        Some(plain.to_vec())
    }
}

fn key_of(text: &str) -> Option<LessSafeKey> {
    let bytes = STANDARD.decode(text).ok()?;
    let algorithm = match bytes.len() {
        16 => &AES_128_GCM,
        32 => &AES_256_GCM,
        _ => return None,
    };
    UnboundKey::new(algorithm, &bytes).ok().map(LessSafeKey::new)
}

fn read(plain: &[u8]) -> Option<Token> {
    let (length, rest) = plain.split_first_chunk::<2>()?;
    let (key, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (timestamp, rest) = rest.split_first_chunk::<8>()?;
    let lifetime: [u8; 4] = rest.try_into().ok()?;
    if !MAC_KEY_BYTES.contains(&key.len()) {
        return None;
    }
    // The lowest 16 bits are a fraction of a second (RFC 7635 section 6.2).
    let since = u64::from_be_bytes(*timestamp) >> 16;
    Some(Token { key: IntegrityKey::given(key), since, ends: since + u64::from(u32::from_be_bytes(lifetime)) })
}

/// Makes tokens, as an authorization server does.
#[cfg(test)]
pub(crate) fn seal(key: &str, mac_key: &[u8], name: &str, since: u64, lifetime: u32) -> Vec<u8> {
    let nonce = [7; 12];
    let mut block = (mac_key.len() as u16).to_be_bytes().to_vec();
    block.extend(mac_key);
    block.extend((since << 16).to_be_bytes());
    block.extend(lifetime.to_be_bytes());
    let (key, unique) = (key_of(key).unwrap(), Nonce::assume_unique_for_key(nonce));
    key.seal_in_place_append_tag(unique, Aad::from(name.as_bytes()), &mut block).unwrap();
    [&12u16.to_be_bytes()[..], &nonce, &block].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORTH: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=";
    const UNION: &str = "MTIzNDU2Nzg5MDEyMzQ1Ng==";
    const MAC_KEY: [u8; 20] = [9; 20];

    fn keys() -> TokenKeys {
        TokenKeys::parse(&format!("# shared\n\nnorth {NORTH}\nunion  {UNION}\n")).unwrap()
    }

    #[test]
    fn a_token_opens_with_the_key_it_names_and_no_other() {
        for (kid, key) in [("north", NORTH), ("union", UNION)] {
            let sealed = seal(key, &MAC_KEY, "lanturn", 1000, 60);
            let token = keys().open(kid, &sealed, "lanturn", 1000).unwrap();
            assert_eq!((token.key.bytes(), token.ends), (&MAC_KEY[..], 1060));
            for (kid, name) in
                [("north", "other"), ("nobody", "lanturn"), (if kid == "north" { "union" } else { "north" }, "lanturn")]
            {
                assert_eq!(keys().open(kid, &sealed, name, 1000), Err(Denied::Unknown), "{kid} {name}");
            }
            assert_eq!(keys().open(kid, &sealed, "lanturn", 1064).unwrap().ends, 1060);
            assert_eq!(keys().open(kid, &sealed, "lanturn", 1065), Err(Denied::Expired));
            assert!(keys().open(kid, &sealed, "lanturn", 936).is_ok(), "clocks differ");
            assert_eq!(keys().open(kid, &sealed, "lanturn", 935), Err(Denied::Expired), "of tomorrow");
        }
    }

    #[test]
    fn no_changed_bit_and_no_part_of_one_opens() {
        let sealed = seal(NORTH, &MAC_KEY, "lanturn", 1000, 60);
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys().open("north", &changed, "lanturn", 1000), Err(Denied::Unknown));
        }
        for length in 0..sealed.len() {
            assert_eq!(keys().open("north", &sealed[..length], "lanturn", 1000), Err(Denied::Unknown));
        }
        for mac_key in [&[9; 15][..], &[9; 65]] {
            let sealed = seal(NORTH, mac_key, "lanturn", 1000, 60);
            assert_eq!(keys().open("north", &sealed, "lanturn", 1000), Err(Denied::Unknown));
        }
    }

    #[test]
    fn a_file_that_will_not_do_says_which_line() {
        let error = |text: &str| TokenKeys::parse(text).unwrap_err();
        assert_eq!(error("# none\n"), TokenKeysError::Empty);
        assert_eq!(error("north\n"), TokenKeysError::Line(1));
        assert_eq!(error("\nnorth AAAA\n"), TokenKeysError::Line(2));
        assert_eq!(error("north not base64\n"), TokenKeysError::Line(1));
        assert_eq!(error(&format!("a {UNION}\na {NORTH}\n")), TokenKeysError::Twice(2));
    }
}
