//! CreatePermission (RFC 8656 section 9), and the check of peer addresses that ChannelBind shares.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::addresses::Family;
use super::allocation::Owner;
use super::five_tuple::FiveTuple;
use super::policy::Reachable;
use super::reject::Reject;
use super::server::{Answer, Server};
use crate::stun::{Request, Response};

impl Server {
    /// All addresses of the request get a permission, or none does.
    pub(super) fn handle_create_permission(
        &mut self,
        from: FiveTuple,
        request: &Request<'_>,
        owner: &Owner,
        now: Instant,
    ) -> Result<Answer, Reject> {
        self.allocations.own(&from, owner, now)?;
        let peers = request.peer_addresses()?;
        if peers.is_empty() {
            return Err(Reject::BadRequest);
        }
        // A request has room for thousands of addresses, and permissions are for an address without its port.
        let mut peers: Vec<IpAddr> = peers.iter().map(SocketAddr::ip).collect();
        peers.sort_unstable();
        peers.dedup();
        for peer in &peers {
            self.authorize(&from, owner, *peer, now)?;
        }
        self.permit_all(&from, owner, &peers, now)?;
        Ok(Answer::Success(Response::success(request.frame())))
    }

    /// In the allocation of each address family, or in none.
    fn permit_all(&mut self, from: &FiveTuple, owner: &Owner, peers: &[IpAddr], now: Instant) -> Result<(), Reject> {
        // They are sorted, and IPv4 comes first.
        let (v4, v6) = peers.split_at(peers.partition_point(IpAddr::is_ipv4));
        let mut given = Vec::new();
        if !v4.is_empty() {
            given = self.allocations.own_of(from, owner, Family::V4, now)?.permit(v4, now)?;
        }
        if !v6.is_empty() {
            let permitted = self.allocations.own_of(from, owner, Family::V6, now)?.permit(v6, now);
            if permitted.is_err() && !v4.is_empty() {
                self.allocations.own_of(from, owner, Family::V4, now)?.withdraw(&given);
            }
            permitted?;
        }
        Ok(())
    }

    /// Whether the owner of an allocation may exchange packets with a peer address, and how it is reached.
    ///
    /// # Errors
    /// 443 for another address family than the relayed address has, 403 when the policy refuses.
    pub(super) fn authorize(
        &mut self,
        from: &FiveTuple,
        owner: &Owner,
        peer: IpAddr,
        now: Instant,
    ) -> Result<Reachable, Reject> {
        self.allocations.own_of(from, owner, Family::of(peer), now)?;
        let options = &self.options;
        let rooms = options.verifier.memberships();
        options.policy.authorize_peer(owner.scope, peer, rooms).map_err(|denied| {
            tracing::debug!(%peer, user = %owner.username, ?denied, "peer refused");
            self.counters.peers_denied += 1;
            Reject::Forbidden(denied)
        })
    }
}
