//! Cookies (RFC 6347 section 4.2.1): who shows one again gets what is sent to the address that it says it has.

use std::net::IpAddr;

use ring::hmac;
use subtle::ConstantTimeEq as _;

use crate::turn::FiveTuple;

/// In bytes, as the session asks for it.
pub(super) type Cookie = [u8; 32];

/// How long one is given out for, in seconds. It is taken as long again.
const WINDOW: u64 = 30;

/// Makes cookies and knows them again, and keeps nothing of them.
#[derive(Debug)]
pub(super) struct Cookies(hmac::Key);

impl Cookies {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The cookie for a client that says this random, at a time in Unix seconds.
    pub(super) fn make(&self, from: &FiveTuple, random: &[u8; 32], unix: u64) -> Cookie {
        self.of_window(from, random, unix / WINDOW)
    }

    /// Whether a cookie is one that was made for this client, and not too long ago: it is 30 to 60 seconds good.
    pub(super) fn accepts(&self, cookie: &[u8], from: &FiveTuple, random: &[u8; 32], unix: u64) -> bool {
        let window = unix / WINDOW;
        [window, window.saturating_sub(1)]
            .into_iter()
            .any(|window| self.of_window(from, random, window).ct_eq(cookie).into())
    }

    fn of_window(&self, from: &FiveTuple, random: &[u8; 32], window: u64) -> Cookie {
        let mut context = hmac::Context::with_key(&self.0);
        for address in [from.client, from.server] {
            match address.ip() {
                IpAddr::V4(v4) => context.update(&v4.to_ipv6_mapped().octets()),
                IpAddr::V6(v6) => context.update(&v6.octets()),
            }
            context.update(&address.port().to_be_bytes());
        }
        context.update(random);
        context.update(&window.to_be_bytes());
        let mut cookie = [0; 32];
        cookie.copy_from_slice(context.sign().as_ref());
        cookie
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::Transport;

    #[test]
    fn a_cookie_is_good_for_one_client_and_for_a_while() {
        let cookies = Cookies::new(&[1; 32]);
        let from = |client: &str| {
            FiveTuple::new(client.parse().unwrap(), "203.0.113.5:3478".parse().unwrap(), Transport::Dtls)
        };
        let (client, random) = (from("192.0.2.1:5000"), [7; 32]);
        let cookie = cookies.make(&client, &random, 60);
        for (unix, is_good) in [(60, true), (119, true), (120, false), (59, false)] {
            assert_eq!(cookies.accepts(&cookie, &client, &random, unix), is_good, "at {unix}");
        }
        assert!(!cookies.accepts(&cookie, &from("192.0.2.2:5000"), &random, 60), "from another address");
        assert!(!cookies.accepts(&cookie, &from("192.0.2.1:5001"), &random, 60), "from another port");
        assert!(!cookies.accepts(&cookie, &client, &[8; 32], 60), "of another session");
        assert!(!Cookies::new(&[2; 32]).accepts(&cookie, &client, &random, 60), "of another server");
        assert!(!cookies.accepts(&[], &client, &random, 60) && !cookies.accepts(&cookie[..31], &client, &random, 60));
    }
}
