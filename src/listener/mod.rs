//! The one TCP port: who speaks what is found out here, and nowhere else.
//!
//! ```text
//! accept ─ first byte ─┬─ 0-3: STUN/TURN ────────────────────────────┐
//!                      ├─ letter: HTTP ─────────────────────────┐    │
//!                      └─ 0x16: TLS ─ ALPN ─┬─ stun.turn ───────┼────┤
//!                                           ├─ h2, http/1.1 ────┤    │
//!                                           ├─ acme-tls/1: end  │    │
//!                                           └─ none: first byte ┴────┴─> Routes
//! ```
//!
//! Until a connection has shown its protocol, and a web client its first request, it is half open: it has a deadline,
//! and there may be only so many.
//! When there are too many the oldest goes, since an honest client shows itself within a round trip or two.

mod admission;
mod sniff;
mod web_stream;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub use admission::{Admission, Eviction, Limits, Ticket};
pub use web_stream::WebStream;

/// How long to wait when the system refuses to accept, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that the kernel may hold for us.
const BACKLOG: i32 = 1024;

/// Where connections go once it is known what they speak.
pub trait Routes: Send + Sync + 'static {
    /// A TURN client.
    fn turn(&self, connection: TurnConnection);
    /// A browser, or anything else that speaks HTTP. The future drives the connection to its end.
    fn web(&self, connection: WebConnection) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Where a connection comes from and where it came in, both canonical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The client's address.
    pub client: SocketAddr,
    /// The address that it came in on.
    pub server: SocketAddr,
}

/// A connection that speaks STUN and TURN.
#[derive(Debug)]
pub struct TurnConnection {
    /// The socket, in non-blocking mode.
    pub socket: std::net::TcpStream,
    /// The TLS session, its handshake done.
    pub tls: Option<ServerConnection>,
    /// Its ends.
    pub ends: Ends,
    /// To be dropped when the connection ends.
    pub ticket: Ticket,
}

/// A connection that speaks HTTP.
#[derive(Debug)]
pub struct WebConnection {
    /// The stream, decrypted.
    pub io: WebStream,
    /// Whether it is encrypted.
    pub tls: bool,
    /// Its ends.
    pub ends: Ends,
    /// To be told when the first request has come: until then the connection is half open.
    pub ticket: Arc<Ticket>,
}

/// The TLS side of the port.
#[derive(Clone, Debug)]
pub struct Tls {
    /// For clients that offer a protocol we know, or none at all.
    pub alpn: Arc<ServerConfig>,
    /// For clients that offer only others: without ALPN of our own, they are judged by their first byte.
    pub bare: Arc<ServerConfig>,
    /// For an authority that validates a name (RFC 8737). Its connection ends with the handshake.
    pub challenge: Arc<ServerConfig>,
}

/// Binds a TCP address. An IPv6 wildcard takes IPv4 clients as well.
///
/// # Errors
/// What the system says: a busy port, an address that is not this box's, no permission.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A port whose last connections linger in TIME_WAIT is free all the same.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts until told to stop.
///
/// # Errors
/// When the socket cannot be polled.
pub async fn serve(
    socket: std::net::TcpListener,
    tls: Tls,
    admission: Arc<Admission>,
    routes: Arc<dyn Routes>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(socket)?;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        };
        match accepted {
            Ok((stream, client)) => admit(stream, client, &tls, &admission, &routes),
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(stream: TcpStream, client: SocketAddr, tls: &Tls, admission: &Arc<Admission>, routes: &Arc<dyn Routes>) {
    let Ok(server) = stream.local_addr() else { return };
    let ends = Ends { client: canonical(client), server: canonical(server) };
    let Some((ticket, eviction)) = admission.admit(ends.client.ip()) else { return };
    // Small messages must not wait for more to come.
    let _ = stream.set_nodelay(true);
    let (tls, routes) = (tls.clone(), Arc::clone(routes));
    tokio::spawn(async move {
        let sniffed = tokio::select! {
            sniffed = sniff::route(stream, ends, ticket, &tls, &*routes) => sniffed,
            () = eviction.wait() => Err(sniff::Closed::Evicted),
        };
        if let Err(closed) = sniffed {
            tracing::debug!(client = %ends.client, %closed, "connection closed");
            metrics::counter!("lanturn_half_open_closed_total", "reason" => closed.label()).increment(1);
        }
    });
}

fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        v4 @ std::net::IpAddr::V4(_) => SocketAddr::new(v4, address.port()),
        std::net::IpAddr::V6(_) => address,
    }
}
