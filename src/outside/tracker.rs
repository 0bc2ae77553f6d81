//! Asks again and again, and tells what has changed.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::address::is_inside;
use super::mapper::{MapError, Mapped, Mapper};
use super::query::{self, QueryError};
use super::{Known, Options};

/// How often to ask.
const EVERY: Duration = Duration::from_secs(30);
/// The most addresses of this machine that are asked about: one with containers may have many.
const MAX_ADDRESSES: usize = 8;

/// What was found out, and what the log has been told of it.
pub(super) struct Tracker {
    stun: Vec<String>,
    mapper: Option<Mapper>,
    /// From an address of this machine to the one that a STUN server saw, and when.
    seen: HashMap<Ipv4Addr, (Ipv4Addr, Instant)>,
    mapped: Option<Standing>,
    complaints: [Complaint; 2],
}

/// What the router said last.
struct Standing {
    mapped: Mapped,
    said_at: Instant,
    /// When it ends by itself.
    ends_at: Instant,
}

impl Standing {
    /// Whether a STUN server has seen another address since: then the router has changed, and maps there no more.
    fn is_outdated(&self, seen: &HashMap<Ipv4Addr, (Ipv4Addr, Instant)>) -> bool {
        seen.get(&self.mapped.inner).is_some_and(|(outer, at)| *outer != self.mapped.outer && *at > self.said_at)
    }
}

/// An address of this machine, and where a STUN server sees it.
type Asked = (Ipv4Addr, Result<Ipv4Addr, QueryError>);

/// The last thing that was logged as wrong. It is not said again as long as it is all there is to say.
#[derive(Default)]
struct Complaint(Option<String>);

impl Complaint {
    fn make(&mut self, error: Option<String>) {
        if let Some(text) = error.as_ref().filter(|_| self.0 != error) {
            tracing::warn!("{text}");
        }
        self.0 = error;
    }
}

impl Tracker {
    pub(super) fn new(Options { stun, ports }: Options) -> Self {
        let complaints = Default::default();
        Self { stun, mapper: ports.map(Mapper::new), seen: HashMap::new(), mapped: None, complaints }
    }

    /// Until it is told to stop. Then it has the router take back what it maps.
    pub(super) async fn run(
        mut self,
        mut own: watch::Receiver<Vec<IpAddr>>,
        publish: watch::Sender<Known>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let mut clock = interval(EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let asking = async {
            loop {
                tokio::select! {
                    _ = clock.tick() => {}
                    // Fails only when whoever could stop this is gone.
                    _ = own.changed() => {}
                }
                let addresses = own.borrow_and_update().clone();
                let known = self.look(&addresses).await;
                publish.send_if_modified(|before| {
                    let differs = *before != known;
                    *before = known;
                    differs
                });
            }
        };
        tokio::select! {
            () = asking => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
        if let Some(mapper) = &mut self.mapper {
            mapper.release().await;
        }
    }

    async fn look(&mut self, own: &[IpAddr]) -> Known {
        let inside: Vec<Ipv4Addr> = own
            .iter()
            .filter_map(|ip| match ip {
                IpAddr::V4(ip) => Some(*ip).filter(|ip| is_inside(*ip)),
                IpAddr::V6(_) => None,
            })
            .take(MAX_ADDRESSES)
            .collect();
        let (stun, mapper) = (&self.stun, &mut self.mapper);
        let keep = async {
            match mapper {
                Some(mapper) => Some(mapper.keep().await),
                None => None,
            }
        };
        let (asked, kept) = tokio::join!(ask_each(stun, &inside), keep);
        let now = Instant::now();
        self.note_seen(&inside, asked, now);
        if let Some(kept) = kept {
            let ends_at = self.mapper.as_ref().map_or(now, Mapper::ends_at);
            self.note_mapped(kept, ends_at, now);
        }
        self.known(&inside)
    }

    fn known(&self, inside: &[Ipv4Addr]) -> Known {
        let seen = self.seen.iter().map(|(inner, (outer, _))| (*inner, *outer)).collect();
        let standing = self.mapped.as_ref().filter(|standing| !standing.is_outdated(&self.seen));
        let mapped = standing.map(|standing| &standing.mapped);
        let relay_ports = mapped.and_then(|mapped| mapped.relay.clone());
        Known { addresses: outer_of(inside, &seen, mapped), relay_ports }
    }
    /// An address that nobody answers for keeps what it had: more often than not, the answer was lost.
    fn note_seen(&mut self, inside: &[Ipv4Addr], asked: Vec<Asked>, now: Instant) {
        self.seen.retain(|inner, _| inside.contains(inner));
        let (mut is_seen, mut wrong) = (false, None);
        for (inner, answer) in asked {
            let outcome = answer.as_ref().map_or_else(QueryError::name, |_| "ok");
            metrics::counter!("lanturn_outside_total", "by" => "stun", "outcome" => outcome).increment(1);
            is_seen |= answer.is_ok();
            match answer {
                Ok(outer) => {
                    let before = self.seen.insert(inner, (outer, now));
                    if before.is_none_or(|(before, _)| before != outer) {
                        tracing::info!("a STUN server sees {inner} at {outer}");
                    }
                }
                Err(error) => {
                    wrong.get_or_insert_with(|| error.to_string());
                }
            }
        }
        // One way out is enough.
        self.complaints[0].make(wrong.filter(|_| !is_seen));
    }

    fn note_mapped(&mut self, kept: Result<Mapped, MapError>, ends_at: Instant, now: Instant) {
        let error = match kept {
            Ok(mapped) => {
                if self.mapped.as_ref().is_none_or(|before| before.mapped != mapped) {
                    let router = self.mapper.as_ref().and_then(Mapper::router).unwrap_or_default();
                    let held = self.mapper.as_ref().map_or(0, Mapper::held);
                    let Mapped { inner, outer, .. } = &mapped;
                    tracing::info!("the router at {router} lets {held} ports of {outer} in to {inner}");
                }
                self.mapped = Some(Standing { mapped, said_at: now, ends_at });
                None
            }
            Err(error) => {
                // A router that starts anew, or a cable that is out for a moment, is no reason to restart every call.
                let is_silent = matches!(error, MapError::Silent { .. } | MapError::NoRouter);
                self.mapped = self.mapped.take().filter(|standing| is_silent && now < standing.ends_at);
                Some(error.to_string())
            }
        };
        self.complaints[1].make(error);
    }
}

/// Asks about each address, until a server knows.
async fn ask_each(servers: &[String], inside: &[Ipv4Addr]) -> Vec<Asked> {
    let asked = join_all(inside.iter().map(async |&inner| {
        let mut last = None;
        for server in servers {
            let answer = query::ask(inner, server).await;
            let knows = answer.is_ok();
            last = Some((inner, answer));
            if knows {
                break;
            }
        }
        last
    }));
    asked.await.into_iter().flatten().collect()
}

/// What others see of each address. Where two would be seen at one, nobody could tell them apart: the first has it.
fn outer_of(
    inside: &[Ipv4Addr],
    seen: &HashMap<Ipv4Addr, Ipv4Addr>,
    mapped: Option<&Mapped>,
) -> HashMap<IpAddr, IpAddr> {
    let by_router = mapped.map(|mapped| (mapped.inner, mapped.outer)).filter(|(inner, _)| inside.contains(inner));
    let by_servers = inside.iter().filter_map(|inner| seen.get(inner).map(|outer| (*inner, *outer)));
    let mut found: Vec<(Ipv4Addr, Ipv4Addr)> = Vec::new();
    for (inner, outer) in by_router.into_iter().chain(by_servers) {
        if !found.iter().any(|known| known.0 == inner || known.1 == outer) {
            found.push((inner, outer));
        }
    }
    found.into_iter().map(|(inner, outer)| (inner.into(), outer.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: &str = "192.168.1.5";
    const OUTER: &str = "203.0.113.7";
    const OTHER: &str = "203.0.113.9";

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    #[test]
    fn the_router_is_believed_first_and_no_two_are_seen_at_one_address() {
        let inside = [ip("192.168.1.5"), ip("172.17.0.1"), ip("10.0.0.5")];
        let seen = [("192.168.1.5", "203.0.113.7"), ("172.17.0.1", "203.0.113.7"), ("10.0.0.5", "203.0.113.9")];
        let seen = seen.map(|(inner, outer)| (ip(inner), ip(outer))).into();
        let is = |pairs: &[(&str, &str)]| -> HashMap<IpAddr, IpAddr> {
            pairs.iter().map(|(inner, outer)| (ip(inner).into(), ip(outer).into())).collect()
        };
        let servers = outer_of(&inside, &seen, None);
        assert_eq!(servers, is(&[("192.168.1.5", "203.0.113.7"), ("10.0.0.5", "203.0.113.9")]));
        let mapped = Mapped { inner: ip("10.0.0.5"), outer: ip("203.0.113.7"), relay: None };
        assert_eq!(outer_of(&inside, &seen, Some(&mapped)), is(&[("10.0.0.5", "203.0.113.7")]));
        let gone = outer_of(&inside[..2], &seen, Some(&mapped));
        assert_eq!(gone, is(&[("192.168.1.5", "203.0.113.7")]), "this machine has that address no more");
    }

    /// Behind a router that maps an inner to an outer address for a minute from `now` on.
    fn mapped(now: Instant) -> Tracker {
        let mut tracker = Tracker::new(Options::default());
        let mapped = Mapped { inner: ip(INNER), outer: ip(OUTER), relay: Some(50_000..=50_007) };
        tracker.note_mapped(Ok(mapped), now + Duration::from_secs(60), now);
        tracker
    }

    fn silent() -> Result<Mapped, MapError> {
        Err(MapError::NoRouter)
    }

    /// The address outside, and whether the router lets the relay's ports in.
    fn known(tracker: &Tracker) -> (Option<IpAddr>, bool) {
        let Known { addresses, relay_ports } = tracker.known(&[ip(INNER)]);
        (addresses.get(&ip(INNER).into()).copied(), relay_ports.is_some())
    }

    #[test]
    fn what_a_silent_router_has_granted_ends_when_it_said() {
        let now = Instant::now();
        let mut tracker = mapped(now);
        let mut after = |seconds| {
            tracker.note_mapped(silent(), now, now + Duration::from_secs(seconds));
            known(&tracker)
        };
        assert_eq!(after(59), (Some(ip(OUTER).into()), true));
        assert_eq!(after(60), (None, false));
    }

    #[test]
    fn a_refusal_ends_it_at_once() {
        let now = Instant::now();
        let mut tracker = mapped(now);
        tracker.note_mapped(Err(MapError::Public { inner: ip(INNER) }), now, now);
        assert_eq!(known(&tracker), (None, false));
    }

    #[test]
    fn a_stun_server_is_believed_once_the_router_is_silent() {
        let now = Instant::now();
        let mut tracker = mapped(now);
        let see = |tracker: &mut Tracker, outer: &str, seconds| {
            let now = now + Duration::from_secs(seconds);
            tracker.note_seen(&[ip(INNER)], vec![(ip(INNER), Ok(ip(outer)))], now);
        };
        see(&mut tracker, OTHER, 0);
        assert_eq!(known(&tracker), (Some(ip(OUTER).into()), true), "while the router speaks");
        tracker.note_mapped(silent(), now, now + Duration::from_secs(10));
        assert_eq!(known(&tracker), (Some(ip(OUTER).into()), true), "nobody has said anything since");
        see(&mut tracker, OUTER, 20);
        assert_eq!(known(&tracker), (Some(ip(OUTER).into()), true), "both say the same");
        see(&mut tracker, OTHER, 30);
        assert_eq!(known(&tracker), (Some(ip(OTHER).into()), false));
        tracker.note_seen(&[ip(INNER)], Vec::new(), now + Duration::from_secs(40));
        assert_eq!(known(&tracker), (Some(ip(OTHER).into()), false), "an answer is lost");
    }
}
