//! What comes back of datagrams to a port that nobody has (RFC 8656 section 11.5).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ::turn::proto::reqfamily::{REQUESTED_FAMILY_IPV4, REQUESTED_FAMILY_IPV6};

use super::support::server::Server;
use super::support::stun::RawClient;
use super::support::turn_client::Over;
use super::support::{PATIENCE, echo_at, web};

const CONFIG: &str = "listen.addresses = ['127.0.0.1:0', '[::1]:0']\nlisten.shards = 1\nrelay.allow_loopback = true\nrelay.icmp = true\n";
const SOON: Duration = Duration::from_secs(5);

/// A port that nobody has.
fn closed(ip: &str) -> SocketAddr {
    std::net::UdpSocket::bind((ip, 0)).unwrap().local_addr().unwrap()
}

/// A counter of the relay, of its one shard.
async fn counted(server: &Server, event: &str) -> u64 {
    web::counted(server.address(), &format!("lanturn_relay_total{{event=\"{event}\",shard=\"0\"}}")).await
}

#[tokio::test]
async fn a_client_is_told_that_a_port_is_closed() {
    let server = Server::start(CONFIG);
    for (ip, family, icmp) in [
        ("127.0.0.1", REQUESTED_FAMILY_IPV4, [0, 0, 3 << 1, 3, 0, 0, 0, 0]),
        ("::1", REQUESTED_FAMILY_IPV6, [0, 0, 1 << 1, 4, 0, 0, 0, 0]),
    ] {
        for over in [Over::Udp, Over::Tcp, Over::Tls(&[])] {
            let (peer, closed) = (echo_at(&SocketAddr::new(ip.parse().unwrap(), 0).to_string()).await, closed(ip));
            let mut client = RawClient::new(&server, server.address(), over, "anna").await;
            client.allocate(&[&family]).await.unwrap();
            client.permit(peer).await.unwrap();
            client.send(closed, b"anybody?").await;
            assert_eq!(client.error(SOON).await, Some((closed, icmp.to_vec())), "{over:?}");
            client.round_trip(peer, b"somebody").await;
        }
    }
}

/// Of thousands of errors few are told, but all are taken: they would fill the receive buffer of the socket, and keep the
/// shard awake.
#[tokio::test]
async fn errors_that_nobody_is_told_of_leave_nothing_behind() {
    const SENT: u64 = 6000;
    let server = Server::start(CONFIG);
    let (peer, closed) = (echo_at("127.0.0.1:0").await, closed("127.0.0.1"));
    let mut client = RawClient::new(&server, server.address(), Over::Udp, "anna").await;
    client.allocate(&[]).await.unwrap();
    client.permit(peer).await.unwrap();
    let give_up = Instant::now() + PATIENCE;
    for n in 0..SENT {
        // Each is longer than the last, so that none are joined: there is one error for each.
        client.send(closed, &[0; 50][..(n % 50) as usize]).await;
        if n % 50 == 49 {
            // Those for whom the port is open lose nothing by it.
            client.round_trip(peer, &n.to_be_bytes()).await;
        }
    }
    let all = loop {
        let (told, dropped) = (counted(&server, "icmp_told").await, counted(&server, "icmp_dropped").await);
        if told + dropped >= SENT / 2 || Instant::now() > give_up {
            break (told, dropped);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(all.0 > 0 && all.0 < 1000 && all.0 + all.1 >= SENT / 2, "told and dropped: {all:?}");
    let before = server.cpu();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let used = server.cpu() - before;
    assert!(used < Duration::from_millis(200), "{used:?} in a second without traffic");
    client.round_trip(peer, &[7; 1200]).await;
}
