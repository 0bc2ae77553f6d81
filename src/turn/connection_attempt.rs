//! ConnectionAttempt (RFC 6062 section 5.3): a peer connects to a relayed address.

use std::net::SocketAddr;
use std::time::Instant;

use rand::Rng as _;

use super::allocation::{Allocation, AllocationId};
use super::connections::{BIND_WITHIN, State};
use super::five_tuple::FiveTuple;
use super::relayed::{Party, RelayTransport};
use super::server::Server;
use crate::credentials::Scope;
use crate::stun::{ConnectionId, TransactionId, connection_attempt};

/// Connections of peers to one allocation that may wait for their client: each counts in its user's quota meanwhile.
const MOST_PENDING: usize = 16;

impl Server {
    /// A peer has connected to a relayed address. Says which connection that is, and who is to get the indication that
    /// was appended to `reply`. `None`, and it is to be closed at once, when nobody has permitted it.
    pub fn attempted(
        &mut self,
        id: AllocationId,
        from: SocketAddr,
        now: Instant,
        reply: &mut Vec<u8>,
    ) -> Option<(ConnectionId, FiveTuple)> {
        let attempt = self.permitted_attempt(id, from, now);
        if attempt.is_none() {
            self.counters.connections_refused += 1;
        }
        let (peer, client) = attempt?;
        let Ok(charge) = self.charge_connection(id) else {
            self.counters.connections_refused += 1;
            return None;
        };
        self.counters.connections += 1;
        let connection = self.add_connection((id, peer), State::Pending, charge, now + BIND_WITHIN);
        connection_attempt(peer, connection, TransactionId(self.rng.random()), reply);
        Some((connection, client))
    }

    /// The peer as its client knows it, and the client, if it has permitted that peer.
    fn permitted_attempt(&self, id: AllocationId, from: SocketAddr, now: Instant) -> Option<(SocketAddr, FiveTuple)> {
        let allocation = self.allocations.get(id).filter(|allocation| allocation.expires > now)?;
        let peer = self.shown(allocation, from)?;
        let is_new = self.connections.with(id, peer).is_none();
        let has_room = self.connections.pending(id) < MOST_PENDING;
        (is_new && has_room && allocation.permits(peer.ip(), now)).then_some((peer, allocation.five_tuple))
    }

    /// The address of a peer as clients know it. From this box itself only relayed addresses get in, and only those of the
    /// same room, or also in none.
    fn shown(&self, allocation: &Allocation, from: SocketAddr) -> Option<SocketAddr> {
        if !self.options.policy.own.contains(&from.ip()) {
            return (allocation.owner.scope == Scope::Policy).then_some(from);
        }
        match self.shared.relayed.get_of(RelayTransport::Tcp, from) {
            Some(holder) => {
                let advertised = SocketAddr::new(self.options.addresses.advertised(from.ip()), from.port());
                (holder.party == Party::from(allocation.owner.scope)).then_some(advertised)
            }
            None => self.options.policy.allow_loopback.then_some(from),
        }
    }
}
