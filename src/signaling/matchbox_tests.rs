use std::time::Duration;

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::serve;
use crate::signaling::testing::{Client, Setup, hear, options, say, setup};

async fn assigned(setup: &Setup, room: &'static str, query: &'static str) -> Client {
    let mut client =
        setup.connect_to(|ws, session| async move { serve(ws, session, room.into(), query.into()).await }).await;
    assert!(hear(&mut client).await["IdAssigned"].is_string());
    client
}

/// The UUID of a member in its `epoch`.
fn uuid(id: &Value, epoch: u32) -> String {
    let (upper, lower) = id.as_str().unwrap().split_at(4);
    format!("00000000-0000-{epoch:04x}-{upper}-{lower}")
}

/// A native client that can go on after its connection dropped: its id and token.
async fn joined(setup: &Setup) -> (Client, Value, Value) {
    let mut client = setup.connect().await;
    say(&mut client, json!({ "type": "join", "room": "game", "resume": true })).await;
    let joined = hear(&mut client).await;
    (client, joined["self"]["id"].clone(), joined["resume"]["token"].clone())
}

/// Drops its connection, and has it start anew over another one.
async fn restarted(setup: &Setup, client: Client, token: &Value) -> Client {
    drop(client);
    let mut client = setup.connect().await;
    say(&mut client, json!({ "type": "resume", "token": token, "last": 0, "fresh": true })).await;
    assert_eq!(hear(&mut client).await["self"]["epoch"], 2);
    client
}

#[tokio::test(start_paused = true)]
async fn a_member_that_starts_anew_is_another_to_a_player() {
    let setup = setup(options());
    let mut player = assigned(&setup, "game", "").await;
    let (anna, id, token) = joined(&setup).await;
    assert_eq!(hear(&mut player).await, json!({ "NewPeer": uuid(&id, 1) }));
    let mut anna = restarted(&setup, anna, &token).await;
    assert_eq!(hear(&mut player).await, json!({ "PeerLeft": uuid(&id, 1) }), "and nothing when it was away");
    assert_eq!(hear(&mut player).await, json!({ "NewPeer": uuid(&id, 2) }));
    for (epoch, sdp) in [(1, "stale"), (2, "fresh")] {
        say(&mut player, json!({ "Signal": { "receiver": uuid(&id, epoch), "data": { "Offer": sdp } } })).await;
    }
    assert_eq!(hear(&mut anna).await["data"], json!({ "description": { "type": "offer", "sdp": "fresh" } }));
}

#[tokio::test(start_paused = true)]
async fn who_was_there_before_the_player_makes_the_offer() {
    let setup = setup(options());
    let (anna, id, token) = joined(&setup).await;
    let mut player = assigned(&setup, "game", "").await;
    let mut anna = restarted(&setup, anna, &token).await;
    assert_eq!(hear(&mut player).await, json!({ "PeerLeft": uuid(&id, 1) }));
    say(&mut anna, json!({ "type": "broadcast", "data": 1 })).await;
    assert!(timeout(Duration::from_secs(20), hear(&mut player)).await.is_err(), "there is no word for it");
}

#[tokio::test(start_paused = true)]
async fn a_player_who_gives_up_leaves_nothing_behind() {
    let setup = setup(options());
    let waiting = assigned(&setup, "game", "next=2").await;
    assert_eq!(setup.hub.groups().len(), 1);
    drop(waiting);
    setup.hub.closed().await;
    assert!(setup.hub.groups().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_put_together_with_a_player_whose_connection_is_closing() {
    let setup = setup(options());
    let mut closing = assigned(&setup, "game", "next=2").await;
    let _ = closing.send(Message::text("x".repeat(65_537))).await;
    while setup.revoked.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut first = assigned(&setup, "game", "next=2").await;
    let _second = assigned(&setup, "game", "next=2").await;
    let told =
        timeout(Duration::from_secs(20), hear(&mut first)).await.expect("the first two who are there are a group");
    assert!(told["NewPeer"].is_string(), "{told}");
}
