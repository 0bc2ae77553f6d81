//! Large datagrams, and very many small ones.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::support::server::{LOOPBACK, Server};
use super::support::stun::RawClient;
use super::support::turn_client::Over;
use super::support::web::metrics;
use super::support::{PATIENCE, echo_at, eventually, in_a_network_of_its_own};

/// The largest payload of an IPv4 datagram.
const LARGEST: usize = 65_507;
/// What of it is left for data in a Send or Data indication over UDP: those take 36 bytes, and are padded to four.
const LARGEST_WRAPPED: usize = (LARGEST - 36) / 4 * 4;
/// The same over DTLS, whose records hold 16 KiB.
const LARGEST_IN_A_RECORD: usize = (16_384 - 36) / 4 * 4;
/// Requests without a credential.
const REQUESTS: u32 = 200_000;
/// What they may cost in the end, in KiB: nothing, but for what the allocator keeps.
const MARGIN: u64 = 2048;

#[tokio::test]
async fn datagrams_of_every_size_go_both_ways() {
    every_size().await;
}

#[test]
fn large_datagrams_cross_a_network_of_small_packets() {
    in_a_network_of_its_own("ip link set lo mtu 1500", "large::inside_a_network_of_small_packets");
}

#[tokio::test]
#[ignore = "run by the test above, where a packet has at most 1500 bytes"]
async fn inside_a_network_of_small_packets() {
    every_size().await;
}

async fn every_size() {
    let server = Server::start(LOOPBACK);
    let peer = echo_at("127.0.0.1:0").await;
    for over in [Over::Udp, Over::Tcp, Over::Tls(&[]), Over::Dtls] {
        let mut client = RawClient::new(&server, server.address(), over, "anna").await;
        client.allocate(&[]).await.unwrap();
        client.permit(peer).await.unwrap();
        let largest = match over {
            Over::Udp => LARGEST_WRAPPED,
            Over::Tcp | Over::Tls(_) => LARGEST,
            Over::Dtls => LARGEST_IN_A_RECORD,
        };
        let sizes = [0, 1, 1499, 1500, 1501, 9000, 40_000, largest - 1, largest];
        for size in sizes.into_iter().filter(|&size| size <= largest) {
            let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            client.round_trip(peer, &bytes).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_leave_nothing_behind() {
    let server = Server::start(LOOPBACK);
    let address = server.address();
    let mut request = [0; 28];
    request[..8].copy_from_slice(&[0, 3, 0, 8, 0x21, 0x12, 0xA4, 0x42]);
    request[20..].copy_from_slice(&[0, 0x19, 0, 4, 17, 0, 0, 0]);
    let flood = |count: u32| {
        // Each from another source, as far as the ports of this machine go.
        let sockets: Vec<UdpSocket> = (0..64u8).map(|n| UdpSocket::bind(format!("127.0.1.{n}:0")).unwrap()).collect();
        for n in 0..count {
            let mut request = request;
            request[8..12].copy_from_slice(&n.to_be_bytes());
            sockets[n as usize % sockets.len()].send_to(&request, address).unwrap();
            if n % 256 == 0 {
                // No faster than it can be read, or the kernel throws it away.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    };
    flood(20_000);
    let before = server.memory();
    flood(REQUESTS);
    let mut client = RawClient::new(&server, address, Over::Udp, "anna").await;
    client.allocate(&[]).await.unwrap();
    let give_up = Instant::now() + PATIENCE;
    while refused(&server).await < u64::from(REQUESTS) / 2 {
        assert!(Instant::now() < give_up, "the server saw only {} requests", refused(&server).await);
    }
    eventually("memory is what it was", || server.memory() <= before + MARGIN);
}

/// The requests that were refused, with an answer or without.
async fn refused(server: &Server) -> u64 {
    let text = metrics(server.address()).await;
    let of = |event: &str| -> u64 {
        let label = format!("event=\"{event}\"");
        text.lines().filter(|line| line.contains(&label)).map(|line| line.rsplit(' ').next().unwrap()).map(number).sum()
    };
    of("rejects") + of("rejects_limited")
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}
