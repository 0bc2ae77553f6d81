//! Relaying, with the `turn` crate's client at the other end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;
use webrtc_util::Conn;

use super::support::server::{LOOPBACK, Server};
use super::support::turn_client::{Over, client, client_as};
use super::support::{PATIENCE, echo_at};

/// Every way to the server: `turns:` as browsers speak it, as RFC 7443 has it, and with a protocol unknown to us.
const WAYS: [Over; 6] =
    [Over::Udp, Over::Tcp, Over::Tls(&[]), Over::Tls(&["stun.turn"]), Over::Tls(&["something-else"]), Over::Dtls];

/// Sends until the same comes back: the client's first packets may go before its permission stands.
async fn round_trip(relayed: &impl Conn, peer: SocketAddr, message: &[u8]) {
    let mut buffer = vec![0; 65_535];
    for _ in 0..40 {
        relayed.send_to(message, peer).await.unwrap();
        if let Ok(received) = timeout(Duration::from_millis(500), relayed.recv_from(&mut buffer)).await {
            let (length, from) = received.unwrap();
            assert_eq!((&buffer[..length], from), (message, peer));
            return;
        }
    }
    panic!("nothing came back");
}

#[tokio::test]
async fn a_packet_goes_through_and_back_over_every_transport() {
    let server = Server::start(LOOPBACK);
    let peer = echo_at("127.0.0.1:0").await;
    for over in WAYS {
        let client = client(&server, server.address(), over, "anna").await;
        let relayed = client.allocate().await.unwrap();
        assert_eq!(relayed.local_addr().unwrap().ip(), server.address().ip());
        for message in [&b"hello"[..], &[7; 1200], b"x"] {
            round_trip(&relayed, peer, message).await;
        }
        relayed.close().await.unwrap();
        client.close().await.unwrap();
    }
}

#[tokio::test]
async fn two_clients_reach_each_other_by_their_relayed_addresses() {
    let server = Server::start(LOOPBACK);
    let pairs = [
        (Over::Udp, Over::Udp),
        (Over::Udp, Over::Tcp),
        (Over::Tls(&[]), Over::Tcp),
        (Over::Dtls, Over::Udp),
        (Over::Dtls, Over::Dtls),
    ];
    for (one, other) in pairs {
        // Several clients each, so that some pairs are on one shard and some on two.
        for _ in 0..4 {
            let anna = client(&server, server.address(), one, "anna").await;
            let ben = client(&server, server.address(), other, "ben").await;
            let (at_anna, at_ben) = (anna.allocate().await.unwrap(), ben.allocate().await.unwrap());
            let (anna_at, ben_at) = (at_anna.local_addr().unwrap(), at_ben.local_addr().unwrap());
            let mut buffer = vec![0; 2000];
            let met = async {
                loop {
                    at_anna.send_to(b"from anna", ben_at).await.unwrap();
                    at_ben.send_to(b"from ben", anna_at).await.unwrap();
                    let wait = Duration::from_millis(200);
                    let (Ok(first), Ok(second)) = (
                        timeout(wait, at_anna.recv_from(&mut buffer)).await,
                        timeout(wait, at_ben.recv_from(&mut vec![0; 2000])).await,
                    ) else {
                        continue;
                    };
                    assert_eq!(first.unwrap(), (8, ben_at));
                    assert_eq!(second.unwrap(), (9, anna_at));
                    return;
                }
            };
            timeout(PATIENCE, met).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_binding_says_where_the_client_comes_from() {
    let server = Server::start(LOOPBACK);
    for over in WAYS {
        let client = client(&server, server.address(), over, "anna").await;
        let mapped = client.send_binding_request().await.unwrap();
        assert_eq!(mapped.ip(), server.address().ip());
    }
}

#[tokio::test]
async fn a_wrong_password_allocates_nothing() {
    let server = Server::start(LOOPBACK);
    let (username, _) = server.credential("anna");
    for over in [Over::Udp, Over::Tcp, Over::Tls(&[]), Over::Dtls] {
        let client = client_as(&server, server.address(), over, &username, "guess").await;
        let error = client.allocate().await.err().unwrap().to_string();
        assert!(error.contains("401"), "{error}");
    }
}

#[tokio::test]
async fn a_static_user_relays() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("camera.password"), "front door\n").unwrap();
    let users = "[credentials]\nusers = [{ name = 'camera', password_file = 'camera.password' }]";
    std::fs::write(dir.path().join("config.toml"), format!("{LOOPBACK}{users}")).unwrap();
    let server = Server::start_in(dir);
    let client = client_as(&server, server.address(), Over::Udp, "camera", "front door").await;
    let relayed = client.allocate().await.unwrap();
    round_trip(&relayed, echo_at("127.0.0.1:0").await, b"picture").await;
}
