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
    /// CPU of the load itself, where that is told.
    pub generator: Duration,
}

impl Cost {
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.lost += other.lost;
        self.cpu += other.cpu;
        self.wall += other.wall;
        self.generator += other.generator;
    }

    /// CPU for one.
    pub fn micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.count as f64
    }

    /// How many in a second.
    pub fn rate(&self) -> f64 {
        self.count as f64 / self.wall.as_secs_f64()
    }

    /// How much of one core the server took.
    pub fn busy(&self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64()
    }
}
