//! Connections with the peers of TCP allocations (RFC 6062 section 3): which there are, and until when they wait for a
//! client.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use rand::Rng;

use super::FastMap;
use super::allocation::AllocationId;
use super::connect::Asked;
use super::quota::{Charge, Direction};
use super::relayed::ShardId;
use super::server::Server;
use crate::stun::ConnectionId;

/// How long a peer may take to accept a connection (RFC 6062 section 5.2: at least 30 seconds).
pub const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// How long a client may take to bind a connection (RFC 6062 sections 5.2 and 5.3: at least 30 seconds).
pub const BIND_WITHIN: Duration = Duration::from_secs(30);

/// Which shard has which connection: a client's ConnectionBind may come in on another. Bounded by the quota.
#[derive(Debug, Default)]
pub struct ConnectionIds(RwLock<FastMap<ConnectionId, ShardId>>);

impl ConnectionIds {
    /// The shard that has a connection.
    pub fn get(&self, id: ConnectionId) -> Option<ShardId> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }

    /// An id that no other connection of the box has, and that nobody can guess.
    fn issue(&self, shard: ShardId, rng: &mut impl Rng) -> ConnectionId {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        loop {
            let id = ConnectionId(rng.random());
            if let Entry::Vacant(free) = all.entry(id) {
                free.insert(shard);
                return id;
            }
        }
    }

    fn release(&self, id: ConnectionId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// How far a connection is.
#[derive(Debug)]
pub(super) enum State {
    /// The peer has not accepted it yet, and the client waits for the answer.
    Connecting(Box<Asked>),
    /// It stands, and waits for the client to bind it.
    Pending,
    /// What comes from one end goes to the other.
    Bound,
}

/// A connection with a peer.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) allocation: AllocationId,
    /// As the client knows it.
    pub(super) peer: SocketAddr,
    pub(super) state: State,
    /// It counts as an allocation does: both take a socket.
    pub(super) charge: Charge,
    /// When it ends unless its state has changed. `None` once it is bound.
    due: Option<Instant>,
}

impl Connection {
    /// Whether it can be bound.
    pub(super) fn is_pending(&self, now: Instant) -> bool {
        matches!(self.state, State::Pending) && self.due.is_some_and(|due| due > now)
    }
}

/// The connections of one shard.
#[derive(Debug, Default)]
pub(super) struct Connections {
    all: FastMap<ConnectionId, Connection>,
    by_peer: BTreeMap<(AllocationId, SocketAddr), ConnectionId>,
    due: BTreeSet<(Instant, ConnectionId)>,
    /// Attempts to connect that have taken too long.
    overdue: Vec<ConnectionId>,
    closed: Vec<ConnectionId>,
}

impl Connections {
    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.all.get(&id)
    }

    /// How many of an allocation's wait for their client.
    pub(super) fn pending(&self, allocation: AllocationId) -> usize {
        let waits = |one: &&Connection| one.allocation == allocation && matches!(one.state, State::Pending);
        self.all.values().filter(waits).count()
    }

    /// The connection of an allocation with a peer.
    pub(super) fn with(&self, allocation: AllocationId, peer: SocketAddr) -> Option<ConnectionId> {
        self.by_peer.get(&(allocation, peer)).copied()
    }

    /// Puts a connection into another state, in which it is until `due`, and gives the state that it was in.
    pub(super) fn change(&mut self, id: ConnectionId, state: State, due: Option<Instant>) -> Option<State> {
        let connection = self.all.get_mut(&id)?;
        if let Some(due) = std::mem::replace(&mut connection.due, due) {
            self.due.remove(&(due, id));
        }
        self.due.extend(due.map(|due| (due, id)));
        Some(std::mem::replace(&mut connection.state, state))
    }

    /// When something is next due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.all.remove(&id)?;
        self.by_peer.remove(&(connection.allocation, connection.peer));
        if let Some(due) = connection.due {
            self.due.remove(&(due, id));
        }
        Some(connection)
    }
}

#[cfg(test)]
impl Connections {
    /// For how many entries there is memory.
    pub(super) fn room_for(&self) -> usize {
        self.all.capacity() + self.overdue.capacity() + self.closed.capacity()
    }

    pub(super) fn len(&self) -> usize {
        assert_eq!(self.all.len(), self.by_peer.len());
        self.all.len()
    }
}

impl Server {
    /// Adds a connection of an allocation.
    pub(super) fn add_connection(
        &mut self,
        (allocation, peer): (AllocationId, SocketAddr),
        state: State,
        charge: Charge,
        due: Instant,
    ) -> ConnectionId {
        let id = self.shared.connections.issue(self.shard, &mut self.rng);
        self.connections.by_peer.insert((allocation, peer), id);
        self.connections.due.insert((due, id));
        self.connections.all.insert(id, Connection { allocation, peer, state, charge, due: Some(due) });
        id
    }

    /// Ends a connection. Both its sockets are to be closed.
    pub fn close_connection(&mut self, id: ConnectionId) {
        if self.connections.remove(id).is_some() {
            self.shared.connections.release(id);
            self.connections.closed.push(id);
        }
    }

    /// A connection that has ended since the last call: its sockets are to be closed.
    pub fn take_closed_connection(&mut self) -> Option<ConnectionId> {
        self.connections.closed.pop()
    }

    /// An attempt to connect that has taken too long: [`Server::connected`] is to be told that it has failed.
    pub fn take_overdue(&mut self) -> Option<ConnectionId> {
        self.connections.overdue.pop()
    }

    /// How long a bound connection is to wait before more is passed on. Zero unless a quota of bandwidth is used up.
    pub fn wait_of(&self, id: ConnectionId, direction: Direction, now: Instant) -> Duration {
        self.connections.get(id).map_or(Duration::ZERO, |connection| connection.charge.wait(direction, now))
    }

    /// Counts bytes that a bound connection has passed on.
    pub fn passed(&mut self, id: ConnectionId, direction: Direction, bytes: usize, now: Instant) {
        if let Some(connection) = self.connections.get(id) {
            connection.charge.book(direction, bytes, now);
        }
        match direction {
            Direction::Up => self.counters.bytes_up += bytes as u64,
            Direction::Down => self.counters.bytes_down += bytes as u64,
        }
    }

    pub(super) fn expire_connections(&mut self, now: Instant) {
        while let Some(&(due, id)) = self.connections.due.first().filter(|(due, _)| *due <= now) {
            self.connections.due.remove(&(due, id));
            match self.connections.get(id).map(|connection| &connection.state) {
                Some(State::Connecting(_)) => self.connections.overdue.push(id),
                Some(State::Pending) => {
                    self.counters.connections_unbound += 1;
                    self.close_connection(id);
                }
                Some(State::Bound) | None => {}
            }
        }
    }

    /// They end with their allocation (RFC 6062 section 5.5).
    pub(super) fn end_connections(&mut self, allocation: AllocationId) {
        while let Some(id) = self.connections.first_of(allocation) {
            self.close_connection(id);
        }
    }
}

impl Connections {
    fn first_of(&self, allocation: AllocationId) -> Option<ConnectionId> {
        let least = SocketAddr::from(([0, 0, 0, 0], 0));
        let ((held, _), id) = self.by_peer.range((allocation, least)..).next()?;
        (*held == allocation).then_some(*id)
    }
}
