//! AppRTC's dialect at the port: what a client is told over HTTP, who may ask, and what the credential is good for.

use hyper::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::room::Member;
use super::support::server::{LOOPBACK, Server};
use super::support::stun::RawClient;
use super::support::turn_client::Over;
use super::support::web::{Reply, counted, get, h1, h2, https, post, with};

/// Asks with a method other than GET, as a page of `origin` if one is given.
async fn ask(server: &Server, method: Method, path: &str, origin: Option<&str>, body: String) -> Reply {
    let mut ask = post(get(server.address(), path), String::leak(body));
    *ask.method_mut() = method;
    let ask = if let Some(origin) = origin { with(ask, "origin", origin) } else { ask };
    h1(https(server, server.address(), &["http/1.1"]).await, ask).await
}

async fn post_to(server: &Server, path: &str, body: &Value) -> Reply {
    ask(server, Method::POST, path, None, body.to_string()).await
}

async fn join(server: &Server, room: &str) -> Value {
    let reply = post_to(server, &format!("/join/{room}"), &json!({})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// A member over HTTP, with what it was told.
async fn joined(server: &Server, room: &str) -> Value {
    let answer = join(server, room).await;
    assert_eq!(answer["result"], "SUCCESS", "{answer}");
    answer["params"].clone()
}

/// `/message/kitchen/0123…`, of a member.
fn path(of: &str, params: &Value) -> String {
    format!("/{of}/{}/{}", params["room_id"].as_str().unwrap(), params["client_id"].as_str().unwrap())
}

async fn register(server: &Server, params: &Value) -> Member {
    let mut collider = Member::at(server, "/collider").await;
    let (room, client) = (&params["room_id"], &params["client_id"]);
    collider.say(json!({ "cmd": "register", "roomid": room, "clientid": client })).await;
    collider
}

fn offer() -> Value {
    json!({ "type": "offer", "sdp": "v=0\r\n" })
}

/// What a collider passes on.
async fn hear(collider: &mut Member) -> Value {
    let said = collider.hear().await;
    assert_eq!(said["error"], "", "{said}");
    serde_json::from_str(said["msg"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_client_is_told_all_that_its_like_read() {
    let server = Server::start(LOOPBACK);
    let at = server.address();
    let params = joined(&server, "My%20Room?it=relay").await;
    assert_eq!((&params["room_id"], &params["is_initiator"]), (&json!("my room"), &json!("true")));
    assert_eq!(params["messages"], json!([]));
    assert_eq!(params["room_link"], json!(format!("https://{at}/r/my%20room")));
    assert_eq!(params["wss_url"], json!(format!("wss://{at}/collider")));
    assert_eq!(params["wss_post_url"], json!(format!("https://{at}/collider")));
    // The apps read settings as JSON in text.
    let config: Value = serde_json::from_str(params["pc_config"].as_str().unwrap()).unwrap();
    assert_eq!(config, json!({ "iceServers": [], "iceTransports": "relay" }));
    for setting in ["media_constraints", "pc_constraints", "offer_options", "is_loopback"] {
        serde_json::from_str::<Value>(params[setting].as_str().unwrap()).unwrap();
    }
    let client = params["client_id"].as_str().unwrap();
    assert!(client.len() == 32 && client.bytes().all(|byte| byte.is_ascii_hexdigit()), "{client}");
    assert_eq!(params["ice_server_url"], json!(format!("https://{at}/iceconfig/my%20room/{client}")));
    let ice = format!("/iceconfig/my%20room/{client}");
    for method in [Method::GET, Method::POST] {
        let ice = ask(&server, method, &ice, None, String::new()).await.json();
        assert_eq!(ice["lifetimeDuration"], "3600s");
        assert_eq!(ice["iceServers"][1]["urls"][0], json!(format!("turn:{at}?transport=udp")));
    }
}

#[tokio::test]
async fn a_client_of_apprtc_and_a_native_one_meet_at_the_relay() {
    let server = Server::start("listen.addresses = ['127.0.0.1:0']\nlisten.shards = 2\n");
    let params = joined(&server, "kitchen").await;
    assert_eq!(post_to(&server, &path("message", &params), &offer()).await.json(), json!({ "result": "SUCCESS" }));
    let mut ben = register(&server, &params).await;
    let (mut anna, told) = Member::join(&server, server.address(), "kitchen", "Anna").await;
    assert_eq!(anna.hear().await["data"], json!({ "description": offer() }));
    let ice = ask(&server, Method::GET, &path("iceconfig", &params), None, String::new()).await.json();
    let mut at_ben = RawClient::of_member(&server, server.address(), Over::Udp, &ice).await;
    let mut at_anna = RawClient::of_member(&server, server.address(), Over::Udp, &told).await;
    let (from, to) = (at_anna.allocate(&[]).await.unwrap(), at_ben.allocate(&[]).await.unwrap());
    at_anna.permit(to).await.unwrap();
    at_ben.permit(from).await.unwrap();
    at_anna.send(to, b"hello").await;
    assert_eq!(at_ben.receive(super::support::PATIENCE).await, Some((from, b"hello".to_vec())));

    let answer = json!({ "type": "answer", "sdp": "v=0\r\n" });
    let id = &told["peers"][0]["id"];
    anna.say(json!({ "type": "signal", "to": id, "data": { "description": answer } })).await;
    assert_eq!(hear(&mut ben).await, answer);
    anna.say(json!({ "type": "leave" })).await;
    assert_eq!(hear(&mut ben).await, json!({ "type": "bye" }));
    assert_eq!(post_to(&server, &path("leave", &params), &json!({})).await.json(), json!({ "result": "SUCCESS" }));
    assert_eq!(at_ben.refresh(600).await, Err(401), "the credential ends with the membership");
    let gone = ask(&server, Method::GET, &path("iceconfig", &params), None, String::new()).await;
    assert_eq!(gone.error(), (404, "not-found".into()));
}

#[tokio::test]
async fn two_clients_talk_over_posts_and_the_collider() {
    let server = Server::start(LOOPBACK);
    let ben = joined(&server, "kitchen").await;
    let candidate = json!({ "type": "candidate", "label": 0, "id": "0", "candidate": "candidate:1" });
    for message in [&candidate, &offer()] {
        assert_eq!(post_to(&server, &path("message", &ben), message).await.status, 200);
    }
    let anna = joined(&server, "kitchen").await;
    assert_eq!(anna["is_initiator"], "false");
    let messages = anna["messages"].as_array().unwrap().iter();
    let messages: Vec<Value> = messages.map(|text| serde_json::from_str(text.as_str().unwrap()).unwrap()).collect();
    assert_eq!(messages, [offer(), candidate.clone()], "the offer first, whichever POST was faster");
    assert_eq!(join(&server, "kitchen").await["result"], "FULL");
    assert_eq!(counted(server.address(), r#"lanturn_signaling_refused_total{reason="full"}"#).await, 1);

    // A long one, as over a WebSocket, and over HTTP/2; and by the collider's own way in for who lost its WebSocket.
    let mut at_anna = register(&server, &anna).await;
    let long = json!({ "type": "offer", "sdp": "x".repeat(40_000) });
    let request = post(get(server.address(), &path("message", &ben)), String::leak(long.to_string()));
    let reply = h2(https(&server, server.address(), &["h2"]).await, server.address(), request).await;
    assert_eq!(reply.json(), json!({ "result": "SUCCESS" }));
    assert_eq!(hear(&mut at_anna).await, long);
    let reply = post_to(&server, &path("collider", &ben), &candidate).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "OK\n"));
    assert_eq!(hear(&mut at_anna).await, candidate);
    for _ in 0..2 {
        let reply = ask(&server, Method::DELETE, &path("collider", &ben), None, String::new()).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "OK\n"));
    }
    assert_eq!(hear(&mut at_anna).await, json!({ "type": "bye" }));
}

#[tokio::test]
async fn mistakes_are_told() {
    let server = Server::start(&format!("{LOOPBACK}[rooms]\nmax_rooms = 2\n"));
    let ben = joined(&server, "kitchen").await;
    let (room, client) = ("kitchen", ben["client_id"].as_str().unwrap());
    let _attic = joined(&server, "attic").await;
    for (room, result) in [("%20", "BAD_ROOM"), ("%ff%00", "BAD_ROOM"), ("cellar", "TOO_MANY_ROOMS")] {
        let answer = join(&server, room).await;
        assert_eq!(answer["result"], result);
        assert!(answer["params"]["error_messages"][0].as_str().unwrap().len() > 10, "{answer}");
    }
    for (path, result) in [
        (format!("/message/{room}/0"), "UNKNOWN_CLIENT"),
        (format!("/message/attic/{client}"), "UNKNOWN_ROOM"),
        (format!("/leave/{room}/0"), "UNKNOWN_CLIENT"),
        (format!("/leave/attic/{client}"), "UNKNOWN_ROOM"),
    ] {
        assert_eq!(post_to(&server, &path, &offer()).await.json(), json!({ "result": result }), "{path}");
    }
    let collider = format!("/collider/{room}/0");
    assert_eq!(post_to(&server, &collider, &offer()).await.error(), (404, "not-found".into()));
    for body in ["", "[]", "{", r#"{"type":1}"#, r#"{"type":"offer"}"#] {
        let reply = ask(&server, Method::POST, &path("message", &ben), None, body.into()).await;
        assert_eq!(reply.error(), (400, "bad-message".into()), "{body}");
    }
    for (path, length) in [(path("message", &ben), 65_537), ("/join/kitchen".to_owned(), 16_385)] {
        let huge = post(get(server.address(), &path), String::leak("x".repeat(length)));
        // HTTP/2, where an answer can overtake the question.
        let reply = h2(https(&server, server.address(), &["h2"]).await, server.address(), huge).await;
        assert_eq!(reply.error(), (413, "too-large".into()), "{path}");
    }
    for (method, path, allowed) in [
        (Method::GET, "/join/kitchen", "POST"),
        (Method::PUT, "/leave/kitchen/0", "POST"),
        (Method::GET, "/collider/kitchen/0", "POST, DELETE"),
        (Method::DELETE, "/iceconfig/kitchen/0", "GET, HEAD, POST"),
    ] {
        let reply = ask(&server, method, path, None, String::new()).await;
        assert_eq!((reply.error(), reply.header("allow")), ((405, "bad-method".into()), allowed), "{path}");
    }
}

#[tokio::test]
async fn nothing_is_read_from_who_is_no_client() {
    let server = Server::start(LOOPBACK);
    let at = server.address();
    for (path, status) in [("/message/kitchen/0", "200 OK"), ("/collider/kitchen/0", "404 Not Found")] {
        let mut io = https(&server, at, &["http/1.1"]).await;
        // All but the last byte, for which a server that reads it would wait.
        let head = format!("POST {path} HTTP/1.1\r\nhost: {at}\r\ncontent-length: 60000\r\n\r\n");
        io.write_all(head.as_bytes()).await.unwrap();
        io.write_all(&[b'x'; 59_999]).await.unwrap();
        let mut line = vec![0; format!("HTTP/1.1 {status}").len()];
        // A body that does not come ends with 408 after 10 s.
        tokio::time::timeout(super::support::PATIENCE, io.read_exact(&mut line)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), format!("HTTP/1.1 {status}"), "{path}");
    }
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_unless_listed() {
    let friend = "https://friend.example";
    let server = Server::start(&format!("{LOOPBACK}[rooms]\norigins = ['{friend}']\n"));
    let ben = joined(&server, "kitchen").await;
    let paths = ["message", "leave", "collider", "iceconfig"].map(|of| path(of, &ben));
    let all = || paths.iter().map(String::as_str).chain(["/join/kitchen"]);
    for path in all() {
        for method in [Method::POST, Method::OPTIONS] {
            let reply = ask(&server, method, path, Some("https://evil.example"), offer().to_string()).await;
            assert_eq!(reply.error(), (403, "bad-origin".into()), "{path}");
        }
        let reply = ask(&server, Method::OPTIONS, path, Some(friend), String::new()).await;
        assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (204, friend), "{path}");
        assert!(reply.header("access-control-allow-methods").contains("POST"), "{path}");
    }
    let reply = ask(&server, Method::POST, "/join/kitchen", Some(friend), String::new()).await;
    assert_eq!((reply.header("access-control-allow-origin"), reply.header("vary")), (friend, "origin"));
    assert_eq!(reply.json()["result"], "SUCCESS");
    let of_another = post(get("box.example", "/join/kitchen"), "");
    let reply = h1(https(&server, server.address(), &["http/1.1"]).await, of_another).await;
    assert_eq!(reply.error(), (421, "bad-host".into()));
    let reply = ask(&server, Method::POST, &paths[0], None, offer().to_string()).await;
    assert_eq!(reply.json(), json!({ "result": "SUCCESS" }), "nobody made it leave");
}

#[tokio::test]
async fn joins_and_credentials_are_bounded_for_each_source() {
    let server = Server::start(&format!("{LOOPBACK}[limits]\ncredential_rate = 2\n[rooms]\njoin_rate = 2\n"));
    let results = [join(&server, "a").await, join(&server, "b").await, join(&server, "c").await];
    let words = results.each_ref().map(|answer| answer["result"].as_str().unwrap());
    assert_eq!(words, ["SUCCESS", "SUCCESS", "RATE_LIMITED"]);
    assert_eq!(counted(server.address(), "lanturn_joins_refused_total").await, 1);
    let ice = path("iceconfig", &results[0]["params"]);
    for _ in 0..2 {
        assert_eq!(ask(&server, Method::GET, &ice, None, String::new()).await.status, 200);
    }
    let reply = ask(&server, Method::GET, &ice, None, String::new()).await;
    assert_eq!(reply.error(), (429, "rate-limited".into()));
}

#[tokio::test]
async fn who_never_registers_is_gone_at_the_deadline() {
    let server = Server::start(&format!("{LOOPBACK}[rooms]\nhello_deadline = '1s'\n"));
    let (mut anna, _) = Member::join(&server, server.address(), "kitchen", "Anna").await;
    let ben = joined(&server, "kitchen").await;
    assert_eq!(anna.hear().await["type"], "peer-joined");
    let left = anna.hear().await;
    assert_eq!((&left["type"], &left["reason"]), (&json!("peer-left"), &json!("disconnected")));
    let reply = post_to(&server, &path("message", &ben), &offer()).await;
    assert_eq!(reply.json(), json!({ "result": "UNKNOWN_CLIENT" }));
    assert_eq!(counted(server.address(), r#"lanturn_signaling_refused_total{reason="hello-timeout"}"#).await, 1);
}
