use std::time::Duration;

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::serve;
use crate::signaling::testing::{Client, LINE, Setup, hear, options, say, setup};
use crate::signaling::{HubOptions, PeerId};

async fn registered(setup: &Setup, room: &str) -> (Client, Value) {
    let mut client = setup.connect_to(serve).await;
    say(&mut client, json!({ "type": "register", "roomId": room, "clientId": "c", "key": "ignored" })).await;
    let accept = hear(&mut client).await;
    assert_eq!(accept["type"], "accept", "{accept}");
    (client, accept)
}

/// The data of a signal to a native client.
async fn hear_signal(client: &mut Client) -> Value {
    let signal = hear(client).await;
    assert_eq!(signal["type"], "signal", "{signal}");
    signal["data"].clone()
}

#[tokio::test(start_paused = true)]
async fn two_ayame_clients_hear_each_other_word_for_word() {
    let setup = setup(options());
    let (mut anna, first) = registered(&setup, "Kitchen").await;
    let (mut ben, second) = registered(&setup, " kitchen").await;
    assert!(PeerId::parse(first["connectionId"].as_str().unwrap()).is_some());
    assert_ne!(first["connectionId"], second["connectionId"]);
    for (accept, exists) in [(first, false), (second, true)] {
        assert_eq!((&accept["isExistClient"], &accept["isExistUser"]), (&json!(exists), &json!(exists)));
        assert_eq!(accept["iceServers"], json!([]));
    }
    let offer = json!({ "type": "offer", "sdp": "v=0\r\n" });
    let answer = json!({ "type": "answer", "sdp": "v=0\r\n\u{e9}" });
    let ice = json!({ "candidate": LINE, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "ab" });
    let candidate = json!({ "type": "candidate", "ice": ice });
    let other = json!({ "type": "something", "of": ["their", "own"] });
    for message in [offer, candidate.clone(), other] {
        say(&mut ben, message.clone()).await;
        assert_eq!(hear(&mut anna).await, message);
    }
    for message in [answer, candidate] {
        say(&mut anna, message.clone()).await;
        assert_eq!(hear(&mut ben).await, message);
    }
    drop(ben);
    assert_eq!(hear(&mut anna).await, json!({ "type": "bye" }));
    assert_eq!(hear(&mut anna).await, json!({ "closed": 1000 }));
}

#[tokio::test(start_paused = true)]
async fn who_comes_second_offers_native_or_not() {
    let setup = setup(options());
    let (mut ben, _) = registered(&setup, "kitchen").await;
    let mut anna = setup.connect().await;
    say(&mut anna, json!({ "type": "join", "room": "kitchen" })).await;
    let joined = hear(&mut anna).await;
    let peer = &joined["peers"][0];
    assert_eq!((&peer["initiate"], &peer["polite"]), (&json!(true), &json!(true)));
    for (data, heard) in [
        (json!({ "description": { "type": "offer", "sdp": "v" } }), json!({ "type": "offer", "sdp": "v" })),
        (json!({ "candidate": { "candidate": LINE } }), json!({ "type": "candidate", "ice": { "candidate": LINE } })),
    ] {
        // What there is no word for is left out.
        for data in [json!({ "candidate": null }), json!({ "ayame": { "type": "bye" } }), json!({ "chat": 1 }), data] {
            say(&mut anna, json!({ "type": "signal", "to": peer["id"], "data": data })).await;
        }
        assert_eq!(hear(&mut ben).await, heard);
    }
    drop(ben);
    assert_eq!(hear(&mut anna).await["type"], "peer-left");
    assert_eq!(hear(&mut anna).await["type"], "room");

    let (mut ben, accept) = registered(&setup, "kitchen").await;
    assert_eq!(accept["isExistClient"], json!(true));
    let peer = hear(&mut anna).await["peer"].clone();
    assert_eq!((&peer["initiate"], &peer["id"]), (&json!(false), &accept["connectionId"]));
    say(&mut ben, json!({ "type": "offer", "sdp": "v" })).await;
    assert_eq!(hear_signal(&mut anna).await, json!({ "description": { "type": "offer", "sdp": "v" } }));
    say(&mut ben, json!({ "type": "candidate", "ice": { "candidate": LINE, "sdpMid": "0" } })).await;
    assert_eq!(hear_signal(&mut anna).await, json!({ "candidate": { "candidate": LINE, "sdpMid": "0" } }));
    say(&mut ben, json!({ "type": "else" })).await;
    assert_eq!(hear_signal(&mut anna).await, json!({ "ayame": { "type": "else" } }));
    say(&mut ben, json!({ "type": "bye" })).await;
    assert_eq!(hear(&mut ben).await, json!({ "closed": 1000 }));
    assert_eq!(hear(&mut anna).await["reason"], "left");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_starts_anew_ends_the_call() {
    let setup = setup(options());
    let mut anna = setup.connect().await;
    say(&mut anna, json!({ "type": "join", "room": "kitchen", "resume": true })).await;
    let token = hear(&mut anna).await["resume"]["token"].clone();
    let (mut ben, _) = registered(&setup, "kitchen").await;
    let mut again = setup.connect().await;
    say(&mut again, json!({ "type": "resume", "token": token, "fresh": true })).await;
    assert_eq!(hear(&mut ben).await, json!({ "type": "bye" }));
    assert_eq!(hear(&mut ben).await, json!({ "closed": 1000 }));
}

#[tokio::test(start_paused = true)]
async fn who_is_not_let_in_is_told_why() {
    let setup = setup(HubOptions { connections: 9, connections_per_prefix: 9, ..options() });
    let (_anna, _) = registered(&setup, "kitchen").await;
    let (_ben, _) = registered(&setup, "kitchen").await;
    let (mut host, _) = setup.joined("attic").await;
    say(&mut host, json!({ "type": "pin", "pin": "4711" })).await;
    assert_eq!(hear(&mut host).await["pin"], json!(true));
    let register = |room: &str| json!({ "type": "register", "roomId": room, "clientId": "c" }).to_string();
    for (text, reason, code) in [
        (register("kitchen"), "full", 1013),
        (register("cellar"), "too-many-rooms", 1013),
        (register("attic"), "bad-pin", 1008),
        (register(" "), "bad-room", 1008),
        (json!({ "type": "register" }).to_string(), "bad-message", 1008),
        (json!({ "type": "offer", "sdp": "v" }).to_string(), "join-first", 1008),
        (json!({ "type": "offer" }).to_string(), "bad-message", 1008),
        ("[]".to_owned(), "bad-message", 1008),
        ("{".to_owned(), "bad-message", 1008),
        (json!({ "type": 7 }).to_string(), "bad-message", 1008),
    ] {
        let mut client = setup.connect_to(serve).await;
        client.send(Message::text(text.clone())).await.unwrap();
        assert_eq!(hear(&mut client).await, json!({ "type": "reject", "reason": reason }), "{text}");
        assert_eq!(hear(&mut client).await, json!({ "closed": code }), "{text}");
    }
    let start = Instant::now();
    let mut silent = setup.connect_to(serve).await;
    assert_eq!(hear(&mut silent).await, json!({ "type": "reject", "reason": "hello-timeout" }));
    assert_eq!((hear(&mut silent).await, start.elapsed().as_secs()), (json!({ "closed": 1008 }), 5));
}

#[tokio::test(start_paused = true)]
async fn mistakes_of_who_is_in_disturb_nobody() {
    let setup = setup(options());
    let (mut anna, _) = registered(&setup, "kitchen").await;
    let lonely = json!({ "type": "offer", "sdp": "for nobody" });
    for text in [lonely.to_string(), json!({ "type": "candidate" }).to_string(), "no JSON".to_owned()] {
        anna.send(Message::text(text)).await.unwrap();
    }
    anna.send(Message::binary(vec![1])).await.unwrap();
    let (mut ben, _) = registered(&setup, "kitchen").await;
    say(&mut ben, json!({ "type": "register", "roomId": "attic" })).await;
    say(&mut ben, json!({ "type": "offer", "sdp": "v" })).await;
    assert_eq!(hear(&mut anna).await, json!({ "type": "offer", "sdp": "v" }), "and nothing before it");
}

#[tokio::test(start_paused = true)]
async fn pings_come_and_want_an_answer() {
    let setup = setup(options());
    let (mut anna, _) = registered(&setup, "kitchen").await;
    let start = Instant::now();
    for seconds in [5, 10, 15, 20, 25, 30] {
        assert_eq!(hear(&mut anna).await, json!({ "type": "ping" }));
        assert_eq!(start.elapsed().as_secs(), seconds);
        say(&mut anna, json!({ "type": "pong" })).await;
    }
    let end = loop {
        let message = hear(&mut anna).await;
        if message["type"] != "ping" {
            break message;
        }
    };
    assert_eq!((end, start.elapsed().as_secs()), (json!({ "closed": 1000 }), 90), "60 s after the last pong");

    let (mut deaf, _) = registered(&setup, "kitchen").await;
    let (ben, _) = registered(&setup, "kitchen").await;
    // Ben reads nothing, and so not the pings of WebSocket either.
    let gone = timeout(Duration::from_secs(10), async {
        while hear(&mut deaf).await["type"] != "bye" {
            say(&mut deaf, json!({ "type": "pong" })).await;
        }
    });
    gone.await.expect("it is missed within the silence");
    drop(ben);
}
