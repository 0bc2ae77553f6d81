//! What the relay needs for DTLS.

use std::sync::Arc;

use super::live::Fresh;
use crate::config::Limits;
use crate::relay;

/// The certificate that TLS shows too. None, and the log says so, when its key is of a kind that DTLS does not take.
pub(super) fn identity(fresh: &Fresh) -> Option<Arc<relay::Identity>> {
    let (certificate, key) = fresh.identity.certificate_and_key();
    match relay::Identity::new(certificate, key) {
        Ok(identity) => Some(Arc::new(identity)),
        Err(error) => {
            tracing::warn!("TURN over DTLS is off: it takes an ECDSA key on P-256 or P-384 in key.pem ({error})");
            None
        }
    }
}

/// As many sessions as there may be TCP connections, beside them.
pub(super) fn limits(limits: &Limits) -> relay::Limits {
    relay::Limits {
        sessions: limits.connections,
        sessions_per_prefix: limits.connections_per_prefix,
        half_open: limits.half_open,
        half_open_per_prefix: limits.half_open_per_prefix,
    }
}
