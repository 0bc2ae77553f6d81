//! HTTP clients, over a connection each.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::HOST;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::PATIENCE;
use super::server::Server;
use super::tls;

/// A stream of bytes, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub type Io = Box<dyn Stream>;
pub type Ask = Request<Full<Bytes>>;

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().unwrap()
    }

    /// The status and the stable id of an error.
    pub fn error(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["error"]["id"].as_str().unwrap().to_owned())
    }
}

pub async fn https(server: &Server, address: SocketAddr, alpn: &[&str]) -> Io {
    Box::new(tls::connect(server, address, alpn).await)
}

pub async fn http(address: SocketAddr) -> Io {
    Box::new(TcpStream::connect(address).await.unwrap())
}

/// A GET, whose path may be followed by more headers.
pub fn get(host: impl Display, path: &str) -> Ask {
    Request::builder().uri(path).header(HOST, host.to_string()).body(Full::default()).unwrap()
}

/// The same as a POST.
pub fn post(mut ask: Ask, body: &'static str) -> Ask {
    *ask.method_mut() = Method::POST;
    ask.map(|_| body.into())
}

pub fn with(mut ask: Ask, name: &'static str, value: &str) -> Ask {
    ask.headers_mut().insert(name, value.parse().unwrap());
    ask
}

pub async fn h1(io: Io, ask: Ask) -> Reply {
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    read(sender.send_request(ask).await.unwrap()).await
}

/// The path of the request is made absolute, as HTTP/2 has it.
pub async fn h2(io: Io, address: SocketAddr, ask: Ask) -> Reply {
    let mut sender = h2_sender(io).await;
    read(sender.send_request(absolute(address, ask)).await.unwrap()).await
}

pub async fn h2_sender(io: Io) -> http2::SendRequest<Full<Bytes>> {
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Asks over HTTPS by address, and reads the answer.
pub async fn fetch(server: &Server, address: SocketAddr, path: &str) -> Reply {
    h1(https(server, address, &["http/1.1"]).await, get(address, path)).await
}

/// The metrics, which this machine may read without a key.
pub async fn metrics(address: SocketAddr) -> String {
    h1(http(address).await, get(address, "/metrics")).await.text()
}

/// The value of one line of the metrics, 0 if there is none.
pub async fn counted(address: SocketAddr, line: &str) -> u64 {
    let text = metrics(address).await;
    let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().unwrap())
}

/// Waits until that value is as it should be.
pub async fn becomes(address: SocketAddr, line: &str, value: u64) {
    let give_up = Instant::now() + PATIENCE;
    while counted(address, line).await != value {
        assert!(Instant::now() < give_up, "{line} is {}, not {value}", counted(address, line).await);
    }
}

/// An extended CONNECT (RFC 8441) for a WebSocket.
pub fn connect_websocket(address: SocketAddr) -> Ask {
    let mut ask = absolute(address, get(address, "/ws"));
    *ask.method_mut() = Method::CONNECT;
    ask.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
    with(ask, "sec-websocket-version", "13")
}

fn absolute(address: SocketAddr, mut ask: Ask) -> Ask {
    *ask.uri_mut() = format!("https://{address}{}", ask.uri()).parse().unwrap();
    ask
}

async fn read(response: hyper::Response<Incoming>) -> Reply {
    let (head, body) = response.into_parts();
    Reply { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}
