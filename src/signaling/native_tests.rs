use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::credentials::Reach;
use crate::metrics::testing::Counts;
use crate::signaling::testing::{LINE, expect_error, hear, id_of, left, options, say, setup};
use crate::signaling::{ErrorId, HubOptions, Payload, PeerId, RoomName};

/// Somebody who came later and is no more than that.
fn peer(id: &str) -> Value {
    json!({ "id": id, "role": "member", "epoch": 1, "polite": false, "initiate": false })
}

fn signal(from: &Value, seq: u64, data: Value) -> Value {
    json!({ "type": "signal", "n": seq, "from": from, "epoch": 1, "seq": seq, "data": data })
}

#[tokio::test(start_paused = true)]
async fn two_meet_talk_and_part() {
    let setup = setup(options());
    let mut anna = setup.connect().await;
    say(&mut anna, json!({ "type": "join", "room": "Kitchen", "name": "Anna" })).await;
    let joined = hear(&mut anna).await;
    assert_eq!(
        (&joined["room"], &joined["peers"], &joined["self"]["name"]),
        (&json!("kitchen"), &json!([]), &json!("Anna"))
    );
    assert_eq!((&joined["capacity"], &joined["ttl"]), (&json!(3), &json!(60)));
    let (mut ben, ben_id) = setup.joined("kitchen").await;
    assert_eq!(hear(&mut anna).await, json!({ "type": "peer-joined", "n": 1, "peer": peer(&ben_id) }));
    for seq in 1..=3 {
        say(&mut anna, json!({ "type": "signal", "to": ben_id, "data": { "n": seq } })).await;
        let from = &joined["self"]["id"];
        assert_eq!(hear(&mut ben).await, signal(from, seq, json!({ "n": seq })));
    }
    say(&mut ben, json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut ben).await, json!({ "type": "pong" }));
    say(&mut ben, json!({ "type": "leave" })).await;
    assert_eq!(hear(&mut anna).await, left(2, &ben_id, "left"));
    say(&mut ben, json!({ "type": "join", "room": "kitchen" })).await;
    let again = hear(&mut ben).await["self"]["id"].clone();
    assert_ne!(again, json!(ben_id), "a new membership has a new id");
    hear(&mut anna).await;
    say(&mut anna, json!({ "type": "signal", "to": again, "data": 0 })).await;
    assert_eq!(hear(&mut ben).await, signal(&joined["self"]["id"], 1, json!(0)), "and counts from 1 again");
    drop(ben);
    assert_eq!(hear(&mut anna).await, left(4, again.as_str().unwrap(), "disconnected"));
}

#[tokio::test(start_paused = true)]
async fn mistakes_are_told_and_only_some_end_the_connection() {
    let setup = setup(options());
    let mut hasty = setup.connect().await;
    say(&mut hasty, json!({ "type": "ping" })).await;
    expect_error(&mut hasty, "join-first", Some(1008)).await;
    let mut client = setup.connect().await;
    say(&mut client, json!({ "type": "join", "room": " " })).await;
    expect_error(&mut client, "bad-room", None).await;
    client.send(Message::binary(vec![1])).await.unwrap();
    expect_error(&mut client, "bad-message", None).await;
    say(&mut client, json!({ "type": "join", "room": "kitchen" })).await;
    assert_eq!(hear(&mut client).await["type"], "joined");
    say(&mut client, json!({ "type": "join", "room": "attic" })).await;
    expect_error(&mut client, "already-joined", None).await;
    say(&mut client, json!({ "type": "signal", "to": "0123456789abcdef", "data": 1 })).await;
    expect_error(&mut client, "no-such-peer", None).await;
    let envelope = json!({ "type": "signal", "to": "0123456789abcdef", "data": "" }).to_string().len();
    let longest = json!({ "type": "signal", "to": "0123456789abcdef", "data": "x".repeat(65_536 - envelope) });
    say(&mut client, longest).await;
    expect_error(&mut client, "no-such-peer", None).await;
    let _ = client.send(Message::text("x".repeat(65_537))).await;
    expect_error(&mut client, "too-large", Some(1009)).await;
}

#[tokio::test(start_paused = true)]
async fn a_close_is_answered_and_ends_without_delay() {
    let setup = setup(options());
    let start = Instant::now();
    let mut client = setup.connect().await;
    client.close(None).await.unwrap();
    let answer = client.next().await;
    assert!(matches!(answer, Some(Ok(Message::Close(_)))), "{answer:?}");
    let mut hasty = setup.connect().await;
    say(&mut hasty, json!({ "type": "ping" })).await;
    expect_error(&mut hasty, "join-first", Some(1008)).await;
    assert!(hasty.next().await.is_none());
    setup.hub.closed().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn places_are_bounded() {
    let setup = setup(options());
    let (_anna, _) = setup.joined("kitchen").await;
    let (_ben, _) = setup.joined("kitchen").await;
    let (eve, _) = setup.joined("kitchen").await;
    let mut late = setup.connect().await;
    let address = "192.168.1.9:5000".parse().unwrap();
    let reach = Reach::of(address, address, &Default::default());
    assert!(setup.hub.connect(address.ip(), reach).is_none(), "as many connections as may be");
    say(&mut late, json!({ "type": "join", "room": "kitchen" })).await;
    expect_error(&mut late, "full", Some(1013)).await;
    drop((eve, late));
    while *setup.hub.sessions.subscribe().borrow() > 2 {
        tokio::task::yield_now().await;
    }
    let (_finn, _) = setup.joined("cellar").await;
    let mut late = setup.connect().await;
    say(&mut late, json!({ "type": "join", "room": "attic" })).await;
    expect_error(&mut late, "too-many-rooms", Some(1013)).await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_say_hello_is_sent_away() {
    let setup = setup(options());
    let start = Instant::now();
    let mut silent = setup.connect().await;
    expect_error(&mut silent, "hello-timeout", Some(1008)).await;
    assert_eq!(start.elapsed().as_secs(), 5);
    let (mut left, _) = setup.joined("kitchen").await;
    say(&mut left, json!({ "type": "leave" })).await;
    expect_error(&mut left, "hello-timeout", Some(1008)).await;
}

#[tokio::test(start_paused = true)]
async fn who_answers_pings_stays_and_who_is_silent_is_seen_to_go() {
    let setup = setup(options());
    let (mut anna, _) = setup.joined("kitchen").await;
    let (ben, ben_id) = setup.joined("kitchen").await;
    hear(&mut anna).await;
    let start = Instant::now();
    let gone = hear(&mut anna).await;
    assert_eq!(gone, left(2, &ben_id, "disconnected"));
    let within = Duration::from_secs(9)..=Duration::from_secs(10);
    assert!(within.contains(&start.elapsed()), "{:?}", start.elapsed());
    drop(ben);
    let later = timeout(Duration::from_secs(60), hear(&mut anna)).await.expect("Anna only answered pings, and stays");
    assert_eq!(later, json!({ "type": "ice-servers", "iceServers": [], "ttl": 60 }));
    assert_eq!(start.elapsed().as_secs(), 45, "while three quarters of the first have passed");
}

#[tokio::test(start_paused = true)]
async fn who_is_gone_is_missed_as_soon_when_it_is_written_to() {
    let setup = setup(options());
    let (mut anna, _) = setup.joined("kitchen").await;
    let (ben, ben_id) = setup.joined("kitchen").await;
    hear(&mut anna).await;
    let start = Instant::now();
    tokio::time::advance(Duration::from_secs(3)).await;
    // More than the path to him takes.
    say(&mut anna, json!({ "type": "signal", "to": ben_id, "data": "x".repeat(60_000) })).await;
    assert_eq!(hear(&mut anna).await, left(2, &ben_id, "disconnected"));
    let within = Duration::from_secs(9)..=Duration::from_secs(10);
    assert!(within.contains(&start.elapsed()), "{:?}", start.elapsed());
    drop(ben);
}

#[tokio::test(start_paused = true)]
async fn when_the_relay_is_elsewhere_those_in_a_room_are_told_to_restart() {
    let setup = setup(options());
    let (mut anna, _) = setup.joined("kitchen").await;
    let mut waiting = setup.connect().await;
    setup.hub.moved();
    let told = json!({ "type": "ice-servers", "iceServers": [], "ttl": 60, "restart": true });
    assert_eq!(hear(&mut anna).await, told);
    say(&mut waiting, json!({ "type": "join", "room": "kitchen" })).await;
    assert_eq!(hear(&mut waiting).await["type"], "joined", "before that, there was nothing to restart");
    assert_eq!(hear(&mut anna).await["type"], "peer-joined");
    drop(waiting);
    assert_eq!(hear(&mut anna).await["type"], "peer-left");
    let later = hear(&mut anna).await;
    assert_eq!(later, json!({ "type": "ice-servers", "iceServers": [], "ttl": 60 }), "each once");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_closed_and_nobody_waits_for_it() {
    let setup = setup(HubOptions { message_rate: 10_000, ..options() });
    let (mut slow, slow_id) = setup.joined("kitchen").await;
    let (mut ben, _) = setup.joined("kitchen").await;
    let (mut eve, _) = setup.joined("kitchen").await;
    hear(&mut ben).await;
    let start = Instant::now();
    let data = "x".repeat(10_000);
    for _ in 0..120 {
        say(&mut ben, json!({ "type": "signal", "to": slow_id, "data": data })).await;
    }
    let gone = hear(&mut eve).await;
    assert_eq!((&gone["type"], &gone["id"]), (&json!("peer-left"), &json!(slow_id)));
    let told = loop {
        let message = hear(&mut ben).await;
        if message["type"] != "error" {
            break message;
        }
        assert_eq!(message["id"], "no-such-peer");
    };
    assert_eq!((&told["type"], &told["id"]), (&json!("peer-left"), &json!(slow_id)));
    assert!(start.elapsed() < Duration::from_secs(4), "before any timer: {:?}", start.elapsed());
    let last = loop {
        let message = hear(&mut slow).await;
        if message["type"] != "signal" && message["type"] != "peer-joined" {
            break message;
        }
    };
    assert!(last["id"] == "slow-reader" || last["closed"].is_null(), "{last}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_dropped_and_then_ended() {
    let setup = setup(HubOptions { message_rate: 5, ..options() });
    let (mut client, _) = setup.joined("kitchen").await;
    for _ in 0..40 {
        let _ = client.send(Message::text(r#"{"type":"ping"}"#)).await;
    }
    for _ in 0..19 {
        assert_eq!(hear(&mut client).await["type"], "pong");
    }
    for _ in 0..9 {
        expect_error(&mut client, "rate-limited", None).await;
    }
    expect_error(&mut client, "rate-limited", Some(1013)).await;
}

#[tokio::test(start_paused = true)]
async fn addresses_may_be_reached_before_the_signal_arrives_and_not_after_leaving() {
    let setup = setup(options());
    let (mut anna, _) = setup.joined("kitchen").await;
    let (mut ben, ben_id) = setup.joined("kitchen").await;
    assert_eq!(hear(&mut anna).await["type"], "peer-joined");
    let nobody = json!({ "candidate": { "candidate": LINE.replace("113.4", "113.5") } });
    say(&mut anna, json!({ "type": "signal", "to": "0000000000000000", "data": nobody })).await;
    expect_error(&mut anna, "no-such-peer", None).await;
    let candidate = json!({ "candidate": { "candidate": LINE } });
    say(&mut anna, json!({ "type": "signal", "to": ben_id, "data": candidate })).await;
    assert_eq!(hear(&mut ben).await["seq"], 1);
    say(&mut ben, json!({ "type": "leave" })).await;
    hear(&mut anna).await;
    while setup.revoked.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let ended = setup.revoked.lock().unwrap()[0];
    assert_eq!(PeerId(ended.member).to_string(), ben_id);
    assert!(!setup.memberships.is_member(ended));
    let reaches = |address: &str| setup.memberships.reaches(ended.room, address.parse().unwrap(), |_| true);
    assert!(reaches("203.0.113.4"));
    assert!(!reaches("203.0.113.5"), "signalled to nobody");
    assert!(reaches("192.168.1.9"), "where Anna was seen");
    drop(anna);
    while setup.revoked.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(!reaches("203.0.113.4"));
}

#[tokio::test(start_paused = true)]
async fn a_stop_says_so_to_everyone() {
    let setup = setup(options());
    let (mut anna, _) = setup.joined("kitchen").await;
    let mut waiting = setup.connect().await;
    setup.hub.shutdown();
    assert_eq!(hear(&mut anna).await, json!({ "closed": 1001 }));
    assert_eq!(hear(&mut waiting).await, json!({ "closed": 1001 }));
    drop((anna, waiting));
    setup.hub.closed().await;
    assert_eq!(setup.revoked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn one_source_cannot_take_every_place() {
    let setup = setup(HubOptions { connections_per_prefix: 2, ..options() });
    let reach = Reach::of("192.168.1.5:1".parse().unwrap(), "192.168.1.9:1".parse().unwrap(), &Default::default());
    let connect = |from: &str| setup.hub.connect(from.parse().unwrap(), reach.clone());
    let first = connect("2001:db8::1");
    let second = connect("2001:db8::2");
    assert!(first.is_some() && second.is_some() && connect("2001:db8::3").is_none());
    let elsewhere = connect("192.168.1.9");
    assert!(elsewhere.is_some());
    drop(first);
    assert!(connect("2001:db8::3").is_some());
}

#[tokio::test(start_paused = true)]
async fn who_is_not_ready_hears_everything_later_and_in_order() {
    let setup = setup(HubOptions { message_rate: 1000, ..options() });
    let mut anna = setup.connect().await;
    say(&mut anna, json!({ "type": "join", "room": "kitchen", "ready": false })).await;
    let joined = hear(&mut anna).await;
    let (mut ben, ben_id) = setup.joined("kitchen").await;
    let mut sent = 0;
    let refused = loop {
        say(&mut ben, json!({ "type": "signal", "to": id_of(&joined), "data": sent })).await;
        say(&mut ben, json!({ "type": "ping" })).await;
        let answer = hear(&mut ben).await;
        if answer["type"] == "error" {
            break answer;
        }
        sent += 1;
    };
    assert_eq!((&refused["id"], sent), (&json!("peer-busy"), 127), "with `peer-joined`, half of what may wait");
    hear(&mut ben).await;
    say(&mut anna, json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut anna).await["type"], "pong", "only what happens in the room is held back");
    say(&mut anna, json!({ "type": "ready" })).await;
    assert_eq!(hear(&mut anna).await["peer"]["id"], json!(ben_id));
    for n in 0..sent {
        let heard = hear(&mut anna).await;
        assert_eq!((&heard["data"], &heard["seq"]), (&json!(n), &json!(n + 1)));
    }
    say(&mut ben, json!({ "type": "signal", "to": id_of(&joined), "data": "now" })).await;
    assert_eq!(hear(&mut anna).await["seq"], sent + 1, "what was refused was not counted");
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_says_who_missed_it() {
    let (counts, setup) = (Counts::new(), setup(HubOptions { message_rate: 1000, ..options() }));
    let missed = || counts.of("lanturn_broadcasts_missed_total");
    let (mut anna, _) = setup.joined("kitchen").await;
    let mut ben = setup.connect().await;
    say(&mut ben, json!({ "type": "join", "room": "kitchen", "ready": false })).await;
    let ben_id = id_of(&hear(&mut ben).await);
    let (mut eve, _) = setup.joined("kitchen").await;
    hear(&mut anna).await;
    hear(&mut anna).await;
    // With `peer-joined`, as much as may wait.
    for n in 1..128 {
        say(&mut anna, json!({ "type": "broadcast", "data": n })).await;
        assert_eq!(hear(&mut eve).await["data"], n);
    }
    say(&mut anna, json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut anna).await["type"], "pong");
    assert_eq!(missed(), 0);
    for n in [128, 129] {
        say(&mut anna, json!({ "type": "broadcast", "data": n })).await;
        let told = hear(&mut anna).await;
        assert_eq!((&told["id"], &told["peers"]), (&json!("peer-busy"), &json!([ben_id])), "{told}");
        assert_eq!(hear(&mut eve).await["data"], n);
    }
    assert_eq!(missed(), 2);
    say(&mut ben, json!({ "type": "ready" })).await;
    assert_eq!(hear(&mut ben).await["type"], "peer-joined");
    say(&mut anna, json!({ "type": "broadcast", "data": 130 })).await;
    for n in (1..128).chain([130]) {
        assert_eq!(hear(&mut ben).await["data"], n);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_for_its_rate_is_named_and_has_used_its_number() {
    let setup = setup(HubOptions { message_rate: 5, ..options() });
    let (mut anna, _) = setup.joined("kitchen").await;
    let (mut ben, _) = setup.joined("kitchen").await;
    assert_eq!(hear(&mut anna).await["n"], 1);
    let numbered = |n: u64| json!({ "type": "broadcast", "n": n, "data": n });
    for n in 1..20 {
        say(&mut anna, numbered(n)).await;
        assert_eq!(hear(&mut ben).await["data"], n);
    }
    say(&mut anna, numbered(20)).await;
    let told = hear(&mut anna).await;
    assert_eq!((&told["id"], &told["said"], &told["n"]), (&json!("rate-limited"), &json!(20), &json!(2)), "{told}");
    say(&mut anna, json!({ "type": "ack", "n": 99 })).await;
    let told = hear(&mut anna).await;
    assert_eq!((&told["id"], &told["said"]), (&json!("rate-limited"), &Value::Null), "that is no number of hers");
    tokio::time::sleep(Duration::from_secs(1)).await;
    for n in [20, 21] {
        say(&mut anna, numbered(n)).await;
    }
    assert_eq!(hear(&mut ben).await["data"], 21);
}

#[tokio::test(start_paused = true)]
async fn the_host_keeps_the_door() {
    let setup = setup(options());
    let mut anna = setup.connect().await;
    say(&mut anna, json!({ "type": "join", "room": "kitchen", "pin": "4711", "role": "presenter" })).await;
    let joined = hear(&mut anna).await;
    assert_eq!((&joined["host"], &joined["pin"]), (&joined["self"]["id"], &json!(true)));
    let mut ben = setup.connect().await;
    say(&mut ben, json!({ "type": "join", "room": "kitchen" })).await;
    expect_error(&mut ben, "bad-pin", None).await;
    say(&mut anna, json!({ "type": "invite", "role": "viewer", "ttl": 60 })).await;
    let invite = hear(&mut anna).await;
    assert_eq!(
        (&invite["room"], &invite["role"], &invite["expiresAt"]),
        (&json!("kitchen"), &json!("viewer"), &json!(60))
    );
    say(&mut ben, json!({ "type": "join", "room": "kitchen", "invite": "kitchen//viewer" })).await;
    expect_error(&mut ben, "bad-invite", None).await;
    say(&mut ben, json!({ "type": "join", "room": "kitchen", "role": "presenter", "invite": invite["invite"] })).await;
    let ben_id = hear(&mut ben).await["self"]["id"].clone();
    assert_eq!(hear(&mut anna).await["peer"]["role"], "viewer", "the invite says the role");
    say(&mut ben, json!({ "type": "kick", "id": joined["self"]["id"] })).await;
    expect_error(&mut ben, "not-allowed", None).await;
    say(&mut anna, json!({ "type": "lock", "locked": true })).await;
    for client in [&mut anna, &mut ben] {
        assert_eq!(hear(client).await["locked"], true);
    }
    let mut eve = setup.connect().await;
    say(&mut eve, json!({ "type": "join", "room": "kitchen", "pin": "4711" })).await;
    expect_error(&mut eve, "locked", None).await;
    say(&mut anna, json!({ "type": "pin", "pin": null })).await;
    assert_eq!(hear(&mut anna).await["pin"], false);
    say(&mut anna, json!({ "type": "lock", "locked": false })).await;
    hear(&mut anna).await;
    say(&mut anna, json!({ "type": "kick", "id": ben_id })).await;
    assert_eq!(hear(&mut anna).await["reason"], "kicked");
    for _ in 0..2 {
        assert_eq!(hear(&mut ben).await["type"], "room");
    }
    expect_error(&mut ben, "kicked", Some(1008)).await;
    assert_eq!(setup.revoked.lock().unwrap().len(), 1, "and the relay hears of it");
}

#[tokio::test(start_paused = true)]
async fn a_pin_cannot_be_guessed() {
    let setup = setup(options());
    let mut anna = setup.connect().await;
    say(&mut anna, json!({ "type": "join", "room": "kitchen", "pin": "4711" })).await;
    hear(&mut anna).await;
    let mut eve = setup.connect().await;
    for guess in 0..10 {
        say(&mut eve, json!({ "type": "join", "room": "kitchen", "pin": guess.to_string() })).await;
        expect_error(&mut eve, "bad-pin", None).await;
    }
    say(&mut eve, json!({ "type": "join", "room": "kitchen", "pin": "4711" })).await;
    expect_error(&mut eve, "rate-limited", None).await;
    tokio::time::advance(Duration::from_secs(6)).await;
    let mut eve = setup.connect().await;
    say(&mut eve, json!({ "type": "join", "room": "kitchen", "pin": "4711" })).await;
    assert_eq!(hear(&mut eve).await["type"], "joined", "ten a minute");
}

#[tokio::test(start_paused = true)]
async fn everybody_hears_a_broadcast_and_a_new_name() {
    let setup = setup(options());
    let (mut anna, anna_id) = setup.joined("kitchen").await;
    let (mut ben, ben_id) = setup.joined("kitchen").await;
    let (mut eve, _) = setup.joined("kitchen").await;
    let (mut elsewhere, _) = setup.joined("cellar").await;
    hear(&mut anna).await;
    hear(&mut anna).await;
    hear(&mut ben).await;
    say(&mut anna, json!({ "type": "signal", "to": ben_id, "data": 1 })).await;
    say(&mut anna, json!({ "type": "broadcast", "data": { "chat": "Hello" } })).await;
    say(&mut anna, json!({ "type": "rename", "name": "Anna" })).await;
    assert_eq!(hear(&mut ben).await["type"], "signal");
    for (client, seq) in [(&mut ben, 2), (&mut eve, 1)] {
        let heard = hear(client).await;
        assert_eq!((&heard["from"], &heard["seq"]), (&json!(anna_id), &json!(seq)));
        assert_eq!((&heard["type"], &heard["data"]), (&json!("broadcast"), &json!({ "chat": "Hello" })));
        let renamed = hear(client).await;
        assert_eq!(
            (&renamed["type"], &renamed["id"], &renamed["name"]),
            (&json!("peer-renamed"), &json!(anna_id), &json!("Anna"))
        );
    }
    assert_eq!(hear(&mut anna).await["type"], "peer-renamed", "the sender too");
    say(&mut elsewhere, json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut elsewhere).await["type"], "pong", "and nobody in another room");
}

#[tokio::test(start_paused = true)]
async fn one_source_enters_so_many_rooms_a_minute() {
    let setup = setup(HubOptions { join_rate: 2, ..options() });
    let mut anna = setup.connect().await;
    for answer in ["joined", "joined", "rate-limited"] {
        say(&mut anna, json!({ "type": "join", "room": "kitchen" })).await;
        let told = hear(&mut anna).await;
        assert_eq!(if told["type"] == "error" { &told["id"] } else { &told["type"] }, answer);
        if answer == "joined" {
            say(&mut anna, json!({ "type": "leave" })).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_shown_up_to_its_bound() {
    const WAITING: usize = 64 << 10;
    const MESSAGE: usize = 1 << 10;
    let options = HubOptions { waiting_bytes: WAITING, waiting_bytes_per_prefix: WAITING, ..options() };
    let (counts, setup) = (Counts::new(), setup(options));
    let waiting = || {
        setup.hub.measure();
        counts.of("lanturn_waiting_bytes") as usize
    };
    assert_eq!(waiting(), 0);
    let (mut anna, mut ben) = (setup.session(), setup.session());
    for session in [&mut anna, &mut ben] {
        session.join(&RoomName::parse("kitchen").unwrap(), session.entrant(), None).unwrap();
    }
    let data = Payload::of(&"x".repeat(MESSAGE));
    while ben.ended().now_or_never().is_none() {
        anna.broadcast(&data).unwrap();
    }
    assert_eq!(ben.ended().now_or_never(), Some(ErrorId::SlowReader));
    assert!((WAITING..WAITING + 2 * MESSAGE).contains(&waiting()), "{} bytes wait", waiting());
    drop((anna, ben));
    assert_eq!(waiting(), 0);
}
