use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout};

use super::serve;
use crate::signaling::testing::{Client, Setup, hear, options, say, setup};

async fn opened(setup: &Setup, id: &'static str) -> Client {
    let query = format!("key=peerjs&id={id}&token=secret");
    let mut client = setup.connect_to(|ws, session| async move { serve(ws, session, query).await }).await;
    assert_eq!(hear(&mut client).await, json!({ "type": "OPEN" }));
    client
}

#[tokio::test(start_paused = true)]
async fn who_sends_no_heartbeat_is_gone_after_a_minute_and_a_half_although_it_answers_pings() {
    let setup = setup(options());
    let (mut silent, mut alive) = (opened(&setup, "silent").await, opened(&setup, "alive").await);
    let start = Instant::now();
    let ended = tokio::spawn(async move {
        let told = hear(&mut silent).await;
        (told["type"].clone(), hear(&mut silent).await, start.elapsed())
    });
    while start.elapsed() < Duration::from_secs(200) {
        say(&mut alive, json!({ "type": "HEARTBEAT" })).await;
        assert!(timeout(Duration::from_secs(5), hear(&mut alive)).await.is_err(), "a heartbeat is not answered");
    }
    let (kind, closed, after) = ended.await.unwrap();
    assert_eq!((kind, closed), (json!("ERROR"), json!({ "closed": 1008 })));
    assert!((Duration::from_secs(90)..=Duration::from_secs(106)).contains(&after), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn the_place_of_who_leaves_is_free_and_nothing_waits_from_them() {
    let setup = setup(options());
    let mut anna = opened(&setup, "anna").await;
    for dst in ["ben", "cara"] {
        say(&mut anna, json!({ "type": "OFFER", "dst": dst, "payload": {} })).await;
    }
    let start = Instant::now();
    for dst in ["ben", "cara"] {
        assert_eq!(hear(&mut anna).await, json!({ "type": "EXPIRE", "src": dst, "dst": "anna" }));
    }
    assert_eq!(start.elapsed().as_secs(), 5);
    say(&mut anna, json!({ "type": "OFFER", "dst": "ben", "payload": {} })).await;
    say(&mut anna, json!({ "type": "LEAVE" })).await;
    assert_eq!(hear(&mut anna).await, json!({ "closed": 1000 }));
    drop(anna);
    setup.hub.closed().await;
    assert_eq!(setup.hub.directory().load(), Default::default());
    let mut ben = opened(&setup, "ben").await;
    assert!(timeout(Duration::from_secs(20), hear(&mut ben)).await.is_err(), "Anna has gone");
}
