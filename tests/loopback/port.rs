//! One port, every protocol; and what speaks none of them.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::support::PATIENCE;
use super::support::room::Member;
use super::support::server::{LOOPBACK, Server};
use super::support::turn_client::{Over, client};
use super::support::web::{Io, get, h1, h2, http, https, metrics};
use super::support::{echo_at, stun::RawClient, tls};

/// Every way to relay.
const TURN: [Over; 4] = [Over::Udp, Over::Tcp, Over::Tls(&[]), Over::Tls(&["stun.turn"])];
/// The beginning of a TLS handshake: a record of 512 bytes, of which few come.
pub(super) const HALF_HELLO: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3, 7, 7, 7];

/// Uses every protocol at an address whose certificate is good.
pub(super) async fn everything_works(server: &Server, address: SocketAddr) {
    let peer = echo_at(&SocketAddr::new(address.ip(), 0).to_string()).await;
    for over in TURN {
        let stun = client(server, address, over, "anna").await;
        assert_eq!(stun.send_binding_request().await.unwrap().ip(), address.ip(), "{over:?}");
        stun.close().await.unwrap();
        let mut turn = RawClient::new(server, address, over, "anna").await;
        let family = turn_family(address);
        turn.allocate(&[&family]).await.unwrap_or_else(|code| panic!("{over:?} at {address}: {code}"));
        turn.permit(peer).await.unwrap();
        turn.round_trip(peer, b"media").await;
    }
    for (io, is_h2) in web_ways(server, address).await {
        let health = get(address, "/health");
        let reply = if is_h2 { h2(io, address, health).await } else { h1(io, health).await };
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "ok\n"));
    }
    for mut member in [Member::connect(server, address).await, Member::connect_h2(server, address).await] {
        member.say(serde_json::json!({ "type": "join", "room": "kitchen" })).await;
        assert_eq!(member.hear().await["type"], "joined");
    }
}

async fn web_ways(server: &Server, address: SocketAddr) -> Vec<(Io, bool)> {
    vec![
        (http(address).await, false),
        (http(address).await, true),
        (https(server, address, &[]).await, false),
        (https(server, address, &["http/1.1"]).await, false),
        (https(server, address, &["h2", "http/1.1"]).await, true),
    ]
}

pub(super) fn turn_family(address: SocketAddr) -> ::turn::proto::reqfamily::RequestedAddressFamily {
    ::turn::proto::reqfamily::RequestedAddressFamily(if address.is_ipv4() { 1 } else { 2 })
}

/// Reads until the server closes, and says how long that took.
async fn closed(mut io: Io, since: Instant) -> Duration {
    let mut rest = Vec::new();
    // A reset is an end, too.
    let _ = timeout(PATIENCE, io.read_to_end(&mut rest)).await.expect("the connection stays open");
    since.elapsed()
}

/// Connects from an address of this machine's choice.
pub(super) async fn connect_from(source: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::from(source), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// Whether the server keeps a new connection from an address, which it shows by an answer.
async fn answers(source: [u8; 4], to: SocketAddr) -> Option<TcpStream> {
    let mut stream = connect_from(source, to).await;
    stream.write_all(format!("GET /health HTTP/1.1\r\nhost: {to}\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.ok()?;
    assert_eq!(&answer, b"HTTP/1.1 200");
    Some(stream)
}

#[tokio::test]
async fn every_protocol_is_spoken_on_the_one_port() {
    let server = Server::start(LOOPBACK);
    everything_works(&server, server.address()).await;
}

#[tokio::test]
async fn what_begins_like_no_protocol_is_closed_at_once() {
    let server = Server::start(LOOPBACK);
    for byte in [4, 0x14, 0x15, 0x17, b'0', b'[', 0x80, 0xFF] {
        for encrypted in [false, true] {
            let mut io: Io = match encrypted {
                false => http(server.address()).await,
                true => Box::new(tls::connect(&server, server.address(), &[]).await),
            };
            let start = Instant::now();
            io.write_all(&[byte; 64]).await.unwrap();
            let took = closed(io, start).await;
            assert!(took < Duration::from_secs(5), "{byte:#x} after {took:?}");
        }
    }
    let text = metrics(server.address()).await;
    assert!(text.contains("lanturn_half_open_closed_total{reason=\"first-byte\"} 16"), "{text}");
}

#[tokio::test]
async fn who_does_not_get_on_is_closed_at_the_deadline() {
    let server = Server::start(LOOPBACK);
    let address = server.address();
    let mut waiting = Vec::new();
    for beginning in [&b""[..], HALF_HELLO, &HALF_HELLO[..1], b"G", b"GET / HTTP/1.1\r\nHost: a\r\n"] {
        let mut stream = http(address).await;
        stream.write_all(beginning).await.unwrap();
        waiting.push(stream);
    }
    // Encrypted, and then nothing: without ALPN, and as a browser that asks for nothing.
    waiting.push(Box::new(tls::connect(&server, address, &[]).await));
    waiting.push(Box::new(tls::connect(&server, address, &["http/1.1"]).await));
    let start = Instant::now();
    for took in futures_util::future::join_all(waiting.into_iter().map(|io| closed(io, start))).await {
        assert!((8..=17).contains(&took.as_secs()), "closed after {took:?}");
    }
    let text = metrics(address).await;
    assert!(text.contains("lanturn_half_open_closed_total{reason=\"silent\"} 2"), "{text}");
    assert!(text.contains("lanturn_half_open_closed_total{reason=\"slow-handshake\"} 2"), "{text}");
    assert!(text.contains("lanturn_http_connections_closed_total{reason=\"head-deadline\"} "), "{text}");
}

#[tokio::test]
async fn connections_of_one_source_and_of_all_are_capped() {
    let limits = "[limits]\nconnections = 8\nconnections_per_prefix = 5\n";
    let server = Server::start(&format!("{LOOPBACK}{limits}"));
    let address = server.address();
    let mut of_one = Vec::new();
    for _ in 0..5 {
        of_one.push(answers([127, 0, 0, 2], address).await.expect("within the cap"));
    }
    assert!(answers([127, 0, 0, 2], address).await.is_none(), "the sixth of one source");
    let mut of_others = Vec::new();
    for source in 3..6 {
        of_others.push(answers([127, 0, 0, source], address).await.expect("another source has places of its own"));
    }
    assert!(answers([127, 0, 0, 6], address).await.is_none(), "the ninth of all");
    drop(of_others);
    of_one.pop();
    // The server hears of the ends soon, but not at once.
    let back = async { while answers([127, 0, 0, 2], address).await.is_none() {} };
    timeout(PATIENCE, back).await.expect("a place that was left is free again");
    let text = metrics(address).await;
    for bound in ["connections", "connections-per-prefix"] {
        assert!(text.contains(&format!("lanturn_connections_refused_total{{bound=\"{bound}\"}}")), "{text}");
    }
}
