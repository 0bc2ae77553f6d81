//! The architecture.

pub mod cli;
pub mod config;
pub mod credentials;
mod files;
pub mod limit;
pub mod listener;
pub mod metrics;
pub mod relay;
pub mod stun;
pub mod tls;
pub mod turn;
