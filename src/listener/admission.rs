//! How many connections there may be, in all, from one source prefix, and half open.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::limit::SourcePrefix;
use crate::proxies::Proxies;

/// The bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one source prefix.
    pub connections_per_prefix: usize,
    /// Connections in all that have not shown their protocol.
    pub half_open: usize,
    /// The same from one source prefix.
    pub half_open_per_prefix: usize,
}

/// Counts the connections of the port.
#[derive(Debug)]
pub struct Admission {
    limits: Limits,
    /// Their connections are those of many clients: what bounds one source does not bound them.
    proxies: Proxies,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    connections: usize,
    prefixes: HashMap<SourcePrefix, Prefix>,
    /// The half-open ones, oldest first. Dropping the sender ends the connection, sending lets it be.
    half_open: BTreeMap<u64, (SourcePrefix, oneshot::Sender<Opened>)>,
}

#[derive(Debug, Default)]
struct Prefix {
    connections: usize,
    half_open: BTreeSet<u64>,
}

impl State {
    /// Takes a connection off the half-open ones. Dropping what this gives ends the connection.
    fn close_half(&mut self, number: u64) -> Option<oneshot::Sender<Opened>> {
        let (source, alive) = self.half_open.remove(&number)?;
        if let Some(prefix) = self.prefixes.get_mut(&source) {
            prefix.half_open.remove(&number);
        }
        Some(alive)
    }
}

/// Said of a connection that is no longer half open.
#[derive(Debug)]
struct Opened;

/// Ends when a half-open connection must go to make room, and never once it is open.
#[derive(Debug)]
pub struct Eviction(oneshot::Receiver<Opened>);

impl Eviction {
    /// Waits for it.
    pub async fn wait(self) {
        if self.0.await.is_ok() {
            std::future::pending::<()>().await;
        }
    }
}

/// Stands for one connection, from when it is accepted until it is dropped.
#[derive(Debug)]
pub struct Ticket {
    admission: Arc<Admission>,
    source: SourcePrefix,
    number: u64,
}

impl Ticket {
    /// The connection has shown what it wants: it is no longer half open, and need not make room any more.
    pub fn opened(&self) {
        if let Some(alive) = self.admission.lock().close_half(self.number) {
            // Whoever waited for the eviction may be gone.
            let _ = alive.send(Opened);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        state.close_half(self.number);
        state.connections -= 1;
        if let Some(prefix) = state.prefixes.get_mut(&self.source) {
            prefix.connections -= 1;
            if prefix.connections == 0 {
                state.prefixes.remove(&self.source);
            }
        }
        metrics::gauge!("lanturn_connections").set(state.connections as f64);
    }
}

impl Admission {
    /// Nobody is in yet.
    pub fn new(limits: Limits, proxies: Proxies) -> Arc<Self> {
        Arc::new(Self { limits, proxies, state: Mutex::default() })
    }

    /// Lets a connection in, as half open, or not. With it comes what ends when the connection must go to make room.
    pub fn admit(self: &Arc<Self>, client: IpAddr) -> Option<(Ticket, Eviction)> {
        let source = SourcePrefix::from(client);
        let mut state = self.lock();
        let of_prefix = state.prefixes.get(&source).filter(|_| !self.proxies.contains(client));
        let too_many = of_prefix.is_some_and(|prefix| prefix.connections >= self.limits.connections_per_prefix);
        if too_many || state.connections >= self.limits.connections {
            let bound = if too_many { "connections-per-prefix" } else { "connections" };
            metrics::counter!("lanturn_connections_refused_total", "bound" => bound).increment(1);
            return None;
        }
        let oldest_of_prefix = of_prefix
            .filter(|prefix| prefix.half_open.len() >= self.limits.half_open_per_prefix)
            .and_then(|prefix| prefix.half_open.first().copied());
        let oldest =
            (state.half_open.len() >= self.limits.half_open).then(|| state.half_open.keys().next().copied()).flatten();
        if let Some(number) = oldest_of_prefix.or(oldest) {
            drop(state.close_half(number));
        }

        let number = state.next;
        state.next += 1;
        state.connections += 1;
        let (alive, evicted) = oneshot::channel();
        state.half_open.insert(number, (source, alive));
        let prefix = state.prefixes.entry(source).or_default();
        prefix.connections += 1;
        prefix.half_open.insert(number);
        metrics::gauge!("lanturn_connections").set(state.connections as f64);
        Some((Ticket { admission: Arc::clone(self), source, number }, Eviction(evicted)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { connections: 100, connections_per_prefix: 50, half_open: 10, half_open_per_prefix: 4 };

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn is_evicted(eviction: &mut Eviction) -> bool {
        matches!(eviction.0.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    }

    #[test]
    fn the_oldest_half_open_one_of_a_prefix_makes_room() {
        let admission = Admission::new(LIMITS, Proxies::default());
        let mut held: Vec<_> = (0..5).map(|_| admission.admit(ip(1)).unwrap()).collect();
        let evicted: Vec<bool> = held.iter_mut().map(|(_, evicted)| is_evicted(evicted)).collect();
        assert_eq!(evicted, [true, false, false, false, false]);
    }

    #[test]
    fn the_oldest_half_open_one_of_all_makes_room() {
        let admission = Admission::new(LIMITS, Proxies::default());
        let mut held: Vec<_> = (0..11).map(|last| admission.admit(ip(last)).unwrap()).collect();
        assert!(is_evicted(&mut held[0].1) && !is_evicted(&mut held[1].1));
        assert_eq!(admission.lock().half_open.len(), 10);
    }

    #[test]
    fn a_proxy_is_bounded_by_what_bounds_all() {
        let admission = Admission::new(LIMITS, Proxies::new(vec!["192.0.2.1/32".parse().unwrap()]));
        let admit = |last: u8| admission.admit(ip(last));
        let mut half_open: Vec<_> = (0..LIMITS.half_open).map(|_| admit(1).unwrap()).collect();
        assert!(half_open.iter_mut().all(|(_, eviction)| !is_evicted(eviction)), "past the bound of one source");
        half_open.iter().for_each(|(ticket, _)| ticket.opened());
        let open: Vec<_> = std::iter::from_fn(|| admit(1)).inspect(|(ticket, _)| ticket.opened()).collect();
        assert_eq!(half_open.len() + open.len(), LIMITS.connections);
        drop((half_open, open));
        let of_its_neighbour = std::iter::from_fn(|| admit(2)).inspect(|(ticket, _)| ticket.opened());
        assert_eq!(of_its_neighbour.collect::<Vec<_>>().len(), LIMITS.connections_per_prefix);
    }

    #[test]
    fn an_open_connection_is_never_evicted() {
        let admission = Admission::new(LIMITS, Proxies::default());
        let (ticket, mut eviction) = admission.admit(ip(1)).unwrap();
        ticket.opened();
        for _ in 0..1000 {
            let _half_open = admission.admit(ip(1)).unwrap();
        }
        assert_eq!(admission.lock().connections, 1);
        assert!(!is_evicted(&mut eviction));
        drop(ticket);
        assert_eq!(admission.lock().connections, 0);
    }

    #[test]
    fn open_connections_are_bounded_and_leave_nothing_behind() {
        let admission = Admission::new(LIMITS, Proxies::default());
        let open = |last| admission.admit(ip(last)).map(|(ticket, _)| ticket).inspect(Ticket::opened);
        let of_one: Vec<_> = std::iter::from_fn(|| open(1)).collect();
        assert_eq!(of_one.len(), LIMITS.connections_per_prefix);
        let of_others: Vec<_> = (2..=255).filter_map(open).collect();
        assert_eq!(of_one.len() + of_others.len(), LIMITS.connections);
        drop((of_one, of_others));
        let state = admission.lock();
        assert!(state.prefixes.is_empty() && state.half_open.is_empty());
    }
}
