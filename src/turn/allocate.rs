//! Allocate (RFC 8656 section 7).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use stun::attributes::{ATTR_DONT_FRAGMENT, ATTR_EVEN_PORT, ATTR_RESERVATION_TOKEN};

use super::addresses::Family;
use super::allocation::{Allocation, AllocationId, Grant, Owner};
use super::five_tuple::{FiveTuple, canonical};
use super::ports::Candidates;
use super::quota::Charge;
use super::reject::Reject;
use super::relayed::RelayTransport;
use super::server::{Answer, Server};
use crate::credentials::{IntegrityKey, Scope};
use crate::limit::SourcePrefix;
use crate::sightings::{Outcome, ProbeId};
use crate::stun::{Request, Response, TransactionId, method};

/// Granted when the client asks for nothing else, and the least that is granted (RFC 8656 section 7.2).
pub(super) const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
/// The most that is granted (RFC 8656 section 7.2 recommends an hour).
pub(super) const MAX_LIFETIME: Duration = Duration::from_secs(3600);
/// The IP protocol numbers in REQUESTED-TRANSPORT.
const UDP: u8 = 17;
const TCP: u8 = 6;

/// An allocation that waits for its relay socket: success is said only of what exists.
#[derive(Debug)]
pub struct Opening {
    five_tuple: FiveTuple,
    owner: Owner,
    transport: RelayTransport,
    request: TransactionId,
    charge: Charge,
    lifetime: Duration,
    address: IpAddr,
    ports: Candidates,
    even: bool,
    success: Response,
    refusal: Response,
    /// Whose way is tested with it.
    probe: Option<ProbeId>,
}

impl Opening {
    /// What the relay socket is to speak.
    pub fn transport(&self) -> RelayTransport {
        self.transport
    }

    /// The addresses to try, in this order. The first that can be bound is the one.
    pub fn candidates(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let fits = |port: &u16| !self.even || port.is_multiple_of(2);
        self.ports.filter(fits).map(|port| SocketAddr::new(self.address, port))
    }
}

impl Server {
    pub(super) fn handle_allocate(
        &mut self,
        from: FiveTuple,
        request: &Request<'_>,
        owner: Owner,
        now: Instant,
    ) -> Result<Answer, Reject> {
        if let Some(allocation) = self.of(&from, now) {
            return repeat(allocation, request, &owner, now).map(Answer::Success);
        }
        // One that has expired and is not swept out yet neither stands in the way nor counts.
        self.disconnected(from);
        let transport = relay_transport(from, request)?;
        let family = match request.requested_address_family() {
            Ok(None) => None,
            Ok(Some(family)) => Some(if family == 1 { Family::V4 } else { Family::V6 }),
            Err(_) => return Err(Reject::AddressFamilyNotSupported),
        };
        let even = match request.even_port()? {
            // Nothing here holds a port back for later.
            Some(true) => return Err(Reject::InsufficientCapacity),
            even => even.is_some(),
        };
        let lifetime = granted(request)?;
        let server = from.server.ip();
        let address = self.options.addresses.choose(server, family).ok_or(Reject::AddressFamilyNotSupported)?;
        let charge = self.shared.quota.charge(&owner.username, SourcePrefix::from(from.client.ip()))?;
        let ports = Candidates::new(&self.options.ports, &mut self.rng);
        let full = Reject::InsufficientCapacity;
        Ok(Answer::Open(Box::new(Opening {
            five_tuple: from,
            owner,
            transport,
            request: request.frame().transaction_id(),
            charge,
            lifetime,
            address,
            ports,
            even,
            success: Response::success(request.frame()),
            refusal: Response::error(request.frame(), full.code(), full.reason()),
            probe: self.probe_of(request.frame()),
        })))
    }

    /// Ends an opening: with the address that a relay socket was bound to, or with 508 when none could be.
    pub fn opened(
        &mut self,
        opening: Opening,
        bound: io::Result<SocketAddr>,
        now: Instant,
        reply: &mut Vec<u8>,
    ) -> Option<AllocationId> {
        let Opening { five_tuple, owner, transport, request, charge, lifetime, success, refusal, probe, .. } = opening;
        let key: IntegrityKey = owner.key.clone();
        let Ok(bound) = bound.map(canonical) else {
            self.counters.rejects += 1;
            self.note(probe, five_tuple, method::ALLOCATE, Reject::InsufficientCapacity.outcome(), now);
            refusal.sign(key.bytes(), reply);
            return None;
        };
        let relayed = SocketAddr::new(self.options.addresses.advertised(bound.ip()), bound.port());
        if let Scope::Room(member) = owner.scope {
            self.options.verifier.memberships().saw(member, five_tuple.client.ip());
        }
        let expires = now + lifetime;
        let id = self.insert(Grant { five_tuple, owner, transport, request, bound, relayed, expires, charge }, now);
        self.note(probe, five_tuple, method::ALLOCATE, Outcome::Answered, now);
        describe(success, relayed, five_tuple, lifetime).sign(key.bytes(), reply);
        Some(id)
    }
}

/// REQUESTED-TRANSPORT (RFC 8656 section 7.2). TCP is for clients that come by TCP or TLS, and goes without what is about
/// datagrams and pairs of ports (RFC 6062 section 5.1).
fn relay_transport(from: FiveTuple, request: &Request<'_>) -> Result<RelayTransport, Reject> {
    match request.requested_transport()? {
        None => Err(Reject::BadRequest),
        Some(UDP) => Ok(RelayTransport::Udp),
        Some(TCP) if from.transport.is_stream() => {
            let foreign = [ATTR_EVEN_PORT, ATTR_RESERVATION_TOKEN, ATTR_DONT_FRAGMENT];
            let has_any = foreign.into_iter().any(|kind| request.frame().get(kind).is_some());
            if has_any { Err(Reject::BadRequest) } else { Ok(RelayTransport::Tcp) }
        }
        Some(_) => Err(Reject::UnsupportedTransport),
    }
}

/// A retransmission is answered as the first one was; anything else on a five-tuple that has an allocation is a 437.
fn repeat(allocation: &Allocation, request: &Request<'_>, owner: &Owner, now: Instant) -> Result<Response, Reject> {
    let same = allocation.request == request.frame().transaction_id() && allocation.owner.username == owner.username;
    if !same {
        return Err(Reject::AllocationMismatch);
    }
    let left = allocation.expires.saturating_duration_since(now);
    let left = Duration::from_secs(left.as_millis().div_ceil(1000) as u64);
    Ok(describe(Response::success(request.frame()), allocation.relayed, allocation.five_tuple, left))
}

fn describe(response: Response, relayed: SocketAddr, five_tuple: FiveTuple, lifetime: Duration) -> Response {
    response.relayed_address(relayed).lifetime(lifetime).mapped_address(five_tuple.client)
}

/// What a client gets of the lifetime it asks for.
pub(super) fn granted(request: &Request<'_>) -> Result<Duration, Reject> {
    Ok(request.lifetime()?.unwrap_or(DEFAULT_LIFETIME).clamp(DEFAULT_LIFETIME, MAX_LIFETIME))
}
