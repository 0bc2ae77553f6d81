//! How fast one connection may send.

use std::time::Duration;

/// How many seconds' worth of messages may come at once: joining a full room sends a burst of candidates.
const BURST: u32 = 4;
/// Messages in a row over the rate that end the connection.
pub(crate) const MAX_IN_A_ROW: u32 = 10;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paced {
    /// It is within the rate.
    Pass,
    /// It is over the rate, and dropped.
    Drop,
    /// It is one too many over the rate: the connection ends.
    Close,
}

/// A generic cell rate algorithm for one connection. Time is an argument.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    burst: Duration,
    full_at: Duration,
    over_in_a_row: u32,
}

impl Pace {
    /// At most `rate` (at least 1) messages a second in the long run.
    pub(crate) fn new(rate: u32) -> Self {
        let interval = Duration::from_secs(1) / rate.max(1);
        Self { interval, burst: interval * rate.max(1) * BURST, full_at: Duration::ZERO, over_in_a_row: 0 }
    }

    /// Counts one message at `now`, the time since any fixed start.
    pub(crate) fn take(&mut self, now: Duration) -> Paced {
        let next = self.full_at.max(now) + self.interval;
        if next <= now + self.burst {
            self.full_at = next;
            self.over_in_a_row = 0;
            return Paced::Pass;
        }
        self.over_in_a_row += 1;
        if self.over_in_a_row >= MAX_IN_A_ROW { Paced::Close } else { Paced::Drop }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_drops_then_ends() {
        let mut pace = Pace::new(50);
        let now = Duration::from_secs(9);
        let all: Vec<_> = (0..300).map(|_| pace.take(now)).collect();
        assert_eq!(all.iter().position(|p| *p == Paced::Drop), Some(200));
        assert_eq!(all.iter().position(|p| *p == Paced::Close), Some(200 + MAX_IN_A_ROW as usize - 1));
        assert_eq!(pace.take(now + Duration::from_millis(20)), Paced::Pass, "the rate goes on");
        assert_eq!(pace.take(now + Duration::from_millis(20)), Paced::Drop, "and forgives what was before");
    }
}
