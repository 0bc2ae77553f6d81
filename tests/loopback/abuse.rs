//! Floods of joins and of room names: each meets a bound, the bound is counted, and others talk on.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::port::connect_from;
use super::support::eventually;
use super::support::frames::{FIN, Raw, TEXT, frame};
use super::support::server::{LOOPBACK, Server};
use super::support::talk::Talk;
use super::support::web::{becomes, connect_websocket, counted, get, h2_sender, https};

/// Room names that are made and left.
const NAMES: usize = 40_000;
/// What they may cost in the end, in KiB, for what the allocator keeps: a name that stayed would cost more than its 50
/// bytes of this, and so would a million.
const MARGIN: u64 = 2 * 1024;
/// Those who make them, all at once.
const MAKERS: usize = 2;

fn server(rooms: &str) -> Server {
    Server::start(&format!("{LOOPBACK}[rooms]\n{rooms}\n"))
}

async fn raw(server: &Server, source: [u8; 4]) -> Raw {
    Raw::open(connect_from(source, server.address()).await, server.address()).await
}

fn join(room: &str) -> Value {
    json!({ "type": "join", "room": room })
}

async fn refused(server: &Server, reason: &str) -> u64 {
    counted(server.address(), &format!("lanturn_signaling_refused_total{{reason=\"{reason}\"}}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_joins_on_one_connection_ends_it() {
    let server = server("");
    let talk = Talk::start(&server).await;
    let mut flood = raw(&server, [127, 0, 0, 2]).await;
    let joins: Vec<u8> =
        (0..5000).flat_map(|n| frame(FIN | TEXT, join(&format!("room {n}")).to_string().as_bytes())).collect();
    flood.send(&joins).await;
    let (ids, code) = flood.errors().await;
    assert_eq!(code, Some(1013), "{ids:?}");
    let already = ids.iter().filter(|id| *id == "already-joined").count();
    assert!((150..300).contains(&already), "four seconds' worth: {already}");
    // While the box works through them, now and then another may pass.
    let limited = ids.iter().filter(|id| *id == "rate-limited").count();
    assert_eq!((already + limited, &ids[ids.len() - 10..]), (ids.len(), &vec!["rate-limited".to_owned(); 10][..]));
    assert_eq!(
        (refused(&server, "already-joined").await, refused(&server, "rate-limited").await),
        (already as u64, limited as u64)
    );
    becomes(server.address(), "lanturn_rooms", 1).await;
    talk.ends_unhindered().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_joins_by_many_fills_a_room_and_no_more() {
    let server = server("capacity = 5");
    let address = server.address();
    let talk = Talk::start(&server).await;
    let flood = join_all((0..200u8).map(|n| {
        let server = &server;
        async move {
            let mut member = raw(server, [127, 0, 0, 2 + n % 50]).await;
            member.say(&join("attic")).await;
            let heard = member.hear().await.unwrap().unwrap();
            match heard["type"].as_str().unwrap() {
                "joined" => Ok(member),
                _ => Err((heard["id"].as_str().unwrap().to_owned(), member.errors().await.1)),
            }
        }
    }))
    .await;
    let (inside, outside): (Vec<_>, Vec<_>) = flood.into_iter().partition(Result::is_ok);
    assert_eq!((inside.len(), outside.len()), (5, 195));
    assert!(outside.into_iter().all(|end| end.err().unwrap() == ("full".into(), Some(1013))));
    assert_eq!(refused(&server, "full").await, 195);
    becomes(address, "lanturn_room_members", 7).await;
    talk.ends_unhindered().await;
}

#[tokio::test]
async fn sockets_are_bounded_however_few_connections_they_take() {
    let server = Server::start(&format!("{LOOPBACK}[limits]\nconnections = 3\n"));
    let address = server.address();
    let mut sender = h2_sender(https(&server, address, &["h2"]).await).await;
    let mut statuses = Vec::new();
    let mut open = Vec::new();
    for _ in 0..4 {
        // The first answer brings the settings, without which there is no extended CONNECT.
        let mut health = get(address, "/health");
        *health.uri_mut() = format!("https://{address}/health").parse().unwrap();
        sender.send_request(health).await.unwrap();
        let response = sender.send_request(connect_websocket(address)).await.unwrap();
        statuses.push(response.status().as_u16());
        open.push(response);
    }
    assert_eq!(statuses, [200, 200, 200, 503]);
    assert_eq!(refused(&server, "busy").await, 1);
}

#[tokio::test]
async fn rooms_are_bounded_for_each_source_and_in_all_and_those_inside_talk_on() {
    let server = server("max_rooms = 101\nmax_rooms_per_prefix = 30");
    let address = server.address();
    let talk = Talk::start(&server).await;
    let mut inside = Vec::new();
    let mut made = Vec::new();
    for source in 2..6 {
        let mut count = 0;
        loop {
            let mut member = raw(&server, [127, 0, 0, source]).await;
            member.say(&join(&format!("{source} {count}"))).await;
            let heard = member.hear().await.unwrap().unwrap();
            if heard["type"] != "joined" {
                assert_eq!((&heard["id"], member.errors().await.1), (&json!("too-many-rooms"), Some(1013)));
                break;
            }
            count += 1;
            inside.push(member);
        }
        made.push(count);
    }
    assert_eq!(made, [30, 30, 30, 10], "90 of three sources, and with the talkers' own 101 in all");
    assert_eq!(refused(&server, "too-many-rooms").await, 4);
    assert_eq!(counted(address, "lanturn_rooms").await, 101);
    let mut late = raw(&server, [127, 0, 0, 9]).await;
    late.say(&join("2 0")).await;
    assert_eq!(late.hear().await.unwrap().unwrap()["type"], "joined", "a room that is there has places");
    drop(inside);
    becomes(address, "lanturn_rooms", 2).await;
    talk.ends_unhindered().await;
}

/// Makes and leaves rooms, no two of the same name, and says when each is made.
async fn make_rooms(server: &Server, source: u8, names: std::ops::Range<usize>) {
    let mut member = raw(server, [127, 0, 0, source]).await;
    let leave = frame(FIN | TEXT, br#"{"type":"leave"}"#);
    let names: Vec<usize> = names.collect();
    // No more at once than the server holds for one reader.
    for some in names.chunks(50) {
        let mut bytes = Vec::new();
        for n in some {
            bytes.extend(frame(FIN | TEXT, format!(r#"{{"type":"join","room":"name {n}"}}"#).as_bytes()));
            bytes.extend_from_slice(&leave);
        }
        member.send(&bytes).await;
        for n in some {
            let joined = member.hear().await.unwrap().unwrap();
            assert_eq!(joined["room"], format!("name {n}"), "{joined}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn room_names_without_end_leave_nothing_behind() {
    let server = server("message_rate = 1000000000\njoin_rate = 1000000000");
    let talk = Talk::start(&server).await;
    let flood = |from: usize, to: usize| {
        let server = &server;
        let each = (to - from) / MAKERS;
        join_all((0..MAKERS).map(move |n| make_rooms(server, n as u8 + 2, from + n * each..from + (n + 1) * each)))
    };
    flood(0, NAMES / 10).await;
    let before = server.memory();
    flood(NAMES / 10, NAMES).await;
    eventually("memory is what it was", || server.memory() <= before + MARGIN);
    becomes(server.address(), "lanturn_rooms", 1).await;
    talk.ends_unhindered().await;
}
