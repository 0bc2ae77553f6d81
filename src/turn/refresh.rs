//! Refresh (RFC 8656 section 8).

use std::time::{Duration, Instant};

use super::addresses::Family;
use super::allocate::granted;
use super::allocation::Owner;
use super::five_tuple::FiveTuple;
use super::reject::Reject;
use super::server::{Answer, Server};
use crate::stun::{MOBILITY_TICKET, Request, Response};

impl Server {
    pub(super) fn handle_refresh(
        &mut self,
        from: FiveTuple,
        request: &Request<'_>,
        owner: &Owner,
        now: Instant,
    ) -> Result<Answer, Reject> {
        let family = request.requested_address_family().map_err(|_| Reject::PeerAddressFamilyMismatch)?;
        let ends = request.lifetime()? == Some(Duration::ZERO);
        let lifetime = if ends { Duration::ZERO } else { owner.bounded(granted(request)?, now) };
        match self.allocations.own(&from, owner, now) {
            // The answer to an earlier copy of this request was lost: there is nothing left to end.
            Err(Reject::AllocationMismatch) if ends => {
                return Ok(Answer::Success(Response::success(request.frame()).lifetime(lifetime)));
            }
            other => other?,
        };
        let wanted = |is: Family| family.is_none_or(|family| family == is.code());
        let ids: Vec<_> =
            self.allocations.all_of(&from, now).filter(|one| wanted(one.family())).map(|one| one.id).collect();
        if ids.is_empty() {
            return Err(Reject::PeerAddressFamilyMismatch);
        }
        let first = ids[0];
        for id in ids {
            // Its entry in the expiry stays: that is due sooner than any lifetime ends, and then finds the new one.
            if let Some(allocation) = self.allocations.get_mut(id) {
                allocation.expires = now + lifetime;
                // It may have shown a new token.
                allocation.owner.clone_from(owner);
            }
            if ends {
                self.end(id);
            }
        }
        let success = Response::success(request.frame()).lifetime(lifetime);
        let ticket = request.frame().get(MOBILITY_TICKET).and_then(|_| self.sealed(first));
        Ok(Answer::Success(match ticket {
            Some(ticket) => success.mobility_ticket(&ticket),
            None => success,
        }))
    }
}
