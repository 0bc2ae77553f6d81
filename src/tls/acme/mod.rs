//! A certificate from a public authority, by ACME (RFC 8555), for the names by which the internet knows the box.
//!
//! | file in `tls.dir` | what it is |
//! |---|---|
//! | `acme.pem`, `acme.key` | the certificate chain and its key |
//! | `acme.account` | the account at the authority, with its key |
//!
//! A [`Keeper`] orders the certificate in the background and puts it into [`Public`], where the listener finds it for
//! its names, beside what the authority is to find while it validates them: over HTTP (RFC 8555 section 8.3) or in a TLS
//! handshake (RFC 8737).

mod account;
mod certificate;
mod challenges;
mod error;
mod https;
mod keeper;
mod order;
mod public;
mod schedule;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

pub use certificate::Certificate;
pub use keeper::Keeper;
pub use public::Public;

use super::error::Error;

/// The protocol of the handshake that validates a name (RFC 8737 section 6.2).
pub(super) const ALPN: &[u8] = b"acme-tls/1";

/// How the authority sees that a name is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By a file over plain HTTP, at port 80 (RFC 8555 section 8.3).
    Http01,
    /// By a certificate in a TLS handshake, at port 443 (RFC 8737).
    TlsAlpn01,
}

impl Kind {
    /// The port at which the authority asks.
    pub fn port(self) -> u16 {
        match self {
            Self::Http01 => 80,
            Self::TlsAlpn01 => 443,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Http01 => Self::TlsAlpn01,
            Self::TlsAlpn01 => Self::Http01,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        })
    }
}

/// What is to be ordered, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The directory of the files. Made if it is not there.
    pub dir: PathBuf,
    /// DNS names in lower case, at least one.
    pub names: Vec<String>,
    /// The URL of the authority's directory (RFC 8555 section 7.1.1), with `https`.
    pub directory: String,
    /// The e-mail address that a new account gets.
    pub contact: Option<String>,
    /// What the first attempt is made with.
    pub kind: Kind,
    /// Whether each attempt that follows one that failed is made with the other kind.
    pub alternate: bool,
    /// Whom to trust that the directory is the authority's, in PEM. None: whom this machine trusts.
    pub root_file: Option<PathBuf>,
    /// The account outside of ACME that a new account is bound to (RFC 8555 section 7.3.4).
    pub external_account: Option<ExternalAccount>,
}

impl Options {
    /// What to try after so many failures in a row.
    pub fn kind_after(&self, failures: u32) -> Kind {
        let is_others_turn = self.alternate && failures % 2 == 1;
        if is_others_turn { self.kind.other() } else { self.kind }
    }
}

/// An account at an authority that does not take everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAccount {
    /// The key's identifier.
    pub id: String,
    /// Its first line is the key, in base64url.
    pub key_file: PathBuf,
}

/// What is to be kept up, and what there is of it.
#[derive(Debug)]
pub struct Wanted {
    options: Options,
    certificate: Option<Certificate>,
}

impl Wanted {
    /// Reads what earlier orders left, and every file that an order needs. Makes nothing.
    ///
    /// # Errors
    /// [`Error`] when a file is corrupt or cannot be read.
    pub fn read(options: Options) -> Result<Self, Error> {
        account::check(&options)?;
        https::roots(options.root_file.as_deref())?;
        let certificate = Certificate::read(&options.dir)?;
        Ok(Self { options, certificate })
    }
}
