//! The relayed addresses of all shards: what makes a hairpin possible, and what keeps rooms apart on it.

use std::net::SocketAddr;
use std::sync::{PoisonError, RwLock};

use super::FastMap;
use super::allocation::AllocationId;
use crate::credentials::{RoomTag, Scope};

/// Whose traffic may meet on a hairpin: that of one room, or that of everybody who is in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// Members of one room.
    Room(RoomTag),
    /// Key-minted credentials, static users and pages without a key.
    Open,
}

impl From<Scope> for Party {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Room(member) => Self::Room(member.room),
            Scope::Policy | Scope::Page => Self::Open,
        }
    }
}

/// Which shard holds an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardId(pub u16);

/// Where a relayed address is held and who may reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The shard.
    pub shard: ShardId,
    /// The allocation on that shard.
    pub allocation: AllocationId,
    /// Who may reach it.
    pub party: Party,
}

/// Every relayed address of the box. Bounded by the quota on allocations.
#[derive(Debug, Default)]
pub struct RelayedAddresses(RwLock<FastMap<SocketAddr, Holder>>);

impl RelayedAddresses {
    /// Who holds an address.
    pub fn get(&self, address: SocketAddr) -> Option<Holder> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&address).copied()
    }

    pub(super) fn insert(&self, address: SocketAddr, holder: Holder) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(address, holder);
    }

    /// Removes an address, unless another allocation has it by now.
    pub(super) fn remove(&self, address: SocketAddr, shard: ShardId, allocation: AllocationId) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.get(&address).is_some_and(|holder| holder.shard == shard && holder.allocation == allocation) {
            all.remove(&address);
        }
    }
}
