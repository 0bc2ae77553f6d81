//! How many there may be at once, in all and from one source.
//!
//! Pure.

use crate::limit::{Shares, SourcePrefix};

/// So many slots, and how many of them each source has.
#[derive(Debug)]
pub(super) struct Slots {
    all: u32,
    per_prefix: u32,
    taken: u32,
    shares: Shares,
}

impl Slots {
    /// At most `all`, and at most `per_prefix` for one source.
    pub(super) fn new(all: u32, per_prefix: u32) -> Self {
        Self { all, per_prefix, taken: 0, shares: Shares::default() }
    }

    /// Takes one for `source`.
    ///
    /// # Errors
    /// Which of the bounds is reached.
    pub(super) fn take(&mut self, source: SourcePrefix) -> Result<(), &'static str> {
        if self.taken >= self.all {
            return Err("busy");
        }
        if !self.shares.take(source, self.per_prefix) {
            return Err("busy-prefix");
        }
        self.taken += 1;
        Ok(())
    }

    /// Gives back one that was taken.
    pub(super) fn give(&mut self, source: SourcePrefix) {
        self.shares.give(source);
        self.taken -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn each_bound_holds_until_a_slot_is_given_back() {
        let source = |last| IpAddr::from(Ipv4Addr::new(192, 0, 2, last)).into();
        let mut slots = Slots::new(3, 2);
        assert_eq!([(); 3].map(|()| slots.take(source(1))), [Ok(()), Ok(()), Err("busy-prefix")]);
        assert_eq!([2, 3].map(|last| slots.take(source(last))), [Ok(()), Err("busy")]);
        slots.give(source(1));
        assert_eq!([3, 1].map(|last| slots.take(source(last))), [Ok(()), Err("busy")]);
        slots.give(source(2));
        assert_eq!(slots.take(source(1)), Ok(()));
    }
}
