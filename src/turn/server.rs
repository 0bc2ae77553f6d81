//! The server of one shard: who holds what, and which handler a packet goes to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::addresses::RelayAddresses;
use super::allocation::{Allocation, AllocationId, Grant, Owner};
use super::allocations::Allocations;
use super::behavior::{Behavior, BehaviorAddresses};
use super::connect::Dial;
use super::connections::{ConnectionIds, Connections};
use super::counters::Counters;
use super::five_tuple::{FiveTuple, Transport};
use super::forward::Forward;
use super::icmp::IcmpLimit;
use super::mobility::{Moving, Ticket};
use super::nonce::Nonces;
use super::opening::Opening;
use super::policy::PeerPolicy;
use super::quota::Quota;
use super::reject::{Reject, Unproven};
use super::relayed::{Holder, RelayedAddresses, ShardId};
use super::reservation::Reservations;
use super::time::Now;
use crate::credentials::{IntegrityKey, RoomMember, Verifier};
use crate::limit::{RateLimit, SourcePrefix};
use crate::sightings::{Outcome, Sightings};
use crate::stun::{Class, ConnectionId, Frame, Method, Refusal, Request, Response, binding_success, method, refusal};

/// The requests that need a credential.
const HANDLED: [Method; 6] = [
    method::ALLOCATE,
    method::REFRESH,
    method::CREATE_PERMISSION,
    method::CHANNEL_BIND,
    method::CONNECT,
    method::CONNECTION_BIND,
];

/// Another server (RFC 8489 section 10).
#[derive(Clone, Debug, Default)]
pub struct Alternate {
    /// Its addresses. Clients are sent to the first of their address family.
    pub servers: Vec<SocketAddr>,
    /// The name in its certificate.
    pub domain: Option<String>,
}

/// What may be replaced while the server runs.
#[derive(Debug)]
pub struct Options {
    /// Who may allocate.
    pub verifier: Verifier,
    /// To whom they may relay.
    pub policy: PeerPolicy,
    /// From where.
    pub addresses: RelayAddresses,
    /// The ports of relayed addresses.
    pub ports: RangeInclusive<u16>,
    /// Where clients are sent while this box is full.
    pub alternate: Alternate,
    /// Whether clients are told of ICMP errors.
    pub icmp: bool,
    /// Those of them that a router lets in, if one does: as long as there are any left, they are taken first.
    pub open_ports: Option<RangeInclusive<u16>>,
}

/// What the servers of all shards share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Who may have how much.
    pub quota: Arc<Quota>,
    /// Every relayed address of the box.
    pub relayed: Arc<RelayedAddresses>,
    /// Every connection with a peer, by the shard that has it.
    pub connections: Arc<ConnectionIds>,
    /// Every port that is held back.
    pub reservations: Arc<Reservations>,
    /// The same key for all: a client's connections may be on several shards.
    pub nonces: Nonces,
    /// Where requests of those who test their way are noted.
    pub sightings: Arc<Sightings>,
    /// Where clients may look how their NAT behaves, if they may.
    pub behavior: Option<BehaviorAddresses>,
    /// Errors a second that strangers of one source prefix get from each shard.
    pub unauthorized_rate: u32,
}

/// What is to be done for a packet from a client.
#[derive(Debug)]
pub enum Step {
    /// Nothing.
    Done,
    /// Send what was appended to the reply buffer back to the client.
    Reply,
    /// The same, but between these addresses instead of those of the request (RFC 5780 section 6.1).
    ReplyAs(FiveTuple),
    /// Send a part of the packet on.
    Forward(Forward),
    /// Decrypt the packet, which is DTLS, and hand what it holds back to [`Server::handle_client`].
    Decrypt,
    /// Open a relay socket and hand the opening back to [`Server::opened`].
    Open(Box<Opening>),
    /// Hand the packet to another shard, and what that says of it back to this one.
    Elsewhere(ShardId),
    /// Take the relay sockets of these along, and hand them to [`Server::settle`] on the shard that the packet came in on.
    Move(Box<Moving>),
    /// Connect to a peer, and say what became of it to [`Server::connected`].
    Connect(Dial),
    /// Send what was appended to the reply buffer. From then on the client's connection and this one are one stream.
    Bind(ConnectionId),
    /// Hand the client's connection to another shard, with this packet unanswered and whatever follows it.
    HandOver(ShardId),
}

/// The TURN server of one shard.
#[derive(Debug)]
pub struct Server {
    pub(super) shard: ShardId,
    pub(super) options: Arc<Options>,
    pub(super) shared: Shared,
    pub(super) rng: StdRng,
    pub(super) counters: Counters,
    /// Requests that were refused, by cause: there are as many as reasons, and rules in the configuration.
    refused: BTreeMap<(&'static str, Option<String>), u64>,
    pub(super) icmp_limit: IcmpLimit,
    pub(super) behavior: Option<Behavior>,
    pub(super) connections: Connections,
    pub(super) allocations: Allocations,
    closed: Vec<AllocationId>,
    strangers: RateLimit,
    epoch: Instant,
}

impl Server {
    /// A server without allocations. `seed` makes its ports and transaction ids unpredictable.
    pub fn new(shard: ShardId, options: Arc<Options>, shared: Shared, seed: [u8; 32], now: Instant) -> Self {
        Self {
            shard,
            options,
            rng: StdRng::from_seed(seed),
            counters: Counters::default(),
            refused: BTreeMap::new(),
            icmp_limit: IcmpLimit::new(now),
            behavior: shared.behavior.map(|addresses| Behavior::new(addresses, now)),
            connections: Connections::default(),
            allocations: Allocations::default(),
            closed: Vec::new(),
            strangers: RateLimit::new(shared.unauthorized_rate, Duration::from_secs(1)),
            shared,
            epoch: now,
        }
    }

    /// Replaces the options. Allocations and permissions that stand keep standing until they are refreshed, those of a
    /// credential that is not good any more as well: who is in a call stays in it.
    pub fn reconfigure(&mut self, options: Arc<Options>) {
        self.options = options;
    }

    /// Takes a packet from a client. What is to be answered is appended to `reply`.
    ///
    /// The first byte decides (RFC 7983): 0 to 3 is STUN, 64 to 127 ChannelData of one of
    /// [`crate::stun::CHANNEL_NUMBERS`], 20 to 63 in a datagram is DTLS, and nothing else is ours.
    pub fn handle_client(&mut self, from: FiveTuple, packet: &[u8], now: Now, reply: &mut Vec<u8>) -> Step {
        match packet.first() {
            Some(64..=127) => self.handle_channel_data(from, packet, now.instant),
            Some(0..=3) => match Frame::parse(packet) {
                Ok(frame) => self.handle_message(from, frame, now, reply),
                Err(_) => self.drop_malformed(),
            },
            Some(20..=63) if from.transport == Transport::Udp => Step::Decrypt,
            _ => self.drop_malformed(),
        }
    }

    fn handle_message(&mut self, from: FiveTuple, frame: Frame<'_>, now: Now, reply: &mut Vec<u8>) -> Step {
        match (frame.class(), frame.method()) {
            (Class::Request, method::BINDING) => self.handle_binding(from, &frame, now, reply),
            (Class::Indication, method::SEND) => self.handle_send(from, &frame, now.instant),
            (Class::Request, _) => self.handle_request(from, frame, now, reply),
            // A Binding indication is a keep-alive, and nobody asks this server's opinion with a response.
            (Class::Indication | Class::Response, _) => Step::Done,
        }
    }

    /// Binding (RFC 8489 section 12): no credential, no state, no allocation of memory.
    fn handle_binding(&mut self, from: FiveTuple, frame: &Frame<'_>, now: Now, reply: &mut Vec<u8>) -> Step {
        if let Some(other) = self.behavior.as_ref().and_then(|behavior| behavior.other(&from)) {
            return self.discover_behavior(from, other, frame, now, reply);
        }
        let unknown = frame.unknown_attributes();
        if !unknown.is_empty() {
            return self.refuse(from, frame, &Reject::UnknownAttribute(unknown), None, now, reply);
        }
        binding_success(frame, from.client, reply);
        Step::Reply
    }

    fn handle_request(&mut self, from: FiveTuple, frame: Frame<'_>, now: Now, reply: &mut Vec<u8>) -> Step {
        if !HANDLED.contains(&frame.method()) {
            // RFC 8489 section 6.3: a method that is not known is not answered.
            return self.drop_malformed();
        }
        if !frame.is_signed() {
            return self.refuse(from, &frame, &Reject::Unauthorized(Unproven::NoCredential), None, now, reply);
        }
        if let Some(shard) = self.elsewhere(&from, &frame) {
            return Step::HandOver(shard);
        }
        let request = Request::new(frame);
        let ticket = self.ticket(&from, &frame, now.instant);
        if let Some(Ticket { shard, .. }) = ticket
            && shard != self.shard
        {
            return Step::Elsewhere(shard);
        }
        let about = match ticket {
            Some(ticket) => self.ticketed(ticket, now.instant),
            None => self.allocations.of(&self.control_of(from, &frame), now.instant),
        };
        let owner = match self.authenticate(from, about.map(|allocation| &allocation.owner), &request, now) {
            Ok(owner) => owner,
            Err(reject) => return self.refuse(from, &frame, &reject, None, now, reply),
        };
        let key = owner.key.clone();
        match self.dispatch(from, &request, ticket, owner, now.instant) {
            Ok(answer) => self.carry_out(from, &frame, answer, &key, now, reply),
            Err(reject) => self.refuse(from, &frame, &reject, Some(&key), now, reply),
        }
    }

    /// What is left to do of an authenticated request that was granted.
    fn carry_out(
        &mut self,
        from: FiveTuple,
        frame: &Frame<'_>,
        answer: Answer,
        key: &IntegrityKey,
        now: Now,
        reply: &mut Vec<u8>,
    ) -> Step {
        let (step, response) = match answer {
            Answer::Success(response) => (Step::Reply, response),
            Answer::Bind(id, response) => (Step::Bind(id), response),
            Answer::Open(opening) => return Step::Open(opening),
            Answer::Move(moving) => return Step::Move(moving),
            Answer::Connect(dial) => return Step::Connect(dial),
        };
        self.note(self.probe_of(frame), from, frame.method(), Outcome::Answered, now.instant);
        response.sign(key.bytes(), reply);
        step
    }

    /// An authenticated request to the handler of its method.
    fn dispatch(
        &mut self,
        from: FiveTuple,
        request: &Request<'_>,
        ticket: Option<Ticket>,
        owner: Owner,
        now: Instant,
    ) -> Result<Answer, Reject> {
        let unknown = request.frame().unknown_attributes();
        if !unknown.is_empty() {
            return Err(Reject::UnknownAttribute(unknown));
        }
        match (request.frame().method(), ticket) {
            (_, Some(ticket)) => self.handle_move(from, request, &owner, ticket, now),
            (method::ALLOCATE, _) => self.handle_allocate(from, request, owner, now),
            (method::REFRESH, _) => self.handle_refresh(from, request, &owner, now),
            (method::CREATE_PERMISSION, _) => self.handle_create_permission(from, request, &owner, now),
            (method::CONNECT, _) => self.handle_connect(from, request, &owner, now),
            (method::CONNECTION_BIND, _) => self.handle_connection_bind(from, request, &owner, now),
            _ => self.handle_channel_bind(from, request, &owner, now),
        }
    }

    /// Answers with an error: signed if the request was authenticated, and otherwise only as often as strangers of
    /// this source prefix get answers.
    pub(super) fn refuse(
        &mut self,
        from: FiveTuple,
        frame: &Frame<'_>,
        reject: &Reject,
        key: Option<&IntegrityKey>,
        now: Now,
        reply: &mut Vec<u8>,
    ) -> Step {
        let probe = self.probe_of(frame);
        if key.is_none() {
            let source = SourcePrefix::from(from.client.ip());
            if self.strangers.take(source, now.instant.saturating_duration_since(self.epoch)).is_err() {
                self.counters.rejects_limited += 1;
                self.note(probe, from, frame.method(), Outcome::Withheld, now.instant);
                return Step::Done;
            }
        }
        self.counters.rejects += 1;
        *self.refused.entry(reject.cause()).or_default() += 1;
        self.note(probe, from, frame.method(), reject.outcome(), now.instant);
        tracing::debug!(client = %from.client, method = %frame.method(), ?reject, "refused");
        let nonce = reject.challenges().then(|| self.shared.nonces.issue(from.client, now.unix));
        let unknown = if let Reject::UnknownAttribute(list) = reject { &list[..] } else { &[] };
        let Some(key) = key else {
            let challenge = nonce.as_deref().map(|nonce| (self.options.verifier.realm(), nonce));
            let (code, reason) = (reject.code(), reject.reason());
            let takes_tokens = !self.options.verifier.tokens().is_empty();
            refusal(frame, Refusal { code, reason, challenge, takes_tokens, unknown }, reply);
            return Step::Reply;
        };
        let mut response = Response::error(frame, reject.code(), reject.reason());
        if *reject == Reject::TryAlternate
            && let Some(server) = self.alternate(&from)
        {
            response = response.alternate(server, self.options.alternate.domain.as_deref());
        }
        if !unknown.is_empty() {
            response = response.unknown_attributes(unknown);
        }
        response.sign(key.bytes(), reply);
        Step::Reply
    }

    /// Where a client is sent while this box is full.
    pub(super) fn alternate(&self, from: &FiveTuple) -> Option<SocketAddr> {
        self.options.alternate.servers.iter().find(|server| server.is_ipv4() == from.client.is_ipv4()).copied()
    }

    fn drop_malformed(&mut self) -> Step {
        self.counters.malformed += 1;
        Step::Done
    }

    /// Ends what a client's connection held, when the connection has ended.
    pub fn disconnected(&mut self, from: FiveTuple) {
        while let Some(id) = self.allocations.at(&from) {
            self.end(id);
        }
    }

    /// Ends every allocation of a member who has left its room.
    pub fn revoke(&mut self, member: RoomMember) {
        for id in self.allocations.of_member(member) {
            self.end(id);
        }
    }

    /// Ends what has expired.
    pub fn expire(&mut self, now: Instant) {
        self.expire_connections(now);
        while let Some(id) = self.allocations.sweep(now) {
            self.end(id);
        }
    }

    /// When [`Server::expire`] is next due.
    pub fn next_expiry(&self) -> Option<Instant> {
        [self.allocations.next_wake(), self.connections.next_due()].into_iter().flatten().min()
    }

    /// Ends the reservations that nobody asked for in time, and says where their sockets are bound.
    pub fn expire_reservations(&self, now: Instant) -> Vec<SocketAddr> {
        self.shared.reservations.expire(now)
    }

    /// An allocation that has ended since the last call: its relay socket is to be closed.
    pub fn take_closed(&mut self) -> Option<AllocationId> {
        self.closed.pop()
    }

    /// Whether a client has an allocation.
    pub fn has_allocation(&self, from: &FiveTuple) -> bool {
        self.allocations.at(from).is_some()
    }

    /// How many allocations there are.
    pub fn len(&self) -> usize {
        self.allocations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.allocations.is_empty()
    }

    /// Refusals by reason and, where one was the cause, by the rule in the configuration.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, &str, u64)> {
        self.refused.iter().map(|((reason, rule), count)| (*reason, rule.as_deref().unwrap_or_default(), *count))
    }

    /// What was done and refused so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn insert(&mut self, grant: Grant, now: Instant) -> AllocationId {
        let id = self.put(Allocation::new(AllocationId::NOWHERE, grant), now);
        self.counters.allocations += 1;
        id
    }

    /// Puts an allocation where packets find it.
    pub(super) fn put(&mut self, allocation: Allocation, now: Instant) -> AllocationId {
        let Allocation { transport, bound, relayed, .. } = allocation;
        let party = allocation.owner.scope.into();
        let id = self.allocations.put(allocation, now);
        let holder = Holder { shard: self.shard, allocation: id, party };
        self.shared.relayed.insert(transport, bound, holder);
        self.shared.relayed.insert(transport, relayed, holder);
        id
    }

    pub(super) fn end(&mut self, id: AllocationId) {
        if self.extract(id).is_some() {
            self.closed.push(id);
        }
    }

    /// Takes an allocation away, so that no packet finds it.
    pub(super) fn extract(&mut self, id: AllocationId) -> Option<Allocation> {
        self.end_connections(id);
        let allocation = self.allocations.take(id)?;
        self.shared.relayed.remove(allocation.transport, allocation.bound, self.shard, id);
        self.shared.relayed.remove(allocation.transport, allocation.relayed, self.shard, id);
        Some(allocation)
    }
}

#[cfg(test)]
impl Server {
    /// For how many entries there is memory, over everything that grows. The rate limit is a fixed table.
    pub(super) fn room_for(&self) -> usize {
        self.allocations.room_for() + self.connections.room_for() + self.closed.capacity()
    }
}

/// What a handler of an authenticated request comes to.
pub(super) enum Answer {
    Success(Response),
    Open(Box<Opening>),
    Move(Box<Moving>),
    Connect(Dial),
    Bind(ConnectionId, Response),
}
