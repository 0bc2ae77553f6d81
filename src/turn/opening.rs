//! An allocation that waits for its relay sockets: success is said only of what exists.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::Rng as _;

use super::addresses::Family;
use super::allocation::{Allocation, AllocationId, Grant, Owner, Told};
use super::five_tuple::{FiveTuple, canonical};
use super::ports::Candidates;
use super::quota::Charge;
use super::reject::Reject;
use super::relayed::RelayTransport;
use super::reservation::ReservationToken;
use super::server::Server;
use crate::credentials::Scope;
use crate::sightings::{Outcome, ProbeId};
use crate::stun::{Response, TransactionId, method};

/// An allocation in the making: one relay socket, or one of each address family (RFC 8656 section 7.2).
#[derive(Debug)]
pub struct Opening {
    pub(super) five_tuple: FiveTuple,
    pub(super) owner: Owner,
    pub(super) transport: RelayTransport,
    pub(super) request: TransactionId,
    pub(super) lifetime: Duration,
    pub(super) wanted: Vec<Wanted>,
    /// For the port beside the first one, where that is to be held back.
    pub(super) beside: Option<Charge>,
    /// The family that was asked for as well and is not to be had, with the code that says why.
    pub(super) lacks: Option<(Family, Reject)>,
    /// Whether its client is told of ICMP errors.
    pub(super) icmp: bool,
    /// Whether it wants a ticket.
    pub(super) mobile: bool,
    pub(super) success: Response,
    pub(super) refusal: Response,
    /// Whose way is tested with it.
    pub(super) probe: Option<ProbeId>,
}

/// A relay socket that an [`Opening`] needs.
#[derive(Debug)]
pub struct Wanted {
    pub(super) charge: Charge,
    pub(super) port: Port,
}

/// Where a relay socket is to be bound.
#[derive(Debug)]
pub(super) enum Port {
    /// On any that is free, or any even one. The open ones come first, and those that were just closed last.
    Free { address: IpAddr, open: Option<Candidates>, ports: Candidates, even: bool, closed: Vec<u16> },
    /// It is bound, and was held back.
    Reserved(SocketAddr),
}

impl Opening {
    /// What the sockets are to speak.
    pub fn transport(&self) -> RelayTransport {
        self.transport
    }

    /// The sockets, in the order in which [`Server::opened`] takes them.
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// Whether the sockets are to keep the ICMP errors for what they send.
    pub fn wants_errors(&self) -> bool {
        self.icmp
    }

    /// Whether the port after that of the first socket is to be bound as well, and held back.
    pub fn wants_pair(&self) -> bool {
        self.beside.is_some()
    }
}

impl Wanted {
    /// The addresses to try, in this order. The first that can be bound is the one.
    pub fn candidates(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let (address, open, ports, even, closed) = match &self.port {
            Port::Free { address, open, ports, even, closed } => (*address, *open, Some(*ports), *even, &closed[..]),
            Port::Reserved(bound) => (bound.ip(), None, None, false, &[][..]),
        };
        let fits = move |port: &u16| !even || port.is_multiple_of(2);
        let all = move || open.into_iter().chain(ports).flatten().filter(fits);
        let first = all().filter(|port| !closed.contains(port));
        let last = all().filter(|port| closed.contains(port));
        first.chain(last).map(move |port| SocketAddr::new(address, port))
    }

    /// The address of the socket that was held back for it.
    pub fn reserved(&self) -> Option<SocketAddr> {
        match self.port {
            Port::Reserved(bound) => Some(bound),
            Port::Free { .. } => None,
        }
    }

    fn family(&self) -> Family {
        match self.port {
            Port::Free { address, .. } => Family::of(address),
            Port::Reserved(bound) => Family::of(bound.ip()),
        }
    }
}

impl Server {
    /// Ends an opening, with the addresses that its relay sockets were bound to: `None` for each that could not be. The
    /// ids are those of the sockets, in the same order.
    pub fn opened(
        &mut self,
        opening: Opening,
        bound: &[Option<SocketAddr>],
        now: Instant,
        reply: &mut Vec<u8>,
    ) -> Vec<Option<AllocationId>> {
        let Opening { five_tuple, owner, transport, request, lifetime, .. } = opening;
        let Opening { wanted, beside, mut lacks, mobile, success, refusal, probe, .. } = opening;
        let mut ids = Vec::with_capacity(wanted.len());
        for (Wanted { charge, .. }, bound) in split(wanted, bound, &mut lacks) {
            let id = bound.map(canonical).map(|bound| {
                let relayed = SocketAddr::new(self.options.addresses.advertised(bound.ip()), bound.port());
                let (owner, expires) = (owner.clone(), now + lifetime);
                self.insert(Grant { five_tuple, owner, transport, request, bound, relayed, expires, charge }, now)
            });
            ids.push(id);
        }
        let made: Vec<AllocationId> = ids.iter().flatten().copied().collect();
        let Some(&first) = made.first() else {
            self.counters.rejects += 1;
            self.note(probe, five_tuple, method::ALLOCATE, Reject::InsufficientCapacity.outcome(), now);
            refusal.sign(owner.key.bytes(), reply);
            return ids;
        };
        if let [one, other] = made[..] {
            self.allocations.join(one, other);
        }
        let token = beside.map(|charge| self.hold(first, &owner, charge, now));
        for &id in &made[1..] {
            if let Some(allocation) = self.allocations.get_mut(id) {
                allocation.told.mobile = mobile;
            }
        }
        if let Some(allocation) = self.allocations.get_mut(first) {
            allocation.told = Told { token, lacks: lacks.map(|(family, reject)| (family, reject.code())), mobile };
        }
        if let Scope::Room(member) = owner.scope {
            self.options.verifier.memberships().saw(member, five_tuple.client.ip());
        }
        self.note(probe, five_tuple, method::ALLOCATE, Outcome::Answered, now);
        self.describe(first, success, lifetime).sign(owner.key.bytes(), reply);
        ids
    }

    /// Holds back the port beside that of an allocation.
    fn hold(&mut self, id: AllocationId, owner: &Owner, charge: Charge, now: Instant) -> ReservationToken {
        let token = ReservationToken(self.rng.random());
        if let Some(Allocation { bound, .. }) = self.allocations.get(id) {
            let beside = SocketAddr::new(bound.ip(), bound.port() + 1);
            self.shared.reservations.hold(token, beside, &owner.username, charge, now);
        }
        token
    }

    /// What a success says of an allocation and of the one beside it (RFC 8656 section 7.3).
    pub(super) fn describe(&self, id: AllocationId, mut response: Response, lifetime: Duration) -> Response {
        let Some(first) = self.allocations.get(id) else { return response };
        let second = first.sibling.and_then(|sibling| self.allocations.get(sibling));
        for allocation in [Some(first), second].into_iter().flatten() {
            response = response.relayed_address(allocation.relayed);
        }
        let Told { token, lacks, mobile: _ } = first.told;
        if let Some(ReservationToken(token)) = token {
            response = response.reservation_token(token);
        }
        if let Some((family, code)) = lacks {
            response = response.address_error(family.code(), code, Reject::reason_of(code));
        }
        if let Some(ticket) = self.sealed(id) {
            response = response.mobility_ticket(&ticket);
        }
        response.lifetime(lifetime).mapped_address(first.five_tuple.client)
    }
}

/// Each socket with where it was bound. What could not be bound is lacking.
fn split<'a>(
    wanted: Vec<Wanted>,
    bound: &'a [Option<SocketAddr>],
    lacks: &'a mut Option<(Family, Reject)>,
) -> impl Iterator<Item = (Wanted, Option<SocketAddr>)> + 'a {
    wanted.into_iter().zip(bound).map(move |(wanted, &bound)| {
        if bound.is_none() {
            *lacks = Some((wanted.family(), Reject::InsufficientCapacity));
        }
        (wanted, bound)
    })
}
