//! A TLS client that trusts the box's own authority and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::server::Server;

/// Offers these protocols.
pub fn client_config(server: &Server, alpn: &[&str]) -> Arc<ClientConfig> {
    trusting(&server.read("certs/ca.pem"), alpn)
}

/// Offers these protocols, and trusts the authority of a PEM text.
pub fn trusting(authority: &str, alpn: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(authority.as_bytes()).unwrap();
    roots.add(authority).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|id| id.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Connects by address, and checks the certificate for it.
pub async fn connect(server: &Server, address: SocketAddr, alpn: &[&str]) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::IpAddress(address.ip().into());
    TlsConnector::from(client_config(server, alpn)).connect(name, tcp).await.unwrap()
}
