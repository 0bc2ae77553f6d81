//! IPv6 on either side of the relay.

use std::net::SocketAddr;

use ::turn::proto::reqfamily::{REQUESTED_FAMILY_IPV4, REQUESTED_FAMILY_IPV6, RequestedAddressFamily};

use super::support::echo_at;
use super::support::server::Server;
use super::support::stun::RawClient;
use super::support::turn_client::Over;

const BOTH: &str = "listen.addresses = ['127.0.0.1:0', '[::1]:0']\nlisten.shards = 2\nrelay.allow_loopback = true\n";

async fn asked(server: &Server, address: SocketAddr, over: Over, family: u8) -> (RawClient, Result<SocketAddr, u16>) {
    let mut client = RawClient::new(server, address, over, "anna").await;
    let answer = client.allocate(&[&RequestedAddressFamily(family)]).await;
    (client, answer)
}

#[tokio::test]
async fn either_family_relays_for_clients_of_either() {
    let server = Server::start(BOTH);
    let (v4, v6) = (echo_at("127.0.0.1:0").await, echo_at("[::1]:0").await);
    for &address in &server.addresses {
        for over in [Over::Udp, Over::Tcp, Over::Tls(&[])] {
            for (family, peer) in [(REQUESTED_FAMILY_IPV4, v4), (REQUESTED_FAMILY_IPV6, v6)] {
                let (mut client, relayed) = asked(&server, address, over, family.0).await;
                assert_eq!(relayed.unwrap().is_ipv6(), peer.is_ipv6(), "{address} {over:?}");
                client.permit(peer).await.unwrap();
                client.round_trip(peer, b"across").await;
                client.round_trip(peer, &[6; 1200]).await;
            }
        }
    }
}

#[tokio::test]
async fn without_a_family_the_relayed_address_is_ipv4() {
    let server = Server::start(BOTH);
    for &address in &server.addresses {
        let mut client = RawClient::new(&server, address, Over::Udp, "anna").await;
        assert!(client.allocate(&[]).await.unwrap().is_ipv4(), "{address}");
    }
}

#[tokio::test]
async fn a_peer_of_the_other_family_is_a_443() {
    let server = Server::start(BOTH);
    let (v4, v6) = (echo_at("127.0.0.1:0").await, echo_at("[::1]:0").await);
    for (family, other) in [(REQUESTED_FAMILY_IPV4, v6), (REQUESTED_FAMILY_IPV6, v4)] {
        let (mut client, relayed) = asked(&server, server.address(), Over::Udp, family.0).await;
        relayed.unwrap();
        assert_eq!(client.permit(other).await, Err(443));
    }
}

#[tokio::test]
async fn a_family_that_is_not_there_is_a_440() {
    let server = Server::start(BOTH);
    assert_eq!(asked(&server, server.address(), Over::Udp, 3).await.1, Err(440));
    let only_v4 = Server::start(&format!("{BOTH}relay.addresses = ['127.0.0.1']\n"));
    for &address in &only_v4.addresses {
        assert_eq!(asked(&only_v4, address, Over::Tcp, 2).await.1, Err(440));
        assert!(asked(&only_v4, address, Over::Tcp, 1).await.1.unwrap().is_ipv4());
    }
}

#[tokio::test]
async fn relayed_addresses_of_both_families_reach_their_like() {
    let server = Server::start(BOTH);
    let (mut anna, at_anna) = asked(&server, server.addresses[0], Over::Udp, 2).await;
    let (mut ben, at_ben) = asked(&server, server.addresses[1], Over::Tcp, 2).await;
    let (at_anna, at_ben) = (at_anna.unwrap(), at_ben.unwrap());
    anna.permit(at_ben).await.unwrap();
    ben.permit(at_anna).await.unwrap();
    anna.send(at_ben, b"hello").await;
    assert_eq!(ben.receive(super::support::PATIENCE).await, Some((at_anna, b"hello".to_vec())));
}
