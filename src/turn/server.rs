//! The server of one shard: who holds what, and which handler a packet goes to.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use slab::Slab;

use super::FastMap;
use super::addresses::{Family, RelayAddresses};
use super::allocation::{Allocation, AllocationId, Grant, Owner};
use super::behavior::{Behavior, BehaviorAddresses};
use super::connect::Dial;
use super::connections::{ConnectionIds, Connections};
use super::counters::Counters;
use super::expiry::Expiry;
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
use crate::credentials::{IntegrityKey, RoomMember, Scope, Verifier};
use crate::limit::{RateLimit, SourcePrefix};
use crate::sightings::{Outcome, Sightings};
use crate::stun::{
    ChannelNumber, Class, ConnectionId, Frame, Refusal, Request, Response, binding_success, method, refusal,
};

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
    allocations: Slab<Allocation>,
    by_five_tuple: FastMap<FiveTuple, AllocationId>,
    by_member: HashMap<RoomMember, Vec<AllocationId>>,
    generation: u32,
    expiry: Expiry,
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
            allocations: Slab::new(),
            by_five_tuple: FastMap::default(),
            by_member: HashMap::new(),
            generation: 0,
            expiry: Expiry::default(),
            closed: Vec::new(),
            strangers: RateLimit::new(shared.unauthorized_rate, Duration::from_secs(1)),
            shared,
            epoch: now,
        }
    }

    /// Replaces the options. Allocations and permissions that stand keep standing until they are refreshed.
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
        let known = matches!(
            frame.method(),
            method::ALLOCATE
                | method::REFRESH
                | method::CREATE_PERMISSION
                | method::CHANNEL_BIND
                | method::CONNECT
                | method::CONNECTION_BIND
        );
        if !known {
            // RFC 8489 section 6.3: a method that is not known is not answered.
            return self.drop_malformed();
        }
        if !frame.is_signed() {
            return self.refuse(from, &frame, &Reject::Unauthorized(Unproven::NoCredential), None, now, reply);
        }
        if let Some(shard) = self.elsewhere(&from, &frame) {
            return Step::HandOver(shard);
        }
        let Ok(mut request) = Request::decode(frame) else { return self.drop_malformed() };
        let ticket = match self.ticket_shown(&from, &frame, now.instant) {
            Ok(ticket) => ticket,
            Err(reject) => return self.refuse(from, &frame, &reject, None, now, reply),
        };
        if let Some(Ticket { shard, .. }) = ticket
            && shard != self.shard
        {
            return Step::Elsewhere(shard);
        }
        let about = match ticket {
            Some(ticket) => self.ticketed(ticket, now.instant),
            None => self.of(&self.control_of(from, &frame), now.instant),
        };
        let owner = match self.authenticate(from, about.map(|allocation| &allocation.owner), &mut request, now) {
            Ok(owner) => owner,
            Err(reject) => return self.refuse(from, &frame, &reject, None, now, reply),
        };
        let key = owner.key.clone();
        let unknown = frame.unknown_attributes();
        let answer = if unknown.is_empty() {
            match ticket {
                Some(ticket) => self.handle_move(from, &request, &owner, ticket, now.instant),
                None => self.dispatch(from, &request, owner, now.instant),
            }
        } else {
            Err(Reject::UnknownAttribute(unknown))
        };
        match answer {
            Ok(Answer::Success(response)) => {
                self.note(self.probe_of(&frame), from, frame.method(), Outcome::Answered, now.instant);
                response.sign(key.bytes(), reply);
                Step::Reply
            }
            Ok(Answer::Bind(id, response)) => {
                self.note(self.probe_of(&frame), from, frame.method(), Outcome::Answered, now.instant);
                response.sign(key.bytes(), reply);
                Step::Bind(id)
            }
            Ok(Answer::Open(opening)) => Step::Open(opening),
            Ok(Answer::Move(moving)) => Step::Move(moving),
            Ok(Answer::Connect(dial)) => Step::Connect(dial),
            Err(reject) => self.refuse(from, &frame, &reject, Some(&key), now, reply),
        }
    }

    /// The ticket by which a Refresh is about an allocation on another five-tuple.
    fn ticket_shown(&self, from: &FiveTuple, frame: &Frame<'_>, now: Instant) -> Result<Option<Ticket>, Reject> {
        if frame.method() == method::REFRESH { self.ticket(from, frame, now) } else { Ok(None) }
    }

    /// An authenticated request, whose attributes are all understood, to the handler of its method.
    fn dispatch(
        &mut self,
        from: FiveTuple,
        request: &Request<'_>,
        owner: Owner,
        now: Instant,
    ) -> Result<Answer, Reject> {
        match request.frame().method() {
            method::ALLOCATE => self.handle_allocate(from, request, owner, now),
            method::REFRESH => self.handle_refresh(from, request, &owner, now),
            method::CREATE_PERMISSION => self.handle_create_permission(from, request, &owner, now),
            method::CONNECT => self.handle_connect(from, request, &owner, now),
            method::CONNECTION_BIND => self.handle_connection_bind(from, request, &owner, now),
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
            response = response.unknown_attributes(unknown.to_vec());
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
        while let Some(&id) = self.by_five_tuple.get(&from) {
            self.end(id);
        }
    }

    /// Ends every allocation of a member who has left its room.
    pub fn revoke(&mut self, member: RoomMember) {
        for id in self.by_member.get(&member).cloned().unwrap_or_default() {
            self.end(id);
        }
    }

    /// Ends what has expired.
    pub fn expire(&mut self, now: Instant) {
        self.expire_connections(now);
        while let Some(id) = self.expiry.pop_due(now) {
            let Some(allocation) = self.get_mut(id) else { continue };
            if allocation.expires <= now {
                self.end(id);
                continue;
            }
            allocation.sweep(now);
            let wake = allocation.next_wake(now);
            allocation.wake = wake;
            self.expiry.insert(wake, id);
        }
    }

    /// When [`Server::expire`] is next due.
    pub fn next_expiry(&self) -> Option<Instant> {
        [self.expiry.next(), self.connections.next_due()].into_iter().flatten().min()
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
        self.by_five_tuple.contains_key(from)
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

    /// The allocation of a client, unless it has expired: the first, if it has one of each address family.
    pub(super) fn of(&self, from: &FiveTuple, now: Instant) -> Option<&Allocation> {
        let first = self.get(*self.by_five_tuple.get(from)?)?;
        if first.expires > now {
            return Some(first);
        }
        self.get(first.sibling?).filter(|sibling| sibling.expires > now)
    }

    /// The allocations of a client: none, one, or one of each address family.
    pub(super) fn all_of(&self, from: &FiveTuple, now: Instant) -> impl Iterator<Item = &Allocation> {
        let first = self.of(from, now);
        let second = first.and_then(|first| self.get(first.sibling?)).filter(|second| second.expires > now);
        first.into_iter().chain(second)
    }

    /// The allocation by which a client reaches a peer.
    pub(super) fn for_peer(&self, from: &FiveTuple, peer: IpAddr, now: Instant) -> Option<&Allocation> {
        let first = self.of(from, now)?;
        if first.sibling.is_none() {
            return Some(first);
        }
        self.all_of(from, now).find(|one| one.family() == Family::of(peer))
    }

    /// The allocation and the peer of a channel.
    pub(super) fn peer_of(
        &self,
        from: &FiveTuple,
        channel: ChannelNumber,
        now: Instant,
    ) -> Option<(AllocationId, SocketAddr)> {
        let first = self.of(from, now)?;
        match first.peer_of(channel, now) {
            Some(peer) => Some((first.id, peer)),
            None => {
                let second = self.get(first.sibling?).filter(|second| second.expires > now)?;
                Some((second.id, second.peer_of(channel, now)?))
            }
        }
    }

    /// The allocation that a request by its owner is about.
    ///
    /// # Errors
    /// [`Reject::AllocationMismatch`] when there is none, [`Reject::WrongCredentials`] when it is another user's.
    pub(super) fn own(&mut self, from: &FiveTuple, owner: &Owner, now: Instant) -> Result<&mut Allocation, Reject> {
        let id = self.of(from, now).ok_or(Reject::AllocationMismatch)?.id;
        let allocation = self.get_mut(id).ok_or(Reject::AllocationMismatch)?;
        if allocation.owner.is_same(owner) { Ok(allocation) } else { Err(Reject::WrongCredentials) }
    }

    /// The allocation by which peers of a family are reached, as [`Server::own`] finds it.
    ///
    /// # Errors
    /// As there, and [`Reject::PeerAddressFamilyMismatch`] when there is none of the family.
    pub(super) fn own_of(
        &mut self,
        from: &FiveTuple,
        owner: &Owner,
        family: Family,
        now: Instant,
    ) -> Result<&mut Allocation, Reject> {
        self.own(from, owner, now)?;
        let id = self.all_of(from, now).find(|one| one.family() == family).map(|one| one.id);
        id.and_then(|id| self.get_mut(id)).ok_or(Reject::PeerAddressFamilyMismatch)
    }

    pub(super) fn get(&self, id: AllocationId) -> Option<&Allocation> {
        self.allocations.get(id.index as usize).filter(|allocation| allocation.id == id)
    }

    pub(super) fn get_mut(&mut self, id: AllocationId) -> Option<&mut Allocation> {
        self.allocations.get_mut(id.index as usize).filter(|allocation| allocation.id == id)
    }

    pub(super) fn insert(&mut self, grant: Grant, now: Instant) -> AllocationId {
        let nowhere = AllocationId { index: 0, generation: 0 };
        let id = self.put(Allocation::new(nowhere, grant), now);
        self.counters.allocations += 1;
        id
    }

    /// Puts an allocation where packets find it.
    pub(super) fn put(&mut self, mut allocation: Allocation, now: Instant) -> AllocationId {
        self.generation = self.generation.wrapping_add(1);
        let entry = self.allocations.vacant_entry();
        let id = AllocationId { index: entry.key() as u32, generation: self.generation };
        (allocation.id, allocation.sibling) = (id, None);
        allocation.wake = allocation.next_wake(now);
        self.expiry.insert(allocation.wake, id);
        self.by_five_tuple.entry(allocation.five_tuple).or_insert(id);
        if let Scope::Room(member) = allocation.owner.scope {
            self.by_member.entry(member).or_default().push(id);
        }
        let holder = Holder { shard: self.shard, allocation: id, party: allocation.owner.scope.into() };
        self.shared.relayed.insert(allocation.transport, allocation.bound, holder);
        self.shared.relayed.insert(allocation.transport, allocation.relayed, holder);
        entry.insert(allocation);
        id
    }

    /// Makes two allocations on one five-tuple know each other.
    pub(super) fn join(&mut self, one: AllocationId, other: AllocationId) {
        for (id, sibling) in [(one, other), (other, one)] {
            if let Some(allocation) = self.get_mut(id) {
                allocation.sibling = Some(sibling);
            }
        }
    }

    pub(super) fn end(&mut self, id: AllocationId) {
        if self.extract(id).is_some() {
            self.closed.push(id);
        }
    }

    /// Takes an allocation away, so that no packet finds it.
    pub(super) fn extract(&mut self, id: AllocationId) -> Option<Allocation> {
        self.get(id)?;
        self.end_connections(id);
        let allocation = self.allocations.remove(id.index as usize);
        self.expiry.remove(allocation.wake, id);
        match allocation.sibling.and_then(|sibling| self.get_mut(sibling)) {
            Some(sibling) => {
                sibling.sibling = None;
                let sibling = sibling.id;
                self.by_five_tuple.insert(allocation.five_tuple, sibling);
            }
            None => {
                self.by_five_tuple.remove(&allocation.five_tuple);
            }
        }
        if let Scope::Room(member) = allocation.owner.scope
            && let Some(ids) = self.by_member.get_mut(&member)
        {
            ids.retain(|&other| other != id);
            if ids.is_empty() {
                self.by_member.remove(&member);
            }
        }
        self.shared.relayed.remove(allocation.transport, allocation.bound, self.shard, id);
        self.shared.relayed.remove(allocation.transport, allocation.relayed, self.shard, id);
        Some(allocation)
    }
}

#[cfg(test)]
impl Server {
    /// For how many entries there is memory, over everything that grows. The rate limit is a fixed table.
    pub(super) fn room_for(&self) -> usize {
        let maps = self.by_five_tuple.capacity() + self.by_member.capacity();
        maps + self.connections.room_for()
            + self.allocations.capacity()
            + self.closed.capacity()
            + usize::from(self.expiry.next().is_some())
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
