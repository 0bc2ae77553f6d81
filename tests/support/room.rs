//! A member of a room, over a WebSocket.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::PATIENCE;
use super::server::Server;
use super::web::{Io, connect_websocket, h2_sender, https};

pub struct Member {
    ws: WebSocketStream<Io>,
}

impl Member {
    /// Connects over HTTP/1.1 and joins. With the member comes what it was told: `joined`.
    pub async fn join(server: &Server, address: SocketAddr, room: &str, name: &str) -> (Self, Value) {
        let mut member = Self::connect(server, address).await;
        member.say(json!({ "type": "join", "room": room, "name": name })).await;
        let joined = member.hear().await;
        assert_eq!(joined["type"], "joined", "{joined}");
        (member, joined)
    }

    /// Connects over HTTP/1.1.
    pub async fn connect(server: &Server, address: SocketAddr) -> Self {
        let io = https(server, address, &["http/1.1"]).await;
        Self::over(io, address, None).await.unwrap()
    }

    /// Connects over HTTP/1.1 to another path than `/ws`.
    pub async fn at(server: &Server, path: &str) -> Self {
        Self::from(server, path, None).await.unwrap()
    }

    /// The same, as a page of `origin` would.
    pub async fn from(server: &Server, path: &str, origin: Option<&str>) -> Result<Self, Error> {
        let io = https(server, server.address(), &["http/1.1"]).await;
        Self::asking(io, handshake(server.address(), path, origin)).await
    }

    /// Connects over a stream, as a page of `origin` would.
    pub async fn over(io: Io, address: SocketAddr, origin: Option<&str>) -> Result<Self, Error> {
        Self::asking(io, handshake(address, "/ws", origin)).await
    }

    /// Connects over a stream, with a handshake of its own.
    pub async fn asking(io: Io, handshake: Request<()>) -> Result<Self, Error> {
        let (ws, _) = tokio_tungstenite::client_async(handshake, io).await?;
        Ok(Self { ws })
    }

    /// Connects over HTTP/2 (RFC 8441).
    pub async fn connect_h2(server: &Server, address: SocketAddr) -> Self {
        let mut sender = h2_sender(https(server, address, &["h2"]).await).await;
        // The server's settings, which say that it knows extended CONNECT, come with its first answer.
        let mut health = super::web::get(address, "/health");
        *health.uri_mut() = format!("https://{address}/health").parse().unwrap();
        sender.send_request(health).await.unwrap();
        let response = sender.send_request(connect_websocket(address)).await.unwrap();
        assert_eq!(response.status(), 200);
        let io: Io = Box::new(TokioIo::new(hyper::upgrade::on(response).await.unwrap()));
        Self { ws: WebSocketStream::from_raw_socket(io, Role::Client, None).await }
    }

    pub async fn say(&mut self, message: Value) {
        self.ws.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Says what may be no JSON.
    pub async fn say_text(&mut self, text: &str) {
        self.ws.send(Message::text(text)).await.unwrap();
    }

    /// What it is told next.
    pub async fn hear(&mut self) -> Value {
        self.hear_within(PATIENCE).await
    }

    /// What it is told next, which may take so long.
    pub async fn hear_within(&mut self, patience: Duration) -> Value {
        loop {
            let next = timeout(patience, self.ws.next()).await.expect("nothing is said");
            match next.expect("the connection has ended").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// What it is told next must be a fatal error: its id, and the code that the server closes with.
    pub async fn refused(mut self) -> (String, u16) {
        let error = self.hear().await;
        assert_eq!((&error["type"], &error["fatal"]), (&json!("error"), &json!(true)), "{error}");
        assert!(error["text"].as_str().is_some_and(|text| text.len() > 10), "{error}");
        (error["id"].as_str().unwrap().to_owned(), self.closed().await)
    }

    /// Closes, and waits until the server has, too.
    pub async fn leave(mut self) {
        self.ws.close(None).await.unwrap();
        while timeout(PATIENCE, self.ws.next()).await.expect("the connection stays open").is_some() {}
    }

    /// The code that the server closes with, whatever it says before.
    pub async fn closed(&mut self) -> u16 {
        loop {
            let next = timeout(PATIENCE, self.ws.next()).await.expect("the connection stays open");
            if let Message::Close(frame) = next.expect("no close frame").unwrap() {
                return frame.expect("no close code").code.into();
            }
        }
    }
}

/// What opens a WebSocket at a path (RFC 6455 section 4.1), as a page of `origin` does it.
pub fn handshake(host: impl Display, path: &str, origin: Option<&str>) -> Request<()> {
    let mut request = Request::builder()
        .uri(format!("wss://{host}{path}"))
        .header("host", host.to_string())
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    request.body(()).unwrap()
}
