//! The files: PEM in, DER out, and what can be wrong with them.

use std::fs;
use std::io;
use std::path::Path;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::error::Error;
use crate::files::{self, Readers};

/// A certificate chain and its key, for TLS, and the key by itself.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) certified: CertifiedKey,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Pair {
    /// # Errors
    /// When they do not belong together, or the key is of a kind that nobody knows.
    pub(super) fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, rustls::Error> {
        Ok(Self { certified: CertifiedKey::from_der(chain, key.clone_key(), &default_provider())?, key })
    }
}

/// What to do about a file of ours that is broken.
pub(super) enum Remedy {
    /// A new one is made when it is gone.
    Remove,
    /// Only the owner can tell.
    Replace,
}

impl Remedy {
    fn text(&self, what: &str) -> String {
        match self {
            Self::Remove => format!("remove it, and a new {what} is made"),
            Self::Replace => format!("a {what} in PEM"),
        }
    }
}

/// The text of a file, or none if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { file: path.into(), source }),
    }
}

/// The text of a file with a private key, or none. Warns when others can read it.
pub(super) fn read_key(path: &Path) -> Result<Option<String>, Error> {
    let text = read(path)?;
    if text.is_some() {
        files::warn_if_shared(path);
    }
    Ok(text)
}

pub(super) fn write(path: &Path, text: &str, readers: Readers) -> Result<(), Error> {
    files::write(path, text.as_bytes(), readers).map_err(|source| Error::Write { file: path.into(), source })
}

/// Whether there is room for files in a directory.
pub(super) fn try_writing(dir: &Path) -> Result<(), Error> {
    files::try_writing(dir).map_err(|source| Error::Write { file: dir.into(), source })
}

/// Every certificate of a PEM text, at least one, the first of them well-formed.
pub(super) fn certificates(path: &Path, text: &str, remedy: Remedy) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = || Error::file(path, "holds no certificate", remedy.text("certificate"));
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(|_| wrong())?;
    parsed(chain.first().ok_or_else(wrong)?).ok_or_else(wrong)?;
    Ok(chain)
}

/// The private key of a PEM text.
pub(super) fn private_key(path: &Path, text: &str, remedy: Remedy) -> Result<PrivateKeyDer<'static>, Error> {
    let wrong = |_| Error::file(path, "holds no private key", remedy.text("private key"));
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(wrong)
}

/// A certificate's fields, if it is a certificate.
pub(super) fn parsed<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)
}
