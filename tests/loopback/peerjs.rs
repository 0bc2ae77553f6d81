//! What PeerJS clients are told, message by message. The library itself is tested in browsers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::room::Member;
use super::support::server::{LOOPBACK, Server};
use super::support::web::{fetch, get, h1, https, metrics, with};

/// Somebody who is in, under an id.
async fn opened(server: &Server, id: &str, token: &str) -> Member {
    let mut client = Member::at(server, &path("peerjs", id, token)).await;
    assert_eq!(client.hear().await, json!({ "type": "OPEN" }), "{id}");
    client
}

fn path(key: &str, id: &str, token: &str) -> String {
    format!("/peerjs/peerjs?key={key}&id={id}&token={token}&version=1.5.5")
}

/// What a client is told that is not let in: the message, and the code that it is closed with.
async fn refused(server: &Server, path: &str) -> (Value, u16) {
    let mut client = Member::at(server, path).await;
    (client.hear().await, client.closed().await)
}

fn to(dst: &str, n: u32) -> Value {
    json!({ "type": "CANDIDATE", "src": "forged", "dst": dst, "payload": { "n": n } })
}

fn from(src: &str, dst: &str, n: u32) -> Value {
    json!({ "type": "CANDIDATE", "src": src, "dst": dst, "payload": { "n": n } })
}

fn expired(src: &str, dst: &str) -> Value {
    json!({ "type": "EXPIRE", "src": src, "dst": dst })
}

#[tokio::test]
async fn an_id_is_given_to_who_asks() {
    let server = Server::start(&format!("{LOOPBACK}[rooms]\norigins = ['https://friend.example']\n"));
    let address = server.address();
    let mut given = Vec::new();
    for path in ["/peerjs/peerjs/id?ts=1&version=1.5.5", "/peerjs/id", "/other-key/id"] {
        let reply = fetch(&server, address, path).await;
        assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (200, "*"), "{path}");
        assert!(reply.header("content-type").starts_with("text/plain"));
        given.push(reply.text());
    }
    assert!(given.iter().all(|id| id.len() == 36), "{given:?}");
    assert!(given[0] != given[1] && given[1] != given[2], "{given:?}");
    assert_eq!(fetch(&server, address, "/peerjs/peerjs/peers").await.error(), (401, "not-listed".into()));

    for (origin, status) in [("https://friend.example", 200), ("https://evil.example", 403)] {
        let io = https(&server, address, &["http/1.1"]).await;
        let reply = h1(io, with(get(address, "/peerjs/peerjs/id"), "origin", origin)).await;
        assert_eq!(reply.status.as_u16(), status, "{origin}");
    }
}

#[tokio::test]
async fn clients_talk_and_each_is_told_who_it_was() {
    let server = Server::start(LOOPBACK);
    let mut anna = opened(&server, "anna", "1").await;
    let mut ben = Member::at(&server, "/peerjs?key=peerjs&id=ben&token=2").await;
    assert_eq!(ben.hear().await, json!({ "type": "OPEN" }), "the path may be / too");
    for n in 0..3 {
        anna.say(to("ben", n)).await;
        assert_eq!(ben.hear().await, from("anna", "ben", n));
    }
    ben.say(json!({ "type": "HEARTBEAT" })).await;
    for kind in ["OFFER", "ANSWER", "LEAVE"] {
        ben.say(json!({ "type": kind, "dst": "anna", "payload": { "sdp": "v=0" } })).await;
        let told = json!({ "type": kind, "src": "ben", "dst": "anna", "payload": { "sdp": "v=0" } });
        assert_eq!(anna.hear().await, told);
    }
    let mut elsewhere = Member::at(&server, &path("other-key", "anna", "3")).await;
    assert_eq!(elsewhere.hear().await, json!({ "type": "OPEN" }), "another key has ids of its own");
    ben.say(to("anna", 7)).await;
    assert_eq!(anna.hear().await, from("ben", "anna", 7));

    let (_dora, joined) = Member::join(&server, server.address(), "peerjs", "Dora").await;
    assert_eq!(joined["peers"], json!([]), "nobody is told who is there");
    anna.say(to("ben", 8)).await;
    assert_eq!(ben.hear().await, from("anna", "ben", 8), "nor is anybody told of Dora");
}

#[tokio::test]
async fn a_client_that_calls_itself_hears_itself_and_keeps_its_id() {
    let server = Server::start(LOOPBACK);
    let mut anna = opened(&server, "anna", "1").await;
    let mut ben = opened(&server, "ben", "2").await;
    for n in 0..2 {
        anna.say(to("anna", n)).await;
        assert_eq!(anna.hear().await, from("anna", "anna", n));
    }
    anna.say(json!({ "type": "LEAVE", "dst": "anna" })).await;
    assert_eq!(anna.hear().await["type"], "LEAVE", "one call of hers");
    ben.say(to("anna", 2)).await;
    assert_eq!(anna.hear().await, from("ben", "anna", 2));
    let taken = json!({ "type": "ID-TAKEN", "payload": { "msg": "ID is taken" } });
    assert_eq!(refused(&server, &path("peerjs", "anna", "3")).await, (taken, 1008));
}

#[tokio::test]
async fn nobody_locks_them_out_and_they_hear_nothing_of_the_room() {
    let server = Server::start(LOOPBACK);
    let (mut dora, _) = Member::join(&server, server.address(), "peerjs", "Dora").await;
    for message in [json!({ "type": "pin", "pin": "4711" }), json!({ "type": "lock", "locked": true })] {
        dora.say(message).await;
        assert_eq!(dora.hear().await["type"], "room");
    }
    let mut anna = opened(&server, "anna", "1").await;
    let mut ben = opened(&server, "ben", "2").await;
    dora.say(json!({ "type": "broadcast", "data": "secret" })).await;
    dora.say(json!({ "type": "ping" })).await;
    assert_eq!(dora.hear().await, json!({ "type": "pong" }));
    ben.say(to("anna", 1)).await;
    assert_eq!(anna.hear().await, from("ben", "anna", 1));
}

#[tokio::test]
async fn an_id_is_one_clients() {
    let server = Server::start(LOOPBACK);
    let mut anna = opened(&server, "anna", "1").await;
    let taken = json!({ "type": "ID-TAKEN", "payload": { "msg": "ID is taken" } });
    assert_eq!(refused(&server, &path("peerjs", "anna", "2")).await, (taken, 1008));

    let mut again = opened(&server, "anna", "1").await;
    assert_eq!(anna.hear().await["type"], "ERROR", "the same client came again");
    assert_eq!(anna.closed().await, 1008);
    let mut ben = opened(&server, "ben", "3").await;
    ben.say(to("anna", 1)).await;
    assert_eq!(again.hear().await, from("ben", "anna", 1));

    again.say(json!({ "type": "LEAVE" })).await;
    assert_eq!(again.closed().await, 1000);
    let mut other = opened(&server, "anna", "2").await;
    ben.say(to("anna", 2)).await;
    assert_eq!(other.hear().await, from("ben", "anna", 2));
}

#[tokio::test]
async fn who_is_called_may_come_within_five_seconds() {
    let server = Server::start(LOOPBACK);
    let mut anna = opened(&server, "anna", "1").await;
    let start = Instant::now();
    for n in 0..3 {
        anna.say(to("ben", n)).await;
        anna.say(to("nobody", n)).await;
    }
    anna.say(json!({ "type": "LEAVE", "dst": "gone" })).await;
    let mut ben = opened(&server, "ben", "2").await;
    anna.say(to("ben", 3)).await;
    for n in 0..4 {
        assert_eq!(ben.hear().await, from("anna", "ben", n));
    }
    assert_eq!(anna.hear().await, expired("nobody", "anna"));
    let waited = start.elapsed();
    assert!((Duration::from_millis(4900)..Duration::from_secs(8)).contains(&waited), "{waited:?}");
    ben.say(to("anna", 9)).await;
    assert_eq!(anna.hear().await, from("ben", "anna", 9), "each is missed once, and a LEAVE does not wait");
}

#[tokio::test]
async fn a_client_that_says_not_who_it_is_is_told_so() {
    let server = Server::start(&format!("{LOOPBACK}[rooms]\nsubscribers = 1\n"));
    for query in ["", "?key=peerjs&id=anna", "?key=peerjs&id=&token=1", "?key=peerjs&id=a%07&token=1"] {
        let (told, code) = refused(&server, &format!("/peerjs/peerjs{query}")).await;
        assert_eq!((&told["type"], code), (&json!("ERROR"), 1008), "{query}");
        assert!(told["payload"]["msg"].as_str().unwrap().contains('`'), "{told}");
    }
    let (told, code) = refused(&server, "/peerjs?key=%20&id=anna&token=1").await;
    assert_eq!((&told["type"], code), (&json!("INVALID-KEY"), 1008));

    let _anna = opened(&server, "anna", "1").await;
    let (told, _) = refused(&server, &path("peerjs", "ben", "2")).await;
    assert_eq!(told, json!({ "type": "ERROR", "payload": { "msg": "this room is full" } }));
}

#[tokio::test]
async fn what_is_no_message_changes_nothing_and_a_long_one_ends_it() {
    let server = Server::start(&format!("{LOOPBACK}[rooms]\nmessage_bytes = 4096\n"));
    let mut anna = opened(&server, "anna", "1").await;
    let mut ben = opened(&server, "ben", "2").await;
    for text in ["", "{", "[]", "7", r#"{"type":"SHOUT","dst":"ben"}"#, r#"{"type":"OFFER"}"#] {
        anna.say_text(text).await;
    }
    anna.say(to("ben", 1)).await;
    assert_eq!(ben.hear().await, from("anna", "ben", 1));
    ben.say(to("anna", 2)).await;
    assert_eq!(anna.hear().await, from("ben", "anna", 2), "a client takes an error for the end, so it is told none");
    anna.say(json!({ "type": "OFFER", "dst": "ben", "payload": "x".repeat(4096) })).await;
    assert_eq!(anna.hear().await["type"], "ERROR");
    assert_eq!(anna.closed().await, 1009);
}

#[tokio::test]
async fn what_waits_is_bounded() {
    let server = Server::start(LOOPBACK);
    let mut anna = opened(&server, "anna", "1").await;
    for n in 0..64 {
        anna.say(to("ben", n)).await;
    }
    anna.say(to("cara", 64)).await;
    let start = Instant::now();
    assert_eq!(anna.hear().await, expired("cara", "anna"));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let counted = metrics(server.address()).await;
    assert!(counted.contains("lanturn_peerjs_dropped_total{bound=\"sender\"} 1"), "{counted}");
    let mut ben = opened(&server, "ben", "2").await;
    for n in 0..64 {
        assert_eq!(ben.hear().await, from("anna", "ben", n));
    }
}
