//! NAT behaviour discovery (RFC 5780): Binding at two addresses and two ports, each of which can answer for another.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::five_tuple::{FiveTuple, Transport};
use super::reject::Reject;
use super::server::{Server, Step};
use super::time::Now;
use crate::limit::RateLimit;
use crate::stun::{BehaviorAnswer, BehaviorRequest, Frame, behavior_success, binding_success};

/// Answers a second to one source prefix from each shard. A client begins ten transactions a second at most (RFC 5780
/// section 5), and an answer is three times as long as the shortest request.
const ANSWERS_PER_SECOND: u32 = 20;

/// Two addresses of this machine and two ports, each at both (RFC 5780 section 6.1: A1, A2, P1 and P2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BehaviorAddresses {
    one: SocketAddr,
    two: SocketAddr,
}

impl BehaviorAddresses {
    /// Of A1:P1 and A2:P2, which are of one family and have nothing in common.
    pub fn new(one: SocketAddr, two: SocketAddr) -> Self {
        Self { one, two }
    }

    /// All four.
    pub fn all(&self) -> [SocketAddr; 4] {
        let (one, two) = (self.one, self.two);
        [one, two, SocketAddr::new(one.ip(), two.port()), SocketAddr::new(two.ip(), one.port())]
    }

    /// The one that differs from `at` in both. `None` if that is none of them.
    fn other(&self, at: SocketAddr) -> Option<SocketAddr> {
        let ip = if at.ip() == self.one.ip() { self.two.ip() } else { self.one.ip() };
        let port = if at.port() == self.one.port() { self.two.port() } else { self.one.port() };
        self.all().contains(&at).then(|| SocketAddr::new(ip, port))
    }
}

/// What a server keeps for it.
#[derive(Debug)]
pub(super) struct Behavior {
    addresses: BehaviorAddresses,
    answers: RateLimit,
    start: Instant,
}

impl Behavior {
    pub(super) fn new(addresses: BehaviorAddresses, now: Instant) -> Self {
        let answers = RateLimit::new(ANSWERS_PER_SECOND, Duration::from_secs(1));
        Self { addresses, answers, start: now }
    }

    /// The address that differs from that to which a request came. `None` where it is a Binding like any other: a stream has
    /// no other address to come from.
    pub(super) fn other(&self, from: &FiveTuple) -> Option<SocketAddr> {
        (from.transport == Transport::Udp).then_some(())?;
        self.addresses.other(from.server)
    }

    fn take(&mut self, client: SocketAddr, now: Instant) -> bool {
        self.answers.take(client.ip().into(), now.saturating_duration_since(self.start)).is_ok()
    }
}

impl Server {
    /// A Binding that came in at one of the addresses, of which `other` differs from it in both.
    pub(super) fn discover_behavior(
        &mut self,
        from: FiveTuple,
        other: SocketAddr,
        frame: &Frame<'_>,
        now: Now,
        reply: &mut Vec<u8>,
    ) -> Step {
        let mut unknown = frame.unknown_attributes();
        unknown.retain(|kind| !BehaviorRequest::ATTRIBUTES.contains(kind));
        if !unknown.is_empty() {
            return self.refuse(from, frame, &Reject::UnknownAttribute(unknown), None, now, reply);
        }
        let Ok(asked) = BehaviorRequest::read(frame) else {
            return self.refuse(from, frame, &Reject::BadRequest, None, now, reply);
        };
        if !self.behavior.as_mut().is_some_and(|behavior| behavior.take(from.client, now.instant)) {
            if asked.is_plain() {
                binding_success(frame, from.client, reply);
                return Step::Reply;
            }
            self.counters.rejects_limited += 1;
            return Step::Done;
        }
        let ip = if asked.change_ip { other.ip() } else { from.server.ip() };
        let port = if asked.change_port { other.port() } else { from.server.port() };
        let told =
            |address: SocketAddr| SocketAddr::new(self.options.addresses.advertised(address.ip()), address.port());
        let origin = SocketAddr::new(ip, port);
        let says = BehaviorAnswer { mapped: from.client, origin: told(origin), other: told(other) };
        behavior_success(frame, asked, says, reply);
        let to = SocketAddr::new(from.client.ip(), asked.response_port.unwrap_or(from.client.port()));
        Step::ReplyAs(FiveTuple { client: to, server: origin, transport: from.transport })
    }
}
