//! Clients that stall, and frames that no client of good will sends: others talk on, and each bound is counted.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

use super::port::connect_from;
use super::support::frames::{BINARY, CLOSE, CONTINUATION, FIN, PING, Raw, TEXT, frame, head};
use super::support::room::Member;
use super::support::server::{LOOPBACK, Server};
use super::support::talk::Talk;
use super::support::web::{becomes, counted, http};

const CONNECTIONS: &str = "lanturn_signaling_connections";

fn server(rooms: &str) -> Server {
    Server::start(&format!("{LOOPBACK}[rooms]\n{rooms}\n"))
}

async fn raw(address: SocketAddr) -> Raw {
    Raw::open(connect_from([127, 0, 0, 2], address).await, address).await
}

async fn joined(address: SocketAddr, room: &str) -> Raw {
    let mut member = raw(address).await;
    member.say(&json!({ "type": "join", "room": room })).await;
    assert_eq!(member.hear().await.unwrap().unwrap()["type"], "joined");
    member
}

async fn refused(address: SocketAddr, reason: &str) -> u64 {
    counted(address, &format!("lanturn_signaling_refused_total{{reason=\"{reason}\"}}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_closed_and_nobody_waits_for_it() {
    let server = server("message_rate = 1000000");
    let address = server.address();
    let talk = Talk::start(&server).await;
    let (mut anna, _) = Member::join(&server, address, "attic", "Anna").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = Raw::open(socket.connect(address).await.unwrap(), address).await;
    slow.say(&json!({ "type": "join", "room": "attic" })).await;
    let told = slow.hear().await.unwrap().unwrap();
    assert_eq!(anna.hear().await["type"], "peer-joined");
    let (mut cara, joined) = Member::join(&server, address, "attic", "Cara").await;
    assert_eq!(anna.hear().await["type"], "peer-joined");

    let words = "x".repeat(60_000);
    let mut sent = 0;
    while refused(address, "slow-reader").await == 0 {
        assert!(sent < 1000, "60 MB wait for one reader");
        anna.say(json!({ "type": "signal", "to": told["self"]["id"], "data": words })).await;
        anna.say(json!({ "type": "signal", "to": joined["self"]["id"], "data": sent })).await;
        let heard = loop {
            let heard = cara.hear().await;
            if heard["type"] == "signal" {
                break heard;
            }
        };
        assert_eq!((&heard["data"], &heard["seq"]), (&json!(sent), &json!(sent + 1)));
        sent += 1;
    }
    let left = anna.hear().await;
    assert_eq!((&left["id"], &left["reason"]), (&told["self"]["id"], &json!("disconnected")), "{left}");
    becomes(address, CONNECTIONS, 4).await;
    talk.ends_unhindered().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_get_no_further_are_closed_and_counted() {
    let server = server("hello_deadline = '1s'");
    let address = server.address();
    let talk = Talk::start(&server).await;
    // Each has its upgrade, and then: nothing, less than a frame, or a frame that says nothing yet.
    let beginnings = [vec![], vec![FIN | TEXT], head(FIN | TEXT, 60_000), frame(TEXT, b"{\"type\":\"jo")];
    let mut waiting = join_all((0..200).map(|n| {
        let beginning = beginnings[n % beginnings.len()].clone();
        async move {
            let stream = connect_from([127, 0, 0, 2 + n as u8 % 50], address).await;
            let mut waiting = Raw::open(stream, address).await;
            waiting.send(&beginning).await;
            waiting
        }
    }))
    .await;
    let ends = join_all(waiting.iter_mut().map(Raw::errors)).await;
    assert!(ends.iter().all(|end| *end == (vec!["hello-timeout".into()], Some(1008))), "{ends:?}");
    assert_eq!(refused(address, "hello-timeout").await, 200);

    // Gone before or right after the answer to their upgrade.
    let upgrade = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for _ in 0..100 {
        let mut stream = connect_from([127, 0, 0, 2], address).await;
        stream.set_zero_linger().unwrap();
        stream.write_all(upgrade.as_bytes()).await.unwrap();
    }
    becomes(address, CONNECTIONS, 2).await;
    talk.ends_unhindered().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_falls_silent_in_a_frame_is_gone_after_ten_seconds() {
    let server = server("");
    let address = server.address();
    let (mut anna, _) = Member::join(&server, address, "attic", "Anna").await;
    let mut halves = Vec::new();
    for beginning in [vec![FIN | TEXT], head(FIN | TEXT, 60_000), frame(TEXT, b"{")] {
        let mut half = joined(address, "attic").await;
        half.send(&beginning).await;
        halves.push(half);
        assert_eq!(anna.hear().await["type"], "peer-joined");
    }
    // Frames without end, of which none is the last, are no sign of life either.
    let mut endless = joined(address, "attic").await;
    assert_eq!(anna.hear().await["type"], "peer-joined");
    let flood = tokio::spawn(async move {
        let more = frame(CONTINUATION, b"").repeat(1000);
        let _ = endless.stream.write_all(&frame(TEXT, b"")).await;
        while endless.stream.write_all(&more).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    for _ in 0..4 {
        assert_eq!(anna.hear().await["reason"], "disconnected");
    }
    flood.await.unwrap();
    becomes(address, CONNECTIONS, 1).await;
}

/// Texts that are no message.
const WRONG: &[&str] = &[
    "",
    " ",
    "null",
    "true",
    "0",
    r#""join""#,
    "[]",
    r#"[{"type":"join"}]"#,
    "{",
    "{}",
    r#"{"type"}"#,
    r#"{"type":}"#,
    "{'type':'ping'}",
    r#"{"type":"ping",}"#,
    r#"{"type":"ping"}{}"#,
    "\u{feff}{\"type\":\"ping\"}",
    "NaN",
    r#"{"type":null}"#,
    r#"{"type":1}"#,
    r#"{"type":["ping"]}"#,
    r#"{"type":{"ping":1}}"#,
    r#"{"type":"join"}"#,
    r#"{"type":"join","room":null}"#,
    r#"{"type":"join","room":7}"#,
    r#"{"type":"join","room":["attic"]}"#,
    r#"{"type":"join","room":"a","name":5}"#,
    r#"{"type":"signal"}"#,
    r#"{"type":"signal","to":"4be0643f1d98573b"}"#,
    r#"{"type":"signal","data":1}"#,
    r#"{"type":"signal","to":null,"data":1}"#,
    r#"{"type":"signal","to":5,"data":1}"#,
    r#"{"type":"signal","to":{},"data":1}"#,
    r#"{"type":"signal","to":"4be0643f1d98573b","data":1e}"#,
    r#"{"type":"signal","to":"4be0643f1d98573b","data":01}"#,
    r#"{"type":"signal","to":"4be0643f1d98573b","data":undefined}"#,
    r#"{"type":"signal","to":"4be0643f1d98573b","data":"\x"}"#,
];
/// Messages that nothing can come of.
const VAIN: &[(&str, &str)] = &[
    (r#"{"type":"__proto__"}"#, "unknown-type"),
    (r#"{"type":"Ping"}"#, "unknown-type"),
    (r#"{"type":"signal","to":"4be0643f1d98573b","data":1}"#, "no-such-peer"),
    (r#"{"type":"signal","to":"","data":1}"#, "no-such-peer"),
    (r#"{"type":"signal","to":"constructor","data":1}"#, "no-such-peer"),
];

#[tokio::test]
async fn json_of_a_wrong_shape_is_told_so_and_changes_nothing() {
    let server = server("message_rate = 1000");
    let address = server.address();
    let talk = Talk::start(&server).await;
    let mut anna = joined(address, "attic").await;
    let [open, close] = ["[", "]"].map(|bracket| bracket.repeat(9000));
    let deep = format!(r#"{{"type":"signal","to":"4be0643f1d98573b","data":{open}{close}}}"#);
    let mut tell = async |first: u8, text: &str| {
        anna.send(&frame(first, text.as_bytes())).await;
        anna.hear().await.unwrap().unwrap_or_else(|code| panic!("{text:.60} closed it: {code}"))
    };
    for text in WRONG.iter().copied().chain([deep.as_str()]) {
        let told = tell(FIN | TEXT, text).await;
        assert_eq!((&told["id"], &told["fatal"]), (&json!("bad-message"), &json!(false)), "{text:.60}");
    }
    assert_eq!(tell(FIN | BINARY, r#"{"type":"ping"}"#).await["id"], "bad-message");
    for (text, id) in VAIN {
        assert_eq!(tell(FIN | TEXT, text).await["id"], **id, "{text}");
    }
    assert_eq!(tell(FIN | TEXT, r#"{"type":"ping"}"#).await["type"], "pong", "she is still there");
    assert_eq!(refused(address, "bad-message").await, WRONG.len() as u64 + 2);
    assert_eq!((refused(address, "unknown-type").await, refused(address, "no-such-peer").await), (2, 3));
    talk.ends_unhindered().await;
}

#[tokio::test]
async fn frames_against_the_protocol_end_the_connection_and_no_other() {
    let server = server("message_bytes = 4096");
    let address = server.address();
    let talk = Talk::start(&server).await;
    let ping = br#"{"type":"ping"}"#;
    let mut unmasked = vec![FIN | TEXT, ping.len() as u8];
    unmasked.extend_from_slice(ping);
    for bytes in [
        unmasked,
        frame(FIN | 0x40 | TEXT, ping),
        frame(FIN | 3, ping),
        frame(FIN | 0xB, ping),
        frame(FIN | CONTINUATION, ping),
        frame(PING, b""),
        frame(FIN | PING, &[b'x'; 126]),
        frame(FIN | TEXT, b"\xFF\xFE"),
        frame(FIN | CLOSE, b"\x03"),
        [frame(TEXT, b"{"), frame(FIN | TEXT, b"}")].concat(),
        head(FIN | TEXT, u64::MAX),
        head(FIN | TEXT, 1 << 63),
    ] {
        let mut member = joined(address, "attic").await;
        member.send(&bytes).await;
        member.ended(Duration::from_secs(5)).await;
        becomes(address, CONNECTIONS, 2).await;
    }
    let too_large = refused(address, "too-large").await;
    for (count, bytes) in
        [frame(FIN | TEXT, &[b' '; 4097]), frame(TEXT, &[b' '; 1000]), head(FIN | BINARY, 1 << 32)].iter().enumerate()
    {
        let mut member = joined(address, "attic").await;
        member.send(bytes).await;
        if count == 1 {
            // A message in many frames is one message.
            member.send(&frame(CONTINUATION, &[b' '; 1000]).repeat(4)).await;
        }
        assert_eq!(member.errors().await, (vec!["too-large".into()], Some(1009)), "{count}");
        assert_eq!(refused(address, "too-large").await, too_large + count as u64 + 1);
    }
    talk.ends_unhindered().await;
}

#[tokio::test]
async fn a_flood_of_pings_ends_the_connection() {
    let server = server("message_rate = 10");
    let mut flood = joined(server.address(), "attic").await;
    flood.send(&frame(FIN | PING, b"there?").repeat(1000)).await;
    assert_eq!(flood.errors().await, (vec!["rate-limited".into(); 10], Some(1013)));
    assert_eq!(refused(server.address(), "rate-limited").await, 10);
}

#[tokio::test]
async fn a_member_cannot_name_addresses_without_end() {
    let server = server("message_rate = 1000");
    let address = server.address();
    let (mut anna, _) = Member::join(&server, address, "attic", "Anna").await;
    let (_ben, joined) = Member::join(&server, address, "attic", "Ben").await;
    assert_eq!(anna.hear().await["type"], "peer-joined");
    for n in 0..200 {
        let line = format!("candidate:1 1 udp 1 203.0.113.{n} 5000 typ host");
        let data = json!({ "candidate": { "candidate": line } });
        anna.say(json!({ "type": "signal", "to": joined["self"]["id"], "data": data })).await;
    }
    becomes(address, "lanturn_signaled_addresses_dropped_total", 200 - 64).await;
}

/// What bounds a connection before it is a socket, where no client of good will gets.
#[tokio::test]
async fn every_way_to_be_cut_off_by_http_is_counted() {
    let server = server("");
    let address = server.address();
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\r\n", "x".repeat(16 * 1024));
    let longest = "POST /turn HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16385\r\n\r\n";
    for (bytes, line) in [
        (long.as_str(), "lanturn_http_connections_closed_total{reason=\"head-too-large\"}"),
        ("GET / HTTP/1.1\r\nHost localhost\r\n\r\n", "lanturn_http_connections_closed_total{reason=\"malformed\"}"),
        (longest, "lanturn_http_refused_total{reason=\"too-large\"}"),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "lanturn_http_refused_total{reason=\"bad-host\"}"),
    ] {
        assert_eq!(counted(address, line).await, 0);
        let mut io = http(address).await;
        io.write_all(bytes.as_bytes()).await.unwrap();
        becomes(address, line, 1).await;
    }
}

#[tokio::test]
async fn what_waits_for_a_member_that_is_not_ready_is_bounded() {
    let server = server("message_rate = 1000");
    let address = server.address();
    let talk = Talk::start(&server).await;
    let mut anna = joined(address, "attic").await;
    let mut late = raw(address).await;
    late.say(&json!({ "type": "join", "room": "attic", "ready": false })).await;
    let id = late.hear().await.unwrap().unwrap()["self"]["id"].clone();
    assert_eq!(anna.hear().await.unwrap().unwrap()["type"], "peer-joined");
    for n in 0..200 {
        anna.say(&json!({ "type": "signal", "to": id, "data": n })).await;
    }
    anna.say(&json!({ "type": "ping" })).await;
    let mut busy = 0;
    loop {
        let told = anna.hear().await.unwrap().unwrap();
        if told["type"] == "pong" {
            break;
        }
        assert_eq!((&told["id"], &told["fatal"]), (&json!("peer-busy"), &json!(false)), "{told}");
        busy += 1;
    }
    assert_eq!((busy, refused(address, "peer-busy").await), (72, 72), "half of 256 wait");
    late.say(&json!({ "type": "ready" })).await;
    for n in 0..128 {
        assert_eq!(late.hear().await.unwrap().unwrap()["data"], n);
    }
    talk.ends_unhindered().await;
}

#[tokio::test]
async fn pins_are_not_guessed_by_trying() {
    let server = server("");
    let address = server.address();
    let mut host = raw(address).await;
    host.say(&json!({ "type": "join", "room": "vault", "pin": "4711" })).await;
    assert_eq!(host.hear().await.unwrap().unwrap()["type"], "joined");
    let mut ids = Vec::new();
    for pin in 0..12 {
        let mut thief = raw(address).await;
        thief.say(&json!({ "type": "join", "room": "vault", "pin": pin.to_string() })).await;
        ids.push(thief.hear().await.unwrap().unwrap()["id"].clone());
    }
    assert_eq!(ids[..10], vec![json!("bad-pin"); 10]);
    assert_eq!(ids[10..], vec![json!("rate-limited"); 2]);
    assert_eq!((refused(address, "bad-pin").await, refused(address, "rate-limited").await), (10, 2));
    assert_eq!(counted(address, "lanturn_pin_guesses_refused_total").await, 2);
    let mut late = Raw::open(connect_from([127, 0, 0, 3], address).await, address).await;
    late.say(&json!({ "type": "join", "room": "vault", "pin": "4711" })).await;
    assert_eq!(late.hear().await.unwrap().unwrap()["type"], "joined", "whoever else has the PIN gets in");
}
