//! Stateless nonces: what the server would have to remember, it makes the client carry.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::hmac;

/// How long a nonce lasts, in seconds. RFC 8489 section 9.2 advises "at least once per hour".
const LIFETIME: u64 = 3600;
/// Begins every nonce of a server that knows RFC 8489 (its section 9.2), followed by the 24 security feature bits in
/// base64. Bit 0, "password algorithms", is set. Bit 1, "username anonymity", is not: a client that sees it says USERHASH,
/// and names that are minted can't be told from a hash.
const COOKIE: &str = "obMatJos2AAAB";
const EXPIRY_BYTES: usize = 8;
const MAC_BYTES: usize = 16;
/// Characters of a nonce: the cookie and 24 bytes in base64.
pub(crate) const NONCE_CHARS: usize = COOKIE.len() + (EXPIRY_BYTES + MAC_BYTES) * 4 / 3;

/// Makes and checks nonces under one key.
#[derive(Clone, Debug)]
pub struct Nonces(hmac::Key);

impl Nonces {
    /// From 32 random bytes. Every shard needs the same ones: a client's TCP connection may land on another than
    /// its datagrams do.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// A nonce for a client address. `now` is in seconds since the Unix epoch.
    pub fn issue(&self, client: SocketAddr, now: u64) -> String {
        let expiry = now + LIFETIME;
        let mut value = [0; EXPIRY_BYTES + MAC_BYTES];
        value[..EXPIRY_BYTES].copy_from_slice(&expiry.to_be_bytes());
        value[EXPIRY_BYTES..].copy_from_slice(&self.mac(client, expiry).as_ref()[..MAC_BYTES]);
        let mut nonce = String::with_capacity(NONCE_CHARS);
        nonce.push_str(COOKIE);
        STANDARD_NO_PAD.encode_string(value, &mut nonce);
        nonce
    }

    /// Whether a nonce was issued to this client address and has not expired.
    pub fn is_fresh(&self, nonce: &str, client: SocketAddr, now: u64) -> bool {
        let Some(value) = nonce.strip_prefix(COOKIE).and_then(|text| STANDARD_NO_PAD.decode(text).ok()) else {
            return false;
        };
        let Some((expiry, mac)) = value.split_first_chunk::<EXPIRY_BYTES>() else { return false };
        let expiry = u64::from_be_bytes(*expiry);
        let right = self.mac(client, expiry);
        expiry > now && subtle::ConstantTimeEq::ct_eq(mac, &right.as_ref()[..MAC_BYTES]).into()
    }

    /// Vouches for bytes that a client is to bring back: 32 bytes.
    pub(super) fn vouch(&self, bytes: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        // No nonce's MAC begins so: that is over an expiry.
        context.update(b"ticket: ");
        context.update(bytes);
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    fn mac(&self, client: SocketAddr, expiry: u64) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&expiry.to_be_bytes());
        match client.ip().to_canonical() {
            std::net::IpAddr::V4(v4) => context.update(&v4.octets()),
            std::net::IpAddr::V6(v6) => context.update(&v6.octets()),
        }
        context.update(&client.port().to_be_bytes());
        context.sign()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_nonce_is_for_one_client_and_one_hour() {
        let nonces = Nonces::new(&[1; 32]);
        let nonce = nonces.issue(at("192.0.2.1:5000"), 1000);
        assert_eq!(nonce.len(), NONCE_CHARS);
        assert!(nonces.is_fresh(&nonce, at("192.0.2.1:5000"), 1000 + LIFETIME - 1));
        assert!(!nonces.is_fresh(&nonce, at("192.0.2.1:5000"), 1000 + LIFETIME));
        assert!(!nonces.is_fresh(&nonce, at("192.0.2.1:5001"), 1000));
        assert!(!nonces.is_fresh(&nonce, at("192.0.2.2:5000"), 1000));
        assert!(!Nonces::new(&[2; 32]).is_fresh(&nonce, at("192.0.2.1:5000"), 1000));
    }

    #[test]
    fn other_texts_are_not_nonces() {
        let nonces = Nonces::new(&[1; 32]);
        for text in ["", COOKIE, "obMatJos2AAAB0000", "obMatJos2AAAB🦀", "somebody else's nonce"] {
            assert!(!nonces.is_fresh(text, at("192.0.2.1:5000"), 0), "{text}");
        }
    }

    #[test]
    fn it_begins_with_the_cookie_of_rfc_8489() {
        assert!(Nonces::new(&[1; 32]).issue(at("192.0.2.1:1"), 0).starts_with("obMatJos2"));
    }
}
