//! The web side of the box, over one HTTPS connection whose certificate is looked at later.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{DATE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::curious;
use super::clock::Clock;
use super::target::Target;
use super::trouble::Trouble;

/// The longest answer that is read, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A connection on which one request follows the other.
pub(super) struct Web {
    sender: SendRequest<Empty<Bytes>>,
    host: String,
    /// What it showed, its own certificate first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// Where it is.
    pub(super) remote: SocketAddr,
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// By how much the box's clock is ahead of this machine's, in seconds, within one or two.
    pub(super) ahead: Option<i64>,
}

impl Answer {
    /// The body as JSON, null if it is none.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A TLS connection for the web to the first of the addresses that answers.
///
/// # Errors
/// [`Trouble`] says why the last of them did not. Whether TCP got through is said beside it.
pub(super) async fn connect(
    target: &Target,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<TlsStream<TcpStream>, (bool, Trouble)> {
    let mut trouble = Trouble::Silent;
    for (number, address) in addresses.iter().enumerate() {
        // Each gets its part of what time is left.
        let share = (deadline - Instant::now()) / (addresses.len() - number) as u32;
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return secure(target, tcp, deadline).await.map_err(|trouble| (true, trouble)),
            Ok(Err(error)) => trouble = Trouble::Broken(error),
            Err(_) => trouble = Trouble::Silent,
        }
    }
    Err((false, trouble))
}

async fn secure(target: &Target, tcp: TcpStream, deadline: Instant) -> Result<TlsStream<TcpStream>, Trouble> {
    let broken = |error: rustls::Error| Trouble::Broken(io::Error::other(error));
    let connector = TlsConnector::from(curious(&[b"http/1.1"]).map_err(broken)?);
    let name = target.server_name().ok_or(Trouble::Garbled)?;
    match timeout_at(deadline, connector.connect(name, tcp)).await {
        Ok(stream) => stream.map_err(Trouble::Broken),
        Err(_) => Err(Trouble::Silent),
    }
}

impl Web {
    /// Begins to speak HTTP.
    ///
    /// # Errors
    /// [`Trouble`]
    pub(super) async fn new(target: &Target, stream: TlsStream<TcpStream>, clock: Clock) -> Result<Self, Trouble> {
        let (tcp, tls) = stream.get_ref();
        let remote = tcp.peer_addr().map_err(Trouble::Broken)?;
        let chain = tls.peer_certificates().unwrap_or_default().iter().cloned().map(CertificateDer::into_owned);
        let chain = chain.collect();
        let handshake = timeout_at(clock.step(), http1::handshake(TokioIo::new(stream))).await;
        let (sender, connection) = handshake.map_err(|_| Trouble::Silent)?.map_err(broken)?;
        // It ends with its sender.
        tokio::spawn(connection);
        Ok(Self { sender, host: target.authority(), chain, remote })
    }

    /// Asks, and reads the whole answer.
    ///
    /// # Errors
    /// [`Trouble`]
    pub(super) async fn ask(&mut self, method: Method, path: &str, clock: Clock) -> Result<Answer, Trouble> {
        let request = Request::builder().method(method).uri(path).header(HOST, &self.host).body(Empty::new());
        let request = request.map_err(|error| Trouble::Broken(io::Error::other(error)))?;
        let answer = async {
            self.sender.ready().await.map_err(broken)?;
            let response = self.sender.send_request(request).await.map_err(broken)?;
            let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
            let ahead = date.and_then(|date| ahead(&date, SystemTime::now()));
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await;
            let body = body.map_err(|error| Trouble::Broken(io::Error::other(error)))?.to_bytes();
            Ok(Answer { status, body, ahead })
        };
        timeout_at(clock.step(), answer).await.map_err(|_| Trouble::Silent)?
    }
}

fn broken(error: hyper::Error) -> Trouble {
    Trouble::Broken(io::Error::other(error))
}

/// By how many seconds a Date header (RFC 9110 section 6.6.1) is ahead of `now`.
fn ahead(date: &str, now: SystemTime) -> Option<i64> {
    let date = httpdate::parse_http_date(date).ok()?;
    let seconds = |span: Duration| span.as_secs() as i64;
    Some(date.duration_since(now).map_or_else(|behind| -seconds(behind.duration()), seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared_both_ways() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(ahead("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(0));
        assert_eq!(ahead("Sun, 06 Nov 1994 09:49:37 GMT", now), Some(3600));
        assert_eq!(ahead("Sun, 06 Nov 1994 08:48:37 GMT", now), Some(-60));
        assert_eq!(ahead("yesterday", now), None);
    }
}
