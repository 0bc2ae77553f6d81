//! The relayed addresses of all shards: what makes a hairpin possible, and what keeps rooms apart on it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError, RwLock};

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

/// What is spoken between a relayed address and its peers (RFC 8656 section 18.7, RFC 6062 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayTransport {
    /// Datagrams.
    Udp,
    /// Connections.
    Tcp,
}

type Addresses = RwLock<FastMap<SocketAddr, Holder>>;

/// How many addresses that were given up are kept in mind.
const MOST_CLOSED: usize = 256;

/// Every relayed address of the box. Bounded by the quota on allocations. One address may be held twice, for UDP and for
/// TCP.
#[derive(Debug, Default)]
pub struct RelayedAddresses {
    udp: Addresses,
    tcp: Addresses,
    /// Those that were given up last, the newest behind.
    closed: Mutex<VecDeque<SocketAddr>>,
}

impl RelayedAddresses {
    /// Who holds an address for UDP.
    pub fn get(&self, address: SocketAddr) -> Option<Holder> {
        self.get_of(RelayTransport::Udp, address)
    }

    /// Who holds an address for either.
    pub fn get_of(&self, transport: RelayTransport, address: SocketAddr) -> Option<Holder> {
        self.of(transport).read().unwrap_or_else(PoisonError::into_inner).get(&address).copied()
    }

    pub(super) fn insert(&self, transport: RelayTransport, address: SocketAddr, holder: Holder) {
        self.of(transport).write().unwrap_or_else(PoisonError::into_inner).insert(address, holder);
    }

    /// Removes an address, unless another allocation has it by now.
    pub(super) fn remove(
        &self,
        transport: RelayTransport,
        address: SocketAddr,
        shard: ShardId,
        allocation: AllocationId,
    ) {
        let mut all = self.of(transport).write().unwrap_or_else(PoisonError::into_inner);
        if all.get(&address).is_some_and(|holder| holder.shard == shard && holder.allocation == allocation) {
            all.remove(&address);
            drop(all);
            self.note_closed(address);
        }
    }

    /// Whether any port of an address is relayed from.
    pub fn holds(&self, ip: IpAddr) -> bool {
        [&self.udp, &self.tcp]
            .into_iter()
            .any(|all| all.read().unwrap_or_else(PoisonError::into_inner).keys().any(|address| address.ip() == ip))
    }

    fn note_closed(&self, address: SocketAddr) {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if closed.len() == MOST_CLOSED {
            closed.pop_front();
        }
        closed.push_back(address);
    }

    /// The ports of an address that were given up last: what was on its way to one of them may still come.
    pub(super) fn just_closed(&self, ip: IpAddr) -> Vec<u16> {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.iter().filter(|address| address.ip() == ip).map(SocketAddr::port).collect()
    }

    fn of(&self, transport: RelayTransport) -> &Addresses {
        match transport {
            RelayTransport::Udp => &self.udp,
            RelayTransport::Tcp => &self.tcp,
        }
    }
}
