//! What the tests share: the binary under test, and clients for it.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub, reason = "a test may panic, and not every binary uses all")]

pub mod conn;
pub mod server;
pub mod tls;
pub mod turn_client;

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until a condition holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < give_up, "this never came about: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
