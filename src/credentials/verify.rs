//! Verifying: from a USERNAME to the keys that may have signed the request, and what they allow.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use ring::digest;
use stun::integrity::MessageIntegrity;

use super::memberships::{Memberships, RoomMember};
use super::mint::{PAGE_PREFIX, ROOM_PREFIX, password};
use super::secret::{Secret, Secrets};
use super::token::TokenKeys;
use crate::stun::{PasswordAlgorithm, userhash};

/// The key of a long-term credential: a hash of username ":" realm ":" password (RFC 8489 sections 9.2.2 and 18.5.1).
#[derive(Clone, PartialEq, Eq)]
pub struct IntegrityKey(PasswordAlgorithm, Vec<u8>);

impl IntegrityKey {
    /// Derives the key.
    pub fn derive(algorithm: PasswordAlgorithm, username: &str, realm: &str, password: &str) -> Self {
        let bytes = match algorithm {
            PasswordAlgorithm::Md5 => {
                MessageIntegrity::new_long_term_integrity(username.into(), realm.into(), password.into()).0
            }
            PasswordAlgorithm::Sha256 => {
                let text = format!("{username}:{realm}:{password}");
                digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec()
            }
        };
        Self(algorithm, bytes)
    }

    /// A key that is no hash of a password: a token's.
    pub fn given(bytes: &[u8]) -> Self {
        // No PASSWORD-ALGORITHM goes with it, which is to say MD5.
        Self(PasswordAlgorithm::Md5, bytes.to_vec())
    }

    /// How it was derived.
    pub fn algorithm(&self) -> PasswordAlgorithm {
        self.0
    }

    /// The 16 or 32 bytes of it.
    pub fn bytes(&self) -> &[u8] {
        &self.1
    }
}

impl fmt::Debug for IntegrityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntegrityKey(…)")
    }
}

/// What a verified credential may relay to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// What `relay.allow` names: key-minted credentials and static users.
    Policy,
    /// Other relayed addresses of this box: a same-origin page without a key.
    Page,
    /// What members of one room signalled or were seen at.
    Room(RoomMember),
}

/// Why a USERNAME is refused before any key is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Neither a static user nor `expiry:id`.
    Unknown,
    /// Its expiry has passed. A room-scoped credential has none.
    Expired,
    /// A room-scoped credential whose member has left.
    Left,
}

/// A user with a fixed password, for devices that cannot fetch credentials.
#[derive(Clone, Debug)]
pub struct StaticUser {
    /// The USERNAME.
    pub name: String,
    /// The password.
    pub password: Secret,
}

/// Everything that verifies: the secrets, the static users and the rooms.
#[derive(Debug)]
pub struct Verifier {
    realm: String,
    secrets: Secrets,
    users: HashMap<String, Secret>,
    /// The static users by their USERHASH.
    by_hash: HashMap<[u8; 32], String>,
    tokens: TokenKeys,
    memberships: Arc<Memberships>,
}

impl Verifier {
    /// For one realm.
    pub fn new(realm: &str, secrets: Secrets, users: &[StaticUser], memberships: Arc<Memberships>) -> Self {
        let by_hash = users.iter().map(|user| (userhash(&user.name, realm), user.name.clone())).collect();
        let users = users.iter().map(|user| (user.name.clone(), user.password.clone())).collect();
        Self { realm: realm.into(), secrets, users, by_hash, tokens: TokenKeys::default(), memberships }
    }

    /// That takes access tokens as well.
    pub fn with_tokens(self, tokens: TokenKeys) -> Self {
        Self { tokens, ..self }
    }

    /// The keys of access tokens, which are made for the realm as the name of this server.
    pub fn tokens(&self) -> &TokenKeys {
        &self.tokens
    }

    /// The static user that a USERHASH stands for (RFC 8489 section 14.4). Those that are minted are known by their whole
    /// names only: a hash can't be turned back into one.
    pub fn of_hash(&self, hash: &[u8]) -> Option<&str> {
        self.by_hash.get(hash).map(String::as_str)
    }

    /// The realm that all keys are of.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The rooms that room-scoped credentials are checked against.
    pub fn memberships(&self) -> &Memberships {
        &self.memberships
    }

    /// The scope of a username and the keys under which a request by it may be signed. `now` is in seconds
    /// since the Unix epoch.
    ///
    /// # Errors
    /// [`Denied`] when no key would do.
    pub fn keys(
        &self,
        username: &str,
        algorithm: PasswordAlgorithm,
        now: u64,
    ) -> Result<(Scope, Vec<IntegrityKey>), Denied> {
        let derive = |password: &str| IntegrityKey::derive(algorithm, username, &self.realm, password);
        if let Some(password) = self.users.get(username) {
            return Ok((Scope::Policy, vec![derive(&String::from_utf8_lossy(password.bytes()))]));
        }
        let (expiry, id) = username.split_once(':').ok_or(Denied::Unknown)?;
        let expiry: u64 = expiry.parse().map_err(|_| Denied::Unknown)?;
        let scope = self.scope(id)?;
        // A member may wait for hours until somebody comes, and needs its relay then.
        if expiry <= now && !matches!(scope, Scope::Room(_)) {
            return Err(Denied::Expired);
        }
        Ok((scope, self.secrets.iter().map(|secret| derive(&password(secret, username))).collect()))
    }

    fn scope(&self, id: &str) -> Result<Scope, Denied> {
        if id.starts_with(PAGE_PREFIX) {
            return Ok(Scope::Page);
        }
        let Some(member) = id.strip_prefix(ROOM_PREFIX) else {
            return Ok(Scope::Policy);
        };
        let member = RoomMember::parse(member).ok_or(Denied::Unknown)?;
        if self.memberships.is_member(member) { Ok(Scope::Room(member)) } else { Err(Denied::Left) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::mint::{mint, mint_for_member, mint_for_page};
    use super::super::{MemberTag, RoomTag};
    use super::*;

    const MD5: PasswordAlgorithm = PasswordAlgorithm::Md5;

    const ANNA: RoomMember = RoomMember { room: RoomTag(1), member: MemberTag(10) };

    fn verifier() -> Verifier {
        let secrets = Secrets::parse("0123456789abcdef\nfedcba9876543210").unwrap();
        let camera = StaticUser { name: "camera".into(), password: Secret::new("front door") };
        Verifier::new("lanturn", secrets, &[camera], Arc::default())
    }

    #[test]
    fn every_secret_verifies() {
        let old = Secret::new("fedcba9876543210");
        let credential = mint(&old, "anna", 1000, 60).unwrap();
        let (scope, keys) = verifier().keys(&credential.username, MD5, 1059).unwrap();
        assert_eq!(scope, Scope::Policy);
        assert!(keys.contains(&IntegrityKey::derive(MD5, &credential.username, "lanturn", &credential.password)));
        assert_eq!(verifier().keys(&credential.username, MD5, 1060), Err(Denied::Expired));
    }

    #[test]
    fn static_users_do_not_expire() {
        let (scope, keys) = verifier().keys("camera", MD5, u64::MAX).unwrap();
        assert_eq!((scope, keys), (Scope::Policy, vec![IntegrityKey::derive(MD5, "camera", "lanturn", "front door")]));
        assert_eq!(verifier().keys("nobody", MD5, 0), Err(Denied::Unknown));
    }

    #[test]
    fn a_room_credential_lasts_as_long_as_the_membership() {
        let verifier = verifier();
        let username = mint_for_member(&Secret::new("0123456789abcdef"), ANNA, 0, 60).username;
        assert_eq!(verifier.keys(&username, MD5, 1), Err(Denied::Left));
        verifier.memberships().join(ANNA, "192.0.2.1".parse::<std::net::IpAddr>().unwrap());
        for now in [1, 60, u64::MAX] {
            assert_eq!(verifier.keys(&username, MD5, now).unwrap().0, Scope::Room(ANNA));
        }
        verifier.memberships().leave(ANNA);
        assert_eq!(verifier.keys(&username, MD5, 1), Err(Denied::Left));
    }

    #[test]
    fn a_page_has_its_own_scope() {
        let username = mint_for_page(&Secret::new("0123456789abcdef"), 7, 0, 60).username;
        assert_eq!(verifier().keys(&username, MD5, 59).unwrap().0, Scope::Page);
        assert_eq!(verifier().keys(&username, MD5, 60), Err(Denied::Expired));
    }
}
