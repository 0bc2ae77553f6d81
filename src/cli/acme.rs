//! What the configuration says of a certificate of a public authority.

use crate::config::{Acme, Settings};
use crate::tls::acme::{Kind, Options};

/// The port of HTTPS, where a challenge by TLS arrives without a router's help.
const HTTPS: u16 = 443;

/// What is to be ordered. None: nothing is.
pub(super) fn options(settings: &Settings) -> Option<Options> {
    let Acme { names, contact, challenge, directory, root_file, external } = settings.tls.acme.clone()?;
    let is_https = settings.listen.addresses.iter().any(|address| address.port() == HTTPS);
    let first = if is_https { Kind::TlsAlpn01 } else { Kind::Http01 };
    Some(Options {
        dir: settings.tls.dir.clone(),
        names,
        directory,
        contact,
        kind: challenge.unwrap_or(first),
        alternate: challenge.is_none(),
        root_file,
        external_account: external,
    })
}
