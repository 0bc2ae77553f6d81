//! The architecture.

pub mod credentials;
pub mod limit;
pub mod listener;
pub mod relay;
pub mod stun;
pub mod turn;
