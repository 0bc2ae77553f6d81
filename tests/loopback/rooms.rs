//! Rooms, as clients of the WebSocket see them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

use super::support::room::Member;
use super::support::server::{LOOPBACK, Server};
use super::support::web::https;

fn with_rooms(keys: &str) -> Server {
    Server::start(&format!("{LOOPBACK}[rooms]\n{keys}\n"))
}

#[tokio::test]
async fn members_meet_talk_and_part() {
    let server = Server::start(LOOPBACK);
    let address = server.address();
    let (mut anna, joined) = Member::join(&server, address, "kitchen", "Anna").await;
    let anna_id = joined["self"]["id"].clone();
    assert_eq!((&joined["room"], &joined["self"]["name"]), (&json!("kitchen"), &json!("Anna")));
    assert_eq!((&joined["v"], &joined["peers"], &joined["capacity"]), (&json!(1), &json!([]), &json!(8)));
    assert_eq!(joined["iceServers"][0]["urls"], json!([format!("stun:{address}")]));
    assert_eq!(joined["ttl"], 3600);

    let mut ben = Member::connect_h2(&server, address).await;
    ben.say(json!({ "type": "join", "room": "kitchen", "name": "Ben" })).await;
    let joined = ben.hear().await;
    let ben_id = joined["self"]["id"].clone();
    let entry = |id: &Value, name, is_earlier: bool| json!({ "id": id, "name": name, "role": "member", "epoch": 1, "polite": is_earlier, "initiate": is_earlier });
    assert_eq!(joined["peers"], json!([entry(&anna_id, "Anna", true)]));
    let told = anna.hear().await;
    assert_eq!(told, json!({ "type": "peer-joined", "peer": entry(&ben_id, "Ben", false), "n": 1 }));

    for seq in 1..=3 {
        anna.say(json!({ "type": "signal", "to": ben_id, "data": { "n": seq }, "from": "forged", "seq": 9 })).await;
        let data = json!({ "n": seq });
        let signal = json!({ "type": "signal", "from": anna_id, "epoch": 1, "seq": seq, "data": data, "n": seq });
        assert_eq!(ben.hear().await, signal);
    }
    ben.say(json!({ "type": "signal", "to": anna_id, "data": null })).await;
    let signal = json!({ "type": "signal", "from": ben_id, "epoch": 1, "seq": 1, "data": null, "n": 2 });
    assert_eq!(anna.hear().await, signal);
    anna.say(json!({ "type": "ping" })).await;
    assert_eq!(anna.hear().await, json!({ "type": "pong" }));

    ben.say(json!({ "type": "leave" })).await;
    assert_eq!(anna.hear().await, json!({ "type": "peer-left", "id": ben_id, "reason": "left", "n": 3 }));
    anna.say(json!({ "type": "signal", "to": ben_id, "data": 1 })).await;
    let error = anna.hear().await;
    assert_eq!((&error["id"], &error["fatal"]), (&json!("no-such-peer"), &json!(false)));
}

#[tokio::test]
async fn others_see_a_lost_connection_at_once() {
    let server = Server::start(LOOPBACK);
    let (mut anna, _) = Member::join(&server, server.address(), "kitchen", "Anna").await;
    let (ben, joined) = Member::join(&server, server.address(), "kitchen", "Ben").await;
    assert_eq!(anna.hear().await["type"], "peer-joined");
    let start = Instant::now();
    drop(ben);
    let left = json!({ "type": "peer-left", "id": joined["self"]["id"], "reason": "disconnected", "n": 2 });
    assert_eq!(anna.hear().await, left);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_name_is_one_room_however_it_is_typed() {
    let server = Server::start(LOOPBACK);
    for (one, other) in [
        ("Küche", " ku\u{308}CHE "),
        ("ＫＩＴＣＨＥＮ", "kitchen"),
        ("Свадьба  в  саду", "свадьба в саду"),
        ("客厅 🎉", "客厅 🎉"),
    ] {
        let (_anna, first) = Member::join(&server, server.address(), one, "Anna").await;
        let (_ben, second) = Member::join(&server, server.address(), other, "Ben").await;
        assert_eq!(first["room"], second["room"]);
        assert_eq!(second["peers"][0]["id"], first["self"]["id"], "{one} {other}");
    }
    let (_cara, alone) = Member::join(&server, server.address(), "cellar", "Cara").await;
    assert_eq!(alone["peers"], json!([]));
    let mut dora = Member::connect(&server, server.address()).await;
    for bad in ["", "   ", "a\u{7}b", &"x".repeat(65)] {
        dora.say(json!({ "type": "join", "room": bad })).await;
        assert_eq!(dora.hear().await["id"], "bad-room", "{bad:?}");
    }
}

#[tokio::test]
async fn a_full_room_and_a_full_server_say_so() {
    let server = with_rooms("capacity = 2\nmax_rooms = 1");
    let address = server.address();
    let (mut anna, joined) = Member::join(&server, address, "kitchen", "Anna").await;
    assert_eq!(joined["capacity"], 2);
    let (ben, _) = Member::join(&server, address, "kitchen", "Ben").await;
    assert_eq!(anna.hear().await["type"], "peer-joined");
    for (room, id) in [("kitchen", "full"), ("cellar", "too-many-rooms")] {
        let mut late = Member::connect(&server, address).await;
        late.say(json!({ "type": "join", "room": room })).await;
        assert_eq!(late.refused().await, (id.to_owned(), 1013));
    }
    drop(ben);
    assert_eq!(anna.hear().await["type"], "peer-left");
    Member::join(&server, address, "kitchen", "Cara").await;
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_unless_listed() {
    let server = with_rooms("origins = ['https://friend.example']");
    let address = server.address();
    for origin in ["https://evil.example", "null", "http://friend.example", "https://friend.example.evil.example"] {
        let io = https(&server, address, &["http/1.1"]).await;
        let Err(Error::Http(response)) = Member::over(io, address, Some(origin)).await else {
            panic!("{origin} was let in");
        };
        let body: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
        assert_eq!((response.status().as_u16(), &body["error"]["id"]), (403, &json!("bad-origin")));
    }
    for origin in [format!("https://{address}"), "https://friend.example".into()] {
        let io = https(&server, address, &["http/1.1"]).await;
        assert!(Member::over(io, address, Some(&origin)).await.is_ok(), "{origin}");
    }
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_connection() {
    let server = with_rooms("message_bytes = 4096");
    let (mut anna, _) = Member::join(&server, server.address(), "kitchen", "Anna").await;
    let (mut ben, joined) = Member::join(&server, server.address(), "kitchen", "Ben").await;
    assert_eq!(anna.hear().await["type"], "peer-joined");
    let signal = |length| json!({ "type": "signal", "to": joined["self"]["id"], "data": "x".repeat(length) });
    anna.say(signal(3900)).await;
    assert_eq!(ben.hear().await["data"].as_str().unwrap().len(), 3900);
    anna.say(signal(4096)).await;
    assert_eq!(anna.refused().await, ("too-large".to_owned(), 1009));
    assert_eq!(ben.hear().await["reason"], "disconnected");
}

#[tokio::test]
async fn who_talks_too_fast_is_warned_and_then_closed() {
    let server = with_rooms("message_rate = 5");
    let (mut anna, _) = Member::join(&server, server.address(), "kitchen", "Anna").await;
    for _ in 0..60 {
        anna.say(json!({ "type": "ping" })).await;
    }
    let mut answered = 0;
    let warning = loop {
        let told = anna.hear().await;
        if told["type"] != "pong" {
            break told;
        }
        answered += 1;
    };
    assert!((15..=30).contains(&answered), "{answered}");
    assert_eq!((&warning["id"], &warning["fatal"]), (&json!("rate-limited"), &json!(false)));
    assert_eq!(anna.closed().await, 1013);
}

#[tokio::test]
async fn who_joins_nothing_is_closed_at_the_deadline() {
    let server = with_rooms("hello_deadline = '1s'");
    let start = Instant::now();
    let silent = Member::connect(&server, server.address()).await;
    assert_eq!(silent.refused().await, ("hello-timeout".to_owned(), 1008));
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&start.elapsed()), "{:?}", start.elapsed());
    let mut early = Member::connect(&server, server.address()).await;
    early.say(json!({ "type": "signal", "to": "4be0643f1d98573b", "data": 1 })).await;
    assert_eq!(early.refused().await, ("join-first".to_owned(), 1008));
}
