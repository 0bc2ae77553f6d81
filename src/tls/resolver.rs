//! The certificate that is shown, which a reload can swap under running listeners.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Identity;
use super::acme::Public;

/// Shows the certificate of a public authority to those who ask for its names (RFC 6066 section 3), and the box's own
/// to everyone else. One that the owner brought is shown to all.
#[derive(Debug)]
pub struct Resolver {
    shown: RwLock<Shown>,
    public: Arc<Public>,
}

#[derive(Debug)]
struct Shown {
    certified: Arc<CertifiedKey>,
    is_the_owners: bool,
}

impl From<&Identity> for Shown {
    fn from(identity: &Identity) -> Self {
        Self { certified: Arc::clone(&identity.certified), is_the_owners: identity.ca.is_none() }
    }
}

impl Resolver {
    pub(super) fn new(identity: &Identity, public: Arc<Public>) -> Self {
        Self { shown: RwLock::new(identity.into()), public }
    }

    /// Shows another certificate from the next handshake on.
    pub fn swap(&self, identity: &Identity) {
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = identity.into();
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        let public =
            hello.server_name().filter(|_| !shown.is_the_owners).and_then(|name| self.public.certified_for(name));
        Some(public.unwrap_or_else(|| Arc::clone(&shown.certified)))
    }
}
