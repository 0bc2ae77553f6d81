//! A crowd at the door disturbs nobody inside, and keeps nobody out.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::port::{HALF_HELLO, everything_works};
use super::support::room::Member;
use super::support::server::{LOOPBACK, Server};
use super::support::stun::RawClient;
use super::support::turn_client::Over;
use super::support::web::metrics;

const CROWD: usize = 1000;

/// Sends both ways between two relayed addresses until told to stop, and counts what came at each end.
async fn call(mut anna: RawClient, mut ben: RawClient, at: [SocketAddr; 2], stop: watch::Receiver<bool>) -> (u32, u32) {
    let (mut sent, mut received) = (0u32, 0);
    while !*stop.borrow() || sent < 100 {
        let words = sent.to_be_bytes();
        anna.send(at[1], &words).await;
        ben.send(at[0], &words).await;
        sent += 2;
        for (client, from) in [(&mut anna, at[1]), (&mut ben, at[0])] {
            let got = client.receive(Duration::from_secs(5)).await;
            received += u32::from(got == Some((from, words.to_vec())));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (sent, received)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_half_open_connections_disturb_no_call() {
    rlimit::increase_nofile_limit(4096).unwrap();
    let server = Server::start(LOOPBACK);
    let address = server.address();
    let mut anna = RawClient::new(&server, address, Over::Udp, "anna").await;
    let mut ben = RawClient::new(&server, address, Over::Tcp, "ben").await;
    let at = [anna.allocate(&[]).await.unwrap(), ben.allocate(&[]).await.unwrap()];
    anna.permit(at[1]).await.unwrap();
    ben.permit(at[0]).await.unwrap();
    let (mut cara, joined) = Member::join(&server, address, "cellar", "Cara").await;
    let (mut dora, later) = Member::join(&server, address, "cellar", "Dora").await;
    assert_eq!(cara.hear().await["type"], "peer-joined");

    let (stop, stopped) = watch::channel(false);
    let call = tokio::spawn(call(anna, ben, at, stopped));
    for beginning in [&b""[..], HALF_HELLO, b"G", b"GET / HTTP/1.1\r\nHost: "] {
        let crowd = join_all((0..CROWD).map(|_| async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // A part of the crowd is turned away to make room for the rest.
            let _ = stream.write_all(beginning).await;
            stream
        }))
        .await;
        assert_eq!(crowd.len(), CROWD);
        everything_works(&server, address).await;
        dora.say(json!({ "type": "signal", "to": joined["self"]["id"], "data": "still here" })).await;
        assert_eq!(cara.hear().await["data"], "still here");
        cara.say(json!({ "type": "signal", "to": later["self"]["id"], "data": "and I" })).await;
        assert_eq!(dora.hear().await["data"], "and I");
        drop(crowd);
    }
    let text = metrics(address).await;
    assert!(text.contains("lanturn_half_open_closed_total{reason=\"evicted\"}"), "{text}");
    stop.send_replace(true);
    let (sent, received) = call.await.unwrap();
    assert_eq!(received, sent, "not a packet of the call was lost");
}
