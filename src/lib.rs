//! The architecture.

pub mod credentials;
pub mod limit;
pub mod stun;
pub mod turn;
