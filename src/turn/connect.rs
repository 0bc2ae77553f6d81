//! Connect (RFC 6062 section 5.2).

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use super::addresses::Family;
use super::allocation::{AllocationId, Owner};
use super::connections::{BIND_WITHIN, CONNECT_WITHIN, State};
use super::five_tuple::FiveTuple;
use super::policy::{Denied, Reachable};
use super::quota::Charge;
use super::reject::Reject;
use super::relayed::{Holder, Party, RelayTransport};
use super::server::{Answer, Server};
use crate::credentials::{IntegrityKey, Scope};
use crate::limit::SourcePrefix;
use crate::stun::{ConnectionId, Request, Response};

/// A connection that is to be made to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dial {
    /// Names it.
    pub connection: ConnectionId,
    /// The address that the relay socket is bound to: it leaves from there.
    pub from: SocketAddr,
    /// Where to.
    pub to: SocketAddr,
}

/// What a client that waits for a connection is told of it.
#[derive(Debug)]
pub(super) struct Asked {
    success: Response,
    refusal: Response,
    key: IntegrityKey,
}

impl Server {
    /// The answer waits until the peer has accepted the connection, or has not.
    pub(super) fn handle_connect(
        &mut self,
        from: FiveTuple,
        request: &Request<'_>,
        owner: &Owner,
        now: Instant,
    ) -> Result<Answer, Reject> {
        if self.allocations.own(&from, owner, now)?.transport != RelayTransport::Tcp {
            return Err(Reject::BadRequest);
        }
        let [peer] = request.peer_addresses()?[..] else { return Err(Reject::BadRequest) };
        if peer.port() == 0 {
            return Err(Reject::BadRequest);
        }
        let allocation = self.allocations.own_of(&from, owner, Family::of(peer.ip()), now)?;
        let (id, bound) = (allocation.id, allocation.bound);
        let to = self.way_to(&from, owner, peer, now)?;
        if self.connections.with(id, peer).is_some() {
            return Err(Reject::ConnectionExists);
        }
        let charge = self.charge_connection(id)?;
        let failed = Reject::ConnectionFailed;
        let asked = Asked {
            success: Response::success(request.frame()),
            refusal: Response::error(request.frame(), failed.code(), failed.reason()),
            key: owner.key.clone(),
        };
        let connecting = State::Connecting(Box::new(asked));
        let connection = self.add_connection((id, peer), connecting, charge, now + CONNECT_WITHIN);
        Ok(Answer::Connect(Dial { connection, from: bound, to }))
    }

    /// Ends a Connect: with a connection that stands, or with 447. Says who is to get what was appended to `reply`.
    pub fn connected(
        &mut self,
        id: ConnectionId,
        result: io::Result<()>,
        now: Instant,
        reply: &mut Vec<u8>,
    ) -> Option<FiveTuple> {
        let connection = self.connections.get(id)?;
        let client = self.allocations.get(connection.allocation)?.five_tuple;
        if !matches!(connection.state, State::Connecting(_)) {
            return None;
        }
        let due = Some(now + BIND_WITHIN);
        let Some(State::Connecting(asked)) = self.connections.change(id, State::Pending, due) else { return None };
        let Asked { success, refusal, key } = *asked;
        if let Err(error) = result {
            tracing::debug!(%error, client = %client.client, "a peer does not take a connection");
            self.counters.rejects += 1;
            self.counters.connections_failed += 1;
            refusal.sign(key.bytes(), reply);
            self.close_connection(id);
        } else {
            self.counters.connections += 1;
            success.connection_id(id).sign(key.bytes(), reply);
        }
        Some(client)
    }

    /// A connection counts as an allocation does, to the same user and source.
    pub(super) fn charge_connection(&self, id: AllocationId) -> Result<Charge, Reject> {
        let allocation = self.allocations.get(id).ok_or(Reject::AllocationMismatch)?;
        let source = SourcePrefix::from(allocation.five_tuple.client.ip());
        self.shared.quota.charge(&allocation.owner.account(), source)
    }

    /// Where to connect for a peer address. One of this box's must be a relayed address for TCP now, of the same room or
    /// also in none; the connection then goes through the system, which brings it to that relay socket.
    ///
    /// # Errors
    /// 443 for another address family than the relayed address has, 403 when the policy refuses.
    fn way_to(
        &mut self,
        from: &FiveTuple,
        owner: &Owner,
        peer: SocketAddr,
        now: Instant,
    ) -> Result<SocketAddr, Reject> {
        let reachable = self.authorize(from, owner, peer.ip(), now)?;
        let holder = self.shared.relayed.get_of(RelayTransport::Tcp, peer);
        let is_own = self.allocations.all_of(from, now).any(|allocation| allocation.relayed == peer);
        match (reachable, holder) {
            // Anybody may enter a room and name any address there: over TCP that would be a proxy for everything.
            (Reachable::Network, _) if owner.scope != Scope::Policy => {
                self.counters.peers_denied += 1;
                Err(Reject::Forbidden(Denied::NotRelayed))
            }
            (Reachable::Network, _) | (Reachable::HairpinOrNetwork, None) => Ok(peer),
            (Reachable::Hairpin | Reachable::HairpinOrNetwork, Some(holder))
                if holder.party == Party::from(owner.scope) && !is_own =>
            {
                Ok(self.bound_address(peer, holder))
            }
            (Reachable::Hairpin | Reachable::HairpinOrNetwork, _) => {
                self.counters.peers_denied += 1;
                Err(Reject::Forbidden(Denied::NotRelayed))
            }
        }
    }

    /// Where the relay socket of a relayed address of this box is bound: behind a 1:1 NAT at another address.
    fn bound_address(&self, relayed: SocketAddr, holder: Holder) -> SocketAddr {
        let inner = self.options.addresses.external.iter().filter(|(_, outer)| **outer == relayed.ip());
        let mut inner = inner.map(|(inner, _)| SocketAddr::new(*inner, relayed.port()));
        let is_held = |at: &SocketAddr| self.shared.relayed.get_of(RelayTransport::Tcp, *at) == Some(holder);
        inner.find(is_held).unwrap_or(relayed)
    }
}
