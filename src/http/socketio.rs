//! `/socket.io/`: Engine.IO 3 and 4, by polling or over a WebSocket, which takes h1 or h2 as `/ws` does.
//!
//! Each session takes a place among the connections before `namespace` hears of it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt as _, Collected};
use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, ORIGIN, VARY,
};
use hyper::http::uri::PathAndQuery;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};
use warp::reply::Response;

use super::answer::Asker;
use super::body::{BODY_DEADLINE, slow};
use super::errors::HttpError;
use super::namespace::Seat;
use super::origin::Site;
use super::upgrade::{check_site, handshake, switched, take_place};
use super::web::{Inner, Running};

/// The client's library is a file like any other.
const LIBRARY: &str = "/socket.io/socket.io.js";
/// How long a browser may remember what it may send, in seconds.
const PREFLIGHT_SECONDS: u64 = 600;

/// Where clients ask.
pub(super) const PATH: &str = "/socket.io/";

/// Whether requests for this path are answered here.
pub(super) fn is_path(path: &str) -> bool {
    let rest = path.strip_prefix(PATH.trim_end_matches('/'));
    path != LIBRARY && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// # Errors
/// 403 `bad-origin`, 503 `busy`, 408 for a body that takes too long, and as `/ws` for a broken handshake. What is wrong
/// in Engine.IO's own terms it says in its own way.
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
    } else if is_websocket(request.uri().query().unwrap_or_default()) {
        upgrade(inner, asker, request, running)?
    } else {
        poll(inner, asker, request).await?
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

/// The value of a parameter, as Engine.IO reads it.
fn parameter<'a>(query: &'a str, start: &str) -> Option<&'a str> {
    query.split('&').find_map(|part| part.strip_prefix(start)).map(|value| value.split('=').next().unwrap_or_default())
}

/// Whether a query asks for a WebSocket in a version that there is. Any other is wrong for Engine.IO to say.
fn is_websocket(query: &str) -> bool {
    parameter(query, "transport=") == Some("websocket") && matches!(parameter(query, "EIO="), Some("3" | "4"))
}

/// A place, unless the request is of a session that has one.
fn seat(inner: &Inner, asker: &Asker, query: &str) -> Result<Option<Seat>, HttpError> {
    if parameter(query, "sid=").is_some() {
        return Ok(None);
    }
    Ok(Some(Seat::new(take_place(inner, asker)?, asker.peer.remote.ip())))
}

/// A path and a query in memory of their own: they came as parts of a buffer of 16 KiB, which would stay for as long.
fn copy(uri: &Uri) -> Uri {
    let path_and_query = uri.path_and_query().and_then(|both| PathAndQuery::try_from(both.as_str()).ok());
    path_and_query.map(Uri::from).unwrap_or_default()
}

fn upgrade(
    inner: &Arc<Inner>,
    asker: &Asker,
    mut request: Request<Incoming>,
    running: Running,
) -> Result<Response, HttpError> {
    let accept = handshake(&request)?;
    let mut opening = Request::new(());
    *opening.uri_mut() = copy(request.uri());
    if let Some(seat) = seat(inner, asker, request.uri().query().unwrap_or_default())? {
        opening.extensions_mut().insert(seat);
    }
    let (server, upgrade) = (inner.socketio.clone(), hyper::upgrade::on(&mut request));
    let patience = inner.hub.options().silence;
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let io = TokioIo::new(upgraded);
                server.adopt(Held { io, patience, stalled: None, _running: running }, opening);
            }
            Err(error) => tracing::debug!(%error, "WebSocket upgrade did not complete"),
        }
    });
    Ok(switched(accept))
}

async fn poll(inner: &Arc<Inner>, asker: &Asker, mut request: Request<Incoming>) -> Result<Response, HttpError> {
    let seat = seat(inner, asker, request.uri().query().unwrap_or_default())?;
    // The session keeps the request that it began with.
    *request.uri_mut() = copy(request.uri());
    let content_type = request.headers_mut().remove(CONTENT_TYPE);
    request.headers_mut().clear();
    let content_type = content_type.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
    request.headers_mut().extend(content_type.map(|value| (CONTENT_TYPE, value)));
    request.extensions_mut().clear();
    if let Some(seat) = seat {
        request.extensions_mut().insert(seat);
    }
    let answered = if request.method() == Method::POST {
        timeout(BODY_DEADLINE, inner.socketio.ask(request)).await.map_err(slow)?
    } else {
        inner.socketio.ask(request).await
    };
    let (head, body) = answered.into_parts();
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_else(|never| match never {});
    Ok(Response::from_parts(head, body.into()))
}

/// A WebSocket's bytes. The request that it began as is under way for as long as it is. Who writes to it waits for the
/// client for ever, so it is for the stream to say when that is too long.
struct Held {
    io: TokioIo<Upgraded>,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    _running: Running,
}

impl Held {
    fn unless_stalled<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Held {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.unless_stalled(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.unless_stalled(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        self.unless_stalled(cx, shut)
    }
}
