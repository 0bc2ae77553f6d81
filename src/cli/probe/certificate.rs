//! The certificate that the box shows: whom it is from, and what is wrong with it.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::tls::fingerprint;

/// Whom the certificate is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// An authority that this machine trusts, and browsers here with it.
    Trusted,
    /// The box's own authority.
    OwnAuthority {
        /// SHA-256 of the authority's certificate.
        fingerprint: String,
        /// Whether that is the fingerprint that was expected.
        is_expected: bool,
    },
    /// The certificate itself has the fingerprint that was expected, whoever signed it.
    Expected,
    /// There is something wrong with it.
    Faulty(Fault),
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Expired,
    NotYetValid,
    WrongName,
    /// Neither this machine nor the box's own authority vouches for it.
    UnknownIssuer,
    /// The expected fingerprint is another.
    OtherFingerprint(String),
    Other(String),
}

impl Verdict {
    /// Whether a secret may be told to whoever shows it.
    pub(super) fn is_proven(&self) -> bool {
        match self {
            Self::Trusted | Self::Expected | Self::OwnAuthority { is_expected: true, .. } => true,
            Self::OwnAuthority { is_expected: false, .. } | Self::Faulty(_) => false,
        }
    }
}

/// How a client greets that takes any certificate and judges it afterwards. What is said over such a connection
/// must be no secret until [`Verdict::is_proven`].
pub(in crate::cli) fn curious(alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Curious(provider)))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|id| id.to_vec()).collect();
    Ok(Arc::new(config))
}

/// Takes any certificate, as long as whoever shows it has its key.
#[derive(Debug)]
struct Curious(Arc<CryptoProvider>);

impl ServerCertVerifier for Curious {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The authorities that this machine trusts. Those that cannot be read are passed over.
pub(super) fn machine_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// Judges a chain, the box's own certificate first. `authority` is what the box says that its own authority is,
/// `expected` the fingerprint that somebody read off the box.
pub(super) fn judge(
    chain: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    roots: &RootCertStore,
    authority: Option<&CertificateDer<'_>>,
    expected: Option<&str>,
    now: UnixTime,
) -> Verdict {
    let Some(own) = chain.first() else { return Verdict::Faulty(Fault::UnknownIssuer) };
    let by_roots = verify(chain, name, roots.clone(), now);
    let shown = authority.map(fingerprint);
    let mut with_own = RootCertStore::empty();
    with_own.add_parsable_certificates(authority.map(|der| der.clone().into_owned()));
    let by_own = verify(chain, name, with_own, now);
    let matches = |found: &str| expected.is_none_or(|expected| same(expected, found));
    match (by_roots, by_own, shown) {
        (Ok(()), _, _) => Verdict::Trusted,
        (Err(_), Ok(()), Some(shown)) if matches(&shown) => {
            Verdict::OwnAuthority { is_expected: expected.is_some(), fingerprint: shown }
        }
        (Err(_), Ok(()), Some(shown)) => Verdict::Faulty(Fault::OtherFingerprint(shown)),
        (Err(_), _, _) if expected.is_some_and(|expected| same(expected, &fingerprint(own))) => Verdict::Expected,
        // Whoever knows the issuer knows what else is wrong.
        (Err(Fault::UnknownIssuer), Err(fault), _) | (Err(fault), _, _) => Verdict::Faulty(fault),
    }
}

fn verify(
    chain: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    roots: RootCertStore,
    now: UnixTime,
) -> Result<(), Fault> {
    let [own, above @ ..] = chain else { return Err(Fault::UnknownIssuer) };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // There is no verifier without roots.
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|_| Fault::UnknownIssuer)?;
    verifier.verify_server_cert(own, above, name, &[], now).map(drop).map_err(|error| fault(&error))
}

fn fault(error: &Error) -> Fault {
    let Error::InvalidCertificate(error) = error else { return Fault::Other(error.to_string()) };
    if matches!(error, CertificateError::Expired | CertificateError::ExpiredContext { .. }) {
        Fault::Expired
    } else if matches!(error, CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) {
        Fault::NotYetValid
    } else if matches!(error, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) {
        Fault::WrongName
    } else if matches!(error, CertificateError::UnknownIssuer) {
        Fault::UnknownIssuer
    } else {
        Fault::Other(error.to_string())
    }
}

/// Whether two fingerprints are the same, with or without colons, in either case.
fn same(one: &str, other: &str) -> bool {
    one.replace(':', "").eq_ignore_ascii_case(&other.replace(':', ""))
}
