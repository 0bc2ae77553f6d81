//! When to look at which allocation again: one entry an allocation, no timer for anything.

use std::collections::BTreeSet;
use std::time::Instant;

use super::allocation::AllocationId;

/// Moments in order.
#[derive(Debug, Default)]
pub(super) struct Expiry(BTreeSet<(Instant, AllocationId)>);

impl Expiry {
    pub(super) fn insert(&mut self, at: Instant, id: AllocationId) {
        self.0.insert((at, id));
    }

    pub(super) fn remove(&mut self, at: Instant, id: AllocationId) {
        self.0.remove(&(at, id));
    }

    /// The next moment at which something is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes one allocation that is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<AllocationId> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, id)| id)
    }
}
