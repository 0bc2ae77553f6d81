//! IPv4 and IPv6 on one wildcard, and a machine that has only one of them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ::turn::proto::reqfamily::REQUESTED_FAMILY_IPV6;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::port::everything_works;
use super::support::server::Server;
use super::support::stun::RawClient;
use super::support::turn_client::Over;
use super::support::web::{get, h1, http};
use super::support::{in_a_network_of_its_own, skipped};

const WILDCARD: &str = "listen.addresses = ['[::]:0']\nlisten.shards = 2\nrelay.allow_loopback = true\n";
/// Bindings of a client a second are not limited; ten sources see that each shard answers rightly.
const SOURCES: usize = 10;

/// A Binding request. Its answer counts only if it comes from where the request went.
async fn binding_comes_back_from(address: SocketAddr) {
    for _ in 0..SOURCES {
        let socket = UdpSocket::bind(SocketAddr::new(address.ip(), 0)).await.unwrap();
        // A connected socket hears its destination only.
        socket.connect(address).await.unwrap();
        let mut request = [0; 20];
        request[..8].copy_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42]);
        let mut answer = [0; 100];
        let answered = async {
            loop {
                socket.send(&request).await.unwrap();
                if let Ok(length) = timeout(Duration::from_secs(1), socket.recv(&mut answer)).await {
                    return length.unwrap();
                }
            }
        };
        let length = timeout(super::support::PATIENCE, answered).await.expect("no answer from where it was asked");
        assert!(length > 20 && answer[..2] == [1, 1], "{:?}", &answer[..length]);
    }
}

#[tokio::test]
async fn both_stacks_are_served_by_one_wildcard() {
    let server = Server::start(WILDCARD);
    let port = server.address().port();
    assert_eq!(server.address().to_string(), format!("[::]:{port}"));
    for ip in ["127.0.0.1", "::1"] {
        everything_works(&server, SocketAddr::new(ip.parse().unwrap(), port)).await;
    }
    for ip in ["127.0.0.1", "127.0.0.2", "127.1.2.3", "::1"] {
        binding_comes_back_from(SocketAddr::new(ip.parse().unwrap(), port)).await;
    }
}

#[tokio::test]
async fn the_addresses_of_the_network_cards_answer_too() {
    let server = Server::start(WILDCARD);
    let port = server.address().port();
    let mut others = if_addrs::get_if_addrs().unwrap();
    others.retain(|card| !card.is_loopback() && !card.is_link_local());
    if others.is_empty() {
        skipped("the network cards: this machine has no address but loopback");
    }
    for card in others {
        binding_comes_back_from(SocketAddr::new(card.ip(), port)).await;
        let address = SocketAddr::new(card.ip(), port);
        assert_eq!(h1(http(address).await, get(address, "/health")).await.text(), "ok\n");
    }
}

#[test]
fn a_machine_without_ipv6_serves_ipv4_and_says_so() {
    let switch_off = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6";
    in_a_network_of_its_own(switch_off, "stacks::inside_a_network_without_ipv6");
}

#[tokio::test]
#[ignore = "run by the test above, in a network without IPv6"]
async fn inside_a_network_without_ipv6() {
    assert!(std::net::UdpSocket::bind("[::1]:0").is_err(), "IPv6 is still there");
    let mut server = Server::start(WILDCARD);
    server.wait_for("this machine has no IPv6 address");
    let address = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), server.address().port());
    everything_works(&server, address).await;
    let mut client = RawClient::new(&server, address, Over::Udp, "anna").await;
    assert_eq!(client.allocate(&[&REQUESTED_FAMILY_IPV6]).await, Err(440));
    binding_comes_back_from(SocketAddr::new(IpAddr::from([127, 0, 0, 2]), address.port())).await;
}
