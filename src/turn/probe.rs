//! Notes for those who test their way. Only requests that are signed or refused come here: what media goes through
//! does not.

use std::time::Instant;

use stun::attributes::{ATTR_SOFTWARE, ATTR_USERNAME};

use super::five_tuple::FiveTuple;
use super::server::Server;
use crate::sightings::{Outcome, ProbeId, Sighting};
use crate::stun::{Frame, Method, method};

impl Server {
    /// The probe that a request says it is of. Nothing is read of it while there are none.
    pub(super) fn probe_of(&self, frame: &Frame<'_>) -> Option<ProbeId> {
        if self.shared.sightings.is_empty() {
            return None;
        }
        let by_software = frame.text(ATTR_SOFTWARE).and_then(ProbeId::of_software);
        by_software.or_else(|| frame.text(ATTR_USERNAME).and_then(ProbeId::of_username))
    }

    /// Notes a request of a probe, if it is one's.
    pub(super) fn note(
        &mut self,
        probe: Option<ProbeId>,
        from: FiveTuple,
        method: Method,
        outcome: Outcome,
        now: Instant,
    ) {
        let (Some(id), Some(method)) = (probe, name(method)) else { return };
        let sighting = Sighting { transport: from.transport.name(), client: from.client, method, outcome };
        if !self.shared.sightings.note(id, sighting, now) {
            self.counters.sightings_dropped += 1;
        }
    }
}

/// Of the methods that need a credential.
fn name(method: Method) -> Option<&'static str> {
    match method {
        method::ALLOCATE => Some("allocate"),
        method::REFRESH => Some("refresh"),
        method::CREATE_PERMISSION => Some("create-permission"),
        method::CHANNEL_BIND => Some("channel-bind"),
        method::CONNECT => Some("connect"),
        method::CONNECTION_BIND => Some("connection-bind"),
        _ => None,
    }
}
