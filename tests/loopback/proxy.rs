//! Clients behind reverse proxies, and those who only say so.

use std::net::SocketAddr;

use hyper::Request;
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Error;

use super::port::connect_from;
use super::support::room::{Member, handshake};
use super::support::server::Server;
use super::support::stun::RawClient;
use super::support::tls::client_config;
use super::support::turn_client::Over;
use super::support::web::{Ask, Io, Reply, get, h1, https, metrics, with};

/// A proxy that is listed.
const PROXY: [u8; 4] = [127, 0, 0, 2];
/// Someone who is not.
const STRANGER: [u8; 4] = [127, 0, 0, 3];
/// How all clients here call the box.
const OUTER: &str = "calls.example";

fn server(more: &str) -> Server {
    let listen = "[listen]\naddresses = ['127.0.0.1:0']\nshards = 2\nproxies = ['127.0.0.2', '10.0.0.0/8']\n";
    let rooms = format!("[rooms]\nhosts = ['{OUTER}']\n");
    Server::start(&format!("{listen}[relay]\nallow_loopback = true\n{rooms}{more}"))
}

/// A request as a proxy passes it on, over plain HTTP.
fn passed_on(path: &str, forwarded_for: &str) -> Ask {
    with(with(get(OUTER, path), "x-forwarded-for", forwarded_for), "x-forwarded-proto", "https")
}

async fn ask(server: &Server, source: [u8; 4], ask: Ask) -> Reply {
    h1(Box::new(connect_from(source, server.address()).await), ask).await
}

fn socket(forwarded_for: &str, origin: &str) -> Request<()> {
    let mut request = handshake(OUTER, "/ws", Some(origin));
    request.headers_mut().insert("x-forwarded-for", forwarded_for.parse().unwrap());
    request.headers_mut().insert("x-forwarded-proto", "https".parse().unwrap());
    request
}

async fn member(server: &Server, source: [u8; 4], socket: Request<()>) -> Result<Member, (u16, Value)> {
    let io: Io = Box::new(connect_from(source, server.address()).await);
    Member::asking(io, socket).await.map_err(|error| {
        let Error::Http(response) = error else { panic!("{error}") };
        let body: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
        (response.status().as_u16(), body["error"]["id"].clone())
    })
}

/// The status of each of some requests for a credential.
async fn credentials(server: &Server, source: [u8; 4], forwarded_for: &[&str]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for client in forwarded_for {
        let path = format!("/turn?key={}", server.key());
        statuses.push(ask(server, source, passed_on(&path, client)).await.status.as_u16());
    }
    statuses
}

#[tokio::test]
async fn each_client_behind_a_proxy_has_a_rate_of_its_own() {
    let server = server("[limits]\ncredential_rate = 2\n");
    let (anna, ben) = ("203.0.113.4", "2001:db8::4");
    assert_eq!(credentials(&server, PROXY, &[anna, anna, anna]).await, [200, 200, 429]);
    let claims = ["198.51.100.9, 203.0.113.4", "junk, 203.0.113.4", "198.51.100.9, 203.0.113.4, 10.1.1.1"];
    assert_eq!(credentials(&server, PROXY, &claims).await, [429; 3], "what a client says of itself changes nothing");
    let by_two = "2001:db8::4, 10.1.1.1";
    assert_eq!(
        credentials(&server, PROXY, &[ben, by_two, by_two]).await,
        [200, 200, 429],
        "through two proxies as one"
    );
    let inner_is_a_stranger = ["203.0.113.5, 192.168.7.7"; 3];
    assert_eq!(credentials(&server, PROXY, &inner_is_a_stranger).await, [200, 200, 429]);
    assert_eq!(credentials(&server, PROXY, &["203.0.113.5"]).await, [200]);
}

#[tokio::test]
async fn one_connection_of_a_proxy_carries_many_clients() {
    let server = server("[limits]\ncredential_rate = 1\n");
    let io = connect_from(PROXY, server.address()).await;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    let mut statuses = Vec::new();
    for client in ["203.0.113.4", "203.0.113.4", "203.0.113.5"] {
        let mut response =
            sender.send_request(passed_on(&format!("/turn?key={}", server.key()), client)).await.unwrap();
        http_body_util::BodyExt::collect(response.body_mut()).await.unwrap();
        statuses.push(response.status().as_u16());
    }
    assert_eq!(statuses, [200, 429, 200]);
}

#[tokio::test]
async fn who_is_not_listed_is_not_believed() {
    let server = server("[limits]\ncredential_rate = 2\n");
    let plain = ask(&server, STRANGER, passed_on("/", "203.0.113.4")).await;
    assert_eq!((plain.status.as_u16(), plain.header("location")), (308, "https://calls.example/"));
    let path = format!("/turn?key={}", server.key());
    let mut statuses = Vec::new();
    for client in ["203.0.113.4", "203.0.113.5", "203.0.113.6"] {
        let io = https(&server, server.address(), &["http/1.1"]).await;
        statuses.push(h1(io, passed_on(&path, client)).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 429], "it is one client, whatever it says");
    let text = metrics(server.address()).await;
    assert!(text.contains("lanturn_forwarded_for_unused_total{reason=\"untrusted\"} 4"), "{text}");
}

#[tokio::test]
async fn what_is_no_address_counts_as_the_proxy_itself() {
    let mut server = server("[limits]\ncredential_rate = 2\n");
    let nonsense = ["unknown", "203.0.113.4, 300.1.1.1", "_hidden"];
    assert_eq!(credentials(&server, PROXY, &nonsense).await, [200, 200, 429]);
    let said_nothing = with(get(OUTER, &format!("/turn?key={}", server.key())), "x-forwarded-proto", "https");
    assert_eq!(ask(&server, PROXY, said_nothing).await.status, 429);
    let text = metrics(server.address()).await;
    for (reason, times) in [("malformed", 3), ("missing", 1)] {
        let line = format!("lanturn_forwarded_for_unused_total{{reason=\"{reason}\"}} {times}");
        assert!(text.contains(&line), "{text}");
    }
    server.wait_for("127.0.0.2, of listen.proxies, sends an X-Forwarded-For that is no list of addresses");
}

#[tokio::test]
async fn what_a_proxy_had_over_https_is_served() {
    let server = server("");
    for (said, status) in [
        (&["https"][..], 200),
        (&["http, HTTPS"], 200),
        (&["https, http"], 308),
        (&["https", "http"], 308),
        (&["http"], 308),
        (&[""], 308),
        (&["gopher"], 308),
    ] {
        let mut asked = with(get(OUTER, "/"), "x-forwarded-for", "203.0.113.4");
        for line in said {
            asked.headers_mut().append("x-forwarded-proto", line.parse().unwrap());
        }
        let reply = ask(&server, PROXY, asked).await;
        assert_eq!(reply.status, status, "{said:?}: what a client says before the proxy does changes nothing");
        let policy = reply.header("content-security-policy");
        assert!(
            policy.contains(if status == 200 { "wss://calls.example;" } else { "ws://calls.example;" }),
            "{policy}"
        );
    }
}

#[tokio::test]
async fn behind_a_proxy_nobody_is_on_this_machine() {
    let server = server("");
    let at = server.address();
    let local = |path: &str| with(get(format!("localhost:{}", at.port()), path), "x-forwarded-for", "127.0.0.1");
    for source in [PROXY, STRANGER] {
        assert_eq!(ask(&server, source, local("/")).await.status, 308);
        let asked = with(local("/metrics"), "x-forwarded-proto", "https");
        let reply = ask(&server, source, asked).await;
        assert_eq!(reply.status.as_u16(), if source == PROXY { 401 } else { 308 });
    }
    let forwarded_over_tls = h1(https(&server, at, &["http/1.1"]).await, local("/metrics")).await;
    assert_eq!(forwarded_over_tls.error(), (401, "missing-key".into()));
    let with_key = passed_on(&format!("/metrics?key={}", server.key()), "203.0.113.4");
    assert_eq!(ask(&server, PROXY, with_key).await.status, 200);
}

#[tokio::test]
async fn rooms_are_entered_through_a_proxy_by_the_outer_name() {
    let server = server("");
    let port = server.address().port();
    let mut anna = member(&server, PROXY, socket("203.0.113.4", "https://calls.example")).await.unwrap();
    anna.say(json!({ "type": "join", "room": "kitchen" })).await;
    let joined = anna.hear().await;
    let turn: Vec<String> = ["turn:calls.example", "turn:calls.example", "turns:calls.example"]
        .iter()
        .zip(["udp", "tcp", "tcp"])
        .map(|(at, transport)| format!("{at}:{port}?transport={transport}"))
        .collect();
    assert_eq!(joined["iceServers"][0]["urls"], json!([format!("stun:calls.example:{port}")]));
    assert_eq!(joined["iceServers"][1]["urls"], json!(turn));
    for origin in ["http://calls.example", "https://evil.example", "https://calls.example:3478", "null"] {
        let refused = member(&server, PROXY, socket("203.0.113.4", origin)).await.err();
        assert_eq!(refused, Some((403, json!("bad-origin"))), "{origin}");
    }
}

#[tokio::test]
async fn a_client_behind_a_proxy_relays_at_the_host_that_it_named() {
    let server = server("");
    let (port, path) = (server.address().port(), format!("/turn?key={}", server.key()));
    for client in ["203.0.113.4", "192.168.1.9", "127.0.0.1"] {
        for host in ["calls.example", "192.0.2.7", "[2001:db8::7]"] {
            let asked = with(passed_on(&path, client), "host", &format!("{host}:8443"));
            let reply = ask(&server, PROXY, asked).await.json();
            assert_eq!(reply["turn"], format!("{host}:{port}"), "{client}");
        }
    }
}

#[tokio::test]
async fn a_member_was_seen_where_it_is_and_not_at_the_proxy() {
    let server = server("");
    let (mut ben, joined) = Member::join(&server, server.address(), "kitchen", "Ben").await;
    let mut anna = member(&server, PROXY, socket("203.0.113.4, 10.1.1.1", "https://calls.example")).await.unwrap();
    anna.say(json!({ "type": "join", "room": "kitchen" })).await;
    assert_eq!((&anna.hear().await["type"], &ben.hear().await["type"]), (&json!("joined"), &json!("peer-joined")));
    let mut client = RawClient::of_member(&server, server.address(), Over::Udp, &joined).await;
    client.allocate(&[]).await.unwrap();
    let peer = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 5000);
    assert_eq!(client.permit(peer("203.0.113.4")).await, Ok(()));
    for elsewhere in ["127.0.0.2", "10.1.1.1", "203.0.113.5"] {
        assert_eq!(client.permit(peer(elsewhere)).await, Err(403), "{elsewhere}");
    }
}

#[tokio::test]
async fn a_member_whose_proxy_is_not_believed_was_seen_nowhere() {
    let server = server("");
    let (mut anna, told) = Member::join(&server, server.address(), "kitchen", "Anna").await;
    let mut client = RawClient::of_member(&server, server.address(), Over::Udp, &told).await;
    client.allocate(&[]).await.unwrap();
    // One comes straight, and the others by proxies: one not listed, and one that does not say for whom it asks.
    let ways = [
        (STRANGER, None, "192.168.255.1", Ok(())),
        (STRANGER, Some("192.168.255.9"), "192.168.255.2", Err(403)),
        (PROXY, Some("unknown"), "192.168.255.3", Err(403)),
        (PROXY, Some("192.168.255.9"), "192.168.255.4", Ok(())),
    ];
    for (source, forwarded_for, offered, permitted) in ways {
        let mut request = handshake(server.address(), "/ws", None);
        if let Some(forwarded_for) = forwarded_for {
            request.headers_mut().insert("x-forwarded-for", forwarded_for.parse().unwrap());
        }
        let stream = connect_from(source, server.address()).await;
        let name = server.address().ip().into();
        let io: Io = Box::new(TlsConnector::from(client_config(&server, &[])).connect(name, stream).await.unwrap());
        let mut ben = Member::asking(io, request).await.unwrap();
        ben.say(json!({ "type": "join", "room": "kitchen" })).await;
        assert_eq!((&ben.hear().await["type"], &anna.hear().await["type"]), (&json!("joined"), &json!("peer-joined")));
        let candidate = format!("candidate:1 1 udp 1 {offered} 7000 typ host");
        let to = &told["self"]["id"];
        ben.say(json!({ "type": "signal", "to": to, "data": { "candidate": { "candidate": candidate } } })).await;
        assert_eq!(anna.hear().await["type"], "signal");
        let peer = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 7000);
        assert_eq!(client.permit(peer(offered)).await, permitted, "{source:?} {forwarded_for:?}");
        ben.say(json!({ "type": "leave" })).await;
        assert_eq!(anna.hear().await["type"], "peer-left");
    }
}

#[tokio::test]
async fn sockets_are_bounded_for_each_client_and_not_for_the_proxy() {
    let server = server("[limits]\nconnections = 8\nconnections_per_prefix = 2\nhalf_open_per_prefix = 1\n");
    let mut inside = Vec::new();
    for client in ["203.0.113.4", "203.0.113.5", "203.0.113.6"] {
        for _ in 0..2 {
            let origin = "https://calls.example";
            inside.push(member(&server, PROXY, socket(client, origin)).await.expect("within its bound"));
        }
    }
    let one_more = socket("203.0.113.4", "https://calls.example");
    assert_eq!(member(&server, PROXY, one_more).await.err(), Some((503, json!("busy"))));
    let text = metrics(server.address()).await;
    assert!(text.contains("lanturn_signaling_refused_total{reason=\"busy-prefix\"} 1"), "{text}");
    assert!(!text.contains("bound=\"connections-per-prefix\""), "the proxy itself was let in each time: {text}");
}
