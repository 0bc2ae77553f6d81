use std::collections::HashMap;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::HOST;
use hyper::{HeaderMap, Method, Request, StatusCode, Version};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role as Side;
use tokio_tungstenite::tungstenite::{self, Message};

use super::*;
use crate::credentials::{IceServer, Reach, RoomMember, Secret, ice_servers, mint, mint_for_member, mint_for_page};
use crate::http::{Authority, Issuer, Public};
use crate::signaling::{Capacity, Grants, HubOptions, Pin, Role, RoomName};

#[path = "form_tests.rs"]
mod forms;
#[path = "socketio_tests.rs"]
mod socketio;
#[path = "trust_tests.rs"]
mod trust;

const KEY: &str = "an-api-key";

struct Server {
    web: Web,
    hub: Arc<Hub>,
    stop: watch::Sender<bool>,
    /// How many memberships have ended.
    left: watch::Receiver<u32>,
}

#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn error(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["error"]["id"].as_str().unwrap().to_owned())
    }
}

struct Granting;

impl Grants for Granting {
    fn ice_servers(&self, member: RoomMember, reach: &Reach) -> (Vec<IceServer>, u64) {
        let credential = mint_for_member(&Secret::new("0123456789abcdef"), member, 1_000, 3600);
        (ice_servers(reach, &credential), credential.ttl)
    }

    fn invite(&self, _: &RoomName, _: Option<&Pin>, _: Role, _: Duration) -> (String, u64) {
        (String::new(), 0)
    }

    fn invited(&self, _: &str, _: &RoomName, _: Option<&Pin>) -> Option<Role> {
        None
    }
}

fn server() -> Server {
    server_with(Some(Authority {
        certificate: Bytes::from_static(b"\x30\x82"),
        name: "lanturn CA of box".into(),
        fingerprint: "AB:CD".into(),
    }))
}

fn public() -> Public {
    Public {
        vouches_for: Box::new(|name| name == "calls.example.org"),
        key_authorization: Box::new(|token| (token == "token").then(|| "token.thumbprint".into())),
    }
}

fn server_with(authority: Option<Authority>) -> Server {
    let secret = || Secret::new("0123456789abcdef");
    let options = HubOptions {
        capacity: Capacity::any(8),
        unlisted: 8,
        max_rooms: 8,
        max_rooms_per_prefix: 8,
        connections: 2,
        connections_per_prefix: 2,
        message_bytes: 65_536,
        message_rate: 50,
        hello_deadline: Duration::from_secs(5),
        resume_window: Duration::ZERO,
        join_rate: 100,
        waiting_bytes: HubOptions::WAITING_BYTES,
        waiting_bytes_per_prefix: HubOptions::WAITING_BYTES_PER_PREFIX,
        ping_every: HubOptions::PING_EVERY,
        silence: HubOptions::SILENCE,
        grants: Arc::new(Granting),
    };
    let (leaves, left) = watch::channel(0);
    let revoke = Arc::new(move |_| leaves.send_modify(|left| *left += 1));
    let hub = Arc::new(Hub::new(options, Arc::default(), revoke));
    let issuer = Issuer {
        mint_for_key: Box::new(move |id, ttl| mint(&secret(), id, 1_000, ttl)),
        mint_for_page: Box::new(move |nonce, ttl| mint_for_page(&secret(), nonce, 1_000, ttl)),
        accepts_key: Box::new(|key| key == KEY),
        ttl: 3600,
        hosts: vec!["box.local".into(), "calls.example.org".into()],
        external: HashMap::new(),
        authority,
        public: public(),
    };
    let stop = watch::Sender::new(false);
    let options = Options {
        origins: vec!["https://friend.example".into()],
        proxies: Proxies::default(),
        listening: Vec::new(),
        credential_rate: 5,
        sightings: Arc::default(),
        render_metrics: Arc::new(|| "lanturn_rooms 0\n".into()),
        shutdown: stop.subscribe(),
    };
    let web = Web::new(options, hub.clone(), Arc::new(Live::new(issuer)));
    Server { web, hub, stop, left }
}

const LAN: Peer = Peer {
    local: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 5)), 3478),
    remote: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 9)), 50_000),
    tls: true,
};

fn local() -> Peer {
    Peer { local: "127.0.0.1:3478".parse().unwrap(), remote: "127.0.0.1:50000".parse().unwrap(), tls: false }
}

impl Server {
    fn open(&self, peer: Peer) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let web = self.web.clone();
        tokio::spawn(async move { web.serve(far, peer, || ()).await });
        near
    }

    async fn send<B>(&self, peer: Peer, request: Request<B>) -> Reply
    where
        B: hyper::body::Body<Data = Bytes, Error = std::convert::Infallible> + Send + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.open(peer))).await.unwrap();
        tokio::spawn(connection);
        read(sender.send_request(request).await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(LAN, request(path, "box.local:3478")).await
    }
}

fn request(path: &str, host: &str) -> Request<Empty<Bytes>> {
    Request::builder().uri(path).header(HOST, host).body(Empty::new()).unwrap()
}

async fn read(response: hyper::Response<Incoming>) -> Reply {
    let (head, body) = response.into_parts();
    Reply { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

#[tokio::test]
async fn pages_carry_a_strict_policy() {
    let server = server();
    for path in ["/", "/r/kitchen", "/r/K%C3%BCche"] {
        let page = server.get(path).await;
        assert_eq!(
            (page.status, &page.headers["content-type"]),
            (StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap())
        );
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(policy.contains("connect-src 'self' wss://box.local:3478;"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("permissions-policy", "camera=(self), microphone=(self), display-capture=(self)"),
        ] {
            assert_eq!(page.headers[name], value);
        }
        assert!(!page.headers.contains_key("strict-transport-security"));
    }
}

#[tokio::test]
async fn unknown_paths_methods_and_hosts_are_told_apart() {
    let server = server();
    assert_eq!(server.get("/nothing").await.error(), (404, "not-found".into()));
    assert_eq!(server.get("/r/a/b").await.error(), (404, "not-found".into()));
    assert_eq!(server.get("/turn?key=a&key=b").await.error(), (400, "bad-query".into()));
    assert_eq!(server.get("/ws").await.error(), (426, "upgrade-required".into()));
    for path in ["/", "/health", "/turn", "/index.html"] {
        let mut post = request(path, "box.local");
        *post.method_mut() = Method::POST;
        let reply = server.send(LAN, post).await;
        assert_eq!(
            (reply.error(), &reply.headers["allow"]),
            ((405, "bad-method".into()), &"GET, HEAD".parse().unwrap()),
            "{path}"
        );
    }
    let rebound = server.send(LAN, request("/", "evil.example:3478")).await;
    assert_eq!(rebound.error(), (421, "bad-host".into()));
    assert!(!rebound.headers["content-security-policy"].to_str().unwrap().contains("evil"));
}

#[tokio::test]
async fn links_are_drawn_for_our_own_page_alone() {
    let server = server();
    let ask = async |method: Method, origin: &str, link: &[u8]| {
        let request = Request::builder().method(method).uri("/qr").header(HOST, "box.local:3478");
        let request = request.header("origin", origin).body(Full::new(Bytes::copy_from_slice(link))).unwrap();
        server.send(LAN, request).await
    };
    let own = "https://box.local:3478";
    let drawn = ask(Method::POST, own, b"https://box.local:3478/r/kitchen#invite=secret").await;
    assert_eq!((drawn.status, &drawn.headers["content-type"]), (StatusCode::OK, &"image/svg+xml".parse().unwrap()));
    assert_eq!(drawn.headers["cache-control"], "no-store");
    assert!(drawn.body.starts_with(b"<?xml") && drawn.body.ends_with(b"</svg>"));
    for other in ["https://friend.example", "https://evil.example", "null"] {
        assert_eq!(ask(Method::POST, other, b"link").await.error(), (403, "bad-origin".into()), "{other}");
    }
    let read = ask(Method::GET, own, b"").await;
    assert_eq!((read.error(), &read.headers["allow"]), ((405, "bad-method".into()), &"POST".parse().unwrap()));
    assert_eq!(ask(Method::POST, own, b"").await.error(), (400, "bad-link".into()));
    assert_eq!(ask(Method::POST, own, &[b'a'; 1025]).await.error(), (413, "too-large".into()));
    for _ in 0..3 {
        assert_eq!(ask(Method::POST, own, b"link").await.status, StatusCode::OK);
    }
    assert_eq!(ask(Method::POST, own, b"link").await.error(), (429, "rate-limited".into()));
}

#[tokio::test]
async fn head_says_what_get_would() {
    let server = server();
    let full = server.get("/").await;
    for is_h2 in [false, true] {
        let uri = if is_h2 { "https://box.local:3478/" } else { "/" };
        let mut head = request(uri, "box.local:3478");
        *head.method_mut() = Method::HEAD;
        let reply = if is_h2 {
            *head.version_mut() = Version::HTTP_2;
            let io = TokioIo::new(server.open(LAN));
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            read(sender.send_request(head).await.unwrap()).await
        } else {
            server.send(LAN, head).await
        };
        assert_eq!((reply.status, reply.body.len()), (StatusCode::OK, 0));
        assert_eq!(reply.headers["content-length"], full.body.len().to_string());
    }
}

#[tokio::test]
async fn metrics_are_for_this_machine_or_a_key() {
    let server = server();
    assert_eq!(server.send(local(), request("/metrics", "localhost")).await.body, "lanturn_rooms 0\n");
    assert_eq!(server.get("/metrics").await.status, StatusCode::UNAUTHORIZED);
    // As a proxy on this machine would pass it on that adds nothing.
    let over_tls = Peer { tls: true, ..local() };
    assert_eq!(server.send(over_tls, request("/metrics", "box.local:3478")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.get("/metrics?key=wrong").await.status, StatusCode::FORBIDDEN);
    assert_eq!(server.get(&format!("/metrics?key={KEY}")).await.body, "lanturn_rooms 0\n");
}

#[tokio::test]
async fn turn_gives_every_form_that_pages_read() {
    let server = server();
    let reply = server.get(&format!("/turn?username=41784574&key={KEY}&ttl=99999")).await;
    let password = reply.json()["password"].clone();
    let uris = [
        "turn:192.168.1.5:3478?transport=udp",
        "turn:192.168.1.5:3478?transport=tcp",
        "turns:box.local:3478?transport=tcp",
    ];
    assert_eq!(
        reply.json(),
        json!({
            "username": "4600:41784574", "password": password, "ttl": 3600, "uris": uris, "turn": "192.168.1.5:3478",
            "iceServers": [
                { "urls": ["stun:192.168.1.5:3478"] },
                { "urls": uris, "username": "4600:41784574", "credential": password },
            ],
        })
    );
    assert_eq!(reply.headers["access-control-allow-origin"], "*");
    assert_eq!(reply.headers["cache-control"], "no-store");
    assert_eq!(server.get(&format!("/turn?key={KEY}&ttl=1")).await.json()["ttl"], 60);
}

#[tokio::test]
async fn each_mistake_in_asking_for_credentials_has_its_answer() {
    let server = server();
    assert_eq!(server.get("/turn?username=a").await.error(), (401, "missing-key".into()));
    assert_eq!(server.get("/turn?username=a&key=wrong").await.error(), (403, "wrong-key".into()));
    assert_eq!(server.get(&format!("/turn?username=room:1:2&key={KEY}")).await.error(), (400, "bad-username".into()));
    assert_eq!(server.get(&format!("/turn?ttl=1h&key={KEY}")).await.error(), (400, "bad-ttl".into()));
    server.get("/ice").await;
    let limited = server.get(&format!("/turn?key={KEY}")).await;
    assert_eq!(limited.error(), (429, "rate-limited".into()));
    assert_eq!(limited.headers["access-control-expose-headers"], "retry-after");
    let wait: u64 = limited.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=12).contains(&wait), "{wait}");
    let other = Peer { remote: "192.168.1.10:1".parse().unwrap(), ..LAN };
    let reply = server.send(other, request(&format!("/turn?key={KEY}"), "box.local")).await;
    assert_eq!(reply.status, StatusCode::OK, "another address has its own rate");
}

#[tokio::test]
async fn ice_is_for_our_own_pages_and_for_keys() {
    let server = server();
    let ask = |path: &str, name: &'static str, value: &'static str| {
        let mut request = request(path, "box.local:3478");
        request.headers_mut().insert(name, value.parse().unwrap());
        server.send(LAN, request)
    };
    let own = ask("/ice", "sec-fetch-site", "same-origin").await;
    assert_eq!((&own.json()["ttl"], &own.json()["expiresAt"]), (&json!(3600), &json!(4600)));
    assert!(own.json()["iceServers"][1]["username"].as_str().unwrap().starts_with("4600:page:"));
    assert!(!own.headers.contains_key("access-control-allow-origin"));
    assert_eq!(ask("/ice", "origin", "https://box.local:3478").await.status, StatusCode::OK);
    let keyless = ask("/ice", "origin", "https://anyone.example").await;
    assert_eq!(keyless.headers["access-control-allow-origin"], "*", "their page can read why not");
    assert_eq!(keyless.error(), (401, "missing-key".into()));
    assert_eq!(ask("/ice", "origin", "https://friend.example").await.error(), (401, "missing-key".into()));
    let keyed = ask("/ice?key=an-api-key", "origin", "https://anyone.example").await;
    assert_eq!(keyed.headers["access-control-allow-origin"], "*");
    assert_eq!(keyed.json().as_object().unwrap().keys().collect::<Vec<_>>(), ["expiresAt", "iceServers", "ttl"]);
    let mut preflight = request("/ice", "box.local:3478");
    *preflight.method_mut() = Method::OPTIONS;
    let reply = server.send(LAN, preflight).await;
    assert_eq!((reply.status.as_u16(), &reply.headers["access-control-allow-origin"]), (204, &"*".parse().unwrap()));
}

async fn join<S: AsyncRead + AsyncWrite + Unpin>(ws: &mut WebSocketStream<S>) -> Value {
    ws.send(Message::text(r#"{"type":"join","room":"kitchen"}"#)).await.unwrap();
    let answer = ws.next().await.unwrap().unwrap();
    serde_json::from_str(answer.to_text().unwrap()).unwrap()
}

fn handshake(origin: Option<&str>) -> Request<()> {
    handshake_at("/ws", origin)
}

fn handshake_at(path: &str, origin: Option<&str>) -> Request<()> {
    let mut request = Request::builder()
        .uri(format!("wss://box.local:3478{path}"))
        .header(HOST, "box.local:3478")
        .header("connection", "keep-alive, Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    request.body(()).unwrap()
}

#[tokio::test]
async fn a_room_is_entered_over_h1_from_the_right_pages() {
    let server = server();
    for origin in [None, Some("https://box.local:3478"), Some("https://friend.example")] {
        let (mut ws, _) = tokio_tungstenite::client_async(handshake(origin), server.open(LAN)).await.unwrap();
        let joined = join(&mut ws).await;
        assert_eq!(joined["iceServers"][0]["urls"], json!(["stun:192.168.1.5:3478"]));
        drop(ws);
        server.hub.closed().await;
    }
    let refused = tokio_tungstenite::client_async(handshake(Some("https://evil.example")), server.open(LAN)).await;
    let Err(tungstenite::Error::Http(response)) = refused else { panic!("{refused:?}") };
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let body: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
    assert_eq!(body["error"]["id"], "bad-origin");
}

#[tokio::test]
async fn rooms_are_entered_over_h2_side_by_side_up_to_the_bound() {
    let server = server();
    let io = TokioIo::new(server.open(LAN));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let first = sender.send_request(request("https://box.local:3478/health", "box.local:3478")).await.unwrap();
    assert_eq!(read(first).await.body, "ok\n");
    let mut sockets = Vec::new();
    for peers in 0..2 {
        let mut connect = request("https://box.local:3478/ws", "box.local:3478");
        *connect.method_mut() = Method::CONNECT;
        connect.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
        connect.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
        let response = sender.send_request(connect.clone()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        let mut ws = WebSocketStream::from_raw_socket(io, Side::Client, None).await;
        assert_eq!(join(&mut ws).await["peers"].as_array().unwrap().len(), peers);
        sockets.push(ws);
    }
    let mut third = request("https://box.local:3478/ws", "box.local:3478");
    *third.method_mut() = Method::CONNECT;
    third.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
    third.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
    let busy = read(sender.send_request(third).await.unwrap()).await;
    assert_eq!((busy.error(), &busy.headers["retry-after"]), ((503, "busy".into()), &"5".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_asks_nothing_is_dropped() {
    let server = server();
    for beginning in [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nHost: box", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut io = server.open(LAN);
        io.write_all(beginning).await.unwrap();
        let start = Instant::now();
        let mut heard = Vec::new();
        io.read_to_end(&mut heard).await.unwrap();
        assert!((9..=16).contains(&start.elapsed().as_secs()), "{beginning:?} {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_but_a_room_does_not() {
    let server = server();
    let (mut sender, connection) = http1::handshake(TokioIo::new(server.open(LAN))).await.unwrap();
    let ended = tokio::spawn(connection);
    read(sender.send_request(request("/", "box.local")).await.unwrap()).await;
    tokio::time::timeout(IDLE + PARTING, ended).await.expect("idle connections end").unwrap().unwrap();
    let (mut ws, _) = tokio_tungstenite::client_async(handshake(None), server.open(LAN)).await.unwrap();
    join(&mut ws).await;
    let ended = async { while let Some(Ok(_)) = ws.next().await {} };
    assert!(tokio::time::timeout(IDLE * 3, ended).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_idle_connections_at_once() {
    let server = server();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(server.open(LAN))).await.unwrap();
    let ended = tokio::spawn(connection);
    read(sender.send_request(request("https://box.local/", "box.local")).await.unwrap()).await;
    let start = Instant::now();
    server.stop.send_replace(true);
    ended.await.unwrap().unwrap();
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_long_body_is_refused() {
    let server = server();
    let mut io = server.open(LAN);
    io.write_all(b"POST / HTTP/1.1\r\nHost: box.local\r\nContent-Length: 16385\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 1024];
    let read = io.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_long_head_is_refused() {
    let server = server();
    let mut io = server.open(LAN);
    let head = format!("GET / HTTP/1.1\r\nHost: box.local\r\nCookie: {}\r\n\r\n", "x".repeat(MAX_HEAD_BYTES as usize));
    io.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1024];
    let read = io.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn what_is_put_in_force_holds_for_the_next_request() {
    let server = server();
    assert_eq!(server.get(&format!("/turn?key={KEY}")).await.status, StatusCode::OK);
    let external = HashMap::from([("192.168.1.5".parse().unwrap(), "203.0.113.7".parse().unwrap())]);
    server.web.inner.live.replace(Issuer {
        mint_for_key: Box::new(|id, ttl| mint(&Secret::new("fedcba9876543210"), id, 2_000, ttl)),
        mint_for_page: Box::new(|nonce, ttl| mint_for_page(&Secret::new("fedcba9876543210"), nonce, 2_000, ttl)),
        accepts_key: Box::new(|key| key == "another-key"),
        ttl: 600,
        hosts: vec!["new.test".into()],
        external,
        authority: None,
        public: public(),
    });
    assert_eq!(server.get("/").await.error(), (421, "bad-host".into()), "it went by box.local");
    assert_eq!(server.send(LAN, request("/", "new.test:3478")).await.status, StatusCode::OK);
    let old_key = request(&format!("/turn?key={KEY}"), "new.test:3478");
    assert_eq!(server.send(LAN, old_key).await.status, StatusCode::FORBIDDEN);
    let outside = Peer { remote: "198.51.100.1:5000".parse().unwrap(), ..LAN };
    let reply = server.send(outside, request("/turn?username=a&key=another-key", "203.0.113.7:3478")).await.json();
    assert_eq!((&reply["username"], &reply["turn"]), (&json!("2600:a"), &json!("203.0.113.7:3478")));
    assert_eq!(server.send(LAN, request("/ca.crt", "new.test")).await.status, StatusCode::NOT_FOUND);
}

/// RFC 9113 sections 6.5 and 6.9: what the server lets a client send ahead, per stream and on the connection.
#[tokio::test]
async fn an_h2_client_cannot_make_much_wait_for_us() {
    let mut client = server().open(LAN);
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let (mut stream, mut connection) = (0, 65_535);
    while connection == 65_535 || stream == 0 {
        let mut head = [0; 9];
        client.read_exact(&mut head).await.unwrap();
        let mut body = vec![0; usize::from(head[2])];
        client.read_exact(&mut body).await.unwrap();
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        match (head[3], head[4]) {
            (4, 0) => body.chunks(6).filter(|s| s[..2] == [0, 4]).for_each(|s| stream = number(&s[2..])),
            (8, _) => connection += number(&body),
            (4, 1) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((stream, connection), WINDOWS);
}
