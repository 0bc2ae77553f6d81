//! The memory that waiting messages may take: in all, and for the mailboxes of one source.
//!
//! Pure. Whoever reads what it is sent needs next to nothing, so a mailbox may always hold a little. Past that, it must
//! fit what is left.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use crate::limit::SourcePrefix;

/// What a mailbox may hold whatever the others do, in bytes.
pub(super) const ALWAYS: usize = 16 << 10;
/// What the mailboxes of one source may hold together whatever other sources do, in bytes.
const ALWAYS_OF_SOURCE: usize = 128 << 10;

/// How many bytes may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaitingLimits {
    /// For everybody.
    pub(super) all: usize,
    /// For the mailboxes of one source.
    pub(super) per_prefix: usize,
}

/// What waits for everybody, and for each source.
#[derive(Debug)]
pub(super) struct Budget {
    limits: WaitingLimits,
    all: Arc<AtomicUsize>,
    /// Of sources whose mailboxes are gone, some are still there: at most as many as there are mailboxes.
    sources: HashMap<SourcePrefix, Weak<AtomicUsize>>,
}

/// One mailbox's part in it. What it took is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Purse {
    limits: WaitingLimits,
    all: Arc<AtomicUsize>,
    source: Arc<AtomicUsize>,
    taken: usize,
}

impl Budget {
    pub(super) fn new(limits: WaitingLimits) -> Self {
        Self { limits, all: Arc::default(), sources: HashMap::new() }
    }

    /// Bytes that wait for everybody.
    pub(super) fn waiting(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    /// For a mailbox of `source`, one of at most `mailboxes` at a time.
    pub(super) fn purse(&mut self, source: SourcePrefix, mailboxes: usize) -> Purse {
        if self.sources.len() > 2 * mailboxes {
            self.sources.retain(|_, waiting| waiting.strong_count() > 0);
        }
        let known = self.sources.get(&source).and_then(Weak::upgrade);
        let waiting = known.unwrap_or_default();
        self.sources.insert(source, Arc::downgrade(&waiting));
        Purse { limits: self.limits, all: Arc::clone(&self.all), source: waiting, taken: 0 }
    }
}

impl Purse {
    /// The mailbox now holds `bytes`. Says whether it may.
    pub(super) fn hold(&mut self, bytes: usize) -> bool {
        if bytes > self.taken {
            self.all.fetch_add(bytes - self.taken, Ordering::Relaxed);
            self.source.fetch_add(bytes - self.taken, Ordering::Relaxed);
        } else {
            self.all.fetch_sub(self.taken - bytes, Ordering::Relaxed);
            self.source.fetch_sub(self.taken - bytes, Ordering::Relaxed);
        }
        self.taken = bytes;
        self.has_room_for(0)
    }

    /// Whether the mailbox may hold so many bytes more.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        let fits = |waiting: &AtomicUsize, limit| waiting.load(Ordering::Relaxed) + bytes <= limit;
        let fits_all = || fits(&self.all, self.limits.all) || fits(&self.source, ALWAYS_OF_SOURCE);
        self.taken + bytes <= ALWAYS || fits(&self.source, self.limits.per_prefix) && fits_all()
    }

    /// Whether there is enough for what has been sent to be kept, too: half of it is for what waits.
    pub(super) fn may_keep(&self) -> bool {
        let half = |waiting: &AtomicUsize, limit| waiting.load(Ordering::Relaxed) <= limit / 2;
        self.taken <= ALWAYS || half(&self.all, self.limits.all) && half(&self.source, self.limits.per_prefix)
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        self.hold(0);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn source(last: u8) -> SourcePrefix {
        IpAddr::from([192, 0, 2, last]).into()
    }

    #[test]
    fn one_source_cannot_take_what_is_for_all() {
        let big = ALWAYS_OF_SOURCE;
        let mut budget = Budget::new(WaitingLimits { all: 5 * big, per_prefix: 4 * big });
        let mut greedy: Vec<_> = (0..4).map(|_| budget.purse(source(1), 9)).collect();
        let fitted = greedy.iter_mut().filter_map(|purse| purse.hold(2 * big).then_some(())).count();
        assert_eq!(fitted, 2);
        let mut other = budget.purse(source(2), 9);
        assert!(other.hold(big) && !other.has_room_for(1), "one who is not greedy has a share of its own, and no more");
        let mut late = budget.purse(source(1), 9);
        assert!(late.hold(ALWAYS) && !late.hold(ALWAYS + 1), "each mailbox always holds a little");
        greedy.clear();
        assert!(late.hold(ALWAYS + 1) && late.may_keep(), "and what was taken comes back");
        assert!(late.hold(3 * big) && !late.may_keep(), "half is for what waits");
        drop((other, late));
        assert_eq!(budget.waiting(), 0);
    }

    #[test]
    fn sources_that_are_gone_are_forgotten() {
        let mut budget = Budget::new(WaitingLimits { all: 1, per_prefix: 1 });
        for last in 0..=255 {
            budget.purse(source(last), 4);
        }
        assert!(budget.sources.len() <= 9);
    }
}
