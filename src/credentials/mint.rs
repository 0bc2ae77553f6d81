//! Minting: a username that carries its expiry, and the password that proves it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::memberships::RoomMember;
use super::secret::Secret;
use crate::stun::hmac_sha1;

/// The longest user-chosen id, in bytes. STUN allows 508 bytes of USERNAME in all (RFC 8489 section 14.3).
const MAX_ID_BYTES: usize = 256;

/// Begins the id of a credential that a room member got.
pub(crate) const ROOM_PREFIX: &str = "room:";
/// Begins the id of a credential that a same-origin page got without a key.
pub(crate) const PAGE_PREFIX: &str = "page:";

/// A TURN username and password that end at a known time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// `<unix expiry>:<id>`.
    pub username: String,
    /// Base64 of HMAC-SHA1 over the username.
    pub password: String,
    /// Seconds from minting to expiry.
    pub ttl: u64,
    /// When it ends, in seconds since the Unix epoch.
    pub expires_at: u64,
}

/// Why an id cannot be minted for.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MintError {
    /// The id is empty.
    #[error("the username is empty: give it at least one character")]
    Empty,
    /// The id is over 256 bytes.
    #[error("the username is longer than {MAX_ID_BYTES} bytes: a shorter one")]
    TooLong,
    /// The id has a control character.
    #[error("the username has a control character: printable characters only")]
    Control,
    /// The id would read as a credential of another kind.
    #[error("the username begins with `room:` or `page:`, which this server keeps for itself: another one")]
    Reserved,
}

/// Mints for an id chosen by whoever holds an API key. `now` is in seconds since the Unix epoch, `ttl` in seconds.
///
/// # Errors
/// [`MintError`] when the id cannot be a username or would pass for another kind of credential.
pub fn mint(secret: &Secret, id: &str, now: u64, ttl: u64) -> Result<Credential, MintError> {
    if id.is_empty() {
        return Err(MintError::Empty);
    }
    if id.len() > MAX_ID_BYTES {
        return Err(MintError::TooLong);
    }
    if id.chars().any(char::is_control) {
        return Err(MintError::Control);
    }
    if id.starts_with(ROOM_PREFIX) || id.starts_with(PAGE_PREFIX) {
        return Err(MintError::Reserved);
    }
    Ok(sign(secret, id, now, ttl))
}

/// Mints for a member of a room. Lasts as long as the membership; the `ttl` (seconds) only shows in the username.
pub fn mint_for_member(secret: &Secret, member: RoomMember, now: u64, ttl: u64) -> Credential {
    sign(secret, &format!("{ROOM_PREFIX}{member}"), now, ttl)
}

/// Mints for a same-origin page that has no key. `nonce` keeps one page's quota apart from another's.
pub fn mint_for_page(secret: &Secret, nonce: u64, now: u64, ttl: u64) -> Credential {
    sign(secret, &format!("{PAGE_PREFIX}{nonce:016x}"), now, ttl)
}

fn sign(secret: &Secret, id: &str, now: u64, ttl: u64) -> Credential {
    let expires_at = now.saturating_add(ttl);
    let username = format!("{expires_at}:{id}");
    let password = password(secret, &username);
    Credential { username, password, ttl, expires_at }
}

/// The id in a minted username: what follows its expiry. `None` for another's, as a static user's is.
pub(crate) fn minted_id(username: &str) -> Option<&str> {
    let (expiry, id) = username.split_once(':')?;
    expiry.parse::<u64>().is_ok().then_some(id)
}

/// The password that belongs to a username under one secret.
pub(crate) fn password(secret: &Secret, username: &str) -> String {
    STANDARD.encode(hmac_sha1(secret.bytes(), &[username.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_hmac_sha1_as_other_servers_compute_it() {
        // printf '1700000000:anna' | openssl dgst -sha1 -hmac 0123456789abcdef -binary | base64
        let credential = mint(&Secret::new("0123456789abcdef"), "anna", 1_699_996_400, 3600).unwrap();
        assert_eq!(credential.username, "1700000000:anna");
        assert_eq!(credential.password, "LgYF3xqh70cTLoMS9RZDY7nStzw=");
    }

    #[test]
    fn an_id_cannot_pass_for_another_kind() {
        let secret = Secret::new("0123456789abcdef");
        for (id, error) in [
            ("", MintError::Empty),
            ("room:1:2", MintError::Reserved),
            ("page:1", MintError::Reserved),
            ("a\nb", MintError::Control),
        ] {
            assert_eq!(mint(&secret, id, 0, 1), Err(error), "{id:?}");
        }
        assert_eq!(mint(&secret, &"x".repeat(257), 0, 1), Err(MintError::TooLong));
    }
}
