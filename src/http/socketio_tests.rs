//! `/socket.io/`: who is let in, for how long, and within which bounds.

use http_body_util::Full;

use super::*;

#[path = "codelab_tests.rs"]
mod codelab;
#[path = "engine_io_tests.rs"]
mod engine_io;

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const OPEN: &str = "EIO=4&transport=websocket";
/// A dead connection is to be missed within this.
const MISSED: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<DuplexStream>;

fn from(path: &str, name: &'static str, value: &str) -> Request<Empty<Bytes>> {
    let mut request = request(path, "box.local:3478");
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn post(sid: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let uri = format!("{POLLING}&sid={sid}");
    Request::post(uri).header(HOST, "box.local:3478").body(Full::new(body.into())).unwrap()
}

fn websocket(query: &str, origin: Option<&str>) -> Request<()> {
    let mut request = handshake(origin);
    *request.uri_mut() = format!("wss://box.local:3478/socket.io/?{query}").parse().unwrap();
    request
}

fn sid(open: &str) -> String {
    // Protocol 3 has more after it.
    let mut from = serde_json::Deserializer::from_str(&open[open.find('{').unwrap()..]).into_iter::<Value>();
    let open = from.next().unwrap().unwrap();
    open["sid"].as_str().unwrap().to_owned()
}

impl Server {
    async fn poll(&self) -> String {
        let reply = self.get(POLLING).await;
        sid(std::str::from_utf8(&reply.body).unwrap())
    }

    async fn socket(&self, query: &str) -> Socket {
        tokio_tungstenite::client_async(websocket(query, None), self.open(LAN)).await.unwrap().0
    }

    /// One that is connected to the namespace.
    async fn page(&self) -> Socket {
        let mut socket = self.socket(OPEN).await;
        assert!(hears(&mut socket).await.starts_with("0{"));
        says(&mut socket, "40").await;
        assert!(hears(&mut socket).await.starts_with("40{"));
        socket
    }

    async fn is_full(&self) -> bool {
        let reply = self.get(POLLING).await;
        let is_full = reply.status == StatusCode::SERVICE_UNAVAILABLE;
        if is_full {
            assert_eq!((reply.error().1.as_str(), &reply.headers["retry-after"]), ("busy", &"5".parse().unwrap()));
        }
        is_full
    }
}

async fn says(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
}

/// The next text that is no ping.
async fn hears(socket: &mut Socket) -> String {
    loop {
        let message = socket.next().await.unwrap().unwrap();
        match message.to_text().unwrap() {
            "2" => {}
            text => return text.to_owned(),
        }
    }
}

#[tokio::test]
async fn pages_of_listed_sites_come_in_and_no_others() {
    let server = server();
    for path in [POLLING, "/socket.io/?EIO=3&transport=polling"] {
        let friend = server.send(LAN, from(path, "origin", "https://friend.example")).await;
        assert_eq!(friend.status, StatusCode::OK);
        assert_eq!(friend.headers["access-control-allow-origin"], "https://friend.example");
        assert_eq!(friend.headers["access-control-allow-credentials"], "true");
        assert_eq!(friend.headers["vary"], "origin");
    }
    let stranger = server.send(LAN, from(POLLING, "origin", "https://evil.example")).await;
    assert_eq!(stranger.error(), (403, "bad-origin".into()));
    let image = server.send(LAN, from(POLLING, "sec-fetch-site", "cross-site")).await;
    assert_eq!(image.error(), (403, "bad-origin".into()));
    let rebound = server.send(LAN, request(POLLING, "evil.example:3478")).await;
    assert_eq!(rebound.error(), (421, "bad-host".into()));
    let evil = websocket(OPEN, Some("https://evil.example"));
    let Err(tungstenite::Error::Http(refused)) = tokio_tungstenite::client_async(evil, server.open(LAN)).await else {
        panic!("it came in")
    };
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);

    let mut preflight = from(POLLING, "origin", "https://friend.example");
    *preflight.method_mut() = Method::OPTIONS;
    let reply = server.send(LAN, preflight).await;
    assert_eq!(
        (reply.status, &reply.headers["access-control-allow-methods"]),
        (StatusCode::NO_CONTENT, &"GET, POST".parse().unwrap())
    );
}

#[tokio::test(start_paused = true)]
async fn every_session_takes_a_place_until_it_ends() {
    let server = server();
    let page = server.page().await;
    server.poll().await;
    assert!(server.is_full().await);
    drop(page);
    let start = Instant::now();
    server.hub.closed().await;
    // And so long are its last words kept for it.
    let hello = server.hub.options().hello_deadline + Duration::from_secs(1);
    assert!(start.elapsed() <= hello, "who never opens the namespace is gone after {:?}", start.elapsed());
    assert!(!server.is_full().await);
}

#[tokio::test]
async fn who_leaves_the_namespace_keeps_the_place() {
    let server = server();
    let mut pages = [server.page().await, server.page().await];
    for page in &mut pages {
        says(page, "41").await;
        says(page, "40").await;
        assert!(hears(page).await.starts_with("40{"), "and may come back");
        says(page, "41").await;
    }
    assert!(server.is_full().await);
}

#[tokio::test]
async fn what_is_no_opening_takes_no_place() {
    let server = server();
    for (path, status) in [
        ("/socket.io/", 400),
        ("/socket.io", 400),
        ("/socket.io/?EIO=2&transport=polling", 400),
        ("/socket.io/?EIO=4&transport=carrier-pigeon", 400),
        ("/socket.io/?EIO=4&transport=polling&sid=unknown", 400),
        ("/socket.io/?EIO=4&transport=websocket", 426),
        ("/socket.io/?EIO=5&transport=websocket", 400),
        ("/socket.io/?EIO=4&transport=websocket=&sid=", 400),
        ("/socket.iox/", 404),
    ] {
        assert_eq!(server.get(path).await.status.as_u16(), status, "{path}");
    }
    tokio::time::timeout(MISSED, server.hub.closed()).await.unwrap();
    let library = server.get("/socket.io/socket.io.js").await;
    assert_eq!(
        (library.status.as_u16(), &library.headers["content-type"]),
        (200, &"text/javascript; charset=utf-8".parse().unwrap())
    );
}

#[tokio::test(start_paused = true)]
async fn the_dead_are_missed() {
    let server = server();
    for version in [3, 4] {
        let mut socket = server.socket(&format!("EIO={version}&transport=websocket")).await;
        hears(&mut socket).await;
        says(&mut socket, if version == 4 { "40" } else { "42[\"create or join\",\"kitchen\"]" }).await;
        let start = Instant::now();
        server.hub.closed().await;
        assert!(start.elapsed() <= MISSED, "over a WebSocket, protocol {version}: {:?}", start.elapsed());

        let opened = server.get(&format!("/socket.io/?EIO={version}&transport=polling")).await;
        let sid = sid(std::str::from_utf8(&opened.body).unwrap());
        if version == 4 {
            assert_eq!(server.send(LAN, post(&sid, "40")).await.body, "ok");
        }
        let start = Instant::now();
        server.hub.closed().await;
        assert!(start.elapsed() <= MISSED, "polling, protocol {version}: {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_stops_halfway_ends_the_session() {
    let server = server();
    let sid = server.poll().await;
    assert_eq!(server.send(LAN, post(&sid, "40")).await.body, "ok");
    let _stalled = server.socket(&format!("{OPEN}&sid={sid}")).await;
    let start = Instant::now();
    server.hub.closed().await;
    assert!(start.elapsed() <= MISSED, "{:?}", start.elapsed());
}

#[tokio::test]
async fn long_messages_end_the_session() {
    let server = server();
    let largest = server.hub.options().message_bytes;
    let event = |bytes: usize| format!("42[\"message\",\"{}\"]", "x".repeat(bytes - 16));
    let mut page = server.page().await;
    says(&mut page, &event(largest)).await;
    says(&mut page, "42[\"ipaddr\"]").await;
    assert_eq!(hears(&mut page).await, "42[\"ipaddr\",\"192.168.1.9\"]", "the longest that may be is read");
    let _ = page.send(Message::text(event(largest + 1))).await;
    while let Some(Ok(_)) = page.next().await {}
    server.hub.closed().await;

    let sid = server.poll().await;
    assert_eq!(server.send(LAN, post(&sid, "40")).await.status, StatusCode::OK);
    assert_eq!(server.send(LAN, post(&sid, event(largest))).await.status, StatusCode::OK);
    assert_eq!(server.send(LAN, post(&sid, event(largest + 1))).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    server.hub.closed().await;
}

#[tokio::test]
async fn attachments_are_refused() {
    let server = server();
    let mut page = server.page().await;
    says(&mut page, "4599999-[\"message\",{\"_placeholder\":true,\"num\":0}]").await;
    page.send(Message::binary(vec![0; 1000])).await.unwrap();
    while let Some(Ok(_)) = page.next().await {}
    server.hub.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server = server();
    let sid = server.poll().await;
    let mut io = server.open(LAN);
    let head = format!("POST {POLLING}&sid={sid} HTTP/1.1\r\nHost: box.local\r\nContent-Length: 10\r\n\r\n40");
    io.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1024];
    let read = io.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn who_says_too_much_is_sent_away() {
    let server = server();
    let mut page = server.page().await;
    for _ in 0..400 {
        if page.send(Message::text("42[\"message\",1]")).await.is_err() {
            break;
        }
    }
    let mut was_told = false;
    while let Some(Ok(message)) = page.next().await {
        was_told |= message == Message::text("41");
    }
    assert!(was_told);
    server.hub.closed().await;
}

#[tokio::test(start_paused = true)]
async fn over_h2_it_is_as_over_h1_and_keeps_the_connection() {
    let server = server();
    let io = TokioIo::new(server.open(LAN));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let mut connect = request(&format!("https://box.local:3478/socket.io/?{OPEN}"), "box.local:3478");
    *connect.method_mut() = Method::CONNECT;
    connect.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
    connect.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
    let response = sender.send_request(connect).await.unwrap();
    assert_eq!((response.status(), response.headers().get("sec-websocket-accept")), (StatusCode::OK, None));
    let io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let mut ws = WebSocketStream::from_raw_socket(io, Side::Client, None).await;
    ws.send(Message::text("40")).await.unwrap();
    let (mut created, start) = (false, Instant::now());
    while start.elapsed() < 3 * IDLE {
        let message = ws.next().await.unwrap().unwrap();
        match message.to_text().unwrap() {
            "2" => ws.send(Message::text("3")).await.unwrap(),
            text if text.starts_with("40") => {
                ws.send(Message::text("42[\"create or join\",\"Kitchen\"]")).await.unwrap();
            }
            text => created |= text.starts_with("42[\"created\",\"Kitchen\""),
        }
    }
    assert!(created);
}

/// Stops the server, but ends no session yet: by then each member has left its room.
async fn stops(server: &mut Server, members: u32) {
    server.hub.shutdown();
    server.left.wait_for(|left| *left == members).await.unwrap();
}

#[tokio::test]
async fn a_stop_ends_connections_and_sends_nobody_away() {
    for version in [3, 4] {
        let mut server = server();
        let mut socket = server.socket(&format!("EIO={version}&transport=websocket")).await;
        hears(&mut socket).await;
        if version == 4 {
            says(&mut socket, "40").await;
        }
        assert!(hears(&mut socket).await.starts_with("40"));
        says(&mut socket, "42[\"create or join\",\"kitchen\"]").await;
        assert!(hears(&mut socket).await.starts_with("42[\"iceServers\""));
        assert!(hears(&mut socket).await.starts_with("42[\"created\""));
        stops(&mut server, 1).await;
        server.stop.send_replace(true);
        let mut told = Vec::new();
        while let Some(Ok(message)) = socket.next().await {
            told.extend(message.to_text().ok().filter(|text| !matches!(*text, "" | "2")).map(str::to_owned));
        }
        assert_eq!(told, ["1"], "of protocol {version}: 41 would keep it from coming back");
        server.hub.closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_polling_and_sends_nobody_away() {
    for (version, event, close) in
        [(3, "30:42[\"create or join\",\"kitchen\"]", "1:1"), (4, "42[\"create or join\",\"kitchen\"]", "1")]
    {
        let mut server = server();
        let polling = format!("/socket.io/?EIO={version}&transport=polling");
        let opened = server.get(&polling).await;
        let polling = format!("{polling}&sid={}", sid(std::str::from_utf8(&opened.body).unwrap()));
        let post = |body: &'static str| {
            Request::post(&polling).header(HOST, "box.local:3478").body(Full::new(Bytes::from(body))).unwrap()
        };
        if version == 4 {
            assert_eq!(server.send(LAN, post("40")).await.body, "ok");
        }
        assert_eq!(server.send(LAN, post(event)).await.body, "ok");
        let mut told = String::new();
        while !told.contains("created") {
            told = String::from_utf8(server.get(&polling).await.body.to_vec()).unwrap();
        }
        stops(&mut server, 1).await;
        let (told, ()) = tokio::join!(server.get(&polling), async {
            // The clock is paused, so this is over when nothing moves any more: the server has got the request by then.
            tokio::time::sleep(Duration::from_millis(1)).await;
            server.stop.send_replace(true);
        });
        assert_eq!(told.body, close, "of protocol {version}: 41 would keep it from coming back");
        server.hub.closed().await;
    }
}
