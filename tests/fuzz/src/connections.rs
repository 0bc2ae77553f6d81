//! Connections with peers, as a client of TCP allocations has them.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Instant;

use lanturn::stun::{Class, ConnectionId, Frame};
use lanturn::turn::{BIND_WITHIN, Dial, RelayTransport, ShardId, Transport};

use crate::clients::{Client, Held, World, is_own};
use crate::messages::{Asked, Peer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Dialing,
    /// Until then it can be bound.
    Pending(Instant),
    Bound,
}

pub(crate) struct Connection {
    /// Who holds the allocation.
    pub(crate) who: usize,
    id: ConnectionId,
    shard: usize,
    state: State,
}

impl World {
    /// A peer has accepted a connection, or has not.
    pub fn dialed(&mut self, which: usize, is_accepted: bool) {
        if let Some(at) = which.checked_rem(self.connections.len()) {
            let result = if is_accepted { Ok(()) } else { Err(ErrorKind::ConnectionRefused.into()) };
            let Connection { id, shard, .. } = self.connections[at];
            self.answer(shard, id, result);
        }
    }

    /// A client asks for a connection to be the other end of one of its own, which comes in on any shard.
    pub fn take_connection(&mut self, who: usize, which: usize, shard: bool) {
        let Some(at) = which.checked_rem(self.connections.len()) else { return };
        let packet_of = |world: &Self| world.sign(who, Asked::bind_connection(world.connections[at].id));
        let Client { five_tuple: before, shard: home, .. } = self.clients[who];
        self.come_from(who, before.client.ip(), Transport::Tcp, shard);
        let packet = packet_of(self);
        let is_granted = self.exchange(who, &packet);
        (self.clients[who].five_tuple, self.clients[who].shard) = (before, home);
        assert!(!is_granted || self.connections[at].state == State::Bound);
    }

    /// A peer connects to the relayed address of a client.
    pub fn attempt(&mut self, who: usize, peer: Peer) {
        let from = self.resolve(peer);
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let Some(Held { shard, id, .. }) = self.clients[who].holds(RelayTransport::Tcp, from.is_ipv6()) else { return };
        let mut told = Vec::new();
        let attempt = self.fixture.servers[shard].attempted(id, from, self.now.instant, &mut told);
        let Some((id, client)) = attempt else { return assert!(told.is_empty()) };
        assert_eq!(client, self.clients[who].five_tuple);
        let indication = Frame::parse(&told).unwrap();
        assert_eq!((indication.class(), indication.connection_id()), (Class::Indication, Some(id)));
        self.check_permission(who, from.ip());
        if is_own(from.ip()) {
            self.check_party(who, self.holder_of(from));
        }
        let state = State::Pending(self.now.instant + BIND_WITHIN);
        self.connections.push(Connection { who, id, shard, state });
    }

    /// One end of a connection has closed it.
    pub fn close_connection(&mut self, which: usize) {
        if let Some(at) = which.checked_rem(self.connections.len()) {
            let Connection { id, shard, .. } = self.connections[at];
            self.fixture.servers[shard].close_connection(id);
        }
    }

    /// A Connect was let through.
    pub(crate) fn dial(&mut self, who: usize, shard: usize, dial: Dial) {
        let held = self.clients[who].holds(RelayTransport::Tcp, dial.to.is_ipv6());
        assert_eq!(held.map(|held| (held.shard, held.relayed)), Some((shard, dial.from)));
        assert!(dial.to.port() != 0);
        self.check_scope(who, dial.to.ip());
        if is_own(dial.to.ip()) {
            let other = self.holder_of(dial.to);
            assert_ne!(other, who, "a client connects to itself");
            self.check_party(who, other);
        }
        self.connections.push(Connection { who, id: dial.connection, shard, state: State::Dialing });
    }

    /// A connection has become a client's.
    pub(crate) fn bound(&mut self, who: usize, shard: usize, id: ConnectionId) {
        let at = self.connections.iter().position(|connection| connection.id == id).unwrap();
        let connection = &self.connections[at];
        let user = |who: usize| &self.clients[who].credential.username;
        assert_eq!((connection.shard, user(connection.who)), (shard, user(who)));
        let is_pending = matches!(connection.state, State::Pending(until) if until > self.now.instant);
        assert!(is_pending, "{id:?} is {:?}", connection.state);
        self.connections[at].state = State::Bound;
    }

    /// Gives up on peers that do not answer.
    pub(crate) fn end_overdue(&mut self) {
        for shard in 0..self.fixture.servers.len() {
            while let Some(id) = self.fixture.servers[shard].take_overdue() {
                self.answer(shard, id, Err(ErrorKind::TimedOut.into()));
            }
        }
    }

    pub(crate) fn close_ended_connections(&mut self) {
        for (shard, server) in self.fixture.servers.iter_mut().enumerate() {
            while let Some(id) = server.take_closed_connection() {
                let ended = |connection: &Connection| (connection.shard, connection.id) == (shard, id);
                let at = self.connections.iter().position(ended).expect("each ends once");
                self.connections.swap_remove(at);
            }
        }
    }

    /// The box finds every connection, and each has an allocation.
    pub(crate) fn check_connections(&self) {
        for Connection { who, id, shard, .. } in &self.connections {
            assert_eq!(self.fixture.shared.connections.get(*id), Some(ShardId(*shard as u16)));
            assert!(self.clients[*who].held.iter().any(|held| held.transport == RelayTransport::Tcp));
        }
    }

    /// Says to a server what became of a Connect. Its client is told if it waits for that.
    fn answer(&mut self, shard: usize, id: ConnectionId, result: io::Result<()>) {
        let at = self.connections.iter().position(|connection| connection.id == id);
        let waits = at.is_some_and(|at| self.connections[at].state == State::Dialing);
        let (is_accepted, mut reply) = (result.is_ok(), Vec::new());
        let told = self.fixture.servers[shard].connected(id, result, self.now.instant, &mut reply);
        self.close_ended_connections();
        let Some(client) = told else {
            // It may have ended with its allocation in the meantime.
            let still_waits = |one: &Connection| one.id == id && one.state == State::Dialing;
            return assert!(reply.is_empty() && !self.connections.iter().any(still_waits));
        };
        let at = at.filter(|_| waits).expect("somebody waits for it");
        let answer = Frame::parse(&reply).unwrap();
        let is_granted = answer.raw_type() & 0x0110 == 0x0100;
        assert_eq!((is_granted, answer.connection_id()), (is_accepted, Some(id).filter(|_| is_accepted)));
        if is_accepted {
            assert_eq!(client, self.clients[self.connections[at].who].five_tuple);
            self.connections[at].state = State::Pending(self.now.instant + BIND_WITHIN);
        }
    }

    /// Who holds a relayed address for TCP.
    fn holder_of(&self, relayed: SocketAddr) -> usize {
        let is_held = |held: &Held| (held.transport, held.relayed) == (RelayTransport::Tcp, relayed);
        self.clients.iter().position(|client| client.held.iter().any(is_held)).expect("somebody holds it")
    }
}
