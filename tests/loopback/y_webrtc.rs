//! What y-webrtc's clients are told, message by message. The library itself is tested in browsers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::room::Member;
use super::support::server::{LOOPBACK, Server};
use super::support::web::metrics;

const PATH: &str = "/y-webrtc";

async fn subscribed(server: &Server, topics: &[&str]) -> Member {
    let mut client = Member::at(server, PATH).await;
    client.say(json!({ "type": "subscribe", "topics": topics })).await;
    // The answer to this one says that the other has been handled.
    client.say(json!({ "type": "ping" })).await;
    assert_eq!(client.hear().await, json!({ "type": "pong" }));
    client
}

fn publish(topic: &str, data: &Value) -> Value {
    json!({ "type": "publish", "topic": topic, "data": data })
}

fn published(topic: &str, data: &Value, clients: u32) -> Value {
    json!({ "type": "publish", "topic": topic, "data": data, "clients": clients })
}

#[tokio::test]
async fn all_subscribers_hear_what_is_published_itself_included() {
    let server = Server::start(LOOPBACK);
    let mut anna = subscribed(&server, &["notes", "My Notes"]).await;
    let data = json!({ "type": "announce", "from": "anna" });
    anna.say(publish("notes", &data)).await;
    assert_eq!(anna.hear().await, published("notes", &data, 1));

    let mut ben = subscribed(&server, &["notes", "NOTES"]).await;
    ben.say(publish("notes", &data)).await;
    for client in [&mut anna, &mut ben] {
        assert_eq!(client.hear().await, published("notes", &data, 2));
    }
    ben.say(publish("NOTES", &data)).await;
    assert_eq!(ben.hear().await, published("NOTES", &data, 1), "topics that differ in their case are two");

    ben.say(json!({ "type": "unsubscribe", "topics": ["notes"] })).await;
    ben.say(json!({ "type": "ping" })).await;
    assert_eq!(ben.hear().await, json!({ "type": "pong" }));
    anna.say(publish("notes", &json!([1]))).await;
    assert_eq!(anna.hear().await, published("notes", &json!([1]), 1));
    ben.say(publish("notes", &data)).await;
    let told = ben.hear().await;
    assert_eq!((&told["type"], &told["id"], &told["fatal"]), (&json!("error"), &json!("join-first"), &json!(false)));
}

#[tokio::test]
async fn a_topic_is_the_room_of_its_name() {
    let server = Server::start(LOOPBACK);
    let mut ben = subscribed(&server, &["notes"]).await;
    let (mut anna, joined) = Member::join(&server, server.address(), "notes", "Anna").await;
    assert_eq!(joined["peers"], json!([]), "a subscriber is not listed");
    anna.say(json!({ "type": "broadcast", "data": { "n": 1 } })).await;
    assert_eq!(ben.hear().await, published("notes", &json!({ "n": 1 }), 2));
    ben.say(publish("notes", &json!({ "n": 2 }))).await;
    let told = anna.hear().await;
    assert_eq!((&told["type"], &told["data"]), (&json!("broadcast"), &json!({ "n": 2 })));
    assert_eq!(ben.hear().await, published("notes", &json!({ "n": 2 }), 2));
    anna.say(json!({ "type": "signal", "to": told["from"], "data": 3 })).await;
    assert_eq!(ben.hear().await, published("notes", &json!(3), 2), "an answer to one is heard by that one");
}

#[tokio::test]
async fn one_client_has_so_many_topics_and_leaves_them_all() {
    let server = Server::start(LOOPBACK);
    let all: Vec<String> = (0..17).map(|n| format!("topic {n}")).collect();
    let mut anna = Member::at(&server, PATH).await;
    anna.say(json!({ "type": "subscribe", "topics": &all })).await;
    let told = anna.hear().await;
    assert_eq!((&told["type"], &told["fatal"]), (&json!("error"), &json!(false)));
    assert!(told["text"].as_str().unwrap().starts_with("16 topics"), "{told}");
    anna.say(publish(&all[15], &json!(1))).await;
    assert_eq!(anna.hear().await, published(&all[15], &json!(1), 1));
    let counted = metrics(server.address()).await;
    assert!(counted.contains("lanturn_y_webrtc_topics_refused_total 1"), "{counted}");
    assert!(counted.contains("lanturn_rooms 16"), "{counted}");

    anna.say(json!({ "type": "unsubscribe", "topics": [&all[0]] })).await;
    anna.say(json!({ "type": "subscribe", "topics": [&all[16]] })).await;
    anna.say(publish(&all[16], &json!(2))).await;
    assert_eq!(anna.hear().await, published(&all[16], &json!(2), 1));
    drop(anna);
    let start = Instant::now();
    while !metrics(server.address()).await.contains("lanturn_rooms 0") {
        assert!(start.elapsed() < Duration::from_secs(10), "the rooms are still there");
    }
}

#[tokio::test]
async fn a_topic_that_cannot_be_had_ends_no_other() {
    let server = Server::start(&format!("{LOOPBACK}[rooms]\nmax_rooms = 1\nmessage_bytes = 4096\n"));
    let mut anna = Member::at(&server, PATH).await;
    anna.say(json!({ "type": "subscribe", "topics": ["notes", "more"] })).await;
    let told = anna.hear().await;
    assert_eq!((&told["id"], &told["fatal"]), (&json!("too-many-rooms"), &json!(false)));
    for text in ["", "{", "[]", r#"{"type":"subscribe","topics":[1]}"#, r#"{"type":"publish"}"#] {
        anna.say_text(text).await;
        assert_eq!(anna.hear().await["id"], "bad-message", "{text}");
    }
    anna.say(publish("notes", &json!(1))).await;
    assert_eq!(anna.hear().await, published("notes", &json!(1), 1));
    anna.say(publish("notes", &json!("x".repeat(4096)))).await;
    assert_eq!(anna.refused().await, ("too-large".to_owned(), 1009));
}

#[tokio::test]
async fn who_subscribes_to_nothing_is_closed_at_the_deadline() {
    let server = Server::start(&format!("{LOOPBACK}[rooms]\nhello_deadline = '1s'\n"));
    let mut settled = subscribed(&server, &["notes"]).await;
    let silent = Member::at(&server, PATH).await;
    assert_eq!(silent.refused().await, ("hello-timeout".to_owned(), 1008));
    settled.say(publish("notes", &json!(1))).await;
    assert_eq!(settled.hear().await, published("notes", &json!(1), 1));
}
