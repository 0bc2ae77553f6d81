//! The `turn` crate's client, an implementation that is not ours, over each transport.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpStream, UdpSocket};
use turn::client::{Client, ClientConfig};
use webrtc_util::Conn;

use super::conn::StreamConn;
use super::dtls::DtlsConn;
use super::server::Server;
use super::tls;

/// How the client talks to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Udp,
    Tcp,
    /// TLS with these protocols offered.
    Tls(&'static [&'static str]),
    Dtls,
}

/// A connection to the server.
pub async fn connection(server: &Server, address: SocketAddr, over: Over) -> Arc<dyn Conn + Send + Sync> {
    match over {
        Over::Udp => Arc::new(UdpSocket::bind(SocketAddr::new(address.ip(), 0)).await.unwrap()),
        Over::Tcp => {
            let stream = TcpStream::connect(address).await.unwrap();
            let local = stream.local_addr().unwrap();
            Arc::new(StreamConn::new(stream, local, address))
        }
        Over::Tls(alpn) => {
            let stream = tls::connect(server, address, alpn).await;
            let local = stream.get_ref().0.local_addr().unwrap();
            Arc::new(StreamConn::new(stream, local, address))
        }
        Over::Dtls => Arc::new(DtlsConn::connect(address).await),
    }
}

/// A client that listens, with a credential that the server minted.
pub async fn client(server: &Server, address: SocketAddr, over: Over, user: &str) -> Client {
    let (username, password) = server.credential(user);
    client_as(server, address, over, &username, &password).await
}

/// A client that listens, with the given credential.
pub async fn client_as(server: &Server, address: SocketAddr, over: Over, username: &str, password: &str) -> Client {
    let conn = connection(server, address, over).await;
    let client = Client::new(ClientConfig {
        stun_serv_addr: address.to_string(),
        turn_serv_addr: address.to_string(),
        username: username.into(),
        password: password.into(),
        realm: "lanturn".into(),
        software: String::new(),
        rto_in_ms: 0,
        conn,
        vnet: None,
    })
    .await
    .unwrap();
    client.listen().await.unwrap();
    client
}
