//! An allocation: a client, its relayed address, and whom it may exchange packets with (RFC 8656 section 3.2).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::FastMap;
use super::addresses::Family;
use super::five_tuple::FiveTuple;
use super::quota::Charge;
use super::reject::Reject;
use super::relayed::RelayTransport;
use super::reservation::ReservationToken;
use crate::credentials::{IntegrityKey, Scope, minted_id};
use crate::stun::{ChannelNumber, TransactionId};

/// How long a permission lasts (RFC 8656 section 9).
pub const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// How long a channel binding lasts (RFC 8656 section 12).
pub const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);
/// How often what has expired inside an allocation is swept out.
const SWEEP: Duration = Duration::from_secs(60);

/// Names an allocation on its shard. An index that is used again has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AllocationId {
    /// Its place.
    pub index: u32,
    /// Which of the allocations that had this place.
    pub generation: u32,
}

impl AllocationId {
    /// Names none: generations begin with 1.
    pub(super) const NOWHERE: Self = Self { index: 0, generation: 0 };
}

/// Who made an allocation.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) username: String,
    pub(super) key: IntegrityKey,
    pub(super) scope: Scope,
    /// When the access token ends that says so.
    pub(super) until: Option<Instant>,
}

impl Owner {
    /// Whether a request by `other` is about what is this one's. Tokens may follow one another under several keys, and only
    /// whoever is at the client's address has a nonce for it.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self.until, other.until) {
            (Some(_), Some(_)) => true,
            (None, None) => self.username == other.username,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Whose quota it counts against. A user has as many minted names as credentials, which differ in when they end; and
    /// all who hold tokens under one key have the same USERNAME.
    pub(super) fn account(&self) -> String {
        if self.until.is_none() {
            return match minted_id(&self.username) {
                Some(id) => format!(":{id}"),
                None => self.username.clone(),
            };
        }
        let hash = ring::digest::digest(&ring::digest::SHA256, self.key.bytes());
        let hash: String = hash.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}/{hash}", self.username)
    }

    /// A lifetime, or what is left of the token (RFC 7635 section 4.1.1).
    pub(super) fn bounded(&self, lifetime: Duration, now: Instant) -> Duration {
        self.until.map_or(lifetime, |until| lifetime.min(until.saturating_duration_since(now)))
    }
}

#[derive(Debug)]
struct ChannelBinding {
    peer: SocketAddr,
    expires: Instant,
}

/// One allocation.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) id: AllocationId,
    pub(super) five_tuple: FiveTuple,
    pub(super) owner: Owner,
    pub(super) transport: RelayTransport,
    /// Of the Allocate request that made it: a retransmission is answered with the same success.
    pub(super) request: TransactionId,
    /// The address that the relay socket is bound to.
    pub(super) bound: SocketAddr,
    /// The address that peers see: the same, or its outer one behind a 1:1 NAT.
    pub(super) relayed: SocketAddr,
    pub(super) expires: Instant,
    /// The one of the other address family on the same five-tuple.
    pub(super) sibling: Option<AllocationId>,
    pub(super) told: Told,
    /// How often it was moved to another five-tuple.
    pub(super) moves: u32,
    /// Its entry in the server's expiry.
    pub(super) wake: Instant,
    pub(super) charge: Charge,
    permissions: FastMap<IpAddr, Instant>,
    channels: FastMap<ChannelNumber, ChannelBinding>,
    by_peer: FastMap<SocketAddr, ChannelNumber>,
}

/// What the success said besides addresses: a retransmission is told the same.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// For the port beside this one.
    pub(super) token: Option<ReservationToken>,
    /// The address family that was asked for as well, and the code that said why there is none.
    pub(super) lacks: Option<(Family, u16)>,
    /// Whether it has a ticket, with which it can be moved.
    pub(super) mobile: bool,
}

/// What a new allocation is made of.
pub(super) struct Grant {
    pub(super) five_tuple: FiveTuple,
    pub(super) owner: Owner,
    pub(super) transport: RelayTransport,
    pub(super) request: TransactionId,
    pub(super) bound: SocketAddr,
    pub(super) relayed: SocketAddr,
    pub(super) expires: Instant,
    pub(super) charge: Charge,
}

impl Allocation {
    pub(super) fn new(id: AllocationId, grant: Grant) -> Self {
        let Grant { five_tuple, owner, transport, request, bound, relayed, expires, charge } = grant;
        let (permissions, channels, by_peer) = Default::default();
        Self {
            id,
            five_tuple,
            owner,
            transport,
            request,
            bound,
            relayed,
            expires,
            sibling: None,
            told: Told::default(),
            moves: 0,
            wake: expires,
            charge,
            permissions,
            channels,
            by_peer,
        }
    }

    /// That of the relayed address, and so of its peers.
    pub(super) fn family(&self) -> Family {
        Family::of(self.relayed.ip())
    }

    /// Whether packets may pass between the client and any port of the peer.
    pub(super) fn permits(&self, peer: IpAddr, now: Instant) -> bool {
        self.permissions.get(&peer).is_some_and(|&expires| expires > now)
    }

    /// The peer of a bound channel.
    pub(super) fn peer_of(&self, channel: ChannelNumber, now: Instant) -> Option<SocketAddr> {
        self.channels.get(&channel).filter(|binding| binding.expires > now).map(|binding| binding.peer)
    }

    /// The channel bound to a peer.
    pub(super) fn channel_of(&self, peer: SocketAddr, now: Instant) -> Option<ChannelNumber> {
        let channel = self.by_peer.get(&peer)?;
        self.peer_of(*channel, now).map(|_| *channel)
    }

    /// Installs or refreshes permissions, each peer named once, all or none, and says which are new.
    ///
    /// # Errors
    /// [`Reject::InsufficientCapacity`] when the quota does not reach for all the new ones.
    pub(super) fn permit(&mut self, peers: &[IpAddr], now: Instant) -> Result<Vec<IpAddr>, Reject> {
        self.sweep_permissions(now);
        let new: Vec<IpAddr> = peers.iter().filter(|peer| !self.permissions.contains_key(peer)).copied().collect();
        for taken in 0..new.len() as u32 {
            if !self.charge.take_permission() {
                self.charge.give_permissions(taken);
                return Err(Reject::InsufficientCapacity);
            }
        }
        self.permissions.extend(peers.iter().map(|&peer| (peer, now + PERMISSION_LIFETIME)));
        Ok(new)
    }

    /// Binds or refreshes a channel, and the permission for its peer (RFC 8656 section 12.2).
    ///
    /// # Errors
    /// [`Reject::BadRequest`] when the channel or the peer is bound to another, [`Reject::InsufficientCapacity`] when
    /// a quota is used up.
    pub(super) fn bind(&mut self, channel: ChannelNumber, peer: SocketAddr, now: Instant) -> Result<(), Reject> {
        self.sweep_channels(now);
        let bound = self.channels.get(&channel);
        if bound.is_some_and(|binding| binding.peer != peer)
            || self.by_peer.get(&peer).is_some_and(|&other| other != channel)
        {
            return Err(Reject::BadRequest);
        }
        let is_new = bound.is_none();
        if is_new && !self.charge.take_channel() {
            return Err(Reject::InsufficientCapacity);
        }
        if let Err(reject) = self.permit(&[peer.ip()], now) {
            if is_new {
                self.charge.give_channels(1);
            }
            return Err(reject);
        }
        self.channels.insert(channel, ChannelBinding { peer, expires: now + CHANNEL_LIFETIME });
        self.by_peer.insert(peer, channel);
        Ok(())
    }

    /// Takes back permissions that were just given.
    pub(super) fn withdraw(&mut self, peers: &[IpAddr]) {
        for peer in peers {
            if self.permissions.remove(peer).is_some() {
                self.charge.give_permissions(1);
            }
        }
    }

    /// Gives back what has expired.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.sweep_permissions(now);
        self.sweep_channels(now);
    }

    /// When to look at it again.
    pub(super) fn next_wake(&self, now: Instant) -> Instant {
        self.expires.min(now + SWEEP)
    }

    fn sweep_permissions(&mut self, now: Instant) {
        let before = self.permissions.len();
        self.permissions.retain(|_, expires| *expires > now);
        self.charge.give_permissions((before - self.permissions.len()) as u32);
    }

    fn sweep_channels(&mut self, now: Instant) {
        let before = self.channels.len();
        self.channels.retain(|_, binding| binding.expires > now);
        let gone = before - self.channels.len();
        if gone > 0 {
            self.by_peer.retain(|_, channel| self.channels.contains_key(channel));
            self.charge.give_channels(gone as u32);
        }
    }
}
