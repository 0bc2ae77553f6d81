//! A membership that goes on over another connection.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::testing::{Client, Setup, expect_error, hear, id_of, left, options, say, setup};
use super::{Entrant, ErrorId, HubOptions, LeaveReason, Next, Payload, RoomName, ServerMessage};
use crate::credentials::{MAX_SEEN, Reach};
use crate::metrics::testing::Counts;

/// Joins with a token to resume with.
async fn resumable(setup: &Setup, room: &str) -> (Client, Value) {
    let mut client = setup.connect().await;
    say(&mut client, json!({ "type": "join", "room": room, "resume": true })).await;
    let joined = hear(&mut client).await;
    assert_eq!(joined["resume"]["window"], 15);
    (client, joined)
}

async fn resume(setup: &Setup, joined: &Value, last: u64) -> Client {
    let mut client = setup.connect().await;
    say(&mut client, json!({ "type": "resume", "token": joined["resume"]["token"], "last": last })).await;
    client
}

#[tokio::test(start_paused = true)]
async fn who_resumes_misses_nothing_and_was_never_gone() {
    let setup = setup(options());
    let (anna, joined) = resumable(&setup, "kitchen").await;
    let anna_id = id_of(&joined);
    let (mut ben, ben_id) = setup.joined("kitchen").await;
    drop(anna);
    assert_eq!(hear(&mut ben).await, json!({ "type": "peer-away", "id": anna_id, "n": 1 }));
    for n in 1..=3 {
        say(&mut ben, json!({ "type": "signal", "to": anna_id, "epoch": 1, "data": n })).await;
    }
    say(&mut ben, json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut ben).await["type"], "pong");
    let mut anna = resume(&setup, &joined, 0).await;
    assert_eq!(hear(&mut anna).await, json!({ "type": "resumed", "received": 0, "iceServers": [], "ttl": 60 }));
    assert_eq!(hear(&mut anna).await["peer"]["id"], json!(ben_id), "she had not even heard that Ben came");
    for n in 1..=3 {
        let heard = hear(&mut anna).await;
        assert_eq!((&heard["seq"], &heard["n"], &heard["data"]), (&json!(n), &json!(n + 1), &json!(n)));
    }
    assert_eq!(hear(&mut ben).await, json!({ "type": "peer-back", "id": anna_id, "n": 2 }));
    say(&mut anna, json!({ "type": "signal", "to": ben_id, "data": "hello again" })).await;
    assert_eq!(hear(&mut ben).await["data"], "hello again");
    assert!(setup.revoked.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_resume_in_time_is_gone() {
    let setup = setup(options());
    let (anna, joined) = resumable(&setup, "kitchen").await;
    let (mut ben, _) = setup.joined("kitchen").await;
    let start = Instant::now();
    drop(anna);
    assert_eq!(hear(&mut ben).await["type"], "peer-away");
    let gone = loop {
        let message = hear(&mut ben).await;
        if message["type"] != "ice-servers" {
            break message;
        }
    };
    assert_eq!(gone, left(2, &id_of(&joined), "disconnected"));
    assert_eq!(start.elapsed().as_secs(), 15);
    let mut late = resume(&setup, &joined, 0).await;
    expect_error(&mut late, "gone", None).await;
    say(&mut late, json!({ "type": "join", "room": "kitchen" })).await;
    assert_eq!(hear(&mut late).await["type"], "joined", "on the same connection");
}

#[tokio::test(start_paused = true)]
async fn who_says_goodbye_is_gone_at_once() {
    let setup = setup(options());
    let (mut anna, joined) = resumable(&setup, "kitchen").await;
    let (mut ben, _) = setup.joined("kitchen").await;
    anna.close(None).await.unwrap();
    assert_eq!(hear(&mut ben).await, left(1, &id_of(&joined), "disconnected"));
}

#[tokio::test(start_paused = true)]
async fn a_newer_connection_takes_over_from_one_that_seems_alive() {
    let setup = setup(options());
    let (mut old, joined) = resumable(&setup, "kitchen").await;
    let (mut ben, _) = setup.joined("kitchen").await;
    assert_eq!(hear(&mut old).await["n"], 1);
    let mut new = resume(&setup, &joined, 1).await;
    assert_eq!(hear(&mut new).await["type"], "resumed");
    expect_error(&mut old, "replaced", Some(1008)).await;
    drop(old);
    say(&mut ben, json!({ "type": "signal", "to": id_of(&joined), "data": 1 })).await;
    assert_eq!(hear(&mut new).await["n"], 2);
    let mut thief = setup.connect().await;
    let guessed = format!("{}{:032x}", id_of(&joined), 1);
    say(&mut thief, json!({ "type": "resume", "token": guessed, "last": 0 })).await;
    expect_error(&mut thief, "gone", None).await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_comes_late_takes_nothing_over() {
    // A connection that has ended gives its place back when its task has run.
    let setup = setup(HubOptions { connections: 16, connections_per_prefix: 16, ..options() });
    let (anna, joined) = resumable(&setup, "kitchen").await;
    let (mut ben, _) = setup.joined("kitchen").await;
    drop(anna);
    let token = &joined["resume"]["token"];
    let attempt = |attempt: u64| json!({ "type": "resume", "token": token, "last": 0, "attempt": attempt });
    let mut second = setup.connect().await;
    say(&mut second, attempt(2)).await;
    assert_eq!(hear(&mut second).await["type"], "resumed");
    for number in [1, 2] {
        let mut late = setup.connect().await;
        say(&mut late, attempt(number)).await;
        expect_error(&mut late, "replaced", Some(1008)).await;
    }
    say(&mut ben, json!({ "type": "signal", "to": id_of(&joined), "data": "still here" })).await;
    while hear(&mut second).await["data"] != "still here" {}
    // Who begins anew goes on counting, or has forgotten that, too.
    for (fresh, late, answer) in [(json!(3), 3, "error"), (json!(null), 1, "resumed")] {
        let mut anew = setup.connect().await;
        say(&mut anew, json!({ "type": "resume", "token": token, "fresh": true, "attempt": fresh })).await;
        assert_eq!(hear(&mut anew).await["type"], "joined");
        let mut next = setup.connect().await;
        say(&mut next, attempt(late)).await;
        assert_eq!(hear(&mut next).await["type"], answer);
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_anew_in_each_membership_of_a_connection() {
    let setup = setup(options());
    let mut anna = setup.connect().await;
    for _ in 0..2 {
        say(&mut anna, json!({ "type": "join", "room": "kitchen", "resume": true })).await;
        let token = hear(&mut anna).await["resume"]["token"].clone();
        anna = setup.connect().await;
        say(&mut anna, json!({ "type": "resume", "token": token, "last": 0, "attempt": 1 })).await;
        assert_eq!(hear(&mut anna).await["type"], "resumed");
        say(&mut anna, json!({ "type": "leave" })).await;
    }
}

#[tokio::test(start_paused = true)]
async fn all_whose_connections_drop_at_once_can_come_back() {
    let (counts, setup) = (Counts::new(), setup(options()));
    let connect = || setup.hub.connect(std::net::IpAddr::from([192, 168, 1, 9]), reach());
    let mut members = Vec::new();
    for room in ["kitchen", "kitchen", "kitchen", "cellar"] {
        members.push(resumable(&setup, room).await);
    }
    assert!(connect().is_none(), "every place is taken");
    let dropped: Vec<_> = members.into_iter().map(|(_, joined)| joined).collect();
    until(|| counts.of("lanturn_signaling_connections") == 0).await;
    let mut back = Vec::new();
    for joined in &dropped {
        back.push(resume(&setup, joined, 0).await);
        assert_eq!(hear(back.last_mut().unwrap()).await["type"], "resumed");
    }
    assert!(connect().is_none(), "and so it is again");
}

#[tokio::test(start_paused = true)]
async fn no_more_are_waited_for_than_may_be_connected_but_in_their_own_places() {
    let (counts, setup) = (Counts::new(), setup(HubOptions { connections_per_prefix: 2, ..options() }));
    let connect = || setup.hub.connect(std::net::IpAddr::from([192, 168, 1, 9]), reach());
    let kept = || counts.of("lanturn_places_kept_total");
    for _ in 0..2 {
        drop(resumable(&setup, "kitchen").await);
        until(|| counts.of("lanturn_signaling_connections") == 0).await;
    }
    assert_eq!(kept(), 0);
    let third = resumable(&setup, "kitchen").await;
    let other = connect();
    assert!(other.is_some() && connect().is_none());
    drop(third);
    until(|| kept() == 1).await;
    assert!(connect().is_none(), "the third is waited for in its own place");
    tokio::time::sleep(Duration::from_secs(16)).await;
    assert!(connect().is_some(), "until its time is over");
}

/// Waits, but not until a window is over.
async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if is_so() {
            return;
        }
    }
    panic!("it does not become so");
}

fn reach() -> Reach {
    let address = "192.168.1.9:5000".parse().unwrap();
    Reach::of(address, address, &Default::default())
}

#[tokio::test(start_paused = true)]
async fn a_page_that_was_loaded_again_starts_anew_in_its_place() {
    let setup = setup(options());
    let (anna, joined) = resumable(&setup, "kitchen").await;
    let (mut ben, ben_id) = setup.joined("kitchen").await;
    say(&mut ben, json!({ "type": "signal", "to": id_of(&joined), "data": "old" })).await;
    drop(anna);
    let mut anna = setup.connect().await;
    say(&mut anna, json!({ "type": "resume", "token": joined["resume"]["token"], "fresh": true })).await;
    let again = hear(&mut anna).await;
    assert_eq!((&again["type"], &again["self"]["epoch"]), (&json!("joined"), &json!(2)));
    assert_eq!((&again["self"]["id"], &again["peers"][0]["id"]), (&joined["self"]["id"], &json!(ben_id)));
    let restarted = loop {
        let message = hear(&mut ben).await;
        if message["type"] == "peer-restarted" {
            break message;
        }
        assert_eq!(message["type"], "peer-away");
    };
    assert_eq!(restarted["epoch"], 2);
    say(&mut ben, json!({ "type": "signal", "to": id_of(&joined), "epoch": 1, "data": "late" })).await;
    expect_error(&mut ben, "stale", None).await;
    say(&mut ben, json!({ "type": "signal", "to": id_of(&joined), "epoch": 2, "data": "new" })).await;
    let heard = hear(&mut anna).await;
    assert_eq!((&heard["data"], &heard["seq"]), (&json!("new"), &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn what_a_pong_acknowledged_is_not_kept() {
    let setup = setup(HubOptions { message_rate: 1000, ..options() });
    let (mut anna, joined) = resumable(&setup, "kitchen").await;
    let (mut ben, _) = setup.joined("kitchen").await;
    for n in 0..100 {
        say(&mut ben, json!({ "type": "signal", "to": id_of(&joined), "data": n })).await;
    }
    while hear(&mut anna).await["n"] != 101 {}
    // The pong to the ping after 64 events is on its way once something else is written.
    say(&mut anna, json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut anna).await["type"], "pong");
    let mut again = resume(&setup, &joined, 10).await;
    expect_error(&mut again, "gone", None).await;
    assert_eq!(hear(&mut ben).await, left(1, &id_of(&joined), "disconnected"), "who cannot go on is not waited for");
}

#[tokio::test(start_paused = true)]
async fn what_is_said_again_is_heard_once() {
    let setup = setup(options());
    let (mut anna, joined) = resumable(&setup, "kitchen").await;
    let (mut ben, ben_id) = setup.joined("kitchen").await;
    for n in 1..=2 {
        say(&mut anna, json!({ "type": "signal", "to": ben_id, "n": n, "data": n })).await;
        assert_eq!(hear(&mut ben).await["data"], n);
    }
    drop(anna);
    let mut anna = resume(&setup, &joined, 0).await;
    assert_eq!(hear(&mut anna).await["received"], 2);
    // She has not looked at that, and says it all again.
    for n in 1..=3 {
        say(&mut anna, json!({ "type": "signal", "to": ben_id, "n": n, "data": n })).await;
    }
    let heard = loop {
        let message = hear(&mut ben).await;
        if message["type"] == "signal" {
            break message;
        }
    };
    assert_eq!((&heard["data"], &heard["seq"]), (&json!(3), &json!(3)));
}

#[tokio::test(start_paused = true)]
async fn who_resumes_can_say_again_all_that_the_page_keeps_and_go_on() {
    const LEDGER: &str = include_str!("../web/ledger.js");
    const ON_ITS_RETURN: u64 = 64;
    let most = LEDGER.split_once("const MOST = ").and_then(|(_, rest)| rest.split_once(';')).unwrap().0;
    let most: u64 = most.parse().unwrap();
    let setup = setup(options());
    let (anna, joined) = resumable(&setup, "kitchen").await;
    let (mut ben, _) = setup.joined("kitchen").await;
    drop(anna);
    assert_eq!(hear(&mut ben).await["type"], "peer-away");
    let mut anna = resume(&setup, &joined, 0).await;
    assert_eq!(hear(&mut anna).await["type"], "resumed");
    assert_eq!(hear(&mut anna).await["type"], "peer-joined");
    assert_eq!(hear(&mut ben).await["type"], "peer-back");
    for n in 1..=most + ON_ITS_RETURN {
        say(&mut anna, json!({ "type": "broadcast", "n": n, "data": n })).await;
        assert_eq!(hear(&mut ben).await["data"], n);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_told_by_its_number_and_that_is_not_lost() {
    let (counts, setup) = (Counts::new(), setup(HubOptions { message_rate: 1000, ..options() }));
    let mut ben = setup.connect().await;
    say(&mut ben, json!({ "type": "join", "room": "kitchen", "ready": false })).await;
    let ben_id = id_of(&hear(&mut ben).await);
    let (mut anna, joined) = resumable(&setup, "kitchen").await;
    let signal = |n: u64| json!({ "type": "signal", "to": ben_id, "n": n, "data": n });
    // With `peer-joined`, one more than may wait, and then something to somebody else.
    for n in 1..=128 {
        say(&mut anna, signal(n)).await;
    }
    say(&mut anna, json!({ "type": "broadcast", "n": 129, "data": "all" })).await;
    until(|| counts.of("lanturn_broadcasts_missed_total") == 1).await;
    // She has heard nothing of that.
    drop(anna);
    let mut anna = resume(&setup, &joined, 0).await;
    let resumed = hear(&mut anna).await;
    assert_eq!(resumed["received"], 129, "each number was heard, and has its answer");
    for (n, said, peers) in [(1, 128, json!(null)), (2, 129, json!([ben_id]))] {
        let told = hear(&mut anna).await;
        assert_eq!((&told["id"], &told["said"], &told["n"]), (&json!("peer-busy"), &json!(said), &json!(n)), "{told}");
        assert_eq!(told["peers"], peers);
    }
    say(&mut ben, json!({ "type": "ready" })).await;
    for n in [128, 130] {
        say(&mut anna, signal(n)).await;
    }
    let mut heard = Vec::new();
    while heard.last() != Some(&130) {
        heard.extend(hear(&mut ben).await["data"].as_u64());
    }
    assert!(heard.iter().copied().eq((1..128).chain([130])), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_replaced_can_do_nothing_more() {
    let setup = setup(options());
    let (mut old, joined) = resumable(&setup, "kitchen").await;
    let mut session = setup.session();
    let token = serde_json::from_value(joined["resume"]["token"].clone()).unwrap();
    session.resume(Some(token), Some(0), None).unwrap();
    let (mut first, mut second) = (setup.session(), setup.session());
    let entrant = Entrant { resume_window: Some(15), ..first.entrant() };
    let attic = RoomName::parse("attic").unwrap();
    first.join(&attic, entrant, None).unwrap();
    let Some(Next::Say((None, ServerMessage::Joined(told)))) = first.try_next() else { panic!("no `joined`") };
    second.resume(Some(told.resume.unwrap().token), Some(0), None).unwrap();
    assert_eq!(first.broadcast(&Payload::of("late")), Err(ErrorId::Replaced));
    assert_eq!(first.rename(None), Err(ErrorId::Replaced));
    first.leave(LeaveReason::Left);
    assert_eq!(first.join(&RoomName::parse("cellar").unwrap(), first.entrant(), None), Err(ErrorId::Replaced));
    drop(first);
    assert!(second.broadcast(&Payload::of("mine")).is_ok(), "and takes nothing along when it goes");
    drop((second, session));
    expect_error(&mut old, "replaced", Some(1008)).await;
    drop(old);
    setup.hub.closed().await;
    assert_eq!(setup.revoked.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_goes_away_may_come_back() {
    let setup = setup(options());
    let (mut anna, joined) = resumable(&setup, "kitchen").await;
    let (mut ben, _) = setup.joined("kitchen").await;
    let away = CloseFrame { code: CloseCode::Away, reason: "".into() };
    anna.close(Some(away)).await.unwrap();
    drop(anna);
    assert_eq!(hear(&mut ben).await["type"], "peer-away");
    let mut anna = setup.connect().await;
    say(&mut anna, json!({ "type": "resume", "token": joined["resume"]["token"], "fresh": true })).await;
    assert_eq!(hear(&mut anna).await["self"]["epoch"], 2);
    drop(anna);
    assert_eq!(hear(&mut ben).await["type"], "peer-restarted");
    assert_eq!(hear(&mut ben).await["type"], "peer-away");
    let mut anna = resume(&setup, &joined, 0).await;
    assert_eq!(hear(&mut anna).await["type"], "resumed", "again, before anything happened");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_forgets_its_token_has_left_when_it_goes_away_and_only_then() {
    let setup = setup(options());
    let (mut ben, _) = setup.joined("kitchen").await;
    let mut anna = setup.connect().await;
    say(&mut anna, json!({ "type": "join", "room": "kitchen", "resume": true, "forgets": true })).await;
    let joined = hear(&mut anna).await;
    assert_eq!(hear(&mut ben).await["type"], "peer-joined");
    drop(anna);
    assert_eq!(hear(&mut ben).await["type"], "peer-away", "a connection that drops is no page that goes");
    let mut anna = setup.connect().await;
    let token = &joined["resume"]["token"];
    say(&mut anna, json!({ "type": "resume", "token": token, "last": 0, "forgets": true })).await;
    assert_eq!(hear(&mut anna).await["type"], "resumed");
    assert_eq!(hear(&mut ben).await["type"], "peer-back");
    let start = Instant::now();
    anna.close(Some(CloseFrame { code: CloseCode::Away, reason: "".into() })).await.unwrap();
    assert_eq!(hear(&mut ben).await["type"], "peer-left");
    assert!(start.elapsed().is_zero(), "at once");
}

#[tokio::test(start_paused = true)]
async fn the_latest_addresses_of_a_member_are_kept_and_the_rest_counted() {
    let (counts, setup) = (Counts::new(), setup(options()));
    let dropped = || counts.of("lanturn_seen_addresses_dropped_total");
    let mut session = setup.session();
    let entrant = Entrant { resume_window: Some(15), ..session.entrant() };
    session.join(&RoomName::parse("kitchen").unwrap(), entrant, None).unwrap();
    let room = session.member().unwrap().room;
    let Some(Next::Say((None, ServerMessage::Joined(joined)))) = session.try_next() else { panic!("no `joined`") };
    let token = joined.resume.unwrap().token;
    let address = |last| std::net::IpAddr::from([192, 0, 2, last]);
    for last in 1..=MAX_SEEN as u8 + 1 {
        assert_eq!(dropped(), u64::from(last).saturating_sub(MAX_SEEN as u64));
        let (local, remote) = ("192.168.1.9:5000".parse().unwrap(), address(last));
        let mut next = setup.hub.connect(remote, Reach::of(local, local, &Default::default())).unwrap();
        next.resume(Some(token), Some(0), None).unwrap();
        session = next;
    }
    assert_eq!(dropped(), 2, "the address of the join, and the first after it");
    let reaches = |last| setup.memberships.reaches(room, address(last), |_| false);
    assert!(!reaches(1) && (2..=MAX_SEEN as u8 + 1).all(reaches));
    drop(session);
}
