//! What is particular to DTLS: cookies, and when sessions end.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use webrtc_util::Conn as _;

use super::support::dtls::{DtlsConn, client, datagrams};
use super::support::server::{LOOPBACK, Server};
use super::support::stun::RawClient;
use super::support::turn_client::Over;
use super::support::web::metrics;
use super::support::{PATIENCE, eventually};

/// ClientHellos, each from another address.
const STRANGERS: u32 = 20_000;

/// The sum of a metric over all shards.
async fn sum(address: SocketAddr, name: &str) -> u64 {
    let text = metrics(address).await;
    text.lines()
        .filter(|line| line.starts_with(name))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

async fn event(address: SocketAddr, name: &str) -> u64 {
    sum(address, &format!("lanturn_relay_total{{event=\"{name}\"")).await
}

async fn sessions(address: SocketAddr) -> u64 {
    sum(address, "lanturn_relay_dtls_sessions{").await
}

/// Waits until what is published every second is as it should be.
async fn becomes(what: &str, value: u64, of: impl AsyncFn() -> u64) {
    let becomes = async {
        while of().await != value {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, becomes).await.is_ok(), "{what} never becomes {value}");
}

fn stranger(local: &str, server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(local).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends a datagram, and gives back the answer.
fn ask(socket: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 2000];
    socket.send(datagram).unwrap();
    let length = socket.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

/// The kind of handshake message: 2 is a ServerHello, 3 asks for a cookie.
fn kind(answer: &[u8]) -> u8 {
    answer[13]
}

#[tokio::test]
async fn a_cookie_is_asked_for_and_is_good_for_nobody_else() {
    let server = Server::start(LOOPBACK);
    let address = server.address();
    let (one, other) = (stranger("127.0.0.1:0", address), stranger("127.0.0.1:0", address));
    let mut dtls = client();
    let verify = ask(&one, &datagrams(&mut dtls)[0]);
    assert_eq!(kind(&verify), 3);
    dtls.handle_packet(&verify).unwrap();
    let hello = datagrams(&mut dtls).remove(0);
    assert_eq!(kind(&ask(&other, &hello)), 3, "replayed from another address");
    let cookie = verify[28..].to_vec();
    let at = hello.windows(cookie.len()).position(|window| window == cookie).unwrap();
    let mut wrong = hello.clone();
    wrong[at] ^= 1;
    assert_eq!(kind(&ask(&one, &wrong)), 3, "a wrong one");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!((sessions(address).await, event(address, "dtls_challenged").await), (0, 3));
    assert_eq!(kind(&ask(&one, &hello)), 2, "the right one");
    let mut again = [0; 2000];
    while one.recv(&mut again).is_ok() && kind(&again) != 2 {}
    assert_eq!(kind(&again), 2, "what is not answered is said again");
    becomes("sessions", 1, async || sessions(address).await).await;
}

#[tokio::test]
async fn strangers_leave_no_session_behind() {
    let server = Server::start(LOOPBACK);
    let address = server.address();
    let hello = datagrams(&mut client()).remove(0);
    for number in 0..STRANGERS {
        let [_, _, high, low] = number.to_be_bytes();
        let socket = stranger(&format!("127.1.{high}.{low}:0"), address);
        assert_eq!(kind(&ask(&socket, &hello)), 3);
    }
    becomes("challenges", u64::from(STRANGERS), async || event(address, "dtls_challenged").await).await;
    assert_eq!((sessions(address).await, event(address, "dtls_opened").await), (0, 0));
}

#[tokio::test]
async fn a_session_has_one_allocation_after_another_and_the_last_ends_with_it() {
    let server = Server::start(LOOPBACK);
    let address = server.address();
    let allocations = async || sum(address, "lanturn_relay_allocations{").await;
    let conn = std::sync::Arc::new(DtlsConn::connect(address).await);
    let mut client = RawClient::over(&server, address, std::sync::Arc::clone(&conn) as _, "anna");
    client.allocate(&[]).await.unwrap();
    becomes("allocations", 1, &allocations).await;
    client.refresh(0).await.unwrap();
    becomes("allocations", 0, &allocations).await;
    assert_eq!(sessions(address).await, 1);
    client.allocate(&[]).await.unwrap();
    becomes("allocations", 1, &allocations).await;
    conn.close().await.unwrap();
    becomes("allocations", 0, &allocations).await;
    assert_eq!(sessions(address).await, 0);
}

#[tokio::test]
async fn sessions_are_bounded_by_the_limits_on_connections() {
    let server = Server::start(&format!("{LOOPBACK}[limits]\nconnections_per_prefix = 3\n"));
    let address = server.address();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(DtlsConn::connect(address).await);
    }
    let late = DtlsConn::begin(address).await;
    assert!(!late.opens(Duration::from_millis(500)).await);
    becomes("refused", 1, async || event(address, "dtls_refused").await).await;
    held.pop().unwrap().close().await.unwrap();
    assert!(late.opens(PATIENCE).await, "it repeats its hello, and there is room now");
}

#[tokio::test]
async fn with_a_key_that_dtls_does_not_take_all_else_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let certificate = rcgen::CertificateParams::new(["localhost".into()]).unwrap().self_signed(&key).unwrap();
    std::fs::create_dir(dir.path().join("certs")).unwrap();
    std::fs::write(dir.path().join("certs/cert.pem"), certificate.pem()).unwrap();
    std::fs::write(dir.path().join("certs/key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(dir.path().join("config.toml"), LOOPBACK).unwrap();
    let server = Server::start_in(dir);
    eventually("it is said", || server.log().contains("TURN over DTLS is off"));
    let conn = DtlsConn::begin(server.address()).await;
    assert!(!conn.opens(Duration::from_millis(500)).await);
    RawClient::new(&server, server.address(), Over::Udp, "anna").await.allocate(&[]).await.unwrap();
}
