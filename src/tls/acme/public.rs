//! What of ACME is in force: shared by the listener, the web side and the [`Keeper`](super::Keeper).

use std::sync::{Arc, PoisonError, RwLock};

use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use super::certificate::Certificate;
use super::challenges::Challenges;

/// The gauge of the seconds to the certificate's end.
const SECONDS: &str = "lanturn_acme_certificate_seconds";

/// The certificate of a public authority, if there is one, and the answers to its challenges.
#[derive(Debug, Default)]
pub struct Public {
    certificate: RwLock<Option<Certificate>>,
    pub(in crate::tls) challenges: Arc<Challenges>,
}

impl Public {
    /// Shows another certificate, or none, from the next handshake on.
    pub(in crate::tls) fn show(&self, certificate: Option<Certificate>) {
        let mut shown = self.certificate.write().unwrap_or_else(PoisonError::into_inner);
        if shown.is_some() && certificate.is_none() {
            metrics::gauge!(SECONDS).set(0.0);
        }
        *shown = certificate;
        drop(shown);
        self.measure();
    }

    /// What to show to a client that asks for this name now.
    pub(in crate::tls) fn certified_for(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let now = OffsetDateTime::now_utc();
        self.of(|certificate| certificate.filter(|found| found.is_for(name, now)).map(|found| found.certified.clone()))
    }

    /// Whether a public authority vouches for this name now, so that there is nothing for a device to be told.
    pub fn vouches_for(&self, name: &str) -> bool {
        self.certified_for(name).is_some()
    }

    /// What to answer to a token over HTTP (RFC 8555 section 8.3), if it is in force.
    pub fn key_authorization(&self, token: &str) -> Option<String> {
        self.challenges.key_authorization(token)
    }

    /// Brings the gauge up to date.
    pub fn measure(&self) {
        let end = self.of(|certificate| certificate.map(|found| found.validity.not_after));
        if let Some(end) = end {
            metrics::gauge!(SECONDS).set((end - OffsetDateTime::now_utc()).as_seconds_f64());
        }
    }

    fn of<T>(&self, read: impl FnOnce(Option<&Certificate>) -> T) -> T {
        read(self.certificate.read().unwrap_or_else(PoisonError::into_inner).as_ref())
    }
}
