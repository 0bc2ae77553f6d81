//! The cipher suites: authenticated encryption of records.

use dimpl::crypto::{
    Aad, Buf, Cipher, Dtls12CipherSuite, Dtls13CipherSuite, HashAlgorithm, Nonce, SupportedDtls12CipherSuite,
    SupportedDtls13CipherSuite, TmpBuf,
};
use dimpl::{CryptoError, CryptoOperation};
use ring::aead::{self, Algorithm, LessSafeKey, UnboundKey, quic};

/// The length of an authentication tag, in bytes, in every suite.
const TAG: usize = 16;

/// A suite of DTLS 1.2.
#[derive(Debug)]
pub(super) struct Suite {
    suite: Dtls12CipherSuite,
    hash: HashAlgorithm,
    algorithm: &'static Algorithm,
    /// What of the nonce comes from the handshake, and what is sent with each record, in bytes.
    nonce: (usize, usize),
}

/// RFC 5289 section 3.2.
pub(super) static AES_128: Suite = Suite {
    suite: Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256,
    hash: HashAlgorithm::SHA256,
    algorithm: &aead::AES_128_GCM,
    nonce: (4, 8),
};
/// RFC 5289 section 3.2.
pub(super) static AES_256: Suite = Suite {
    suite: Dtls12CipherSuite::ECDHE_ECDSA_AES256_GCM_SHA384,
    hash: HashAlgorithm::SHA384,
    algorithm: &aead::AES_256_GCM,
    nonce: (4, 8),
};
/// RFC 7905 section 2.
pub(super) static CHACHA_20: Suite = Suite {
    suite: Dtls12CipherSuite::ECDHE_ECDSA_CHACHA20_POLY1305_SHA256,
    hash: HashAlgorithm::SHA256,
    algorithm: &aead::CHACHA20_POLY1305,
    nonce: (12, 0),
};

impl SupportedDtls12CipherSuite for Suite {
    fn suite(&self) -> Dtls12CipherSuite {
        self.suite
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        self.hash
    }

    fn key_lengths(&self) -> (usize, usize, usize) {
        (0, self.algorithm.key_len(), self.nonce.0)
    }

    fn explicit_nonce_len(&self) -> usize {
        self.nonce.1
    }

    fn tag_len(&self) -> usize {
        TAG
    }

    fn create_cipher(&self, key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        Sealing::boxed(self.algorithm, key)
    }
}

/// A provider must have one suite of DTLS 1.3, which no session of ours speaks.
#[derive(Debug)]
pub(super) struct Suite13;

impl SupportedDtls13CipherSuite for Suite13 {
    fn suite(&self) -> Dtls13CipherSuite {
        Dtls13CipherSuite::CHACHA20_POLY1305_SHA256
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }

    fn key_len(&self) -> usize {
        aead::CHACHA20_POLY1305.key_len()
    }

    fn iv_len(&self) -> usize {
        aead::NONCE_LEN
    }

    fn tag_len(&self) -> usize {
        TAG
    }

    fn create_cipher(&self, key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        Sealing::boxed(&aead::CHACHA20_POLY1305, key)
    }

    fn encrypt_sn(&self, sn_key: &[u8], sample: &[u8; 16]) -> [u8; 16] {
        let mut mask = [0; 16];
        let made = quic::HeaderProtectionKey::new(&quic::CHACHA20, sn_key).and_then(|key| key.new_mask(sample));
        if let Ok(made) = made {
            mask[..made.len()].copy_from_slice(&made);
        }
        mask
    }
}

#[derive(Debug)]
struct Sealing(LessSafeKey);

impl Sealing {
    fn boxed(algorithm: &'static Algorithm, key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        let key = UnboundKey::new(algorithm, key).map_err(|_| failed(CryptoOperation::CreateCipher))?;
        Ok(Box::new(Self(LessSafeKey::new(key))))
    }
}

impl Cipher for Sealing {
    fn encrypt(&mut self, plaintext: &mut Buf, aad: Aad, nonce: Nonce) -> Result<(), CryptoError> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce.0);
        let sealed = self.0.seal_in_place_separate_tag(nonce, aead::Aad::from(&*aad), plaintext);
        let tag = sealed.map_err(|_| failed(CryptoOperation::Encrypt))?;
        plaintext.extend_from_slice(tag.as_ref());
        Ok(())
    }

    fn decrypt(&mut self, ciphertext: &mut TmpBuf, aad: Aad, nonce: Nonce) -> Result<(), CryptoError> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce.0);
        let opened = self.0.open_in_place(nonce, aead::Aad::from(&*aad), ciphertext.as_mut());
        let length = opened.map_err(|_| failed(CryptoOperation::Decrypt))?.len();
        ciphertext.truncate(length);
        Ok(())
    }
}

fn failed(operation: CryptoOperation) -> CryptoError {
    CryptoError::OperationFailed(operation)
}
