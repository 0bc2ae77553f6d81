//! The architecture.

pub mod credentials;
pub mod http;
pub mod limit;
pub mod signaling;
