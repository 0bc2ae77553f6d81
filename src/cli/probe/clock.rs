//! How long things may take.

use std::time::Duration;

use tokio::time::Instant;

/// How long one step may take. Several times what a link across the world needs, retransmissions included.
const STEP: Duration = Duration::from_secs(3);
/// When a UDP request is sent again for the first time, then after twice as long, and so on. RFC 8489 section 6.2.1 says
/// 500 ms where nothing is known of the way; nobody is flooded by a probe, and people wait for it.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The deadlines of one run.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Clock {
    end: Instant,
}

impl Clock {
    /// Everything ends within `whole` from now, whatever the steps would still be allowed.
    pub(in crate::cli) fn start(whole: Duration) -> Self {
        Self { end: Instant::now() + whole }
    }

    /// When a step that begins now has to end.
    pub(in crate::cli) fn step(self) -> Instant {
        self.end.min(Instant::now() + STEP)
    }
}

/// When a request is sent again, each time after twice as long.
#[derive(Debug)]
pub(super) struct Retransmission(Duration);

impl Retransmission {
    pub(super) fn new() -> Self {
        Self(FIRST_WAIT)
    }

    /// The next time, no later than `deadline`.
    pub(super) fn next(&mut self, deadline: Instant) -> Instant {
        let next = deadline.min(Instant::now() + self.0);
        self.0 = (self.0 * 2).min(STEP);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_step_ends_after_the_whole() {
        let clock = Clock::start(Duration::from_secs(4));
        let start = Instant::now();
        assert_eq!(clock.step(), start + STEP);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.step(), start + Duration::from_secs(4));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(clock.step(), start + Duration::from_secs(4), "what has no time left ends at once");
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_is_twice_the_last() {
        let (mut again, deadline) = (Retransmission::new(), Instant::now() + Duration::from_secs(3));
        let waits: Vec<_> = (0..5).map(|_| (again.next(deadline) - Instant::now()).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 3000]);
    }
}
