//! What routers and peers say of datagrams that were sent to peers (RFC 8656 section 11.5).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::Rng as _;

use super::allocation::AllocationId;
use super::five_tuple::FiveTuple;
use super::quota::Direction;
use super::server::Server;
use crate::limit::RateLimit;
use crate::stun::{Icmp, TransactionId};

/// Errors a second that clients of one source prefix are told of by each shard. Anybody can make them up.
const ERRORS_PER_SECOND: u32 = 20;

/// How often clients are told.
#[derive(Debug)]
pub(super) struct IcmpLimit {
    rate: RateLimit,
    start: Instant,
}

impl IcmpLimit {
    pub(super) fn new(now: Instant) -> Self {
        Self { rate: RateLimit::new(ERRORS_PER_SECOND, Duration::from_secs(1)), start: now }
    }

    fn take(&mut self, client: SocketAddr, now: Instant) -> bool {
        self.rate.take(client.ip().into(), now.saturating_duration_since(self.start)).is_ok()
    }
}

impl Server {
    /// An ICMP error has come for a datagram from a relayed address to `peer`. If the client is to know, it is the one that
    /// is given back, and what it is told is appended to `reply`.
    ///
    /// Where the error comes from does not matter: the permission for the peer does (RFC 8656 section 11.5).
    pub fn handle_icmp(
        &mut self,
        id: AllocationId,
        peer: SocketAddr,
        icmp: Icmp,
        now: Instant,
        reply: &mut Vec<u8>,
    ) -> Option<FiveTuple> {
        let start = reply.len();
        let told = self.tell(id, peer, icmp, now, reply);
        match told {
            Some(_) => self.counters.icmp_told += 1,
            None => {
                reply.truncate(start);
                self.counters.icmp_dropped += 1;
            }
        }
        told
    }

    fn tell(
        &mut self,
        id: AllocationId,
        peer: SocketAddr,
        icmp: Icmp,
        now: Instant,
        reply: &mut Vec<u8>,
    ) -> Option<FiveTuple> {
        let policy = &self.options.policy;
        if !self.options.icmp {
            return None;
        }
        if policy.own.contains(&peer.ip()) && !policy.allow_loopback {
            // Nothing is sent there by a relay socket.
            return None;
        }
        let allocation = self.allocations.get(id)?;
        let to = allocation.five_tuple;
        if !allocation.permits(peer.ip(), now) || allocation.expires <= now || !self.icmp_limit.take(to.client, now) {
            return None;
        }
        let start = reply.len();
        icmp.data_indication(peer, TransactionId(self.rng.random()), reply);
        self.allocations.get(id)?.charge.pay(Direction::Down, reply.len() - start, now).then_some(to)
    }
}
