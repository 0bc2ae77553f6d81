//! Has the router let ports in, and keeps it doing so.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use thiserror::Error;
use tokio::time::Instant;

use super::Ports;
use super::address::{can_be_outside, is_inside};
use super::place::Place;
use super::port::{Port, Protocol};
use super::router::{Granted, Refusal, Router};

/// Requests to a router at once: its processor is small.
const AT_ONCE: usize = 4;
/// A clock of a router may lag behind by so many seconds, and it has not started anew (RFC 6887 section 8.5).
const LAG: u32 = 8;

/// What the router does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    /// The address that it knows this machine by.
    pub(super) inner: Ipv4Addr,
    /// Its own address outside.
    pub(super) outer: Ipv4Addr,
    /// Which of the relay's ports it lets in.
    pub(super) relay: Option<RangeInclusive<u16>>,
}

/// Why nobody outside gets in by the router, and what to do.
#[derive(Debug, Error)]
pub(super) enum MapError {
    #[error(
        "no default route over IPv4 is known (only Linux tells of it): connect this machine to a router, or switch \
         outside.router off"
    )]
    NoRouter,
    #[error("{inner} is no private address: behind no NAT there is nothing to map, and outside.router can be off")]
    Public { inner: Ipv4Addr },
    #[error(
        "the router at {gateway} speaks none of PCP, NAT-PMP and UPnP: turn UPnP on in the router, or forward {ports} \
         to {inner} there",
        gateway = place.gateway, inner = place.inner
    )]
    Silent { place: Place, ports: Ports },
    #[error(
        "the router at {router} does not let in {port} ({refusal}): allow {inner} to open ports in the router, or \
         forward {ports} to it there",
        inner = place.inner
    )]
    Refused { router: String, place: Place, port: Port, refusal: Refusal, ports: Ports },
    #[error(
        "the router at {router} has {port} for another device: remove that forwarding from the router, or choose \
         another port here"
    )]
    Taken { router: String, port: Port },
    #[error(
        "the router at {router} is at {outer} itself, where nobody on the internet reaches it: another NAT is before \
         it. Have that one forward {ports} to the router, or ask the provider for a public IPv4 address"
    )]
    BehindAnother { router: String, outer: Ipv4Addr, ports: Ports },
}

/// What this machine asks of routers.
#[derive(Debug)]
pub(super) struct Mapper {
    ports: Ports,
    /// Tells our mappings from others' (RFC 6887 section 11.1).
    nonce: [u32; 3],
    at: Option<(Place, Router)>,
    held: BTreeSet<Port>,
    /// Of the mappings that are held.
    outer: Option<Ipv4Addr>,
    epoch: Option<u32>,
    renew_at: Instant,
    /// When the first of the mappings ends, unless it is renewed.
    ends_at: Instant,
}

impl Mapper {
    pub(super) fn new(ports: Ports) -> Self {
        let (nonce, now) = ([rand::random(), rand::random(), rand::random()], Instant::now());
        Self { ports, nonce, at: None, held: BTreeSet::new(), outer: None, epoch: None, renew_at: now, ends_at: now }
    }

    /// Sees to it that the ports are mapped, now and for long enough. To be called again within a minute.
    ///
    /// # Errors
    /// [`MapError`]. It may yet have mapped some.
    pub(super) async fn keep(&mut self) -> Result<Mapped, MapError> {
        let kept = self.try_keep().await;
        metrics::gauge!("lanturn_mapped_ports").set(self.held.len() as f64);
        kept
    }

    async fn try_keep(&mut self) -> Result<Mapped, MapError> {
        let place = Place::find().ok_or(MapError::NoRouter)?;
        if !is_inside(place.inner) {
            return Err(MapError::Public { inner: place.inner });
        }
        if self.at.as_ref().is_none_or(|(before, _)| *before != place) {
            self.forget();
            self.at = Some((place, self.find(place).await?));
        }
        if Instant::now() >= self.renew_at || !self.stands().await {
            let mapped = self.map_all().await;
            if mapped.is_err() {
                // Next time, all of them are tried again.
                self.renew_at = Instant::now();
            }
            mapped?;
        }
        let (Some((_, router)), Some(outer)) = (&self.at, self.outer) else { return Err(MapError::NoRouter) };
        if !can_be_outside(outer) {
            let (router, ports) = (router.to_string(), self.ports.clone());
            return Err(MapError::BehindAnother { router, outer, ports });
        }
        Ok(Mapped { inner: place.inner, outer, relay: self.relay() })
    }

    /// Until when what was mapped last stays so without the router's being heard of again.
    pub(super) fn ends_at(&self) -> Instant {
        self.ends_at
    }

    /// The ports that are mapped.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// In words, once one has been found.
    pub(super) fn router(&self) -> Option<String> {
        self.at.as_ref().map(|(_, router)| router.to_string())
    }

    /// Has the router take back what it holds.
    pub(super) async fn release(&mut self) {
        if let Some((_, router)) = &self.at {
            stream::iter(&self.held)
                .for_each_concurrent(AT_ONCE, async |port| {
                    if let Err(error) = router.unmap(*port).await {
                        tracing::debug!(%error, "{port} stays mapped until that ends by itself");
                    }
                })
                .await;
        }
        self.forget();
        metrics::gauge!("lanturn_mapped_ports").set(0.0);
    }

    async fn find(&self, place: Place) -> Result<Router, MapError> {
        let ports = self.ports.clone();
        let Some(&first) = ports.each().first() else { return Err(MapError::NoRouter) };
        let found = Router::find(place, self.nonce, first).await;
        found.map_err(|refusal| {
            count("router", Some(&refusal));
            match refusal {
                Refusal::Silent | Refusal::Taken => MapError::Silent { place, ports },
                Refusal::Refused(_) => {
                    MapError::Refused { router: place.gateway.to_string(), place, port: first, refusal, ports }
                }
            }
        })
    }

    /// Another router, or the same after it has forgotten everything.
    fn forget(&mut self) {
        (self.at, self.outer, self.epoch) = (None, None, None);
        self.held.clear();
        self.renew_at = Instant::now();
    }

    /// Whether the router still has what it had, at the address that it had.
    async fn stands(&mut self) -> bool {
        let (Some((_, router)), Some(&first)) = (&self.at, self.held.first()) else { return false };
        if router.has_fewer_than(self.held.len()).await {
            return false;
        }
        let Ok(granted) = router.map(first).await else { return false };
        let has_restarted = granted.epoch.zip(self.epoch).is_some_and(|(now, before)| now.saturating_add(LAG) < before);
        self.epoch = granted.epoch;
        !has_restarted && router.outer(granted).await.ok() == self.outer
    }

    async fn map_all(&mut self) -> Result<(), MapError> {
        let (place, router) = self.at.clone().ok_or(MapError::NoRouter)?;
        let began = Instant::now();
        let asked = stream::iter(self.ports.each()).map(async |port| (port, router.map(port).await));
        let mut answers = pin!(asked.buffered(AT_ONCE));
        let (mut last, mut least, mut failed) = (None::<Granted>, Duration::MAX, None);
        // What is held is noted at once: this may be broken off at any time, and then all of it is to be taken back.
        while let Some((port, answer)) = answers.next().await {
            count(router.language(), answer.as_ref().err());
            match answer {
                Ok(granted) => {
                    self.held.insert(port);
                    least = least.min(granted.lifetime);
                    last = Some(granted);
                }
                Err(refusal) => {
                    self.held.remove(&port);
                    tracing::debug!(%port, %refusal, "not mapped");
                    failed.get_or_insert((port, refusal));
                }
            }
        }
        let outer = match last {
            Some(granted) => router.outer(granted).await.ok(),
            None => None,
        };
        (self.outer, self.epoch) = (outer, last.and_then(|granted| granted.epoch));
        // Early enough for a second try, should that fail.
        let lasts = least.min(Duration::from_secs(3600));
        (self.renew_at, self.ends_at) = (began + lasts / 2, began + lasts);
        let name = router.to_string();
        // One that says nothing any more is looked for anew.
        if last.is_none() {
            self.forget();
        }
        match (failed, outer) {
            (None, Some(_)) => Ok(()),
            (Some((port, Refusal::Taken)), Some(_)) if self.is_only_of_relay(port) => Ok(()),
            (Some((port, Refusal::Taken)), _) => Err(MapError::Taken { router: name, port }),
            (Some((_, Refusal::Silent)), _) | (None, None) => {
                Err(MapError::Silent { place, ports: self.ports.clone() })
            }
            (Some((port, refusal)), _) => {
                Err(MapError::Refused { router: name, place, port, refusal, ports: self.ports.clone() })
            }
        }
    }

    /// The relay does with fewer ports.
    fn is_only_of_relay(&self, port: Port) -> bool {
        !self.ports.listen.contains(&port.number.get())
    }

    /// The first of the relay's ports, up to one that is not mapped.
    fn relay(&self) -> Option<RangeInclusive<u16>> {
        let relay = self.ports.relay.clone()?;
        let is_held =
            |number: &u16| self.held.iter().any(|port| port.protocol == Protocol::Udp && port.number.get() == *number);
        let last = relay.clone().take_while(is_held).last()?;
        Some(*relay.start()..=last)
    }
}

/// Counts what came of it.
fn count(by: &'static str, refusal: Option<&Refusal>) {
    let outcome = refusal.map_or("ok", Refusal::name);
    metrics::counter!("lanturn_outside_total", "by" => by.to_lowercase(), "outcome" => outcome).increment(1);
}
