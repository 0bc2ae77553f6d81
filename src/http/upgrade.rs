//! From an HTTP request to a WebSocket, over h1 (RFC 6455) or h2 (RFC 8441).

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::ext::Protocol;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, Request, StatusCode, Version};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use warp::reply::Response;

use super::answer::Asker;
use super::errors::HttpError;
use super::origin::Site;
use super::socketio;
use super::web::{Inner, Running};
use crate::signaling::apprtc::Callers;
use crate::signaling::socket::websocket_config;
use crate::signaling::{ErrorId, Session, apprtc, ayame, matchbox, native, peerjs, y_webrtc};

/// Whose client a WebSocket is, by what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Our own protocol.
    Native,
    Ayame,
    AppRtc,
    /// With the query, which says who the client is.
    PeerJs(String),
    /// y-webrtc.
    YWebrtc,
    /// With the room and the query, which may ask for a group.
    Matchbox(String, String),
}

/// Makes a dialect of the room that a path names, if it does, and of the query.
type Make = fn(&str, &str) -> Dialect;

/// Where each dialect is spoken. `*` stands for a room.
const DIALECTS: &[(&str, Make)] = &[
    ("/ws", |_, _| Dialect::Native),
    ("/signaling", |_, _| Dialect::Ayame),
    ("/collider", |_, _| Dialect::AppRtc),
    ("/peerjs", |_, query| Dialect::PeerJs(query.to_owned())),
    ("/peerjs/peerjs", |_, query| Dialect::PeerJs(query.to_owned())),
    ("/y-webrtc", |_, _| Dialect::YWebrtc),
    ("/matchbox/*", |room, query| Dialect::Matchbox(decode(room), query.to_owned())),
    (BARE_ROOM, |room, query| Dialect::Matchbox(decode(room), query.to_owned())),
];
/// A path that is nothing else's is a room of matchbox for a WebSocket, and only then.
const BARE_ROOM: &str = "/*";

/// Every path at which a WebSocket of the rooms opens. `*` stands for the name of a room.
pub fn socket_paths() -> impl Iterator<Item = &'static str> {
    DIALECTS.iter().map(|(path, _)| *path).chain([socketio::PATH])
}

impl Dialect {
    /// The dialect of a request, if it is one's.
    pub(super) fn of<B>(request: &Request<B>) -> Option<Self> {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        DIALECTS.iter().find_map(|&(at, make)| {
            let room = room_at(at, path)?;
            let is_meant = at != BARE_ROOM || !room.is_empty() && is_upgrade(request);
            is_meant.then(|| make(room, query))
        })
    }
}

/// What stands for the `*` in `at`, nothing if there is none. `None` when the path is another.
fn room_at<'a>(at: &str, path: &'a str) -> Option<&'a str> {
    match at.strip_suffix('*') {
        Some(start) => path.strip_prefix(start).filter(|room| !room.contains('/')),
        None => (path == at).then_some(""),
    }
}

/// Nothing, which is no room's name, when it is no text.
fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8().map(Cow::into_owned).unwrap_or_default()
}

/// How long a client should wait when every place is taken, in seconds.
const BUSY_SECONDS: u64 = 5;

/// # Errors
/// 426 when it is no WebSocket handshake, 400 when it is a broken one, 403 `bad-origin`, 503 `busy`.
pub(super) fn answer<B>(
    dialect: Dialect,
    inner: &Arc<Inner>,
    asker: &Asker,
    request: &mut Request<B>,
    running: Running,
) -> Result<Response, HttpError> {
    let accept = handshake(request)?;
    check_site(asker.site)?;
    let session = take_place(inner, asker)?;
    let session = if request.version() == Version::HTTP_2 { session.on_stream() } else { session };
    tokio::spawn(run(dialect, Arc::clone(&inner.callers), hyper::upgrade::on(request), session, running));
    Ok(switched(accept))
}

/// The answer to a [`handshake`].
pub(super) fn switched(accept: Option<HeaderValue>) -> Response {
    let mut response = Response::default();
    if let Some(accept) = accept {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// # Errors
/// 403 `bad-origin`.
pub(super) fn check_site(site: Site) -> Result<(), HttpError> {
    match site {
        Site::Own | Site::Allowed | Site::Unknown => Ok(()),
        Site::Other => {
            let id = ErrorId::BadOrigin;
            Err(HttpError::new(StatusCode::FORBIDDEN, id.id(), id.text()))
        }
    }
}

/// A place among the connections, for as long as the session lives.
///
/// # Errors
/// 503 `busy`.
pub(super) fn take_place(inner: &Inner, asker: &Asker) -> Result<Session, HttpError> {
    let reach = asker.reach(&inner.live.current());
    inner.hub.connect(asker.peer.remote.ip(), reach).ok_or_else(|| {
        HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "this server has no place for another connection now")
            .with(RETRY_AFTER, BUSY_SECONDS)
    })
}

/// Ends when the client does, or when the hub closes. A client that never completes the upgrade is gone with its
/// connection.
async fn run(dialect: Dialect, callers: Arc<Callers>, upgrade: OnUpgrade, session: Session, running: Running) {
    if let Some(ws) = opened(upgrade, session.hub().options().message_bytes).await {
        match dialect {
            Dialect::Native => native::serve(ws, session).await,
            Dialect::Ayame => ayame::serve(ws, session).await,
            Dialect::AppRtc => apprtc::serve(ws, session, callers).await,
            Dialect::PeerJs(query) => peerjs::serve(ws, session, query).await,
            Dialect::YWebrtc => y_webrtc::serve(ws, session).await,
            Dialect::Matchbox(room, query) => matchbox::serve(ws, session, room, query).await,
        }
    }
    drop(running);
}

/// The WebSocket, for messages of at most `message_bytes`, once the client has its answer.
pub(super) async fn opened(upgrade: OnUpgrade, message_bytes: usize) -> Option<WebSocketStream<TokioIo<Upgraded>>> {
    match upgrade.await {
        Ok(io) => {
            let config = websocket_config(message_bytes);
            Some(WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Server, Some(config)).await)
        }
        Err(error) => {
            tracing::debug!(%error, "WebSocket upgrade did not complete");
            None
        }
    }
}

/// What proves to an h1 client that the handshake was understood. An h2 client needs no proof.
///
/// # Errors
/// 426 when it is no WebSocket handshake, 400 when it is a broken one.
pub(super) fn handshake<B>(request: &Request<B>) -> Result<Option<HeaderValue>, HttpError> {
    let headers = request.headers();
    if !is_upgrade(request) {
        return Err(not_websocket("a WebSocket handshake is needed here"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(not_websocket("WebSocket version 13 is needed"));
    }
    if request.method() == Method::CONNECT {
        return Ok(None);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_key = STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16);
    let accept = HeaderValue::try_from(derive_accept_key(key)).ok().filter(|_| is_key);
    let text = "`Sec-WebSocket-Key` must be 16 bytes in base64";
    accept.map(Some).ok_or_else(|| HttpError::new(StatusCode::BAD_REQUEST, "bad-handshake", text))
}

/// Whether a WebSocket is asked for, over h2 or h1.
pub(super) fn is_upgrade<B>(request: &Request<B>) -> bool {
    let is_h2 = request.method() == Method::CONNECT
        && request.extensions().get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
    let is_h1 = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has_token(request.headers(), &CONNECTION, "upgrade")
        && has_token(request.headers(), &UPGRADE, "websocket");
    is_h2 || is_h1
}

fn not_websocket(text: &'static str) -> HttpError {
    HttpError::new(StatusCode::UPGRADE_REQUIRED, "upgrade-required", text)
        .with(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
        .with(UPGRADE, HeaderValue::from_static("websocket"))
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}
