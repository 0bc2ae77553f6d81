//! `/socket.io/`: Engine.IO 3 and 4, by polling or over a WebSocket, which takes h1 or h2 as `/ws` does.
//!
//! Each session takes a place among the connections before its client has said anything, and keeps it when it changes
//! over to a WebSocket, which it may do once.

use std::sync::Arc;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, ORIGIN, VARY,
};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::time::timeout;
use warp::reply::Response;

use super::answer::Asker;
use super::body::{BODY_DEADLINE, slow, too_large};
use super::errors::HttpError;
use super::origin::Site;
use super::routes::text;
use super::upgrade::{check_site, handshake, opened, switched, take_place};
use super::web::{Inner, Running};
use crate::signaling::engine_io::{self, Unanswered, Version};

/// The client's library is a file like any other.
const LIBRARY: &str = "/socket.io/socket.io.js";
/// How long a browser may remember what it may send, in seconds.
const PREFLIGHT_SECONDS: u64 = 600;

/// Where clients ask.
pub(super) const PATH: &str = "/socket.io/";

/// The sessions that poll.
pub(super) type Sessions = engine_io::Sessions<TokioIo<Upgraded>>;

/// Whether requests for this path are answered here.
pub(super) fn is_path(path: &str) -> bool {
    let rest = path.strip_prefix(PATH.trim_end_matches('/'));
    path != LIBRARY && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// # Errors
/// 403 `bad-origin`. Other errors are answers that the page may read: 503 `busy`, 413 or 408 for a body that is too long or
/// takes too long, as `/ws` for a broken handshake, and 400 in Engine.IO's own terms.
pub(super) async fn answer(
    inner: &Arc<Inner>,
    asker: &Asker,
    request: Request<Incoming>,
    running: Running,
) -> Result<Response, HttpError> {
    check_site(asker.site)?;
    let origin = request.headers().get(ORIGIN).filter(|_| asker.site == Site::Allowed).cloned();
    let mut response = if request.method() == Method::OPTIONS {
        preflight()
    } else {
        exchange(inner, asker, request, running).await.unwrap_or_else(HttpError::into_response)
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("origin"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        // There is no cookie to send, but clients of protocol 3 ask for this with every request.
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// What a browser asks before it sends a header that is not of the simple ones.
fn preflight() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(PREFLIGHT_SECONDS));
    response
}

/// What a request asks for.
struct Query<'a> {
    transport: Option<&'a str>,
    version: Option<Version>,
    /// The session's id, if it has one.
    id: Option<&'a str>,
}

impl<'a> Query<'a> {
    fn of(query: &'a str) -> Self {
        let value = |name: &str| query.split('&').find_map(|part| part.split_once('=').filter(|(key, _)| *key == name));
        let version = match value("EIO") {
            Some((_, "3")) => Some(Version::V3),
            Some((_, "4")) => Some(Version::V4),
            Some(_) | None => None,
        };
        Self { transport: value("transport").map(|(_, name)| name), version, id: value("sid").map(|(_, id)| id) }
    }
}

async fn exchange(
    inner: &Arc<Inner>,
    asker: &Asker,
    request: Request<Incoming>,
    running: Running,
) -> Result<Response, HttpError> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let Query { transport, version, id } = Query::of(&query);
    let is_get = request.method() == Method::GET;
    match (transport, id) {
        (Some("websocket"), None) => begin(inner, asker, request, version.ok_or_else(bad_version)?, running),
        (Some("websocket"), Some(id)) if version.is_some() => change_over(inner, id, request, running),
        (Some("websocket"), Some(_)) => Err(bad_version()),
        (Some("polling"), Some(id)) if is_get => inner.sessions.poll(id).await.map(text).map_err(bad),
        (Some("polling"), Some(id)) if request.method() == Method::POST => post(inner, id, request).await,
        (Some("polling"), None) if is_get => {
            let version = version.ok_or_else(bad_version)?;
            inner.sessions.begin(take_place(inner, asker)?, version).await.map(text).map_err(bad)
        }
        (Some("polling"), _) => Err(refused("bad-method", "Bad handshake method")),
        (Some(_) | None, _) => Err(refused("unknown-transport", "Transport unknown")),
    }
}

fn bad_version() -> HttpError {
    refused("bad-version", "Unsupported protocol version")
}

/// Begins a session over a WebSocket.
fn begin(
    inner: &Inner,
    asker: &Asker,
    mut request: Request<Incoming>,
    version: Version,
    running: Running,
) -> Result<Response, HttpError> {
    let accept = handshake(&request)?;
    let session = take_place(inner, asker)?;
    let opening = opened(hyper::upgrade::on(&mut request), inner.hub.options().message_bytes);
    tokio::spawn(async move {
        if let Some(ws) = opening.await {
            engine_io::serve(ws, session, version).await;
        }
        drop(running);
    });
    Ok(switched(accept))
}

/// Has a session that polls go on over a WebSocket.
fn change_over(
    inner: &Inner,
    id: &str,
    mut request: Request<Incoming>,
    running: Running,
) -> Result<Response, HttpError> {
    let accept = handshake(&request)?;
    let upgrading = inner.sessions.upgrading(id).map_err(bad)?;
    let opening = opened(hyper::upgrade::on(&mut request), inner.hub.options().message_bytes);
    tokio::spawn(async move {
        if let Some(ws) = opening.await {
            upgrading.serve(ws).await;
        }
        drop(running);
    });
    Ok(switched(accept))
}

async fn post(inner: &Inner, id: &str, request: Request<Incoming>) -> Result<Response, HttpError> {
    let posting = inner.sessions.posting(id).map_err(bad)?;
    let limit = posting.max_body();
    let body = match timeout(BODY_DEADLINE, Limited::new(request.into_body(), limit).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            posting.refuse();
            return Err(too_large(limit));
        }
        Ok(Err(_)) => {
            return Err(HttpError::new(StatusCode::BAD_REQUEST, "bad-body", "the body broke off: send all of it"));
        }
        Err(elapsed) => return Err(slow(elapsed)),
    };
    posting.take(&body).await.map_err(|why| match why {
        Unanswered::TooLong => too_large(inner.hub.options().message_bytes),
        Unanswered::Unknown | Unanswered::Bad => bad(why),
    })?;
    let mut response = text("ok".to_owned());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    Ok(response)
}

/// What is wrong, in Engine.IO's own terms (`errorMessages` of its server).
fn refused(id: &'static str, text: &'static str) -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, id, text).said(in_its_terms)
}

fn bad(why: Unanswered) -> HttpError {
    match why {
        Unanswered::Unknown => refused("unknown-session", "Session ID unknown"),
        Unanswered::Bad | Unanswered::TooLong => refused("bad-request", "Bad request"),
    }
}

fn in_its_terms(error: &HttpError) -> Value {
    let code = match error.id() {
        "unknown-transport" => 0,
        "unknown-session" => 1,
        "bad-method" => 2,
        "bad-version" => 5,
        _ => 3,
    };
    json!({ "code": code, "message": error.text() })
}
