//! A certificate that the owner brought: `cert.pem` and `key.pem`.

use std::path::Path;

use time::OffsetDateTime;

use super::error::Error;
use super::store::{self, Pair, Remedy};

/// The owner's certificate chain and key, if they are there.
pub(super) fn read(dir: &Path, now: OffsetDateTime) -> Result<Option<Pair>, Error> {
    let (cert_file, key_file) = (dir.join("cert.pem"), dir.join("key.pem"));
    let half = |missing: &Path, other: &str| {
        let right = format!("both, or neither, and then lanturn makes a certificate; {other} alone is of no use");
        Error::file(missing, format!("is missing while {other} is there"), right)
    };
    let (pem, key) = match (store::read(&cert_file)?, store::read_key(&key_file)?) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(half(&cert_file, "key.pem")),
        (Some(_), None) => return Err(half(&key_file, "cert.pem")),
        (Some(pem), Some(key)) => (pem, key),
    };
    let chain = store::certificates(&cert_file, &pem, Remedy::Replace)?;
    let key = store::private_key(&key_file, &key, Remedy::Replace)?;
    let expired = chain.first().and_then(store::parsed).is_some_and(|c| c.validity().not_after.to_datetime() <= now);
    if expired {
        tracing::warn!("{}: has expired, so browsers refuse it: a renewed certificate", cert_file.display());
    }
    let wrong = |error: rustls::Error| {
        if matches!(error, rustls::Error::InconsistentKeys(_)) {
            let right = "the private key of the first certificate in cert.pem";
            return Error::file(&key_file, "does not belong to cert.pem", right);
        }
        Error::file(&key_file, format!("cannot be used ({error})"), "an ECDSA, Ed25519 or RSA key in PEM")
    };
    Pair::new(chain, key).map(Some).map_err(wrong)
}
