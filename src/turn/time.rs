//! The two clocks that the core is told of.

use std::time::Instant;

/// One moment on both clocks. The core never reads either.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The monotonic clock: lifetimes and rates.
    pub instant: Instant,
    /// Seconds since the Unix epoch: credentials and nonces.
    pub unix: u64,
}
