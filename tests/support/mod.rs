//! What the tests share: the binary under test, and clients for it.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub, reason = "a test may panic, and not every binary uses all")]

pub mod conn;
pub mod room;
pub mod server;
pub mod stun;
pub mod tls;
pub mod turn_client;
pub mod web;

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until a condition holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < give_up, "this never came about: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A peer at `address` that sends back what it gets, to wherever it came from.
pub async fn echo_at(address: &str) -> std::net::SocketAddr {
    let socket = tokio::net::UdpSocket::bind(address).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_535];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..length], from).await;
        }
    });
    address
}
