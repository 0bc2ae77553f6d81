//! The certificate that the server shows, signed by the box's own authority.

use std::path::Path;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};
use x509_parser::certificate::X509Certificate;

use super::authority::{Authority, BACKDATE};
use super::error::Error;
use super::names::Names;
use super::store::{self, Pair, Remedy};
use crate::files::Readers;

/// Browsers refuse a server's certificate that is valid for more than 398 days.
const LIFE: Duration = Duration::days(397);

/// So long before its end it is issued anew.
const MARGIN: Duration = Duration::days(30);

/// The certificate in `dir`, if it is there whole and still fits.
pub(super) fn read(
    dir: &Path,
    authority: &Authority,
    names: &Names,
    now: OffsetDateTime,
) -> Result<Option<Pair>, Error> {
    let (cert_file, key_file) = (dir.join("leaf.pem"), dir.join("leaf.key"));
    let (Some(pem), Some(key)) = (store::read(&cert_file)?, store::read_key(&key_file)?) else {
        return Ok(None);
    };
    let chain = store::certificates(&cert_file, &pem, Remedy::Remove)?;
    let key = store::private_key(&key_file, &key, Remedy::Remove)?;
    let fits = chain.first().is_some_and(|leaf| fits(leaf, authority, names, now));
    // The two files are written one after the other: a pair that does not match was cut off between them.
    Ok(Pair::new(chain, key).ok().filter(|_| fits))
}

/// Issues a certificate and keeps it in `dir`. Its key is new too, and so its serial number is:
/// browsers refuse two certificates of one authority with the same number.
pub(super) fn issue(dir: &Path, authority: &Authority, names: &Names, now: OffsetDateTime) -> Result<Pair, Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "lanturn");
    params.subject_alt_names = names.to_sans()?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - BACKDATE;
    params.not_after = params.not_before + LIFE;
    let certificate = authority.sign(&params, &key)?;
    store::write(&dir.join("leaf.key"), &key.serialize_pem(), Readers::Owner)?;
    store::write(&dir.join("leaf.pem"), &certificate.pem(), Readers::All)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|wrong| rustls::Error::General(wrong.into()))?;
    Ok(Pair::new(vec![certificate.into()], key)?)
}

/// When a certificate of the box's own authority is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    from: OffsetDateTime,
    until: OffsetDateTime,
}

impl Validity {
    pub(super) fn of(leaf: &CertificateDer<'_>) -> Option<Self> {
        store::parsed(leaf).map(|leaf| Self::read(&leaf))
    }

    fn read(leaf: &X509Certificate<'_>) -> Self {
        let validity = leaf.validity();
        Self { from: validity.not_before.to_datetime(), until: validity.not_after.to_datetime() }
    }

    /// Whether it is, and will be for a while. If not, [`super::load`] issues another.
    pub fn is_timely(&self, now: OffsetDateTime) -> bool {
        self.from <= now && self.until - now >= MARGIN
    }
}

fn fits(leaf: &CertificateDer<'_>, authority: &Authority, names: &Names, now: OffsetDateTime) -> bool {
    let (Some(leaf), Some(ca)) = (store::parsed(leaf), store::parsed(authority.certificate())) else {
        return false;
    };
    leaf.verify_signature(Some(ca.public_key())).is_ok()
        && Validity::read(&leaf).is_timely(now)
        && Names::of(&leaf) == *names
}
