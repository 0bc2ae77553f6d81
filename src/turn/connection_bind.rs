//! ConnectionBind (RFC 6062 section 5.4).

use std::time::Instant;

use super::allocation::Owner;
use super::connections::State;
use super::five_tuple::FiveTuple;
use super::reject::Reject;
use super::relayed::ShardId;
use super::server::{Answer, Server};
use crate::stun::{Frame, Request, Response, method};

impl Server {
    /// The other shard that a ConnectionBind is for: the one that has the connection. Whether the client may have it is
    /// said there.
    pub(super) fn elsewhere(&self, from: &FiveTuple, frame: &Frame<'_>) -> Option<ShardId> {
        if frame.method() != method::CONNECTION_BIND || !from.transport.is_stream() || self.has_allocation(from) {
            return None;
        }
        self.shared.connections.get(frame.connection_id()?).filter(|shard| *shard != self.shard)
    }

    /// Whose allocation a request is about: a ConnectionBind comes on a connection of its own.
    pub(super) fn control_of(&self, from: FiveTuple, frame: &Frame<'_>) -> FiveTuple {
        let connection = frame.connection_id().filter(|_| frame.method() == method::CONNECTION_BIND);
        let connection = connection.and_then(|id| self.connections.get(id));
        connection
            .and_then(|connection| self.allocations.get(connection.allocation))
            .map_or(from, |found| found.five_tuple)
    }

    pub(super) fn handle_connection_bind(
        &mut self,
        from: FiveTuple,
        request: &Request<'_>,
        owner: &Owner,
        now: Instant,
    ) -> Result<Answer, Reject> {
        // A connection that messages of an allocation come on cannot be one of bare bytes.
        if !from.transport.is_stream() || self.allocations.of(&from, now).is_some() {
            return Err(Reject::BadRequest);
        }
        let id = request.frame().connection_id().ok_or(Reject::BadRequest)?;
        let connection = self.connections.get(id).filter(|connection| connection.is_pending(now));
        let allocation = connection.and_then(|connection| self.allocations.get(connection.allocation));
        let allocation = allocation.filter(|allocation| allocation.expires > now).ok_or(Reject::BadRequest)?;
        // It comes from another address than what the allocation is held by, so a token must be of the same key.
        if allocation.owner.account() != owner.account() {
            return Err(Reject::WrongCredentials);
        }
        self.connections.change(id, State::Bound, None);
        Ok(Answer::Bind(id, Response::success(request.frame())))
    }
}
