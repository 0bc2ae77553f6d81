//! The architecture.

pub mod credentials;
pub mod limit;
pub mod signaling;
