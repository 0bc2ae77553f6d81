//! Allocate (RFC 8656 section 7).

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use stun::attributes::{ATTR_DONT_FRAGMENT, ATTR_EVEN_PORT, ATTR_RESERVATION_TOKEN};

use super::addresses::Family;
use super::allocation::Owner;
use super::five_tuple::FiveTuple;
use super::opening::{Opening, Port, Wanted};
use super::ports::Candidates;
use super::quota::Charge;
use super::reject::Reject;
use super::relayed::RelayTransport;
use super::reservation::ReservationToken;
use super::server::{Answer, Server};
use crate::limit::SourcePrefix;
use crate::stun::{MOBILITY_TICKET, Request, Response};

/// Granted when the client asks for nothing else, and the least that is granted (RFC 8656 section 7.2).
pub(super) const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
/// The most that is granted (RFC 8656 section 7.2 recommends an hour).
pub(super) const MAX_LIFETIME: Duration = Duration::from_secs(3600);
/// The IP protocol numbers in REQUESTED-TRANSPORT.
const UDP: u8 = 17;
const TCP: u8 = 6;

/// What an Allocate asks for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    what: What,
    /// EVEN-PORT, and whether the port after it is to be held back.
    even: Option<bool>,
    /// MOBILITY-TICKET.
    mobile: bool,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// An address of this family, or of the usual one.
    One(Option<Family>),
    /// ADDITIONAL-ADDRESS-FAMILY: one of each.
    Both,
    /// RESERVATION-TOKEN.
    Reserved(ReservationToken),
}

/// The family of two that is not to be had, and why.
type Lacking = Option<(Family, Reject)>;

impl Server {
    pub(super) fn handle_allocate(
        &mut self,
        from: FiveTuple,
        request: &Request<'_>,
        owner: Owner,
        now: Instant,
    ) -> Result<Answer, Reject> {
        if self.allocations.of(&from, now).is_some() {
            return self.repeat(from, request, &owner, now).map(Answer::Success);
        }
        // One that has expired and is not swept out yet neither stands in the way nor counts.
        self.disconnected(from);
        let transport = relay_transport(from, request)?;
        let asked = Asked::read(request)?;
        let lifetime = owner.bounded(granted(request)?, now);
        let alternate = self.alternate(&from);
        let elsewhere = |reject| match (reject, alternate) {
            (Reject::InsufficientCapacity, Some(_)) => Reject::TryAlternate,
            (reject, _) => reject,
        };
        let (wanted, lacks) = self.wanted(from, asked, &owner, now).map_err(elsewhere)?;
        let beside = match asked.even {
            Some(true) => Some(self.charge(from, &owner).map_err(elsewhere)?),
            Some(false) | None => None,
        };
        let full = elsewhere(Reject::InsufficientCapacity);
        let refusal = Response::error(request.frame(), full.code(), full.reason());
        let domain = self.options.alternate.domain.as_deref();
        Ok(Answer::Open(Box::new(Opening {
            five_tuple: from,
            owner,
            transport,
            request: request.frame().transaction_id(),
            lifetime,
            wanted,
            beside,
            lacks,
            icmp: self.options.icmp,
            // A listener and its connections stay where they are.
            mobile: asked.mobile && transport == RelayTransport::Udp,
            success: Response::success(request.frame()),
            refusal: alternate.into_iter().fold(refusal, |refusal, server| refusal.alternate(server, domain)),
            probe: self.probe_of(request.frame()),
        })))
    }

    /// The sockets that are needed, and the family that is not to be had where two were asked for.
    fn wanted(
        &mut self,
        from: FiveTuple,
        Asked { what, even, mobile: _ }: Asked,
        owner: &Owner,
        now: Instant,
    ) -> Result<(Vec<Wanted>, Lacking), Reject> {
        match what {
            What::One(family) => Ok((vec![self.place(from, family, even, owner)?], None)),
            What::Both => {
                let mut place = |family| (family, self.place(from, Some(family), even, owner));
                match [place(Family::V4), place(Family::V6)] {
                    [(_, Ok(one)), (_, Ok(other))] => Ok((vec![one, other], None)),
                    [(_, Ok(one)), (family, Err(reject))] | [(family, Err(reject)), (_, Ok(one))] => {
                        Ok((vec![one], Some((family, reject.of_family()))))
                    }
                    [(_, Err(reject)), (_, Err(_))] => Err(reject),
                }
            }
            What::Reserved(token) => {
                let claimed = self.shared.reservations.claim(token, &owner.username, now);
                let (bound, charge) = claimed.ok_or(Reject::InsufficientCapacity)?;
                Ok((vec![Wanted { charge, port: Port::Reserved(bound) }], None))
            }
        }
    }

    fn place(
        &mut self,
        from: FiveTuple,
        family: Option<Family>,
        even: Option<bool>,
        owner: &Owner,
    ) -> Result<Wanted, Reject> {
        // A port that is held back is one of them, too.
        let beside = u16::from(even == Some(true));
        let fitting = |all: &RangeInclusive<u16>| {
            Some(*all.start()..=all.end().saturating_sub(beside)).filter(|range| !range.is_empty())
        };
        let range = fitting(&self.options.ports).ok_or(Reject::InsufficientCapacity)?;
        let open = self.options.open_ports.as_ref().and_then(fitting);
        let address = self.options.addresses.choose(from.server.ip(), family);
        let address = address.ok_or(Reject::AddressFamilyNotSupported)?;
        let charge = self.charge(from, owner)?;
        let ports = Candidates::new(&range, &mut self.rng);
        let closed = self.shared.relayed.just_closed(address);
        let open = open.map(|open| Candidates::new(&open, &mut self.rng));
        Ok(Wanted { charge, port: Port::Free { address, open, ports, even: even.is_some(), closed } })
    }

    fn charge(&self, from: FiveTuple, owner: &Owner) -> Result<Charge, Reject> {
        self.shared.quota.charge(&owner.account(), SourcePrefix::from(from.client.ip()))
    }

    /// A retransmission is answered as the first one was; anything else on a five-tuple that has an allocation is a 437.
    fn repeat(&self, from: FiveTuple, request: &Request<'_>, owner: &Owner, now: Instant) -> Result<Response, Reject> {
        let allocation = self.allocations.of(&from, now).ok_or(Reject::AllocationMismatch)?;
        let same = allocation.request == request.frame().transaction_id();
        if !same || allocation.owner.username != owner.username {
            return Err(Reject::AllocationMismatch);
        }
        let left = allocation.expires.saturating_duration_since(now);
        let left = Duration::from_secs(left.as_millis().div_ceil(1000) as u64);
        Ok(self.describe(allocation.id, Response::success(request.frame()), left))
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
        // RFC 6062 section 5.1: over UDP there is no connection to go with a peer's.
        Some(TCP) => Err(Reject::BadRequest),
        Some(_) => Err(Reject::UnsupportedTransport),
    }
}

impl Asked {
    /// What goes together (RFC 8656 section 7.2).
    fn read(request: &Request<'_>) -> Result<Self, Reject> {
        let family = request.requested_address_family().map_err(|_| Reject::AddressFamilyNotSupported)?;
        let family = family.map(|family| if family == 1 { Family::V4 } else { Family::V6 });
        let even = request.even_port()?;
        let what = match (request.reservation_token()?, request.additional_address_family()?) {
            (None, None) => What::One(family),
            (None, Some(_)) if family.is_none() && even != Some(true) => What::Both,
            (Some(token), None) if family.is_none() && even.is_none() => What::Reserved(ReservationToken(token)),
            (_, _) => return Err(Reject::BadRequest),
        };
        let mobile = match request.frame().get(MOBILITY_TICKET).map(|ticket| ticket.value) {
            None => false,
            Some([]) => true,
            // RFC 8016 section 3.2.1: there is none yet.
            Some(_) => return Err(Reject::BadRequest),
        };
        Ok(Self { what, even, mobile })
    }
}

/// What a client gets of the lifetime it asks for.
pub(super) fn granted(request: &Request<'_>) -> Result<Duration, Reject> {
    Ok(request.lifetime()?.unwrap_or(DEFAULT_LIFETIME).clamp(DEFAULT_LIFETIME, MAX_LIFETIME))
}
