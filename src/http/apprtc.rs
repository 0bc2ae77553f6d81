//! The part of AppRTC's dialect that goes over HTTP: joining, talking and leaving by POST, and a member's ICE servers.

use std::sync::Arc;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, ORIGIN, RETRY_AFTER, VARY,
};
use hyper::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use warp::reply::Response;

use super::answer::Asker;
use super::errors::HttpError;
use super::forms::{ALLOW_PRIVATE_NETWORK, Call, json_reply};
use super::gate::check_rate;
use super::google::IceConfig;
use super::origin::Site;
use super::turn_rest::parse;
use super::upgrade::{check_site, take_place};
use super::web::Inner;
use crate::signaling::apprtc::{NotHere, Welcome};
use crate::signaling::{ErrorId, Refusal, RoomName};

/// Over how many seconds a client may spread what it sends too fast.
const RETRY_SECONDS: u64 = 1;
/// What may stand in a path as it is (RFC 3986 section 2.3).
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What is asked for. The names are as they were typed: a room's may be none at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// `/join/{room}`
    Join(String),
    /// `/message/{room}/{client}`
    Message(Whose),
    /// `/leave/{room}/{client}`
    Leave(Whose),
    /// `/collider/{room}/{client}`: what a client that has no WebSocket says, and that it has gone.
    Collider(Whose),
    /// `/iceconfig/{room}/{client}`
    IceConfig(Whose),
}

/// A client, and the room that it says it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whose {
    room: String,
    client: String,
}

#[derive(Deserialize)]
struct Query {
    /// Which ICE candidates to use: `relay`, or all of them.
    it: Option<String>,
}

/// What a client is told that has joined. Flags are words in it, and settings JSON in text.
#[derive(Serialize)]
struct Params {
    client_id: String,
    room_id: String,
    room_link: String,
    is_initiator: String,
    messages: Vec<String>,
    wss_url: String,
    wss_post_url: String,
    /// Without ICE servers: the Android app reads those here without their usernames. So it asks at `ice_server_url`,
    /// as the web page does.
    pc_config: String,
    ice_server_url: String,
    ice_server_transports: &'static str,
    is_loopback: &'static str,
    media_constraints: &'static str,
    pc_constraints: &'static str,
    offer_options: &'static str,
    error_messages: Vec<String>,
    warning_messages: Vec<String>,
}

impl Request {
    /// The request that a path is, if it is one of these.
    pub(super) fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let whose = |room, client| Whose { room: decoded(room), client: decoded(client) };
        match parts[..] {
            ["join", room] => Some(Self::Join(decoded(room))),
            ["message", room, client] => Some(Self::Message(whose(room, client))),
            ["leave", room, client] => Some(Self::Leave(whose(room, client))),
            ["collider", room, client] => Some(Self::Collider(whose(room, client))),
            ["iceconfig", room, client] => Some(Self::IceConfig(whose(room, client))),
            _ => None,
        }
    }

    /// Whether its body is a message, which may be as long as one over a WebSocket.
    pub(super) fn is_message(&self) -> bool {
        match self {
            Self::Message(_) | Self::Collider(_) => true,
            Self::Join(_) | Self::Leave(_) | Self::IceConfig(_) => false,
        }
    }

    /// Answers it, whatever its method.
    pub(super) async fn answer(self, inner: Arc<Inner>, call: Call) -> Response {
        let (site, origin) = (call.asker.site, call.headers.get(ORIGIN).cloned());
        let answered = self.reply(&inner, call).await;
        let mut response = answered.unwrap_or_else(HttpError::into_response);
        if let (Site::Allowed, Some(origin)) = (site, origin) {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(VARY, HeaderValue::from_static("origin"));
        }
        response
    }

    async fn reply(self, inner: &Inner, call: Call) -> Result<Response, HttpError> {
        check_site(call.asker.site)?;
        if call.method == Method::OPTIONS {
            return Ok(preflight(self.methods()));
        }
        if !self.methods().split(", ").any(|method| method == call.method.as_str()) {
            let text = format!("this path does not take that method: use one of {}", self.methods());
            return Err(HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "bad-method", text)
                .with(ALLOW, HeaderValue::from_static(self.methods())));
        }
        match self {
            Self::Join(room) => join(inner, &call, &room),
            Self::Message(whose) => match said(inner, &whose, call).await? {
                Ok(()) => Ok(result("SUCCESS")),
                Err(not_here) => Ok(result(word(&not_here))),
            },
            Self::Leave(whose) => Ok(result(match inner.callers.leave(&whose.room, &whose.client) {
                Ok(()) => "SUCCESS",
                Err(not_here) => word(&not_here),
            })),
            Self::Collider(whose) if call.method == Method::DELETE => {
                // Who has gone already has gone.
                let _ = inner.callers.leave(&whose.room, &whose.client);
                Ok(ok())
            }
            Self::Collider(whose) => said(inner, &whose, call).await?.map(|()| ok()).map_err(unknown),
            Self::IceConfig(whose) => {
                check_rate(inner, &call.asker)?;
                let reach = call.asker.reach(&inner.live.current());
                let (ice_servers, ttl) =
                    inner.callers.ice_servers(&whose.room, &whose.client, &reach).map_err(unknown)?;
                Ok(json_reply(StatusCode::OK, &IceConfig::new(ice_servers, ttl)))
            }
        }
    }

    fn methods(&self) -> &'static str {
        match self {
            Self::Join(_) | Self::Message(_) | Self::Leave(_) => "POST",
            Self::Collider(_) => "POST, DELETE",
            Self::IceConfig(_) => "GET, HEAD, POST",
        }
    }
}

fn join(inner: &Inner, call: &Call, room: &str) -> Result<Response, HttpError> {
    let query: Query = parse(&call.query)?;
    let session = take_place(inner, &call.asker)?;
    let joined = RoomName::parse(room).and_then(|room| inner.callers.join(session, &room));
    Ok(match joined {
        Ok(welcome) => {
            let params = Params::new(welcome, &call.asker, query.it.as_deref());
            json_reply(StatusCode::OK, &json!({ "result": "SUCCESS", "params": params }))
        }
        Err(id) => {
            metrics::counter!("lanturn_signaling_refused_total", "reason" => id.id()).increment(1);
            // Clients show this word, and read no body of any other status.
            let word = id.id().to_uppercase().replace('-', "_");
            let params = json!({ "messages": [], "error_messages": [id.text()] });
            json_reply(StatusCode::OK, &json!({ "result": word, "params": params }))
        }
    })
}

impl Params {
    fn new(welcome: Welcome, asker: &Asker, transports: Option<&str>) -> Self {
        let Welcome { client, room, is_initiator, messages } = welcome;
        let room = room.to_string();
        let in_path = utf8_percent_encode(&room, IN_PATH);
        let (http, ws) = if asker.peer.tls { ("https", "wss") } else { ("http", "ws") };
        let host = &asker.host;
        let mut pc_config = json!({ "iceServers": [] });
        if let Some(transports @ ("relay" | "all")) = transports {
            pc_config["iceTransports"] = transports.into();
        }
        Self {
            room_link: format!("{http}://{host}/r/{in_path}"),
            is_initiator: is_initiator.to_string(),
            messages,
            wss_url: format!("{ws}://{host}/collider"),
            wss_post_url: format!("{http}://{host}/collider"),
            pc_config: pc_config.to_string(),
            ice_server_url: format!("{http}://{host}/iceconfig/{in_path}/{client}"),
            ice_server_transports: "",
            is_loopback: "false",
            media_constraints: r#"{"audio":true,"video":true}"#,
            pc_constraints: r#"{"optional":[]}"#,
            offer_options: "{}",
            error_messages: Vec::new(),
            warning_messages: Vec::new(),
            client_id: client,
            room_id: room,
        }
    }
}

/// Takes what a client says. Whoever is no client has nothing read.
async fn said(inner: &Inner, whose: &Whose, call: Call) -> Result<Result<(), NotHere>, HttpError> {
    if let Err(not_here) = inner.callers.check(&whose.room, &whose.client) {
        return Ok(Err(not_here));
    }
    let body = call.body.read().await?;
    let text = String::from_utf8(body).map_err(|_| {
        HttpError::new(StatusCode::BAD_REQUEST, ErrorId::BadMessage.id(), "the message is not UTF-8: send JSON")
    })?;
    match inner.callers.message(&whose.room, &whose.client, &text) {
        Ok(heard) => heard.map(Ok).map_err(refused),
        Err(not_here) => Ok(Err(not_here)),
    }
}

fn refused(Refusal { id, text, .. }: Refusal) -> HttpError {
    let statuses = [
        (ErrorId::RateLimited, StatusCode::TOO_MANY_REQUESTS),
        (ErrorId::PeerBusy, StatusCode::SERVICE_UNAVAILABLE),
        (ErrorId::BadMessage, StatusCode::BAD_REQUEST),
    ];
    let status = statuses.iter().find(|(of, _)| *of == id).map_or(StatusCode::CONFLICT, |(_, status)| *status);
    let error = HttpError::new(status, id.id(), text);
    if id == ErrorId::RateLimited { error.with(RETRY_AFTER, RETRY_SECONDS) } else { error }
}

fn unknown(not_here: NotHere) -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND, "not-found", not_here.to_string())
}

/// AppRTC's word for it.
fn word(not_here: &NotHere) -> &'static str {
    match not_here {
        NotHere::Room => "UNKNOWN_ROOM",
        NotHere::Client => "UNKNOWN_CLIENT",
    }
}

fn result(word: &str) -> Response {
    json_reply(StatusCode::OK, &json!({ "result": word }))
}

fn ok() -> Response {
    let mut response = Response::new("OK\n".into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn preflight(methods: &'static str) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    response
}

/// Empty, which is the name of nothing, for what is no text.
fn decoded(part: &str) -> String {
    percent_decode_str(part).decode_utf8().unwrap_or_default().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_of_one_request_or_of_none() {
        let whose = || Whose { room: "my room".into(), client: "c1".into() };
        for (path, request) in [
            ("/join/my%20room", Request::Join("my room".into())),
            ("/join/K%C3%BCche", Request::Join("Küche".into())),
            ("/join/%ff", Request::Join(String::new())),
            ("/message/my%20room/c1", Request::Message(whose())),
            ("/leave/my%20room/c1", Request::Leave(whose())),
            ("/collider/my%20room/c1", Request::Collider(whose())),
            ("/iceconfig/my%20room/c1", Request::IceConfig(whose())),
        ] {
            assert_eq!(Request::of(path), Some(request), "{path}");
        }
        for path in ["/join", "/join/a/b", "/message/a", "/collider", "/collider/a", "/leave/a/b/c", "join/a", "/"] {
            assert_eq!(Request::of(path), None, "{path}");
        }
    }
}
