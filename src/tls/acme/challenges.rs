//! What the authority is to find while it validates a name, and at no other time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::error::OrderError;

/// The answers in force.
#[derive(Debug, Default)]
pub(in crate::tls) struct Challenges(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    /// For HTTP: token to key authorization.
    tokens: HashMap<String, String>,
    /// For handshakes: name to certificate.
    certificates: HashMap<String, Arc<CertifiedKey>>,
}

impl Challenges {
    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key authorization of a token.
    pub(super) fn key_authorization(&self, token: &str) -> Option<String> {
        self.lock().tokens.get(token).cloned()
    }

    /// Puts answers in force for as long as what this gives is kept.
    pub(super) fn begin(&self) -> Posted<'_> {
        Posted(self)
    }
}

impl ResolvesServerCert for Challenges {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.lock().certificates.get(&hello.server_name()?.to_ascii_lowercase()).cloned()
    }
}

/// The answers of one order.
pub(super) struct Posted<'a>(&'a Challenges);

impl Posted<'_> {
    /// For whoever asks over HTTP (RFC 8555 section 8.3).
    pub(super) fn over_http(&self, token: &str, key_authorization: &str) {
        self.0.lock().tokens.insert(token.to_owned(), key_authorization.to_owned());
    }

    /// For whoever shakes hands: `digest` is the SHA-256 of the key authorization (RFC 8737 section 3).
    pub(super) fn over_tls(&self, name: &str, digest: &[u8]) -> Result<(), OrderError> {
        let certified = certificate(name, digest)?;
        self.0.lock().certificates.insert(name.to_ascii_lowercase(), Arc::new(certified));
        Ok(())
    }
}

impl Drop for Posted<'_> {
    fn drop(&mut self) {
        *self.0.lock() = Answers::default();
    }
}

/// Signed by itself, for the name alone, with the digest in a critical extension (RFC 8737 section 3).
fn certificate(name: &str, digest: &[u8]) -> Result<CertifiedKey, OrderError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|wrong| rustls::Error::General(wrong.into()))?;
    let key = default_provider().key_provider.load_private_key(key)?;
    // `CertifiedKey::from_der` would refuse a critical extension that it does not know.
    Ok(CertifiedKey::new(vec![certificate.into()], key))
}
