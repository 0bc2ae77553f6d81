//! The box's certificate: made on first run by an authority of its own, or one that the owner put there.
//!
//! | file in `tls.dir` | what it is |
//! |---|---|
//! | `cert.pem`, `key.pem` | the owner's own certificate chain and key: they win |
//! | `ca.pem`, `ca.key` | the authority that devices are asked to trust: made once, good for no site of the internet |
//! | `leaf.pem`, `leaf.key` | what the server shows: issued anew when addresses or names change, or its end is near |
//!
//! For names that the internet knows, [`acme`] may have another beside it.

pub mod acme;
mod authority;
mod constraints;
mod error;
mod leaf;
mod names;
mod own;
mod resolver;
mod store;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use acme::Public;
use authority::Authority;
use constraints::Constraints;
pub use error::Error;
pub use leaf::Validity;
use names::Names;
pub use resolver::Resolver;
use store::Pair;

/// ALPN ids in the order of our preference: TURN (RFC 7443), then the web.
const ALPN: [&[u8]; 3] = [b"stun.turn", b"h2", b"http/1.1"];

/// What the certificate is to be for, and where it is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of the files. Made if it is not there.
    pub dir: PathBuf,
    /// Names and addresses that the owner wants besides the others.
    pub names: Vec<String>,
    /// Every address of this machine, those outside of a 1:1 NAT too.
    pub addresses: Vec<IpAddr>,
    /// The name of this machine, with or without a domain.
    pub hostname: String,
}

/// The authority's certificate, for devices to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaCertificate {
    /// In PEM.
    pub pem: String,
    /// In DER, as phones take it.
    pub der: Vec<u8>,
    /// What devices list it as: its common name.
    pub name: String,
}

/// The certificate and key that the server shows.
#[derive(Debug)]
pub struct Identity {
    /// None when the owner brought a certificate.
    pub ca: Option<CaCertificate>,
    /// SHA-256 of the authority's certificate, or of the owner's own: 32 bytes as `AB:CD:…`.
    pub fingerprint: String,
    certified: Arc<CertifiedKey>,
    key: PrivateKeyDer<'static>,
}

/// The configurations of the one port. The first two show the same certificates, which `resolver` can swap.
#[derive(Clone, Debug)]
pub struct ServerConfigs {
    /// For clients that offer ALPN: `stun.turn`, `h2` and `http/1.1`.
    pub web: Arc<ServerConfig>,
    /// For clients that offer none, or nothing we know: browsers' `turns:` among them.
    pub bare: Arc<ServerConfig>,
    /// For an authority that validates a name (RFC 8737): it shows nothing but the answers in `public`.
    pub challenge: Arc<ServerConfig>,
    /// Holds the certificate of the first two.
    pub resolver: Arc<Resolver>,
    /// Holds the one of a public authority.
    pub public: Arc<Public>,
}

/// Reads the certificate and key, making or renewing what needs to be.
///
/// # Errors
/// [`Error`] when a file is corrupt, lacks its other half, or cannot be read or written.
pub fn load(options: &Options) -> Result<Identity, Error> {
    load_at(options, OffsetDateTime::now_utc())
}

/// Reads the files in `dir` as [`load`] would, and makes nothing.
///
/// # Errors
/// [`Error`] when a file is corrupt, lacks its other half, or cannot be read.
pub fn check(dir: &Path) -> Result<(), Error> {
    let now = OffsetDateTime::now_utc();
    if own::read(dir, now)?.is_none()
        && let Some(authority) = Authority::read(dir, now)?
    {
        // What it is for does not matter here: one that no longer fits is made anew by `load`.
        let any = Options { dir: dir.into(), names: Vec::new(), addresses: Vec::new(), hostname: String::new() };
        leaf::read(dir, &authority, &Names::new(&any), now)?;
    }
    Ok(())
}

fn load_at(options: &Options, now: OffsetDateTime) -> Result<Identity, Error> {
    if let Some(Pair { certified, key }) = own::read(&options.dir, now)? {
        let fingerprint = certified.cert.first().map_or_else(String::new, fingerprint);
        return Ok(Identity { ca: None, fingerprint, certified: Arc::new(certified), key });
    }
    let mut names = Names::new(options);
    let authority = match Authority::read(&options.dir, now)? {
        Some(authority) => authority,
        None => Authority::make(&options.dir, &options.hostname, &Constraints::new(&names, &options.names), now)?,
    };
    let mut left_out = names.keep_permitted(&authority.constraints());
    // Whatever else this machine is called, or was at another time, nobody may ever use.
    left_out.retain(|name| options.names.iter().any(|asked| asked.eq_ignore_ascii_case(name)));
    if !left_out.is_empty() {
        warn_left_out(&options.dir, &left_out);
    }
    let Pair { certified, key } = match leaf::read(&options.dir, &authority, &names, now)? {
        Some(pair) => pair,
        None => leaf::issue(&options.dir, &authority, &names, now)?,
    };
    let fingerprint = fingerprint(authority.certificate());
    let (pem, der) = (authority.pem().to_owned(), authority.certificate().to_vec());
    let ca = Some(CaCertificate { pem, der, name: authority.name() });
    Ok(Identity { ca, fingerprint, certified: Arc::new(certified), key })
}

/// With one name too many, browsers would refuse the certificate for all the others as well.
fn warn_left_out(dir: &Path, names: &[String]) {
    tracing::warn!(
        "{}: was made when this box had other names and addresses, and may not sign for {}, so browsers refuse those: \
         remove ca.pem and ca.key, and a new authority is made, which every device must trust anew; or bring a \
         certificate of your own, as cert.pem and key.pem",
        dir.join("ca.pem").display(),
        names.join(", ")
    );
}

impl Identity {
    /// When the certificate is good, if the box renews it itself.
    pub fn validity(&self) -> Option<Validity> {
        self.ca.as_ref()?;
        Validity::of(self.certified.cert.first()?)
    }

    /// The certificate and its private key, in DER, for what is no TLS.
    pub fn certificate_and_key(&self) -> (&[u8], &[u8]) {
        (self.certified.cert.first().map_or(&[], |certificate| certificate), self.key.secret_der())
    }

    /// Configurations for TLS 1.2 and 1.3 that show this identity until another is put in their resolver.
    ///
    /// # Errors
    /// [`Error::Rustls`] if the cryptography lacks what these versions need.
    pub fn server_configs(&self) -> Result<ServerConfigs, Error> {
        let public = Arc::<Public>::default();
        let resolver = Arc::new(Resolver::new(self, Arc::clone(&public)));
        let bare = server_config(Arc::clone(&resolver) as _, &[])?;
        let web = server_config(Arc::clone(&resolver) as _, &ALPN)?;
        let challenge = server_config(Arc::clone(&public.challenges) as _, &[acme::ALPN])?;
        Ok(ServerConfigs { web, bare, challenge, resolver, public })
    }
}

fn server_config(resolver: Arc<dyn ResolvesServerCert>, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = alpn.iter().map(|id| id.to_vec()).collect();
    Ok(Arc::new(config))
}

/// SHA-256 of a certificate: 32 bytes as `AB:CD:…`.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}
