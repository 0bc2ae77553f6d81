//! How the authority is asked: a connection for each request, with a deadline.

use std::error::Error as StdError;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error as AcmeError, HttpClient};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::tls::Error;
use crate::tls::store::{self, Remedy};

/// How long one request may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// The longest answer, in bytes.
const MAX_BODY_BYTES: usize = 256 * 1024;

type Failure = Box<dyn StdError + Send + Sync>;

/// Asks servers that chain up to its roots.
pub(super) struct Https(TlsConnector);

impl Https {
    /// Trusts the authorities in a file, or those of this machine.
    pub(super) fn new(root_file: Option<&Path>) -> Result<Self, Error> {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(root_file)?)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

impl HttpClient for Https {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, AcmeError>> + Send>> {
        let tls = self.0.clone();
        Box::pin(async move {
            let sent = timeout(DEADLINE, send(tls, request)).await;
            sent.unwrap_or_else(|late| Err(late.into())).map_err(AcmeError::Other)
        })
    }
}

/// Whom to trust: the authorities in a file, or those of this machine, which may be none.
pub(super) fn roots(file: Option<&Path>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let right = "certificates in PEM, such as those of the authority that tls.acme.directory names";
    let text = store::read(file)?.ok_or_else(|| Error::file(file, "is missing", right))?;
    for certificate in store::certificates(file, &text, Remedy::Replace)? {
        roots.add(certificate).map_err(|_| Error::file(file, "holds no authority's certificate", right))?;
    }
    Ok(roots)
}

async fn send(tls: TlsConnector, mut request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Failure> {
    let authority = request.uri().authority().ok_or("a URL without a host")?.clone();
    let host = authority.host().trim_matches(['[', ']']);
    let tcp = TcpStream::connect((host, authority.port_u16().unwrap_or(443))).await?;
    let stream = tls.connect(ServerName::try_from(host.to_owned())?, tcp).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with its sender.
    tokio::spawn(connection);
    request.headers_mut().insert(HOST, HeaderValue::try_from(authority.as_str())?);
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await?.to_bytes();
    Ok(BytesResponse { parts, body: Box::new(body) })
}
