//! A throw-away room: what any visitor of the page may have, and so the credential of whoever has none.

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::Request;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::target::Target;
use crate::credentials::IceServer;

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Why there is no membership.
#[derive(Debug, Error)]
pub(super) enum RoomError {
    /// The WebSocket was refused with this status.
    #[error("the WebSocket was answered with HTTP {0}")]
    Status(u16),
    /// The connection ended, or what came was no WebSocket.
    #[error("the WebSocket broke off")]
    Broken,
    /// Nothing came in time.
    #[error("no answer came in time")]
    Silent,
    /// The box does not let us in: its own words.
    #[error("the box says: {0}")]
    Refused(String),
}

/// A membership, which lasts as long as this.
pub(super) struct Membership {
    /// What the box tells a browser.
    pub(super) ice_servers: Vec<IceServer>,
    leave: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Membership {
    /// Joins a room that nobody else finds.
    ///
    /// # Errors
    /// [`RoomError`]
    pub(super) async fn join(
        target: &Target,
        stream: TlsStream<TcpStream>,
        deadline: Instant,
    ) -> Result<Self, RoomError> {
        timeout_at(deadline, Self::join_over(target, stream)).await.unwrap_or(Err(RoomError::Silent))
    }

    async fn join_over(target: &Target, stream: TlsStream<TcpStream>) -> Result<Self, RoomError> {
        let host = target.authority();
        let request = Request::builder()
            .uri(format!("wss://{host}/ws"))
            .header("host", host)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", generate_key());
        let request = request.body(()).map_err(|_| RoomError::Broken)?;
        let (mut socket, _) = client_async(request, stream).await.map_err(|error| broken(&error))?;
        let room = format!("probe-{:032x}", rand::random::<u128>());
        let join = json!({ "type": "join", "v": 1, "room": room });
        socket.send(Message::text(join.to_string())).await.map_err(|error| broken(&error))?;
        let ice_servers = loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    if let Some(servers) = joined(&text)? {
                        break servers;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(RoomError::Broken),
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            }
        };
        let (leave, left) = oneshot::channel();
        Ok(Self { ice_servers, leave, task: tokio::spawn(stay(socket, left)) })
    }

    /// Ends it, and waits until the box knows.
    pub(super) async fn leave(self, deadline: Instant) {
        drop(self.leave);
        let _ = timeout_at(deadline, self.task).await;
    }
}

/// Answers the box's pings until it is time to leave.
async fn stay(mut socket: Socket, mut left: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            _ = &mut left => break,
            next = socket.next() => {
                if !matches!(next, Some(Ok(_))) {
                    return;
                }
            }
        }
    }
    if socket.close(None).await.is_ok() {
        while let Some(Ok(_)) = socket.next().await {}
    }
}

fn broken(error: &WsError) -> RoomError {
    if let WsError::Http(response) = error { RoomError::Status(response.status().as_u16()) } else { RoomError::Broken }
}

/// What `joined` brings; nothing if it is another message.
fn joined(text: &str) -> Result<Option<Vec<IceServer>>, RoomError> {
    let message: Value = serde_json::from_str(text).map_err(|_| RoomError::Broken)?;
    match message["type"].as_str() {
        Some("joined") => {
            let servers = serde_json::from_value(message["iceServers"].clone());
            servers.map(Some).map_err(|_| RoomError::Broken)
        }
        Some("error") => {
            let said = message["text"].as_str().unwrap_or_default();
            Err(RoomError::Refused(said.chars().filter(|char| !char.is_control()).take(200).collect()))
        }
        Some(_) | None => Ok(None),
    }
}
