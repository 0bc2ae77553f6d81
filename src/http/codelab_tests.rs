//! The codelab's dialect: what is held back, told again or kept for whoever comes, and within which bounds.

use super::*;
use crate::metrics::testing::Counts;

/// One page in a room, as the server sees it.
struct Page(Socket);

impl Page {
    async fn enter(server: &Server, room: &str) -> Self {
        let mut page = Self(server.page().await);
        page.says("create or join", json!(room)).await;
        assert_eq!(page.hears().await[0], "iceServers");
        page
    }

    async fn says(&mut self, event: &str, argument: Value) {
        says(&mut self.0, &format!("42{}", json!([event, argument]))).await;
    }

    async fn message(&mut self, message: Value) {
        self.says("message", message).await;
    }

    async fn hears(&mut self) -> Value {
        let text = hears(&mut self.0).await;
        serde_json::from_str(text.strip_prefix("42").unwrap()).unwrap()
    }

    async fn hears_names(&mut self, names: &[&str]) {
        for name in names {
            assert_eq!(self.hears().await[0], *name);
        }
    }

    async fn hears_message(&mut self) -> Value {
        let mut event = self.hears().await;
        assert_eq!(event[0], "message", "{event}");
        event[1].take()
    }
}

/// Two in a room: who waits for a call comes second.
async fn pair(server: &Server) -> (Page, Page) {
    let mut caller = Page::enter(server, "Kitchen").await;
    caller.hears_names(&["created"]).await;
    let mut called = Page::enter(server, "kitchen").await;
    called.hears_names(&["joined", "ready"]).await;
    caller.hears_names(&["join", "ready"]).await;
    assert_eq!(caller.hears_message().await, "got user media");
    (caller, called)
}

fn offer(sdp: &str) -> Value {
    json!({ "type": "offer", "sdp": sdp })
}

fn candidate(label: u16) -> Value {
    json!({ "type": "candidate", "label": label, "id": "0", "candidate": "candidate:1" })
}

#[tokio::test]
async fn an_offer_waits_for_the_camera_of_a_page_that_will_announce_it() {
    let server = server();
    let (mut caller, mut called) = pair(&server).await;
    caller.message(json!("got user media")).await;
    caller.message(offer("v=0")).await;
    caller.message(candidate(1)).await;
    caller.message(json!("anything")).await;
    assert_eq!(called.hears_message().await, "got user media");
    assert_eq!(called.hears_message().await, "anything", "the offer is not there yet");
    called.message(json!("got user media")).await;
    assert_eq!(called.hears_message().await, offer("v=0"));
    assert_eq!(called.hears_message().await, candidate(1));
    caller.message(candidate(2)).await;
    assert_eq!(called.hears_message().await, candidate(2), "and nothing waits any more");
}

#[tokio::test]
async fn an_offer_of_a_page_that_announces_nothing_comes_at_once() {
    let server = server();
    let (mut caller, mut called) = pair(&server).await;
    caller.message(offer("v=0")).await;
    caller.message(candidate(1)).await;
    assert_eq!(called.hears_message().await, offer("v=0"));
    assert_eq!(called.hears_message().await, candidate(1));
    called.message(json!("got user media")).await;
    assert_eq!(called.hears_message().await, offer("v=0"), "it could not be taken before, so it comes again");
    assert_eq!(called.hears_message().await, candidate(1));
}

#[tokio::test]
async fn an_answered_offer_does_not_come_again() {
    let server = server();
    let (mut caller, mut called) = pair(&server).await;
    caller.message(offer("v=0")).await;
    assert_eq!(called.hears_message().await, offer("v=0"));
    called.message(json!({ "type": "answer", "sdp": "v=0" })).await;
    called.message(json!("got user media")).await;
    caller.message(offer("v=1")).await;
    assert_eq!(called.hears_message().await, offer("v=1"));
    called.message(offer("v=2")).await;
    assert_eq!(caller.hears_message().await["type"], "answer");
    assert_eq!(caller.hears_message().await, "got user media");
    assert_eq!(caller.hears_message().await, offer("v=2"), "after the first answer either may offer");
}

#[tokio::test]
async fn of_two_offers_that_cross_there_is_one() {
    let server = server();
    let (mut caller, mut called) = pair(&server).await;
    caller.message(offer("theirs")).await;
    called.message(offer("mine")).await;
    called.message(candidate(7)).await;
    assert_eq!(called.hears_message().await, offer("theirs"));
    called.message(json!({ "type": "answer", "sdp": "v=0" })).await;
    called.message(candidate(8)).await;
    assert_eq!(caller.hears_message().await["type"], "answer");
    assert_eq!(caller.hears_message().await, candidate(8));
}

#[tokio::test]
async fn what_a_page_offers_to_nobody_is_for_whoever_comes_and_bounded() {
    let (counts, server) = (Counts::new(), server());
    let mut caller = Page::enter(&server, "kitchen").await;
    caller.hears_names(&["created"]).await;
    caller.message(candidate(0)).await;
    caller.message(json!("anything")).await;
    caller.message(offer("v=0")).await;
    for label in 1..100 {
        caller.message(candidate(label)).await;
    }
    caller.says("ipaddr", Value::Null).await;
    assert_eq!(caller.hears().await, json!(["ipaddr", "192.168.1.9"]));
    let mut called = Page::enter(&server, "kitchen").await;
    called.hears_names(&["joined", "ready"]).await;
    assert_eq!(called.hears_message().await, offer("v=0"));
    for label in 1..64 {
        assert_eq!(called.hears_message().await, candidate(label));
    }
    caller.message(json!("and then")).await;
    assert_eq!(called.hears_message().await, "and then", "64 are kept, and no more");
    assert_eq!(counts.of("lanturn_codelab_dropped_total"), 100 - 64);
}

#[tokio::test]
async fn only_so_much_waits_for_a_camera() {
    let (counts, server) = (Counts::new(), server());
    let (mut caller, mut called) = pair(&server).await;
    caller.message(json!("got user media")).await;
    assert_eq!(called.hears_message().await, "got user media");
    for sdp in ["a", "b"] {
        caller.message(offer(&sdp.repeat(60_000))).await;
    }
    let long = |label: u16| {
        let mut candidate = candidate(label);
        candidate["candidate"] = "x".repeat(40_000).into();
        candidate
    };
    for label in 1..4 {
        caller.message(long(label)).await;
    }
    caller.message(json!("all said")).await;
    assert_eq!(called.hears_message().await, "all said");
    called.message(json!("got user media")).await;
    assert_eq!(called.hears_message().await, offer(&"b".repeat(60_000)), "the last offer is the one that counts");
    assert_eq!(called.hears_message().await, long(1));
    caller.message(json!("and then")).await;
    assert_eq!(called.hears_message().await, "and then", "128 KiB are kept, and no more");
    assert_eq!(counts.of("lanturn_codelab_dropped_total"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_read_is_closed_and_nobody_waits() {
    let server = server();
    let (mut caller, called) = pair(&server).await;
    caller.message(json!("got user media")).await;
    for _ in 0..100 {
        caller.message(json!("x".repeat(60_000))).await;
    }
    assert_eq!(caller.hears().await[0], "bye", "at once, and not when it is missed");
    drop(caller);
    let start = Instant::now();
    server.hub.closed().await;
    assert!(start.elapsed() <= MISSED, "its place is free after {:?}", start.elapsed());
    drop(called);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_asks_and_does_not_read_the_answers_is_closed() {
    let server = server();
    let mut page = Page(server.page().await);
    for _ in 0..100 {
        // Each has it told a `full` of the same length.
        page.says("create or join", json!("x".repeat(60_000))).await;
    }
    let start = Instant::now();
    server.hub.closed().await;
    assert!(start.elapsed() <= MISSED, "{:?}", start.elapsed());
}

#[tokio::test]
async fn what_cannot_be_joined_is_full_and_why_is_logged() {
    let server = server();
    let (_caller, mut called) = pair(&server).await;
    for (room, why) in [(json!(""), "not a room name"), (json!("x".repeat(65)), "not a room name"), (json!([]), "")] {
        called.says("create or join", room.clone()).await;
        let typed = room.as_str().map_or_else(|| room.to_string(), str::to_owned);
        if typed == "[]" {
            called.hears_names(&["iceServers", "created"]).await;
            continue;
        }
        assert_eq!(called.hears().await, json!(["full", typed]));
        let log = called.hears().await;
        assert!(log[0] == "log" && log[1][0].as_str().unwrap().starts_with(why), "{log}");
    }
}

#[tokio::test]
async fn events_of_any_shape_do_no_harm() {
    let server = server();
    let (mut caller, mut called) = pair(&server).await;
    let deep = format!("[\"message\",{}{}]", "[".repeat(100), "]".repeat(100));
    for event in ["[\"message\"]", "[\"create or join\"]", "[\"nothing\",1]", "[\"\",null]", deep.as_str()] {
        says(&mut caller.0, &format!("42{event}")).await;
    }
    caller.says("ipaddr", json!({ "odd": true })).await;
    // One comes from the library and one from the rooms, so in either order.
    let heard = [caller.hears().await, caller.hears().await].map(|event| event[0].clone());
    assert!(heard.contains(&json!("log")), "what is too deep is refused");
    assert!(heard.contains(&json!("ipaddr")), "and the rest does no harm");
    for (page, event) in [(&mut caller, "42{\"message\":1}"), (&mut called, "42[1,2]")] {
        says(&mut page.0, event).await;
        while let Some(Ok(_)) = page.0.next().await {}
    }
    server.hub.closed().await;
}
