//! Application data, both ways and around the hairpin (RFC 8656 sections 11 and 12).

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use rand::Rng as _;

use super::allocation::AllocationId;
use super::five_tuple::FiveTuple;
use super::quota::Direction;
use super::relayed::{Party, RelayTransport, ShardId};
use super::server::{Server, Step};
use crate::stun::{ChannelData, Frame, Framing, SendIndication, TransactionId};

/// A part of a client's packet that is to be sent on.
#[derive(Clone, Debug)]
pub struct Forward {
    /// Where the application data is in the packet.
    pub payload: Range<usize>,
    /// Where it goes.
    pub route: Route,
}

/// Where application data goes.
#[derive(Clone, Debug)]
pub enum Route {
    /// Out of an allocation's relay socket.
    Peer {
        /// Whose relay socket.
        allocation: AllocationId,
        /// To whom.
        to: SocketAddr,
        /// Whether no router may cut the datagram to pieces, nor this machine.
        dont_fragment: bool,
    },
    /// To another client of this shard.
    Client(Delivery),
    /// To a client of another shard, which decides.
    Shard {
        /// Which.
        shard: ShardId,
        /// What it needs to know.
        hop: Hop,
    },
}

/// Application data for a client, and what goes around it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// To whom, and from which of our addresses.
    pub to: FiveTuple,
    /// What goes around it.
    pub framing: Framing,
}

/// A hairpin from one shard to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The relayed address that it comes from.
    pub from: SocketAddr,
    /// Whose traffic it is.
    pub party: Party,
    /// The allocation that it goes to.
    pub to: AllocationId,
}

impl Server {
    /// ChannelData from a client (RFC 8656 section 12.6).
    pub(super) fn handle_channel_data(&mut self, from: FiveTuple, packet: &[u8], now: Instant) -> Step {
        let Some(ChannelData { channel, data }) = ChannelData::parse(packet) else {
            self.counters.malformed += 1;
            return Step::Done;
        };
        match self.allocations.peer_of(&from, channel, now) {
            Some((id, peer)) => self.send(id, (peer, false), data, now),
            None => self.drop_unpermitted(),
        }
    }

    /// A Send indication (RFC 8656 section 11.2): what is wrong with one is not answered.
    pub(super) fn handle_send(&mut self, from: FiveTuple, frame: &Frame<'_>, now: Instant) -> Step {
        let Some(SendIndication { peer, data, dont_fragment }) = SendIndication::read(frame) else {
            self.counters.malformed += 1;
            return Step::Done;
        };
        let dont_fragment = dont_fragment && heeds_dont_fragment(&from, peer);
        match self.allocations.for_peer(&from, peer.ip(), now).map(|allocation| allocation.id) {
            Some(id) => self.send(id, (peer, dont_fragment), data, now),
            None => self.drop_unpermitted(),
        }
    }

    fn send(
        &mut self,
        id: AllocationId,
        (peer, dont_fragment): (SocketAddr, bool),
        payload: Range<usize>,
        now: Instant,
    ) -> Step {
        let Some(allocation) = self.allocations.get(id) else { return Step::Done };
        let is_udp = allocation.transport == RelayTransport::Udp;
        if !is_udp || !allocation.permits(peer.ip(), now) || peer.port() == 0 {
            return self.drop_unpermitted();
        }
        if !allocation.charge.pay(Direction::Up, payload.len(), now) {
            self.counters.over_bandwidth += 1;
            return Step::Done;
        }
        let route = if self.options.policy.own.contains(&peer.ip()) {
            match self.hairpin(id, (peer, dont_fragment), payload.len(), now) {
                Some(route) => route,
                None => return Step::Done,
            }
        } else {
            Route::Peer { allocation: id, to: peer, dont_fragment }
        };
        self.counters.packets_up += 1;
        self.counters.bytes_up += payload.len() as u64;
        Step::Forward(Forward { payload, route })
    }

    /// A peer address of this box: the two allocations are checked against each other, since the permission names
    /// an address that all of them share.
    fn hairpin(
        &mut self,
        id: AllocationId,
        (peer, dont_fragment): (SocketAddr, bool),
        length: usize,
        now: Instant,
    ) -> Option<Route> {
        let allocation = self.allocations.get(id)?;
        let (from, party) = (allocation.relayed, Party::from(allocation.owner.scope));
        let Some(holder) = self.shared.relayed.get(peer) else {
            if self.options.policy.allow_loopback {
                return Some(Route::Peer { allocation: id, to: peer, dont_fragment });
            }
            self.counters.hairpins_refused += 1;
            return None;
        };
        let hop = Hop { from, party, to: holder.allocation };
        if holder.shard != self.shard {
            return Some(Route::Shard { shard: holder.shard, hop });
        }
        self.handle_hop(hop, length, now).map(Route::Client)
    }

    /// A hairpin from this or another shard arrives at its allocation.
    pub fn handle_hop(&mut self, hop: Hop, length: usize, now: Instant) -> Option<Delivery> {
        let allocation = self.allocations.get(hop.to)?;
        if Party::from(allocation.owner.scope) != hop.party {
            self.counters.hairpins_refused += 1;
            return None;
        }
        let delivery = self.deliver(hop.to, hop.from, length, now)?;
        self.counters.hairpins += 1;
        Some(delivery)
    }

    /// A datagram has arrived at a relayed address (RFC 8656 sections 11.3 and 12.7).
    pub fn handle_peer(&mut self, id: AllocationId, from: SocketAddr, length: usize, now: Instant) -> Option<Delivery> {
        let policy = &self.options.policy;
        if policy.own.contains(&from.ip()) && !policy.allow_loopback {
            // Our own relayed addresses come by the hairpin: this is another program on the box.
            self.counters.not_permitted += 1;
            return None;
        }
        self.deliver(id, from, length, now)
    }

    fn deliver(&mut self, id: AllocationId, from: SocketAddr, length: usize, now: Instant) -> Option<Delivery> {
        let allocation = self.allocations.get(id)?;
        if !allocation.permits(from.ip(), now) || allocation.expires <= now {
            self.counters.not_permitted += 1;
            return None;
        }
        if !allocation.charge.pay(Direction::Down, length, now) {
            self.counters.over_bandwidth += 1;
            return None;
        }
        let to = allocation.five_tuple;
        let framing = match allocation.channel_of(from, now) {
            Some(channel) => Framing::channel_data(channel, length, to.transport.is_stream())?,
            None => Framing::data_indication(from, TransactionId(self.rng.random()), length)?,
        };
        self.counters.packets_down += 1;
        self.counters.bytes_down += length as u64;
        Some(Delivery { to, framing })
    }

    fn drop_unpermitted(&mut self) -> Step {
        self.counters.not_permitted += 1;
        Step::Done
    }
}

/// Where a datagram of the client becomes one of another IP version, or IPv6 at all, DONT-FRAGMENT is ignored (RFC 8656
/// sections 13.1 to 13.3). What comes over a stream was no datagram (section 15).
fn heeds_dont_fragment(from: &FiveTuple, peer: SocketAddr) -> bool {
    from.transport.is_stream() || (from.client.is_ipv4() && peer.is_ipv4())
}
