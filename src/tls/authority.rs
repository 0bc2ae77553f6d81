//! The authority that devices are asked to trust.

use std::path::Path;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

use super::constraints::Constraints;
use super::error::Error;
use super::store::{self, Remedy};
use crate::files::Readers;

const LIFE: Duration = Duration::days(3650);

/// A clock that is somewhat late must not find the certificate from the future.
pub(super) const BACKDATE: Duration = Duration::days(1);

/// A common name has at most 64 characters (RFC 5280 appendix A.1): this many may be the machine's.
const HOSTNAME_CHARS: usize = 32;

/// The authority's certificate and key.
pub(super) struct Authority {
    pem: String,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// The authority in `dir`, if there is one.
    pub(super) fn read(dir: &Path, now: OffsetDateTime) -> Result<Option<Self>, Error> {
        let (cert_file, key_file) = (dir.join("ca.pem"), dir.join("ca.key"));
        let half = |missing: &Path, other: &str| {
            let right =
                format!("restore it, or remove {other}: a new authority is made, which every device must trust anew");
            Error::file(missing, format!("is missing while {other} is there"), right)
        };
        let (pem, key) = match (store::read(&cert_file)?, store::read_key(&key_file)?) {
            (None, None) => return Ok(None),
            // The very first run was cut off between the two files: nothing has been signed yet.
            (None, Some(_)) if !dir.join("leaf.pem").exists() => return Ok(None),
            (None, Some(_)) => return Err(half(&cert_file, "ca.key")),
            (Some(_), None) => return Err(half(&key_file, "ca.pem")),
            (Some(pem), Some(key)) => (pem, key),
        };
        let right =
            "restore it, or remove ca.pem and ca.key: a new authority is made, which every device must trust anew";
        let bad_cert = |wrong: &str| Error::file(&cert_file, wrong, right);
        let bad_key = |wrong: &str| Error::file(&key_file, wrong, right);
        let mut chain =
            store::certificates(&cert_file, &pem, Remedy::Replace).map_err(|_| bad_cert("holds no certificate"))?;
        let certificate = chain.swap_remove(0);
        let key = KeyPair::from_pem(&key).map_err(|_| bad_key("holds no private key"))?;
        let parsed = store::parsed(&certificate).ok_or_else(|| bad_cert("holds no certificate"))?;
        if parsed.public_key().subject_public_key.data != key.public_key_raw() {
            return Err(bad_key("does not belong to ca.pem"));
        }
        if !parsed.is_ca() {
            return Err(bad_cert("is not an authority's certificate"));
        }
        if parsed.validity().not_after.to_datetime() <= now {
            return Err(bad_cert("has expired"));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Some(Self { pem, certificate, issuer }))
    }

    /// Makes an authority for no more than `constraints` permit, and keeps it in `dir`.
    pub(super) fn make(
        dir: &Path,
        hostname: &str,
        constraints: &Constraints,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(hostname);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(constraints.to_extension());
        params.not_before = now - BACKDATE;
        params.not_after = params.not_before + LIFE;
        let certificate = params.self_signed(&key)?;
        store::write(&dir.join("ca.key"), &key.serialize_pem(), Readers::Owner)?;
        store::write(&dir.join("ca.pem"), &certificate.pem(), Readers::All)?;
        let issuer = Issuer::new(params, key);
        Ok(Self { pem: certificate.pem(), certificate: certificate.into(), issuer })
    }

    /// The certificate, for devices to trust.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// The same in DER.
    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What devices list it as.
    pub(super) fn name(&self) -> String {
        let parsed = store::parsed(&self.certificate);
        let name = parsed.as_ref().and_then(|found| found.subject().iter_common_name().next()?.as_str().ok());
        name.unwrap_or_default().to_owned()
    }

    /// What it may sign for. One that was made elsewhere, or long ago, may be for everything.
    pub(super) fn constraints(&self) -> Constraints {
        store::parsed(&self.certificate).map(|parsed| Constraints::of(&parsed)).unwrap_or_default()
    }

    /// Signs a certificate for `key`.
    pub(super) fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Result<Certificate, Error> {
        Ok(params.signed_by(key, &self.issuer)?)
    }
}

/// A short random part tells the authorities of two boxes of one name apart, where a device lists them.
fn subject(hostname: &str) -> DistinguishedName {
    let hostname: String = hostname.chars().filter(|c| !c.is_control()).take(HOSTNAME_CHARS).collect();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "lanturn");
    name.push(DnType::CommonName, format!("lanturn CA of {hostname} {:06x}", rand::random::<u32>() >> 8));
    name
}
