//! What something took.

use std::time::Duration;

/// How often something was done, and what that took.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    pub count: u64,
    pub lost: u64,
    /// Of the server alone.
    pub cpu: Duration,
    pub wall: Duration,
}

impl Cost {
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.lost += other.lost;
        self.cpu += other.cpu;
        self.wall += other.wall;
    }

    /// CPU for one.
    pub fn micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.count as f64
    }

    /// How many in a second.
    pub fn rate(&self) -> f64 {
        self.count as f64 / self.wall.as_secs_f64()
    }
}
