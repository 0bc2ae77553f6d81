//! One HTTP connection, from its first byte to its last: deadlines, limits and a clean end.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::answer;
use super::live::Live;
use super::routes::routes;
use super::socketio::Sessions;
use crate::limit::RateLimit;
use crate::proxies::Proxies;
use crate::sightings::Sightings;
use crate::signaling::Hub;
use crate::signaling::apprtc::Callers;

/// How long the head of a request may take.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// How long a connection may have no request under way.
const IDLE: Duration = Duration::from_secs(60);
/// How long requests under way may still take when the connection is to end.
const PARTING: Duration = Duration::from_secs(5);
/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 64;
/// What one HTTP/2 stream, and all of a connection together, may have on the way to us, in bytes: what a handler does
/// not take is held in memory.
const WINDOWS: (u32, u32) = (128 * 1024, 256 * 1024);
/// The longest head of a request, in bytes.
const MAX_HEAD_BYTES: u32 = 16 * 1024;
/// How often an HTTP/2 client is asked whether it is still there, and how long it may take to say so.
const H2_PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// What the web side is given.
#[derive(Clone)]
pub struct Options {
    /// Origins whose pages may enter rooms, besides our own: in full, such as `https://example.org`.
    pub origins: Vec<String>,
    /// The reverse proxies that are believed when they say whom they speak for.
    pub proxies: Proxies,
    /// Where Bindings are answered over UDP.
    pub listening: Vec<SocketAddr>,
    /// Requests for credentials a minute from one source prefix.
    pub credential_rate: u32,
    /// What the relay saw of those who test their way.
    pub sightings: Arc<Sightings>,
    /// Prints the metrics, in Prometheus' text format.
    pub render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Turns true when the server stops: connections then end when their requests have.
    pub shutdown: watch::Receiver<bool>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("origins", &self.origins).finish_non_exhaustive()
    }
}

/// The two ends of a connection, as the listener saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Our address.
    pub local: SocketAddr,
    /// The client's address.
    pub remote: SocketAddr,
    /// Whether it came over TLS.
    pub tls: bool,
}

/// The web side. Cheap to clone.
#[derive(Clone)]
pub struct Web {
    inner: Arc<Inner>,
    routes: BoxedFilter<(Response,)>,
}

pub(super) struct Inner {
    pub(super) options: Options,
    pub(super) hub: Arc<Hub>,
    pub(super) callers: Arc<Callers>,
    pub(super) live: Arc<Live>,
    pub(super) started: std::time::Instant,
    /// Done once it was told that a proxy does not say whom it speaks for.
    pub(super) silent_proxy: Once,
    pub(super) sessions: Arc<Sessions>,
    rate: Mutex<RateLimit>,
}

impl Inner {
    pub(super) fn rate(&self) -> MutexGuard<'_, RateLimit> {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

impl Web {
    /// Puts the parts together, inside a runtime. Rooms are entered through `hub`, credentials come from `live`.
    pub fn new(options: Options, hub: Arc<Hub>, live: Arc<Live>) -> Self {
        let rate = Mutex::new(RateLimit::new(options.credential_rate, Duration::from_secs(60)));
        let (started, callers) = (std::time::Instant::now(), Callers::new(Arc::clone(&hub)));
        let inner = Arc::new(Inner {
            options,
            hub,
            callers,
            live,
            started,
            silent_proxy: Once::new(),
            sessions: Arc::default(),
            rate,
        });
        let routes = routes(&inner);
        Self { inner, routes }
    }

    /// Drives one connection to its end, and calls `on_request` for each request whose head has come. A WebSocket that
    /// it was upgraded to goes on in a task of its own, which the hub ends.
    pub async fn serve<I, F>(&self, io: I, peer: Peer, on_request: F)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Fn(),
    {
        let activity = Arc::<Activity>::default();
        let service = service_fn(|request| {
            on_request();
            let (inner, routes, running) = (self.inner.clone(), self.routes.clone(), activity.begin());
            answer::answer(inner, routes, peer, request, running)
        });
        let builder = builder();
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(io), service);
        let mut connection = std::pin::pin!(connection);
        let mut shutdown = self.inner.options.shutdown.clone();
        let mut end = None;
        loop {
            let deadline = end.unwrap_or_else(|| activity.deadline());
            tokio::select! {
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(%error, remote = %peer.remote, "HTTP connection ended");
                        count_closed(reason(&*error));
                    }
                    return;
                }
                () = stopped(&mut shutdown), if end.is_none() => {}
                () = sleep_until(deadline) => {
                    if end.is_some() || activity.is_new() {
                        return count_closed(if end.is_some() { "parting" } else { "head-deadline" });
                    }
                    if activity.deadline() > Instant::now() {
                        continue;
                    }
                    count_closed("idle");
                }
            }
            connection.as_mut().graceful_shutdown();
            end = Some(Instant::now() + PARTING);
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE).max_buf_size(MAX_HEAD_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_send_buf_size(64 * 1024)
        .keep_alive_interval(H2_PING.0)
        .keep_alive_timeout(H2_PING.1);
    builder
}

fn count_closed(reason: &'static str) {
    metrics::counter!("lanturn_http_connections_closed_total", "reason" => reason).increment(1);
}

/// Why a connection broke, as a counter's label.
fn reason(error: &(dyn std::error::Error + 'static)) -> &'static str {
    match error.downcast_ref::<hyper::Error>() {
        Some(error) if error.is_parse_too_large() => "head-too-large",
        Some(error) if error.is_timeout() => "head-deadline",
        Some(error) if error.is_parse() => "malformed",
        Some(_) | None => "broken",
    }
}

/// Returns once the server stops. If nobody can say so any more, never.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    if shutdown.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What goes on on one connection.
#[derive(Debug)]
struct Activity {
    running: AtomicUsize,
    requests: AtomicUsize,
    since: Mutex<Instant>,
}

impl Default for Activity {
    fn default() -> Self {
        Self { running: AtomicUsize::new(0), requests: AtomicUsize::new(0), since: Mutex::new(Instant::now()) }
    }
}

/// A request under way, or what it became.
#[derive(Debug)]
pub(super) struct Running(Arc<Activity>);

impl Activity {
    fn begin(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }

    /// Whether no request has come yet.
    fn is_new(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0
    }

    /// When the connection is to end if nothing changes.
    fn deadline(&self) -> Instant {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        match self.running.load(Ordering::Relaxed) {
            0 if self.is_new() => since + HEAD_DEADLINE,
            0 => since + IDLE,
            _ => Instant::now() + IDLE,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "web_tests.rs"]
mod tests;
