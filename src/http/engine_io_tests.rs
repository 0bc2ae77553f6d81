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
async fn what_is_said_while_nobody_polls_comes_in_one_answer() {
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
async fn a_body_that_is_no_payload_ends_the_session() {
    let server = server();
    for (version, body) in [(3, "4"), (4, "\u{1e}"), (4, "bAAAA"), (3, "2:40"), (4, "9"), (4, "451-[\"message\"]")] {
        let page = Poller::open(&server, version).await;
        let answered = page.says(body).await;
        assert!(answered == refused(3, "Bad request") || answered.0 == StatusCode::OK, "{body}: {answered:?}");
        let _ = page.hears().await;
        server.hub.closed().await;
        assert_eq!(page.says("2").await, refused(1, "Session ID unknown"), "{body}");
    }
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
    assert_eq!(hears(socket).await, answer);
}

#[tokio::test]
async fn nothing_is_lost_when_a_websocket_takes_over() {
    const HERE: &str = "42[\"ipaddr\",\"192.168.1.9\"]";
    let server = server();
    let page = Poller::page(&server).await;
    let mut other = Poller::page(&server).await.upgrade().await;
    let mut socket = page.upgrade().await;
    for socket in [&mut socket, &mut other] {
        says(socket, "2probe").await;
        assert_eq!(hears(socket).await, "3probe");
    }
    let (answer, ()) = tokio::join!(page.hears(), async {});
    assert_eq!(answer.1, "6", "the poll ends, for the client waits for it");
    // Said by the old way, and answered by the new one.
    assert_eq!(page.says("42[\"ipaddr\"]").await.0, StatusCode::OK);
    says(&mut socket, "5").await;
    assert_eq!(hears(&mut socket).await, HERE);
    says(&mut other, "5").await;
    asks(&mut other, HERE).await;
    asks(&mut socket, HERE).await;
    assert_eq!(page.hears().await, refused(1, "Session ID unknown"), "it does not poll any more");
    assert!(server.is_full().await, "and has its place");
    drop((socket, other));
    server.hub.closed().await;
}

#[tokio::test]
async fn who_says_nothing_over_the_websocket_goes_on_polling() {
    let server = server();
    let page = Poller::page(&server).await;
    let mut socket = page.upgrade().await;
    says(&mut socket, "hello").await;
    while let Some(Ok(_)) = socket.next().await {}
    assert_eq!(page.says("42[\"ipaddr\"]").await.0, StatusCode::OK);
    assert_eq!(page.hears().await.1, "42[\"ipaddr\",\"192.168.1.9\"]");
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
    assert!(posted <= 64 * 1024 / 5_000 + 2 + 16, "{posted} of them are heard or wait");
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
