//! ChannelBind (RFC 8656 section 12).

use std::time::Instant;

use super::addresses::Family;
use super::allocation::Owner;
use super::five_tuple::FiveTuple;
use super::policy::{Denied, Reachable};
use super::reject::Reject;
use super::relayed::{Party, RelayTransport};
use super::server::{Answer, Server};
use crate::stun::{Request, Response};

impl Server {
    pub(super) fn handle_channel_bind(
        &mut self,
        from: FiveTuple,
        request: &Request<'_>,
        owner: &Owner,
        now: Instant,
    ) -> Result<Answer, Reject> {
        if self.allocations.own(&from, owner, now)?.transport == RelayTransport::Tcp {
            return Err(Reject::BadRequest);
        }
        let channel = request.channel_number()?.ok_or(Reject::BadRequest)?;
        let [peer] = request.peer_addresses()?[..] else { return Err(Reject::BadRequest) };
        if self.authorize(&from, owner, peer.ip(), now)? == Reachable::Hairpin {
            // A channel, unlike a permission, names a port: one of this box's must be a relayed address now.
            let holder = self.shared.relayed.get(peer);
            if holder.is_none_or(|holder| holder.party != Party::from(owner.scope)) {
                self.counters.peers_denied += 1;
                return Err(Reject::Forbidden(Denied::NotRelayed));
            }
        }
        let other = self.allocations.all_of(&from, now).find(|one| one.family() != Family::of(peer.ip()));
        if other.is_some_and(|other| other.peer_of(channel, now).is_some()) {
            return Err(Reject::BadRequest);
        }
        self.allocations.own_of(&from, owner, Family::of(peer.ip()), now)?.bind(channel, peer, now)?;
        Ok(Answer::Success(Response::success(request.frame())))
    }
}
