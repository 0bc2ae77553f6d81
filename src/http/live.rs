//! What may be exchanged while the server runs: keys, secrets, how long credentials last, the names of the server, and
//! the authority that signed for them.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use super::authority::Authority;
use super::origin::Host;
use crate::credentials::{Credential, MintError};

/// Makes credentials, knows who may have them, by which names the server is asked, and what to trust for it.
pub struct Issuer {
    /// Mints for an id that the holder of an API key chose, for so many seconds.
    pub mint_for_key: MintForKey,
    /// Mints for a same-origin page without a key, which the first number keeps apart from others, for so many seconds.
    pub mint_for_page: Box<dyn Fn(u64, u64) -> Credential + Send + Sync>,
    /// Whether this is an API key. Must take as long for a wrong one as for a right one.
    pub accepts_key: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// The longest that a credential lasts, in seconds.
    pub ttl: u64,
    /// The names that this server goes by, besides `localhost` and addresses: without ports.
    pub hosts: Vec<String>,
    /// What to tell outside clients behind a 1:1 NAT: inner to outer address.
    pub external: HashMap<IpAddr, IpAddr>,
    /// The local authority. None when the owner brought a certificate.
    pub authority: Option<Authority>,
    /// What a public authority has to do with it.
    pub public: Public,
}

/// What a public authority vouches for, and what it is to find while it looks whether it may.
pub struct Public {
    /// Whether it vouches for a name now, so that devices trust the server by that name already.
    pub vouches_for: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// The answer to a token below `/.well-known/acme-challenge/` (RFC 8555 section 8.3), while it is in force.
    pub key_authorization: KeyAuthorization,
}

impl Issuer {
    /// The authority that a device must be told of which calls the server so. None if there is nothing to be told.
    pub(super) fn authority_for(&self, host: &Host) -> Option<&Authority> {
        let is_known = host.name().is_some_and(|name| (self.public.vouches_for)(&name));
        self.authority.as_ref().filter(|_| !is_known)
    }
}

type KeyAuthorization = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;
type MintForKey = Box<dyn Fn(&str, u64) -> Result<Credential, MintError> + Send + Sync>;

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("ttl", &self.ttl).field("external", &self.external).finish_non_exhaustive()
    }
}

/// The [`Issuer`] in force.
#[derive(Debug)]
pub struct Live(RwLock<Arc<Issuer>>);

impl Live {
    /// Starts with one.
    pub fn new(issuer: Issuer) -> Self {
        Self(RwLock::new(Arc::new(issuer)))
    }

    /// The one in force now.
    pub fn current(&self) -> Arc<Issuer> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another one in force. Requests under way end with the one they began with.
    pub fn replace(&self, issuer: Issuer) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(issuer);
    }
}
