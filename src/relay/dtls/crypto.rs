//! The cryptography of a DTLS session, by the same library as that of TLS.

mod aead;
mod exchange;
mod sign;

use std::cell::Cell;

use dimpl::CryptoError;
use dimpl::crypto::{
    Buf, CryptoProvider, HashAlgorithm, HashContext, HashProvider, HmacProvider, SecureRandom,
    SupportedDtls12CipherSuite, SupportedDtls13CipherSuite, SupportedKxGroup,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{digest, hmac};

use super::cookie::Cookie;

static SUITES: [&dyn SupportedDtls12CipherSuite; 3] = [&aead::AES_128, &aead::AES_256, &aead::CHACHA_20];
static SUITES_13: [&dyn SupportedDtls13CipherSuite; 1] = [&aead::Suite13];
static GROUPS: [&dyn SupportedKxGroup; 3] = [&exchange::X25519, &exchange::P256, &exchange::P384];

/// What a session of DTLS 1.2 needs, at either end: ephemeral ECDH, ECDSA certificates and authenticated encryption.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: &GROUPS,
        signature_verification: &sign::Verifier,
        key_provider: &sign::Keys,
        secure_random: &Random,
        hash_provider: &Hashes,
        hmac_provider: &Hmac,
        cipher_suites: &SUITES,
        dtls13_cipher_suites: &SUITES_13,
    }
}

thread_local! {
    /// The cookie that the session which is being fed is to ask for.
    static COOKIE: Cell<Option<Cookie>> = const { Cell::new(None) };
}

/// Has the session that `feed` feeds ask for this cookie and for no other.
///
/// A session makes up a cookie of its own, which it only knows while it is kept. Ours is checked before there is a
/// session; this one then has to agree, since the client signs what it was asked.
pub(super) fn with_cookie<T>(cookie: Cookie, feed: impl FnOnce() -> T) -> T {
    COOKIE.set(Some(cookie));
    let result = feed();
    COOKIE.set(None);
    result
}

#[derive(Debug)]
struct Random;

impl SecureRandom for Random {
    fn fill(&self, buf: &mut [u8]) -> Result<(), CryptoError> {
        let failed = CryptoError::OperationFailed(dimpl::CryptoOperation::FillRandom);
        SystemRandom::new().fill(buf).map_err(|_| failed)
    }
}

#[derive(Debug)]
struct Hashes;

#[derive(Clone)]
struct Hash(digest::Context);

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash")
    }
}

impl HashProvider for Hashes {
    fn create_hash(&self, algorithm: HashAlgorithm) -> Box<dyn HashContext> {
        let algorithm = if algorithm == HashAlgorithm::SHA384 { &digest::SHA384 } else { &digest::SHA256 };
        Box::new(Hash(digest::Context::new(algorithm)))
    }
}

impl HashContext for Hash {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn clone_and_finalize(&self, out: &mut Buf) {
        out.clear();
        out.extend_from_slice(self.0.clone().finish().as_ref());
    }
}

#[derive(Debug)]
struct Hmac;

impl HmacProvider for Hmac {
    /// Nothing but cookies is made with this one.
    fn hmac_sha256(&self, key: &[u8], data: &[u8]) -> Result<[u8; 32], CryptoError> {
        if let Some(cookie) = COOKIE.get() {
            return Ok(cookie);
        }
        let mut out = [0; 32];
        self.hmac(HashAlgorithm::SHA256, key, data, &mut out)?;
        Ok(out)
    }

    fn hmac(&self, hash: HashAlgorithm, key: &[u8], data: &[u8], out: &mut [u8]) -> Result<usize, CryptoError> {
        let algorithm = if hash == HashAlgorithm::SHA384 { hmac::HMAC_SHA384 } else { hmac::HMAC_SHA256 };
        let tag = hmac::sign(&hmac::Key::new(algorithm, key), data);
        let length = tag.as_ref().len();
        out[..length].copy_from_slice(tag.as_ref());
        Ok(length)
    }
}
