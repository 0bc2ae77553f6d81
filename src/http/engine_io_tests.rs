//! Engine.IO itself: polls, posts and the change from them to a WebSocket.

use super::*;
use crate::metrics::testing::Counts;

/// A client that polls.
struct Poller<'a> {
    server: &'a Server,
    path: String,
}

impl<'a> Poller<'a> {
    async fn open(server: &'a Server, version: u8) -> Self {
        let path = format!("/socket.io/?EIO={version}&transport=polling");
        let opened = server.get(&path).await;
        let id = sid(std::str::from_utf8(&opened.body).unwrap());
        Self { server, path: format!("{path}&sid={id}") }
    }

    /// One of protocol 4 that is in the namespace.
    async fn page(server: &'a Server) -> Self {
        let page = Self::open(server, 4).await;
        assert_eq!(page.says("40").await, (StatusCode::OK, "ok".into()));
        assert!(page.hears().await.1.starts_with("40{"));
        page
    }

    async fn says(&self, body: impl Into<Bytes>) -> (StatusCode, String) {
        let request = Request::post(&self.path).header(HOST, "box.local:3478").body(Full::new(body.into())).unwrap();
        let reply = self.server.send(LAN, request).await;
        (reply.status, String::from_utf8(reply.body.to_vec()).unwrap())
    }

    async fn hears(&self) -> (StatusCode, String) {
        let reply = self.server.get(&self.path).await;
        (reply.status, String::from_utf8(reply.body.to_vec()).unwrap())
    }

    async fn upgrade(&self) -> Socket {
        let query = self.path.split_once('?').unwrap().1.replace("polling", "websocket");
        self.server.socket(&query).await
    }
}

fn refused(code: u8, message: &str) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, json!({ "code": code, "message": message }).to_string())
}

#[tokio::test]
async fn what_is_wrong_is_said_in_its_own_terms() {
    let server = server();
    for (path, code, message) in [
        ("/socket.io/", 0, "Transport unknown"),
        ("/socket.io/?EIO=4&transport=polling&sid=nobody", 1, "Session ID unknown"),
        ("/socket.io/?EIO=2&transport=polling", 5, "Unsupported protocol version"),
        ("/socket.io/?EIO=5&transport=websocket", 5, "Unsupported protocol version"),
    ] {
        let reply = server.get(path).await;
        assert_eq!((reply.status, String::from_utf8(reply.body.to_vec()).unwrap()), refused(code, message), "{path}");
    }
    let nobody = Request::post(POLLING).header(HOST, "box.local:3478").body(Full::new(Bytes::from("40"))).unwrap();
    assert_eq!(server.send(LAN, nobody).await.status, StatusCode::BAD_REQUEST);
    server.hub.closed().await;
}

#[tokio::test]
async fn what_is_said_while_nobody_polls_is_kept_in_order() {
    let server = server();
    let page = Poller::page(&server).await;
    let packets = ["42[\"ipaddr\"]", "42[\"create or join\",\"kitchen\"]"].join("\u{1e}");
    assert_eq!(page.says(packets).await.0, StatusCode::OK);
    let mut heard = Vec::new();
    while heard.len() < 3 {
        heard.extend(page.hears().await.1.split('\u{1e}').map(str::to_owned));
    }
    assert_eq!(heard[0], "42[\"ipaddr\",\"192.168.1.9\"]");
    assert!(
        heard[1].starts_with("42[\"iceServers\"") && heard[2].starts_with("42[\"created\",\"kitchen\""),
        "{heard:?}"
    );
}

/// A request on a connection of its own, which ends when that is dropped.
async fn begins(server: &Server, head: String) -> DuplexStream {
    let mut io = server.open(LAN);
    io.write_all(head.as_bytes()).await.unwrap();
    io
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_a_poll_or_a_post_is_gone_at_once() {
    let server = server();
    for (method, body) in [("GET", ""), ("POST", "Content-Length: 10\r\n\r\n42")] {
        let page = Poller::page(&server).await;
        let head = format!("{method} {} HTTP/1.1\r\nHost: box.local\r\n", page.path);
        let end = if body.is_empty() { "\r\n" } else { body };
        let request = begins(&server, head + end).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(*server.left.borrow(), 0);
        let start = Instant::now();
        drop(request);
        server.hub.closed().await;
        assert!(start.elapsed() <= Duration::from_secs(1), "{method}: {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_second_poll_beside_the_first_ends_the_session() {
    let server = server();
    let page = Poller::page(&server).await;
    let answers = <[_; 2]>::from(tokio::join!(page.hears(), page.hears()));
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::BAD_REQUEST), "{answers:?}");
    assert!(answers.contains(&refused(3, "Bad request")), "{answers:?}");
    server.hub.closed().await;
    assert_eq!(page.hears().await, refused(1, "Session ID unknown"));
}

#[tokio::test]
async fn a_second_post_beside_the_first_ends_the_session() {
    let server = server();
    let page = Poller::page(&server).await;
    let head = format!("POST {} HTTP/1.1\r\nHost: box.local\r\nContent-Length: 10\r\n\r\n42", page.path);
    let _first = begins(&server, head).await;
    let end = loop {
        match page.says("2").await {
            // The first has not come yet.
            (StatusCode::OK, _) => drop(page.hears().await),
            end => break end,
        }
    };
    assert_eq!(end, refused(3, "Bad request"));
    server.hub.closed().await;
}

#[tokio::test]
async fn a_body_that_is_no_payload_ends_the_session() {
    let (server, ok) = (server(), (StatusCode::OK, "ok".to_owned()));
    for (version, body, answer) in [
        (3, "4", refused(3, "Bad request")),
        (3, "2:40x", refused(3, "Bad request")),
        (4, "\u{1e}", refused(3, "Bad request")),
        (4, "bAAAA", refused(3, "Bad request")),
        // Packets, but none that there are.
        (4, "9", ok.clone()),
        (4, "451-[\"message\"]", ok.clone()),
    ] {
        let page = Poller::open(&server, version).await;
        assert_eq!(page.says(body).await, answer, "{body}");
        let _ = page.hears().await;
        server.hub.closed().await;
        assert_eq!(page.says("2").await, refused(1, "Session ID unknown"), "{body}");
    }
}

#[tokio::test]
async fn pages_of_listed_sites_may_read_what_is_wrong() {
    let server = server();
    let unknown = format!("{POLLING}&sid=nobody");
    let _both = [server.poll().await, server.poll().await];
    for (path, status) in [(unknown.as_str(), 400), (POLLING, 503)] {
        let reply = server.send(LAN, from(path, "origin", "https://friend.example")).await;
        assert_eq!(reply.status.as_u16(), status);
        assert_eq!(reply.headers["access-control-allow-origin"], "https://friend.example");
        assert_eq!(reply.headers["access-control-allow-credentials"], "true");
    }
}

#[tokio::test]
async fn of_protocol_3_several_messages_may_come_together() {
    let server = server();
    let largest = server.hub.options().message_bytes;
    let event = |bytes: usize| format!("42[\"nothing\",\"{}\"]", "x".repeat(bytes - 16));
    let packet = |text: String| format!("{}:{text}", text.len());
    let page = Poller::open(&server, 3).await;
    let three = packet(event(largest)).repeat(3);
    assert_eq!(page.says(three).await, (StatusCode::OK, "ok".into()));
    assert_eq!(page.says(packet(event(largest + 1))).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    server.hub.closed().await;
}

#[tokio::test]
async fn pings_are_answered_and_other_namespaces_are_not_there() {
    let server = server();
    for (version, ping, pong) in [(3, "6:2hello", "6:3hello"), (4, "2hello", "3hello")] {
        let page = Poller::open(&server, version).await;
        assert_eq!(page.says(ping).await.0, StatusCode::OK);
        assert_eq!(page.hears().await.1, pong);
    }
    for (version, asks, answer) in [
        (3, "9:40/admin,", "28:44/admin,\"Invalid namespace\""),
        (4, "40/admin,", "44/admin,{\"message\":\"Invalid namespace\"}"),
    ] {
        let server = super::server();
        let page = Poller::open(&server, version).await;
        assert_eq!(page.says(asks).await.0, StatusCode::OK);
        assert_eq!(page.hears().await.1, answer);
    }
}

#[tokio::test]
async fn lengths_of_protocol_3_are_those_of_javascript() {
    let server = server();
    let page = Poller::open(&server, 3).await;
    let room = "42[\"create or join\",\"é😀\"]";
    let length = room.encode_utf16().count();
    assert_eq!(page.says(format!("{length}:{room}")).await.0, StatusCode::OK);
    let mut heard = String::new();
    while !heard.contains("created") {
        heard = page.hears().await.1;
    }
    let created = &heard[heard.find(":42[\"created\"").unwrap() + 1..];
    let length = created.encode_utf16().count();
    assert!(created.contains("\"é😀\"") && heard.contains(&format!("{length}:42[\"created\"")), "{heard}");
}

/// Asks, and waits for the answer: what was said before has been heard by then.
async fn asks(socket: &mut Socket, answer: &str) {
    says(socket, "42[\"ipaddr\"]").await;
    // The rooms may still have something to say of what was before.
    while hears(socket).await != answer {}
}

async fn probes(socket: &mut Socket) {
    says(socket, "2probe").await;
    assert_eq!(hears(socket).await, "3probe");
}

const HERE: &str = "42[\"ipaddr\",\"192.168.1.9\"]";

#[tokio::test]
async fn nothing_is_lost_when_a_websocket_takes_over() {
    let server = server();
    let page = Poller::page(&server).await;
    let mut socket = page.upgrade().await;
    let (answer, ()) = tokio::join!(page.hears(), probes(&mut socket));
    assert_eq!(answer.1, "6", "the poll ends, for the client waits for it");
    // Said by the old way, and answered by the new one: more than may wait while a client polls.
    let full = json!(["create or join", "x".repeat(1_500)]).to_string();
    let many = vec![format!("42{full}"); 40].join("\u{1e}");
    assert_eq!(page.says(many).await.0, StatusCode::OK);
    says(&mut socket, "5").await;
    let mut answered = 0;
    while answered < 40 {
        answered += usize::from(hears(&mut socket).await.starts_with("42[\"full\""));
    }
    asks(&mut socket, HERE).await;
    assert_eq!(page.hears().await, refused(1, "Session ID unknown"), "it does not poll any more");
    let _other = server.page().await;
    assert!(server.is_full().await, "and has its place");
    drop((socket, _other));
    server.hub.closed().await;
}

#[tokio::test]
async fn a_session_has_one_websocket() {
    let server = server();
    let page = Poller::page(&server).await;
    let mut socket = page.upgrade().await;
    let query = page.path.split_once('?').unwrap().1.replace("polling", "websocket");
    for state in ["opened", "probed", "complete"] {
        let another = tokio_tungstenite::client_async(websocket(&query, None), server.open(LAN)).await;
        let Err(tungstenite::Error::Http(refused)) = another else { panic!("{state}: there are two") };
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{state}");
        if state == "opened" {
            probes(&mut socket).await;
        } else {
            says(&mut socket, "5").await;
            asks(&mut socket, HERE).await;
        }
    }
}

#[tokio::test]
async fn who_says_something_else_over_the_websocket_goes_on_polling() {
    let server = server();
    let page = Poller::page(&server).await;
    let mut socket = page.upgrade().await;
    says(&mut socket, "hello").await;
    while let Some(Ok(_)) = socket.next().await {}
    assert_eq!(page.says("42[\"ipaddr\"]").await.0, StatusCode::OK);
    assert_eq!(page.hears().await.1, HERE);
    let mut socket = page.upgrade().await;
    probes(&mut socket).await;
    says(&mut socket, "5").await;
    asks(&mut socket, HERE).await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_stops_halfway_ends_the_session() {
    let server = server();
    let page = Poller::page(&server).await;
    let mut socket = page.upgrade().await;
    probes(&mut socket).await;
    let start = Instant::now();
    let pongs = async {
        // It is heard all the time, and cannot poll any more.
        while page.says("3").await.0 == StatusCode::OK {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::join!(pongs, server.hub.closed());
    assert!(start.elapsed() <= MISSED + Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_is_heard_and_does_not_poll_is_a_slow_reader() {
    let server = server();
    let page = Poller::open(&server, 3).await;
    let start = Instant::now();
    assert_eq!(page.says("12:42[\"ipaddr\"]").await.0, StatusCode::OK);
    let noops = async {
        while page.says("1:6").await.0 == StatusCode::OK {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::join!(noops, server.hub.closed());
    assert!(start.elapsed() <= MISSED + Duration::from_secs(2), "{:?}", start.elapsed());
}

/// It is told `full`, and so much more than fits of the name.
fn long_question() -> String {
    format!("42{}", json!(["create or join", "x".repeat(5_000)]))
}

#[tokio::test(start_paused = true)]
async fn who_posts_and_does_not_poll_waits_and_is_then_closed() {
    let (counts, server) = (Counts::new(), server());
    let page = Poller::page(&server).await;
    let start = Instant::now();
    let mut posted = 0;
    let end = loop {
        match page.says(long_question()).await {
            (StatusCode::OK, _) => posted += 1,
            end => break end,
        }
    };
    assert_eq!(end, refused(1, "Session ID unknown"));
    assert!(posted <= 16 * 1024 / 5_000 + 2 + 16, "{posted} of them are heard or wait");
    assert!(start.elapsed() <= MISSED + Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(counts.of("lanturn_signaling_refused_total{reason=\"slow-reader\"}"), 1);
    server.hub.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_told_to_stay_away() {
    let server = server();
    let mut page = server.page().await;
    for _ in 0..40 {
        says(&mut page, &long_question()).await;
    }
    server.hub.closed().await;
    while let Some(Ok(message)) = page.next().await {
        assert_ne!(message, Message::text("41"), "a client of Socket.IO does not come back from that");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_sessions_that_are_in_no_namespace_at_once() {
    let server = server();
    let _socket = server.socket(OPEN).await;
    let page = Poller::open(&server, 4).await;
    let start = Instant::now();
    server.hub.shutdown();
    assert_eq!(page.hears().await.1, "1");
    server.hub.closed().await;
    assert!(start.elapsed() <= Duration::from_secs(2), "{:?}", start.elapsed());
}
