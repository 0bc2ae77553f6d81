//! How the server ends.

use std::time::{Duration, Instant};

use super::support::room::Member;
use super::support::server::{LOOPBACK, Server};

#[tokio::test]
async fn both_signals_end_it_cleanly_and_tell_the_rooms() {
    for signal in ["TERM", "INT"] {
        let server = Server::start(LOOPBACK);
        let address = server.address();
        let (mut anna, _) = Member::join(&server, address, "kitchen", "Anna").await;
        let mut ben = Member::connect_h2(&server, address).await;
        let start = Instant::now();
        server.signal(signal);
        assert_eq!(anna.closed().await, 1001, "{signal}");
        assert_eq!(ben.closed().await, 1001, "{signal}");
        drop((anna, ben));
        let (status, log) = tokio::task::spawn_blocking(|| server.wait()).await.unwrap();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert!(!log.contains("panicked"), "{log}");
        std::net::TcpListener::bind(address).unwrap();
    }
}
