//! What is read at the start and again on SIGHUP: secrets, keys, certificates, policy.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
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
use crate::outside::Known;
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
    /// Addresses that this machine does not have any more, and whose ports are still relayed from: what is for them never
    /// leaves it.
    pub(super) former: Vec<IpAddr>,
    /// What it hears as well, as a router.
    anycast: Vec<IpAddr>,
    /// By which multicast DNS finds this machine, with `.local`.
    names: Vec<String>,
    outside: Known,
}

impl Fresh {
    /// Reads it, making what a first run makes. `renamed` is the name that multicast DNS had to take, `known` what was
    /// found out of the outside.
    pub(super) fn read(settings: &Settings, renamed: Option<&str>, known: Known) -> anyhow::Result<Self> {
        let addresses = interfaces::addresses().context("the addresses of this machine cannot be read")?;
        let anycast = interfaces::anycast().context("the networks of this machine cannot be read")?;
        let names = named::names(&settings.listen, &addresses, renamed);
        let outside = Known { addresses: external(&settings.relay.external, known.addresses), ..known };
        let loaded = secrets::load_or_make(&settings.credentials)?;
        let identity = tls::load(&tls::Options {
            dir: settings.tls.dir.clone(),
            names: settings.tls.names.iter().cloned().chain(names.clone()).collect(),
            addresses: addresses.iter().chain(outside.addresses.values()).copied().collect(),
            hostname: interfaces::hostname(),
        })?;
        let acme = acme::options(settings).filter(|_| identity.ca.is_some());
        let wanted = acme.map(Wanted::read).transpose()?;
        Ok(Self { loaded, identity, wanted, addresses, former: Vec::new(), anycast, names, outside })
    }

    /// From an address of this machine to the one that others see, configured or found.
    pub(super) fn external(&self) -> &HashMap<IpAddr, IpAddr> {
        &self.outside.addresses
    }

    /// What the relay needs of it.
    pub(super) fn turn_options(&self, settings: &Settings, memberships: &Arc<Memberships>) -> Arc<turn::Options> {
        let relay = &settings.relay;
        let Loaded { secrets, users, tokens, keys: _ } = &self.loaded;
        let verifier =
            Verifier::new(&relay.realm, secrets.clone(), users, Arc::clone(memberships)).with_tokens(tokens.clone());
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
            external: self.outside.addresses.clone(),
            loopback: relay.allow_loopback,
        };
        // The router was told of the ports that were configured at the start.
        let is_ours =
            |open: &RangeInclusive<u16>| relay.ports.contains(open.start()) && relay.ports.contains(open.end());
        let open_ports = self.outside.relay_ports.clone().filter(is_ours);
        let alternate = turn::Alternate { servers: relay.alternate.clone(), domain: relay.alternate_domain.clone() };
        Arc::new(turn::Options {
            verifier,
            policy,
            addresses,
            ports: relay.ports.clone(),
            open_ports,
            alternate,
            icmp: relay.icmp,
        })
    }

    /// Every address that is this machine, inside or outside.
    fn own(&self, settings: &Settings) -> HashSet<IpAddr> {
        let configured = settings.relay.addresses.iter().chain(self.outside.addresses.values());
        let listening = settings.listen.addresses.iter().map(|address| address.ip().to_canonical());
        let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let all = self
            .addresses
            .iter()
            .chain(&self.former)
            .chain(&self.anycast)
            .chain(configured)
            .copied()
            .chain(listening)
            .chain(loopback);
        all.filter(|ip| !ip.is_unspecified()).collect()
    }

    /// What the web side needs of it, and of the certificate of a public authority.
    pub(super) fn issuer(&self, settings: &Settings, public: &Arc<Public>) -> http::Issuer {
        let Loaded { secrets, keys, users: _, tokens: _ } = &self.loaded;
        let (vouching, answering) = (Arc::clone(public), Arc::clone(public));
        let (for_key, for_page, keys) = (secrets.clone(), secrets.clone(), keys.clone());
        http::Issuer {
            mint_for_key: Box::new(move |id, ttl| mint(for_key.minting(), id, unix_now(), ttl)),
            mint_for_page: Box::new(move |nonce, ttl| mint_for_page(for_page.minting(), nonce, unix_now(), ttl)),
            accepts_key: Box::new(move |key| keys.contains(key)),
            ttl: settings.credentials.ttl.as_secs(),
            hosts: hosts(settings).chain(self.names.clone()).collect(),
            external: self.outside.addresses.clone(),
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

/// What the rooms give, with what is in force at the time.
#[derive(Clone)]
pub(super) struct RoomGrants(Arc<RwLock<Granting>>);

struct Granting {
    secrets: Secrets,
    /// In seconds.
    ttl: u64,
    external: HashMap<IpAddr, IpAddr>,
}

impl Granting {
    fn new(fresh: &Fresh, settings: &Settings) -> Self {
        Self {
            secrets: fresh.loaded.secrets.clone(),
            ttl: settings.credentials.ttl.as_secs(),
            external: fresh.outside.addresses.clone(),
        }
    }
}

impl RoomGrants {
    pub(super) fn new(fresh: &Fresh, settings: &Settings) -> Self {
        Self(Arc::new(RwLock::new(Granting::new(fresh, settings))))
    }

    pub(super) fn replace(&self, fresh: &Fresh, settings: &Settings) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Granting::new(fresh, settings);
    }

    fn current(&self) -> RwLockReadGuard<'_, Granting> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Grants for RoomGrants {
    fn ice_servers(&self, member: RoomMember, reach: &Reach) -> (Vec<IceServer>, u64) {
        let Granting { secrets, ttl, external } = &*self.current();
        let credential = mint_for_member(secrets.minting(), member, unix_now(), *ttl);
        // The client came when the outer address may have been another.
        (ice_servers(&reach.clone().under(external), &credential), *ttl)
    }

    fn invite(&self, room: &RoomName, pin: Option<&Pin>, role: Role, ttl: Duration) -> (String, u64) {
        mint_invite(
            self.current().secrets.minting(),
            room.as_str(),
            pin.map(Pin::as_str),
            role.name(),
            unix_now(),
            ttl.as_secs(),
        )
    }

    fn invited(&self, invite: &str, room: &RoomName, pin: Option<&Pin>) -> Option<Role> {
        let role = verify_invite(&self.current().secrets, room.as_str(), pin.map(Pin::as_str), invite, unix_now())?;
        Role::parse(role)
    }
}

/// The outer address of each address: as configured, or else as found. No two have the same.
fn external(configured: &HashMap<IpAddr, IpAddr>, found: HashMap<IpAddr, IpAddr>) -> HashMap<IpAddr, IpAddr> {
    let mut all = configured.clone();
    for (inner, outer) in found {
        if !configured.values().any(|known| *known == outer) {
            all.entry(inner).or_insert(outer);
        }
    }
    all
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_wins_over_what_is_found() {
        let map = |pairs: &[(&str, &str)]| -> HashMap<IpAddr, IpAddr> {
            pairs.iter().map(|(inner, outer)| (inner.parse().unwrap(), outer.parse().unwrap())).collect()
        };
        let configured = map(&[("192.168.1.5", "203.0.113.7")]);
        assert_eq!(external(&configured, map(&[("192.168.1.5", "203.0.113.9")])), configured);
        assert_eq!(external(&configured, map(&[("10.0.0.5", "203.0.113.7")])), configured, "no two are seen at one");
        let both = map(&[("192.168.1.5", "203.0.113.7"), ("10.0.0.5", "203.0.113.9")]);
        assert_eq!(external(&configured, map(&[("10.0.0.5", "203.0.113.9")])), both);
    }
}
