//! The certificate that the box shows: whom it is from, and what is wrong with it.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
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
        // Some of what people sign themselves is an authority's certificate.
        (Err(Fault::UnknownIssuer | Fault::Other(_)), Err(Fault::UnknownIssuer | Fault::Other(_)), _)
            if expected.is_some_and(|expected| same(expected, &fingerprint(own))) =>
        {
            if is_for(own, name) {
                Verdict::Expected
            } else {
                Verdict::Faulty(Fault::WrongName)
            }
        }
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

/// Whether a certificate is for a name or address, whoever signed it.
fn is_for(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    ParsedCertificate::try_from(certificate).is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject as _;

    use super::*;
    use crate::tls;

    const DAY: Duration = Duration::from_secs(86_400);

    /// A box, and what a probe is shown there.
    struct Shown {
        authority: CertificateDer<'static>,
        chain: Vec<CertificateDer<'static>>,
    }

    fn shown() -> Shown {
        let dir = tempfile::tempdir().unwrap();
        let options = tls::Options {
            dir: dir.path().into(),
            names: Vec::new(),
            addresses: vec!["192.168.1.5".parse().unwrap()],
            hostname: "box".into(),
        };
        tls::load(&options).unwrap();
        let der = |name| CertificateDer::from_pem_file(dir.path().join(name)).unwrap();
        Shown { authority: der("ca.pem"), chain: vec![der("leaf.pem")] }
    }

    impl Shown {
        fn judge(&self, name: &str, expected: Option<&str>, after: i64) -> Verdict {
            let now = UnixTime::now().as_secs().saturating_add_signed(after * DAY.as_secs() as i64);
            let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
            let name = ServerName::try_from(name.to_owned()).unwrap();
            judge(&self.chain, &name, &RootCertStore::empty(), Some(&self.authority), expected, now)
        }
    }

    #[test]
    fn the_boxes_own_authority_proves_nothing_unless_its_fingerprint_is_known() {
        let shown = shown();
        let print = fingerprint(&shown.authority);
        for name in ["192.168.1.5", "box.local"] {
            let verdict = shown.judge(name, None, 0);
            assert_eq!(verdict, Verdict::OwnAuthority { fingerprint: print.clone(), is_expected: false });
            assert!(!verdict.is_proven());
        }
        let typed = print.replace(':', "").to_lowercase();
        assert!(shown.judge("box.local", Some(&typed), 0).is_proven());
        let other = fingerprint(&self::shown().authority);
        assert_eq!(shown.judge("box.local", Some(&other), 0), Verdict::Faulty(Fault::OtherFingerprint(print)));
    }

    #[test]
    fn each_fault_is_told_from_the_others() {
        let mut shown = shown();
        assert_eq!(shown.judge("192.168.1.6", None, 0), Verdict::Faulty(Fault::WrongName));
        assert_eq!(shown.judge("box.local", None, 500), Verdict::Faulty(Fault::Expired));
        assert_eq!(shown.judge("box.local", None, -500), Verdict::Faulty(Fault::NotYetValid));
        shown.authority = self::shown().authority;
        assert_eq!(shown.judge("box.local", None, 0), Verdict::Faulty(Fault::UnknownIssuer));
    }

    #[test]
    fn a_certificate_that_is_known_itself_needs_no_authority_but_the_right_name() {
        let mut shown = shown();
        shown.authority = self::shown().authority;
        let print = fingerprint(&shown.chain[0]);
        assert_eq!(shown.judge("box.local", Some(&print), 0), Verdict::Expected);
        assert_eq!(shown.judge("other.example", Some(&print), 0), Verdict::Faulty(Fault::WrongName));
    }

    #[test]
    fn an_authority_that_this_machine_trusts_is_enough() {
        let shown = shown();
        let mut roots = RootCertStore::empty();
        roots.add(shown.authority.clone()).unwrap();
        let name = ServerName::try_from("box.local").unwrap();
        let verdict = judge(&shown.chain, &name, &roots, None, None, UnixTime::now());
        assert!(verdict == Verdict::Trusted && verdict.is_proven());
        assert_eq!(judge(&[], &name, &roots, None, None, UnixTime::now()), Verdict::Faulty(Fault::UnknownIssuer));
    }
}
