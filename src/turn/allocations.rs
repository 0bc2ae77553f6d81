//! The allocations of one shard, and how those who have a packet or a request for one find it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use slab::Slab;

use super::FastMap;
use super::addresses::Family;
use super::allocation::{Allocation, AllocationId, Owner};
use super::expiry::Expiry;
use super::five_tuple::FiveTuple;
use super::reject::Reject;
use crate::credentials::{RoomMember, Scope};
use crate::stun::ChannelNumber;

/// Bounded by the quota. A client has one, or one of each address family (RFC 8656 section 7.2).
#[derive(Debug, Default)]
pub(super) struct Allocations {
    all: Slab<Allocation>,
    by_five_tuple: FastMap<FiveTuple, AllocationId>,
    by_member: HashMap<RoomMember, Vec<AllocationId>>,
    generation: u32,
    expiry: Expiry,
}

impl Allocations {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn get(&self, id: AllocationId) -> Option<&Allocation> {
        self.all.get(id.index as usize).filter(|allocation| allocation.id == id)
    }

    pub(super) fn get_mut(&mut self, id: AllocationId) -> Option<&mut Allocation> {
        self.all.get_mut(id.index as usize).filter(|allocation| allocation.id == id)
    }

    /// The first allocation of a client, even if it has expired.
    pub(super) fn at(&self, from: &FiveTuple) -> Option<AllocationId> {
        self.by_five_tuple.get(from).copied()
    }

    /// Those of a member of a room.
    pub(super) fn of_member(&self, member: RoomMember) -> Vec<AllocationId> {
        self.by_member.get(&member).cloned().unwrap_or_default()
    }

    /// The allocation of a client, unless it has expired: the first, if it has one of each address family.
    pub(super) fn of(&self, from: &FiveTuple, now: Instant) -> Option<&Allocation> {
        let first = self.get(self.at(from)?)?;
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

    /// The allocation by which peers of a family are reached, as [`Allocations::own`] finds it.
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

    pub(super) fn put(&mut self, mut allocation: Allocation, now: Instant) -> AllocationId {
        self.generation = self.generation.wrapping_add(1);
        let entry = self.all.vacant_entry();
        let id = AllocationId { index: entry.key() as u32, generation: self.generation };
        (allocation.id, allocation.sibling) = (id, None);
        allocation.wake = allocation.next_wake(now);
        self.expiry.insert(allocation.wake, id);
        self.by_five_tuple.entry(allocation.five_tuple).or_insert(id);
        if let Scope::Room(member) = allocation.owner.scope {
            self.by_member.entry(member).or_default().push(id);
        }
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

    pub(super) fn take(&mut self, id: AllocationId) -> Option<Allocation> {
        self.get(id)?;
        let allocation = self.all.remove(id.index as usize);
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
        Some(allocation)
    }

    /// Drops what has expired within the allocations that are due, up to one that has expired itself.
    pub(super) fn sweep(&mut self, now: Instant) -> Option<AllocationId> {
        while let Some(id) = self.expiry.pop_due(now) {
            let Some(allocation) = self.get_mut(id) else { continue };
            if allocation.expires <= now {
                return Some(id);
            }
            allocation.sweep(now);
            let wake = allocation.next_wake(now);
            allocation.wake = wake;
            self.expiry.insert(wake, id);
        }
        None
    }

    /// When [`Allocations::sweep`] is next due.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.expiry.next()
    }
}

#[cfg(test)]
impl Allocations {
    /// For how many entries there is memory.
    pub(super) fn room_for(&self) -> usize {
        let maps = self.by_five_tuple.capacity() + self.by_member.capacity();
        maps + self.all.capacity() + usize::from(self.expiry.next().is_some())
    }
}
