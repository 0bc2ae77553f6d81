//! A membership outlives its connection, and not for long.

use std::net::UdpSocket;

use serde_json::{Value, json};

use super::support::echo_at;
use super::support::eventually;
use super::support::room::Member;
use super::support::server::{LOOPBACK, Server};
use super::support::stun::RawClient;
use super::support::turn_client::Over;
use super::support::web::metrics;

/// Joins so that it can go on after a drop.
async fn join(server: &Server, room: &str) -> (Member, Value) {
    let mut member = Member::connect(server, server.address()).await;
    member.say(json!({ "type": "join", "room": room, "resume": true })).await;
    let joined = member.hear().await;
    assert_eq!(joined["type"], "joined", "{joined}");
    (member, joined)
}

#[tokio::test]
async fn signals_sent_during_a_drop_arrive_once_and_in_order() {
    let server = Server::start(LOOPBACK);
    let (mut anna, joined) = join(&server, "kitchen").await;
    let (mut ben, _) = Member::join(&server, server.address(), "kitchen", "Ben").await;
    let mut last = anna.hear().await["n"].as_u64().unwrap();
    let (mut sent, mut heard) = (0, Vec::new());
    for round in 0..20 {
        for _ in 0..5 {
            ben.say(json!({ "type": "signal", "to": joined["self"]["id"], "data": sent })).await;
            sent += 1;
        }
        // Now with some of it read and some not, now while the box still takes the connection for alive.
        for _ in 0..round % 4 {
            let event = anna.hear().await;
            last = event["n"].as_u64().unwrap();
            heard.push(event["data"].as_u64().unwrap());
        }
        let old = if round % 2 == 0 { Some(anna) } else { None };
        anna = Member::connect(&server, server.address()).await;
        anna.say(json!({ "type": "resume", "token": joined["resume"]["token"], "last": last })).await;
        assert_eq!(anna.hear().await["type"], "resumed");
        drop(old);
    }
    while heard.len() < sent {
        heard.push(anna.hear().await["data"].as_u64().unwrap());
    }
    assert!(heard.iter().copied().eq(0..sent as u64), "{heard:?}");
    anna.say(json!({ "type": "broadcast", "data": "still here" })).await;
    loop {
        let told = ben.hear().await;
        assert_ne!(told["type"], "peer-left", "nobody was gone");
        if told["type"] == "broadcast" {
            break;
        }
    }
    assert!(metrics(server.address()).await.contains("lanturn_resumed_total 20"));
}

#[tokio::test]
async fn a_call_goes_on_while_its_signaling_is_away_and_ends_with_the_membership() {
    let server = Server::start(&format!("{LOOPBACK}[rooms]\nresume_window = '2s'\n"));
    let echo = echo_at("127.0.0.2:0").await;
    let (mut anna, joined) = join(&server, "kitchen").await;
    let (mut ben, _) = Member::join(&server, server.address(), "kitchen", "Ben").await;
    let candidate = format!("candidate:1 1 udp 1 {} {} typ host", echo.ip(), echo.port());
    ben.say(json!({ "type": "signal", "to": joined["self"]["id"], "data": { "candidate": candidate } })).await;
    while anna.hear().await["type"] != "signal" {}
    let mut client = RawClient::of_member(&server, server.address(), Over::Udp, &joined).await;
    let relayed = client.allocate(&[]).await.unwrap();
    client.permit(echo).await.unwrap();
    drop(anna);
    assert_eq!(ben.hear().await["type"], "peer-away");
    client.send(echo, b"still").await;
    assert_eq!(client.receive(super::support::PATIENCE).await, Some((echo, b"still".to_vec())));
    let gone = ben.hear().await;
    assert_eq!((&gone["type"], &gone["reason"]), (&json!("peer-left"), &json!("disconnected")));
    eventually("the relayed address is free again", || UdpSocket::bind(relayed).is_ok());
    let mut late = RawClient::of_member(&server, server.address(), Over::Udp, &joined).await;
    assert_eq!(late.allocate(&[]).await, Err(401), "and so does the credential");
}

#[tokio::test]
async fn a_new_credential_comes_before_the_last_one_ends() {
    let server = Server::start(&format!("{LOOPBACK}[credentials]\nttl = '4s'\n"));
    let (mut anna, joined) = join(&server, "kitchen").await;
    let fresh = anna.hear().await;
    assert_eq!((&fresh["type"], &fresh["ttl"]), (&json!("ice-servers"), &json!(4)));
    assert_ne!(fresh["iceServers"][1]["username"], joined["iceServers"][1]["username"]);
    let mut client = RawClient::of_member(&server, server.address(), Over::Udp, &fresh).await;
    assert!(client.allocate(&[]).await.is_ok());
}

#[tokio::test]
async fn an_invite_opens_its_room_as_what_it_says() {
    let server = Server::start(LOOPBACK);
    let (mut anna, _) = join(&server, "kitchen").await;
    anna.say(json!({ "type": "pin", "pin": "4711" })).await;
    assert_eq!(anna.hear().await["pin"], true);
    anna.say(json!({ "type": "invite", "role": "viewer" })).await;
    let invite = anna.hear().await["invite"].clone();
    for (room, invite, answer) in [
        ("kitchen", &json!("9999999999.viewer.AAAA"), "bad-invite"),
        ("cellar", &invite, "bad-invite"),
        ("kitchen", &invite, "joined"),
    ] {
        let mut ben = Member::connect(&server, server.address()).await;
        ben.say(json!({ "type": "join", "room": room, "invite": invite })).await;
        let told = ben.hear().await;
        let said = if told["type"] == "error" { &told["id"] } else { &told["type"] };
        assert_eq!(said, answer);
        if answer == "joined" {
            assert_eq!(told["self"]["role"], "viewer");
        }
    }
}
