//! A library that panics.

use std::cell::Cell;

use dimpl::CryptoError;
use dimpl::crypto::{
    Aad, Buf, Cipher, CryptoProvider, Dtls12CipherSuite, HashAlgorithm, Nonce, SupportedDtls12CipherSuite, TmpBuf,
};

use super::*;

thread_local! {
    static IS_BROKEN: Cell<bool> = const { Cell::new(false) };
}

/// The suite that sessions prefer. It panics when it is told to, in the midst of whatever the library does.
#[derive(Debug)]
struct Fragile;

fn sound() -> &'static dyn SupportedDtls12CipherSuite {
    let is_chacha_20 = |suite: &&&dyn SupportedDtls12CipherSuite| {
        suite.suite() == Dtls12CipherSuite::ECDHE_ECDSA_CHACHA20_POLY1305_SHA256
    };
    *provider().cipher_suites.iter().find(is_chacha_20).unwrap()
}

impl SupportedDtls12CipherSuite for Fragile {
    fn suite(&self) -> Dtls12CipherSuite {
        sound().suite()
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        sound().hash_algorithm()
    }

    fn key_lengths(&self) -> (usize, usize, usize) {
        sound().key_lengths()
    }

    fn explicit_nonce_len(&self) -> usize {
        sound().explicit_nonce_len()
    }

    fn tag_len(&self) -> usize {
        sound().tag_len()
    }

    fn create_cipher(&self, key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        Ok(Box::new(FragileCipher(sound().create_cipher(key)?)))
    }
}

#[derive(Debug)]
struct FragileCipher(Box<dyn Cipher>);

impl Cipher for FragileCipher {
    fn encrypt(&mut self, plaintext: &mut Buf, aad: Aad, nonce: Nonce) -> Result<(), CryptoError> {
        assert!(!IS_BROKEN.get(), "for a test");
        self.0.encrypt(plaintext, aad, nonce)
    }

    fn decrypt(&mut self, ciphertext: &mut TmpBuf, aad: Aad, nonce: Nonce) -> Result<(), CryptoError> {
        assert!(!IS_BROKEN.get(), "for a test");
        self.0.decrypt(ciphertext, aad, nonce)
    }
}

fn world() -> World {
    static SUITES: [&dyn SupportedDtls12CipherSuite; 1] = [&Fragile];
    let provider = CryptoProvider { cipher_suites: &SUITES, ..provider() };
    let (shown, _) = &*BOX;
    World::showing(&Arc::new(Identity::with(&provider, &shown.certificate, &shown.private_key).unwrap()))
}

#[test]
fn a_panic_is_the_end_of_one_session_and_of_nothing_else() {
    type Doing = fn(&mut World, &mut Client);
    let doings: [(&str, Doing); 3] = [
        ("receive", |world, client| {
            client.say(b"hello");
            assert!(world.talk(client).is_empty());
        }),
        ("send", |world, client| world.sessions.send(&client.from, [b"hello", b"", b""])),
        ("end", |world, client| world.sessions.sweep(world.now.instant + IDLE * 2, |from| *from != client.from)),
    ];
    for (what, does) in doings {
        let mut world = world();
        let [mut other, mut client] = ["192.0.2.2:5000", "192.0.2.1:5000"].map(|address| world.connect(address));
        IS_BROKEN.set(true);
        does(&mut world, &mut client);
        IS_BROKEN.set(false);
        assert_eq!((world.sessions.len(), world.count("dtls_failed")), (1, 1), "{what}");
        assert_eq!(world.sessions.take_ended(), Some(client.from), "{what}");
        other.say(b"still here");
        assert_eq!(world.talk(&mut other), [b"still here"], "{what}");
        world.connect("192.0.2.1:5000");
    }
}

#[test]
fn a_panic_in_a_handshake_is_its_end() {
    let mut world = world();
    let mut client = world.client("192.0.2.1:5000");
    IS_BROKEN.set(true);
    world.talk(&mut client);
    IS_BROKEN.set(false);
    assert!(!client.is_open && world.is_empty());
    assert_eq!(world.count("dtls_failed"), 1);
}
