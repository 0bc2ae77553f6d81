//! Mobility: an allocation follows its client to another address, and from one transport to another (RFC 8016).
//!
//! The client shows the ticket of its allocation in a Refresh from where it is now. The new five-tuple may belong to another
//! shard than the allocation does: the packet goes to the shard that the ticket names, and the allocation comes back to the
//! one that the packet came in on.

use std::time::{Duration, Instant};

use super::allocation::{Allocation, AllocationId, Owner};
use super::five_tuple::FiveTuple;
use super::nonce::Nonces;
use super::reject::Reject;
use super::relayed::ShardId;
use super::server::{Answer, Server};
use crate::credentials::Scope;
use crate::limit::SourcePrefix;
use crate::stun::{Frame, MOBILITY_TICKET, Request, Response, method};

/// Bytes of a ticket before its MAC.
const NAMED: usize = 14;
const MAC: usize = 16;
/// Bytes of a ticket.
///
/// ```text
///  shard (2) | index (4) | generation (4) | moves (4) | MAC (16)
/// ```
const TICKET: usize = NAMED + MAC;

/// Which allocation a ticket is for, and after how many moves. An older one is good for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) shard: ShardId,
    pub(super) id: AllocationId,
    pub(super) moves: u32,
}

impl Ticket {
    pub(super) fn seal(self, nonces: &Nonces) -> [u8; TICKET] {
        let mut bytes = [0; TICKET];
        bytes[..2].copy_from_slice(&self.shard.0.to_be_bytes());
        bytes[2..6].copy_from_slice(&self.id.index.to_be_bytes());
        bytes[6..10].copy_from_slice(&self.id.generation.to_be_bytes());
        bytes[10..NAMED].copy_from_slice(&self.moves.to_be_bytes());
        let mac = nonces.vouch(&bytes[..NAMED]);
        bytes[NAMED..].copy_from_slice(&mac[..MAC]);
        bytes
    }

    fn open(bytes: &[u8], nonces: &Nonces) -> Option<Self> {
        let bytes: &[u8; TICKET] = bytes.try_into().ok()?;
        let right = nonces.vouch(&bytes[..NAMED]);
        if !bool::from(subtle::ConstantTimeEq::ct_eq(&bytes[NAMED..], &right[..MAC])) {
            return None;
        }
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let id = AllocationId { index: word(2), generation: word(6) };
        Some(Self { shard: ShardId(u16::from_be_bytes([bytes[0], bytes[1]])), id, moves: word(10) })
    }
}

/// Allocations on their way to another five-tuple: one, or one of each address family.
#[derive(Debug)]
pub struct Moving {
    five_tuple: FiveTuple,
    owner: Owner,
    allocations: Vec<Allocation>,
    success: Response,
    lifetime: Duration,
}

impl Moving {
    /// What their relay sockets are kept under until now, in the order in which [`Server::settle`] takes them.
    pub fn ids(&self) -> impl Iterator<Item = AllocationId> + '_ {
        self.allocations.iter().map(|allocation| allocation.id)
    }

    /// Where the client is now.
    pub fn five_tuple(&self) -> FiveTuple {
        self.five_tuple
    }
}

impl Server {
    /// The ticket that a Refresh shows for an allocation elsewhere: none where its own five-tuple has an allocation.
    ///
    /// One that this box does not know, as after a restart, is for nothing. Who shows it is asked for a proof like anybody:
    /// a client must not believe an unsigned refusal (RFC 8489 section 9.2.5).
    pub(super) fn ticket(&self, from: &FiveTuple, frame: &Frame<'_>, now: Instant) -> Option<Ticket> {
        let shown = frame.get(MOBILITY_TICKET).filter(|ticket| !ticket.value.is_empty())?;
        if frame.method() != method::REFRESH || self.allocations.of(from, now).is_some() {
            return None;
        }
        let unknown = Ticket { shard: self.shard, id: AllocationId::NOWHERE, moves: 0 };
        Some(Ticket::open(shown.value, &self.shared.nonces).unwrap_or(unknown))
    }

    /// The allocation that a ticket of this shard is for.
    pub(super) fn ticketed(&self, ticket: Ticket, now: Instant) -> Option<&Allocation> {
        let allocation = self.allocations.get(ticket.id)?;
        let is_right = allocation.told.mobile && allocation.moves == ticket.moves && allocation.expires > now;
        is_right.then_some(allocation)
    }

    /// Takes an allocation, and the one beside it, off its old five-tuple.
    pub(super) fn handle_move(
        &mut self,
        from: FiveTuple,
        request: &Request<'_>,
        owner: &Owner,
        ticket: Ticket,
        now: Instant,
    ) -> Result<Answer, Reject> {
        let lifetime = owner.bounded(super::allocate::granted(request)?, now);
        let allocation = self.ticketed(ticket, now).ok_or(Reject::AllocationMismatch)?;
        // It comes from another address than what the allocation is held by, so a token must be of the same key.
        if allocation.owner.account() != owner.account() {
            return Err(Reject::WrongCredentials);
        }
        if request.lifetime()? == Some(Duration::ZERO) {
            return Err(Reject::BadRequest);
        }
        let lives = |id: &AllocationId| self.allocations.get(*id).is_some_and(|sibling| sibling.expires > now);
        let sibling = allocation.sibling.filter(lives);
        let ids: Vec<AllocationId> = [Some(ticket.id), sibling].into_iter().flatten().collect();
        let [old, new] = [allocation.five_tuple, from].map(|each| SourcePrefix::from(each.client.ip()));
        let mut rehome = |prefix| {
            let of = |id: &AllocationId| self.allocations.get_mut(*id).and_then(|one| one.charge.rehome(prefix).err());
            ids.iter().find_map(of)
        };
        if let Some(full) = rehome(new) {
            rehome(old);
            return Err(full);
        }
        let mut allocations: Vec<Allocation> = ids.into_iter().filter_map(|id| self.extract(id)).collect();
        for allocation in &mut allocations {
            allocation.five_tuple = from;
            allocation.owner.clone_from(owner);
            allocation.expires = now + lifetime;
            allocation.moves = allocation.moves.wrapping_add(1);
        }
        let success = Response::success(request.frame());
        let owner = owner.clone();
        Ok(Answer::Move(Box::new(Moving { five_tuple: from, owner, allocations, success, lifetime })))
    }

    /// Gives allocations their new five-tuple, on this shard, and answers. The ids are in the order of [`Moving::ids`].
    pub fn settle(&mut self, moving: Moving, now: Instant, reply: &mut Vec<u8>) -> Vec<AllocationId> {
        let Moving { five_tuple, owner, allocations, success, lifetime } = moving;
        self.disconnected(five_tuple);
        let ids: Vec<AllocationId> = allocations.into_iter().map(|allocation| self.put(allocation, now)).collect();
        if let [one, other] = ids[..] {
            self.allocations.join(one, other);
        }
        // Whoever left its room while this was under way was looked for on the old shard.
        if let Scope::Room(member) = owner.scope {
            let rooms = self.options.verifier.memberships();
            if !rooms.is_member(member) {
                ids.iter().for_each(|&id| self.end(id));
                return ids;
            }
            rooms.saw(member, five_tuple.client.ip());
        }
        self.counters.moves += 1;
        let success = success.lifetime(lifetime);
        let success = match ids.first().and_then(|&id| self.sealed(id)) {
            Some(ticket) => success.mobility_ticket(&ticket),
            None => success,
        };
        success.sign(owner.key.bytes(), reply);
        ids
    }

    /// The ticket of an allocation that may move.
    pub(super) fn sealed(&self, id: AllocationId) -> Option<[u8; TICKET]> {
        let allocation = self.allocations.get(id).filter(|allocation| allocation.told.mobile)?;
        Some(Ticket { shard: self.shard, id, moves: allocation.moves }.seal(&self.shared.nonces))
    }
}
