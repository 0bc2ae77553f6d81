//! Asks again and again, and tells what has changed.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

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
    seen: HashMap<Ipv4Addr, Ipv4Addr>,
    mapped: Option<Mapped>,
    complaints: [Complaint; 2],
}

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
        self.note_seen(&inside, asked);
        if let Some(kept) = kept {
            self.note_mapped(kept);
        }
        let relay_ports = self.mapped.as_ref().and_then(|mapped| mapped.relay.clone());
        Known { addresses: outer_of(&inside, &self.seen, self.mapped.as_ref()), relay_ports }
    }

    /// An address that nobody answers for keeps what it had: more often than not, the answer was lost.
    fn note_seen(&mut self, inside: &[Ipv4Addr], asked: Vec<(Ipv4Addr, Result<Ipv4Addr, QueryError>)>) {
        self.seen.retain(|inner, _| inside.contains(inner));
        let (mut is_seen, mut wrong) = (false, None);
        for (inner, answer) in asked {
            let outcome = answer.as_ref().map_or_else(QueryError::name, |_| "ok");
            metrics::counter!("lanturn_outside_total", "by" => "stun", "outcome" => outcome).increment(1);
            is_seen |= answer.is_ok();
            match answer {
                Ok(outer) if self.seen.insert(inner, outer) != Some(outer) => {
                    tracing::info!("a STUN server sees {inner} at {outer}");
                }
                Ok(_) => {}
                Err(error) => {
                    wrong.get_or_insert_with(|| error.to_string());
                }
            }
        }
        // One way out is enough.
        self.complaints[0].make(wrong.filter(|_| !is_seen));
    }

    fn note_mapped(&mut self, kept: Result<Mapped, MapError>) {
        let error = match kept {
            Ok(mapped) => {
                if self.mapped.as_ref() != Some(&mapped) {
                    let router = self.mapper.as_ref().and_then(Mapper::router).unwrap_or_default();
                    let held = self.mapper.as_ref().map_or(0, Mapper::held);
                    let Mapped { inner, outer, .. } = &mapped;
                    tracing::info!("the router at {router} lets {held} ports of {outer} in to {inner}");
                }
                self.mapped = Some(mapped);
                None
            }
            Err(error) => {
                // A router that starts anew, or a cable that is out for a moment, is no reason to restart every call.
                if !matches!(error, MapError::Silent { .. } | MapError::NoRouter) {
                    self.mapped = None;
                }
                Some(error.to_string())
            }
        };
        self.complaints[1].make(error);
    }
}

/// Asks about each address, until a server knows.
async fn ask_each(servers: &[String], inside: &[Ipv4Addr]) -> Vec<(Ipv4Addr, Result<Ipv4Addr, QueryError>)> {
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
}
