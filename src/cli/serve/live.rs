//! What is read at the start and again on SIGHUP: secrets, keys, certificates, policy.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

use super::super::secrets::{self, Loaded};
use super::super::{acme, interfaces};
use super::named;
use crate::config::Settings;
use crate::credentials::{
    IceServer, Memberships, Reach, RoomMember, Secrets, Verifier, ice_servers, mint, mint_for_member, mint_for_page,
    mint_invite, verify_invite,
};
use crate::proxies::Proxies;
use crate::signaling::{Grants, Pin, Role, RoomName};
use crate::tls::acme::{Public, Wanted};
use crate::{http, tls, turn};

/// Everything that a reload replaces, freshly read.
pub(super) struct Fresh {
    pub(super) loaded: Loaded,
    pub(super) identity: tls::Identity,
    /// What a public authority is to vouch for. None also while the owner's certificate is there.
    pub(super) wanted: Option<Wanted>,
    pub(super) addresses: Vec<IpAddr>,
    /// By which multicast DNS finds this machine, with `.local`.
    names: Vec<String>,
}

impl Fresh {
    /// Reads it, making what a first run makes. `renamed` is the name that multicast DNS had to take.
    pub(super) fn read(settings: &Settings, renamed: Option<&str>) -> anyhow::Result<Self> {
        let addresses = interfaces::addresses().context("the addresses of this machine cannot be read")?;
        let names = named::names(&settings.listen, &addresses, renamed);
        let loaded = secrets::load_or_make(&settings.credentials)?;
        let identity = tls::load(&tls::Options {
            dir: settings.tls.dir.clone(),
            names: settings.tls.names.iter().cloned().chain(names.clone()).collect(),
            addresses: addresses.iter().chain(settings.relay.external.values()).copied().collect(),
            hostname: interfaces::hostname(),
        })?;
        let acme = acme::options(settings).filter(|_| identity.ca.is_some());
        let wanted = acme.map(Wanted::read).transpose()?;
        Ok(Self { loaded, identity, wanted, addresses, names })
    }

    /// What the relay needs of it.
    pub(super) fn turn_options(&self, settings: &Settings, memberships: &Arc<Memberships>) -> Arc<turn::Options> {
        let relay = &settings.relay;
        let Loaded { secrets, users, keys: _ } = &self.loaded;
        let verifier = Verifier::new(&relay.realm, secrets.clone(), users, Arc::clone(memberships));
        let policy = turn::PeerPolicy {
            allow: relay.allow.clone(),
            deny: relay.deny.clone(),
            allow_loopback: relay.allow_loopback,
            own: self.own(settings),
            proxies: Proxies::new(settings.listen.proxies.clone()),
        };
        let addresses = turn::RelayAddresses {
            configured: relay.addresses.clone(),
            interfaces: self.addresses.iter().copied().chain(interfaces::loopback()).collect(),
            external: relay.external.clone(),
            loopback: relay.allow_loopback,
        };
        Arc::new(turn::Options { verifier, policy, addresses, ports: relay.ports.clone() })
    }

    /// Every address that is this machine, inside or outside.
    fn own(&self, settings: &Settings) -> HashSet<IpAddr> {
        let configured = settings.relay.addresses.iter().chain(settings.relay.external.values());
        let listening = settings.listen.addresses.iter().map(|address| address.ip().to_canonical());
        let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let all = self.addresses.iter().chain(configured).copied().chain(listening).chain(loopback);
        all.filter(|ip| !ip.is_unspecified()).collect()
    }

    /// What the web side needs of it, and of the certificate of a public authority.
    pub(super) fn issuer(&self, settings: &Settings, public: &Arc<Public>) -> http::Issuer {
        let Loaded { secrets, keys, users: _ } = &self.loaded;
        let (vouching, answering) = (Arc::clone(public), Arc::clone(public));
        let (for_key, for_page, keys) = (secrets.clone(), secrets.clone(), keys.clone());
        http::Issuer {
            mint_for_key: Box::new(move |id, ttl| mint(for_key.minting(), id, unix_now(), ttl)),
            mint_for_page: Box::new(move |nonce, ttl| mint_for_page(for_page.minting(), nonce, unix_now(), ttl)),
            accepts_key: Box::new(move |key| keys.contains(key)),
            ttl: settings.credentials.ttl.as_secs(),
            hosts: hosts(settings).chain(self.names.clone()).collect(),
            external: settings.relay.external.clone(),
            authority: self.identity.ca.as_ref().map(|ca| http::Authority {
                certificate: ca.der.clone().into(),
                name: ca.name.clone(),
                fingerprint: self.identity.fingerprint.clone(),
            }),
            public: http::Public {
                vouches_for: Box::new(move |name| vouching.vouches_for(name)),
                key_authorization: Box::new(move |token| answering.key_authorization(token)),
            },
        }
    }
}

/// What the rooms give, with the secrets that are in force at the time.
#[derive(Clone)]
pub(super) struct RoomGrants(Arc<RwLock<(Secrets, u64)>>);

impl RoomGrants {
    pub(super) fn new(fresh: &Fresh, settings: &Settings) -> Self {
        Self(Arc::new(RwLock::new((fresh.loaded.secrets.clone(), settings.credentials.ttl.as_secs()))))
    }

    pub(super) fn replace(&self, fresh: &Fresh, settings: &Settings) {
        let current = (fresh.loaded.secrets.clone(), settings.credentials.ttl.as_secs());
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = current;
    }

    fn current(&self) -> RwLockReadGuard<'_, (Secrets, u64)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Grants for RoomGrants {
    fn ice_servers(&self, member: RoomMember, reach: &Reach) -> (Vec<IceServer>, u64) {
        let (secrets, ttl) = &*self.current();
        let credential = mint_for_member(secrets.minting(), member, unix_now(), *ttl);
        (ice_servers(reach, &credential), *ttl)
    }

    fn invite(&self, room: &RoomName, pin: Option<&Pin>, role: Role, ttl: Duration) -> (String, u64) {
        let (secrets, _) = &*self.current();
        mint_invite(secrets.minting(), room.as_str(), pin.map(Pin::as_str), role.name(), unix_now(), ttl.as_secs())
    }

    fn invited(&self, invite: &str, room: &RoomName, pin: Option<&Pin>) -> Option<Role> {
        let (secrets, _) = &*self.current();
        let role = verify_invite(secrets, room.as_str(), pin.map(Pin::as_str), invite, unix_now())?;
        Role::parse(role)
    }
}

/// The names that browsers may use for this machine.
fn hosts(settings: &Settings) -> impl Iterator<Item = String> {
    let hostname = interfaces::hostname();
    let local = format!("{}.local", hostname.split('.').next().unwrap_or_default());
    let public = settings.tls.acme.iter().flat_map(|acme| &acme.names);
    settings.tls.names.iter().chain(public).chain(&settings.rooms.hosts).cloned().chain([hostname, local])
}

pub(super) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
