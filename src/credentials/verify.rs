//! Verifying: from a USERNAME to the keys that may have signed the request, and what they allow.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use stun::integrity::MessageIntegrity;

use super::memberships::{Memberships, RoomMember};
use super::mint::{PAGE_PREFIX, ROOM_PREFIX, password};
use super::secret::{Secret, Secrets};

/// The key of a long-term credential: MD5(username ":" realm ":" password), RFC 8489 section 9.2.2.
#[derive(Clone, PartialEq, Eq)]
pub struct IntegrityKey(Vec<u8>);

impl IntegrityKey {
    /// Derives the key.
    pub fn derive(username: &str, realm: &str, password: &str) -> Self {
        Self(MessageIntegrity::new_long_term_integrity(username.into(), realm.into(), password.into()).0)
    }

    /// The 16 bytes of it.
    pub fn bytes(&self) -> &[u8] {
        &self.0
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
    users: HashMap<String, IntegrityKey>,
    memberships: Arc<Memberships>,
}

impl Verifier {
    /// Derives the static users' keys once.
    pub fn new(realm: &str, secrets: Secrets, users: &[StaticUser], memberships: Arc<Memberships>) -> Self {
        let key = |user: &StaticUser| {
            let password = String::from_utf8_lossy(user.password.bytes()).into_owned();
            (user.name.clone(), IntegrityKey::derive(&user.name, realm, &password))
        };
        Self { realm: realm.into(), secrets, users: users.iter().map(key).collect(), memberships }
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
    pub fn keys(&self, username: &str, now: u64) -> Result<(Scope, Vec<IntegrityKey>), Denied> {
        if let Some(key) = self.users.get(username) {
            return Ok((Scope::Policy, vec![key.clone()]));
        }
        let (expiry, id) = username.split_once(':').ok_or(Denied::Unknown)?;
        let expiry: u64 = expiry.parse().map_err(|_| Denied::Unknown)?;
        let scope = self.scope(id)?;
        // A member may wait for hours until somebody comes, and needs its relay then.
        if expiry <= now && !matches!(scope, Scope::Room(_)) {
            return Err(Denied::Expired);
        }
        let derive = |secret| IntegrityKey::derive(username, &self.realm, &password(secret, username));
        Ok((scope, self.secrets.iter().map(derive).collect()))
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
        let (scope, keys) = verifier().keys(&credential.username, 1059).unwrap();
        assert_eq!(scope, Scope::Policy);
        assert!(keys.contains(&IntegrityKey::derive(&credential.username, "lanturn", &credential.password)));
        assert_eq!(verifier().keys(&credential.username, 1060), Err(Denied::Expired));
    }

    #[test]
    fn static_users_do_not_expire() {
        let (scope, keys) = verifier().keys("camera", u64::MAX).unwrap();
        assert_eq!((scope, keys), (Scope::Policy, vec![IntegrityKey::derive("camera", "lanturn", "front door")]));
        assert_eq!(verifier().keys("nobody", 0), Err(Denied::Unknown));
    }

    #[test]
    fn a_room_credential_lasts_as_long_as_the_membership() {
        let verifier = verifier();
        let username = mint_for_member(&Secret::new("0123456789abcdef"), ANNA, 0, 60).username;
        assert_eq!(verifier.keys(&username, 1), Err(Denied::Left));
        verifier.memberships().join(ANNA, "192.0.2.1".parse::<std::net::IpAddr>().unwrap());
        for now in [1, 60, u64::MAX] {
            assert_eq!(verifier.keys(&username, now).unwrap().0, Scope::Room(ANNA));
        }
        verifier.memberships().leave(ANNA);
        assert_eq!(verifier.keys(&username, 1), Err(Denied::Left));
    }

    #[test]
    fn a_page_has_its_own_scope() {
        let username = mint_for_page(&Secret::new("0123456789abcdef"), 7, 0, 60).username;
        assert_eq!(verifier().keys(&username, 59).unwrap().0, Scope::Page);
        assert_eq!(verifier().keys(&username, 60), Err(Denied::Expired));
    }
}
