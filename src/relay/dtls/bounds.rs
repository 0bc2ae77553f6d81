//! How many sessions there may be, over all shards: in all, and from one source prefix.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limit::{Shares, SourcePrefix};

/// The bounds. A prefix is an IPv4 address or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions in all, half-open ones among them.
    pub sessions: u32,
    /// The same from one source prefix.
    pub sessions_per_prefix: u32,
    /// Handshakes in all that have not ended.
    pub half_open: u32,
    /// The same from one source prefix.
    pub half_open_per_prefix: u32,
}

/// Counts the sessions.
#[derive(Debug)]
pub(crate) struct Bounds {
    limits: Limits,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    sessions: Share,
    half_open: Share,
}

#[derive(Debug, Default)]
struct Share {
    all: u32,
    prefixes: Shares,
}

impl Share {
    fn take(&mut self, source: SourcePrefix, all: u32, of_prefix: u32) -> bool {
        let is_free = self.all < all && self.prefixes.take(source, of_prefix);
        self.all += u32::from(is_free);
        is_free
    }

    fn give(&mut self, source: SourcePrefix) {
        self.all -= 1;
        self.prefixes.give(source);
    }
}

impl Bounds {
    /// There are none yet.
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, taken: Mutex::default() })
    }

    /// Lets a session in, as half open, or not.
    pub(super) fn admit(self: &Arc<Self>, client: IpAddr) -> Option<Ticket> {
        let (source, limits) = (SourcePrefix::from(client), &self.limits);
        let mut taken = self.lock();
        if !taken.half_open.take(source, limits.half_open, limits.half_open_per_prefix) {
            return None;
        }
        if !taken.sessions.take(source, limits.sessions, limits.sessions_per_prefix) {
            taken.half_open.give(source);
            return None;
        }
        Some(Ticket { bounds: Arc::clone(self), source, is_half_open: true })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stands for one session, until it is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    bounds: Arc<Bounds>,
    source: SourcePrefix,
    is_half_open: bool,
}

impl Ticket {
    pub(super) fn is_half_open(&self) -> bool {
        self.is_half_open
    }

    /// The handshake has ended well.
    pub(super) fn opened(&mut self) {
        if std::mem::take(&mut self.is_half_open) {
            self.bounds.lock().half_open.give(self.source);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.opened();
        self.bounds.lock().sessions.give(self.source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { sessions: 9, sessions_per_prefix: 6, half_open: 4, half_open_per_prefix: 3 };

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn half_open_ones_are_bounded_and_make_room_once_they_are_open() {
        let bounds = Bounds::new(LIMITS);
        let mut of_one: Vec<_> = std::iter::from_fn(|| bounds.admit(ip(1))).collect();
        assert_eq!(of_one.len(), 3, "of one source");
        let of_others: Vec<_> = (2..9).filter_map(|last| bounds.admit(ip(last))).collect();
        assert_eq!(of_others.len(), 1, "in all");
        of_one[0].opened();
        of_one[0].opened();
        assert!(bounds.admit(ip(1)).is_some());
    }

    #[test]
    fn sessions_are_bounded_and_leave_nothing_behind() {
        let bounds = Bounds::new(LIMITS);
        let open = |last| {
            bounds.admit(ip(last)).map(|mut ticket| {
                ticket.opened();
                ticket
            })
        };
        let of_one: Vec<_> = std::iter::from_fn(|| open(1)).collect();
        assert_eq!(of_one.len(), 6, "of one source");
        let of_others: Vec<_> = (2..20).filter_map(open).collect();
        assert_eq!(of_others.len(), 3, "in all");
        drop((of_one, of_others));
        let taken = bounds.lock();
        assert_eq!((taken.sessions.all, taken.half_open.all), (0, 0));
        assert!(taken.sessions.prefixes.is_empty() && taken.half_open.prefixes.is_empty());
    }
}
