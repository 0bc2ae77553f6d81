//! TURN, RFC 8656.

mod rule;

pub use rule::{PeerRule, PeerRuleError};
