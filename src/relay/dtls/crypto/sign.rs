//! Signatures: ECDSA, with the key of the certificate that TLS shows too.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use dimpl::CryptoError;
use dimpl::crypto::{Buf, HashAlgorithm, KeyProvider, SignatureAlgorithm, SignatureVerifier, SigningKey};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    EcdsaVerificationAlgorithm, UnparsedPublicKey,
};
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::pki_types::PrivateKeyDer;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Reads private keys.
#[derive(Debug)]
pub(super) struct Keys;

#[derive(Debug)]
struct Key {
    key: AssertUnwindSafe<Arc<dyn rustls::sign::SigningKey>>,
    /// A curve goes with one hash (RFC 8446 section 4.2.3).
    hash: [HashAlgorithm; 1],
    scheme: SignatureScheme,
}

impl KeyProvider for Keys {
    fn load_private_key(&self, key_der: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        let key = PrivateKeyDer::try_from(key_der).map_err(|_| CryptoError::InvalidPrivateKey)?;
        let key = any_ecdsa_type(&key).map_err(|_| CryptoError::InvalidPrivateKey)?;
        let schemes = [
            (SignatureScheme::ECDSA_NISTP256_SHA256, HashAlgorithm::SHA256),
            (SignatureScheme::ECDSA_NISTP384_SHA384, HashAlgorithm::SHA384),
        ];
        let suits = schemes.into_iter().find(|(scheme, _)| key.choose_scheme(&[*scheme]).is_some());
        let (scheme, hash) = suits.ok_or(CryptoError::InvalidPrivateKey)?;
        Ok(Box::new(Key { key: AssertUnwindSafe(key), hash: [hash], scheme }))
    }
}

impl SigningKey for Key {
    fn sign(&mut self, data: &[u8], _: HashAlgorithm, out: &mut Buf) -> Result<(), CryptoError> {
        let signer = self.key.choose_scheme(&[self.scheme]).ok_or(CryptoError::InvalidPrivateKey)?;
        let failed = CryptoError::OperationFailed(dimpl::CryptoOperation::Sign);
        let signature = signer.sign(data).map_err(|_| failed)?;
        out.clear();
        out.extend_from_slice(&signature);
        Ok(())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        self.hash[0]
    }

    fn supported_hash_algorithms(&self) -> &[HashAlgorithm] {
        &self.hash
    }
}

/// Verifies what a certificate's key has signed. A server asks for no certificate, but must know how.
#[derive(Debug)]
pub(super) struct Verifier;

impl SignatureVerifier for Verifier {
    fn verify_signature(
        &self,
        cert_der: &[u8],
        data: &[u8],
        signature: &[u8],
        hash_alg: HashAlgorithm,
        sig_alg: SignatureAlgorithm,
    ) -> Result<(), CryptoError> {
        let (_, certificate) = X509Certificate::from_der(cert_der).map_err(|_| CryptoError::CertificateParseFailed)?;
        let public = &*certificate.public_key().subject_public_key.data;
        let pair = CryptoError::UnsupportedSignaturePair { signature: sig_alg, hash: hash_alg };
        let algorithm =
            algorithm(public.len(), hash_alg).filter(|_| sig_alg == SignatureAlgorithm::ECDSA).ok_or(pair)?;
        let failed = CryptoError::OperationFailed(dimpl::CryptoOperation::VerifySignature);
        UnparsedPublicKey::new(algorithm, public).verify(data, signature).map_err(|_| failed)
    }
}

/// By the length of an uncompressed point, in bytes.
fn algorithm(point: usize, hash: HashAlgorithm) -> Option<&'static EcdsaVerificationAlgorithm> {
    match (point, hash) {
        (65, HashAlgorithm::SHA256) => Some(&ECDSA_P256_SHA256_ASN1),
        (65, HashAlgorithm::SHA384) => Some(&ECDSA_P256_SHA384_ASN1),
        (97, HashAlgorithm::SHA256) => Some(&ECDSA_P384_SHA256_ASN1),
        (97, HashAlgorithm::SHA384) => Some(&ECDSA_P384_SHA384_ASN1),
        _ => None,
    }
}
