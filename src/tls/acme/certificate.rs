//! The certificate that was ordered: `acme.pem` and `acme.key`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use super::error::OrderError;
use super::schedule::Validity;
use crate::files::Readers;
use crate::tls::Error;
use crate::tls::names::Names;
use crate::tls::store::{self, Remedy};

/// A certificate chain with its key, and what it is for.
#[derive(Debug)]
pub struct Certificate {
    pub(in crate::tls) certified: Arc<CertifiedKey>,
    /// In lower case.
    names: Vec<String>,
    pub(super) validity: Validity,
}

impl Certificate {
    /// The one in `dir`, if it is there whole.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, Error> {
        let (cert_file, key_file) = files(dir);
        let (Some(pem), Some(key)) = (store::read(&cert_file)?, store::read_key(&key_file)?) else {
            return Ok(None);
        };
        let chain = store::certificates(&cert_file, &pem, Remedy::Remove)?;
        let key = store::private_key(&key_file, &key, Remedy::Remove)?;
        // The two files are written one after the other: a pair that does not match was cut off between them.
        Ok(Self::new(chain, key).ok())
    }

    /// What an order brought.
    pub(super) fn from_pem(chain: &str, key: &str) -> Result<Self, OrderError> {
        let unusable = |_| OrderError::Unusable("what the authority gave is no certificate");
        let certificates = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>();
        let private_key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(unusable)?;
        Ok(Self::new(certificates.map_err(unusable)?, private_key)?)
    }

    /// The same, kept in `dir`. It can be shown even if it cannot be kept, and another one would cost another order.
    pub(super) fn keep(dir: &Path, chain: &str, key: &str) -> Result<Self, OrderError> {
        let certificate = Self::from_pem(chain, key)?;
        let (cert_file, key_file) = files(dir);
        let written =
            store::write(&key_file, key, Readers::Owner).and_then(|()| store::write(&cert_file, chain, Readers::All));
        if let Err(error) = written {
            tracing::warn!("acme: the new certificate is shown, and is lost when lanturn stops or reloads: {error}");
        }
        Ok(certificate)
    }

    pub(super) fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, rustls::Error> {
        let certified = CertifiedKey::from_der(chain, key, &default_provider())?;
        let parsed = certified.cert.first().and_then(store::parsed);
        let parsed = parsed.ok_or(rustls::Error::NoCertificatesPresented)?;
        let names = Names::of(&parsed).dns().map(str::to_ascii_lowercase).collect();
        let [not_before, not_after] = [parsed.validity().not_before, parsed.validity().not_after];
        let validity = Validity { not_before: not_before.to_datetime(), not_after: not_after.to_datetime() };
        Ok(Self { certified: Arc::new(certified), names, validity })
    }

    /// Whether a client that asks for this name takes it now.
    pub(super) fn is_for(&self, name: &str, now: OffsetDateTime) -> bool {
        self.validity.contains(now) && self.has(name)
    }

    /// Whether it is for all of these.
    pub(super) fn has_all(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.has(name))
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|ours| ours.eq_ignore_ascii_case(name))
    }
}

fn files(dir: &Path) -> (PathBuf, PathBuf) {
    (dir.join("acme.pem"), dir.join("acme.key"))
}
