//! Invites: signed words that let somebody into a room in a role, until a time.
//!
//! `EXPIRY.ROLE.MAC`: the expiry in seconds since the Unix epoch, a word for the role, and HMAC-SHA256 over both, the
//! room's name and its PIN, in base64url. The server keeps nothing: a room that gets another PIN ends its invites.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use super::secret::{Secret, Secrets};

/// Signs an invite. `now` is in seconds since the Unix epoch, `ttl` in seconds; `role` has no dot in it. With the invite
/// comes when it ends.
pub fn mint_invite(secret: &Secret, room: &str, pin: Option<&str>, role: &str, now: u64, ttl: u64) -> (String, u64) {
    let expires_at = now.saturating_add(ttl);
    let mac = hmac::sign(&key(secret), &signed(expires_at, role, room, pin));
    (format!("{expires_at}.{role}.{}", URL_SAFE_NO_PAD.encode(mac)), expires_at)
}

/// The role that an invite carries, if one of the secrets signed it for this room with this PIN and `now` is before its
/// end.
pub fn verify_invite<'a>(
    secrets: &Secrets,
    room: &str,
    pin: Option<&str>,
    invite: &'a str,
    now: u64,
) -> Option<&'a str> {
    let (expiry, rest) = invite.split_once('.')?;
    let (role, mac) = rest.split_once('.')?;
    let expires_at = expiry.parse().ok()?;
    let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
    let signed = signed(expires_at, role, room, pin);
    let is_ours = secrets.iter().any(|secret| hmac::verify(&key(secret), &signed, &mac).is_ok());
    if is_ours && now < expires_at { Some(role) } else { None }
}

/// A key of its own, so that no invite is a credential and the other way round.
fn key(secret: &Secret) -> hmac::Key {
    let root = hmac::Key::new(hmac::HMAC_SHA256, secret.bytes());
    hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, b"lanturn invite 1").as_ref())
}

/// Each part with its length, so that no two invites sign the same bytes.
fn signed(expires_at: u64, role: &str, room: &str, pin: Option<&str>) -> Vec<u8> {
    let mut bytes = expires_at.to_be_bytes().to_vec();
    bytes.push(u8::from(pin.is_some()));
    for part in [role, room, pin.unwrap_or_default()] {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_is_good_for_its_room_pin_and_time_only() {
        let secrets = Secrets::parse("0123456789abcdef\nfedcba9876543210\n").unwrap();
        let (invite, ends) = mint_invite(secrets.minting(), "kitchen", Some("4711"), "viewer", 1000, 60);
        assert_eq!(ends, 1060);
        let verify = |room, pin, invite: &str, now| verify_invite(&secrets, room, pin, invite, now).map(str::to_owned);
        assert_eq!(verify("kitchen", Some("4711"), &invite, 1059).as_deref(), Some("viewer"));
        assert_eq!(verify("kitchen", Some("4711"), &invite, 1060), None);
        assert_eq!(verify("cellar", Some("4711"), &invite, 1000), None);
        assert_eq!(verify("kitchen", Some("4712"), &invite, 1000), None);
        assert_eq!(verify("kitchen", None, &invite, 1000), None);
        assert_eq!(verify("kitchen", Some("4711"), &invite.replace("viewer", "member"), 1000), None);
        assert_eq!(verify("kitchen", Some("4711"), &invite.replacen("1060", "9999", 1), 1000), None);
        for bad in ["", ".", "..", "1060.viewer.", "x.viewer.AAAA"] {
            assert_eq!(verify("kitchen", Some("4711"), bad, 1000), None, "{bad}");
        }
    }

    #[test]
    fn an_invite_outlives_the_rotation_of_its_secret_until_that_is_removed() {
        let old = Secrets::parse("0123456789abcdef\n").unwrap();
        let (invite, _) = mint_invite(old.minting(), "kitchen", None, "member", 0, 60);
        let both = Secrets::parse("fedcba9876543210\n0123456789abcdef\n").unwrap();
        let new = Secrets::parse("fedcba9876543210\n").unwrap();
        assert_eq!(verify_invite(&both, "kitchen", None, &invite, 1), Some("member"));
        assert_eq!(verify_invite(&new, "kitchen", None, &invite, 1), None);
    }
}
