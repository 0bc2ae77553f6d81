//! `POST /probe` and `GET /probe/ID`: what the relay saw of somebody who tests their way.
//!
//! Anybody may begin one, as often as they may ask for credentials, and whoever began it reads it, from the same source
//! prefix. It gives nobody a credential but our own page, and that one relays to others of its kind only.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER};
use hyper::{Method, StatusCode};
use serde::Serialize;
use warp::reply::Response;

use super::answer::Asker;
use super::errors::HttpError;
use super::forms::{Call, json_reply};
use super::gate::check_rate;
use super::issue::issue_for_probe;
use super::origin::Site;
use super::web::Inner;
use crate::credentials::IceServer;
use crate::limit::SourcePrefix;
use crate::sightings::{Full, Outcome, PROBE_LIFE, ProbeId, Sighting};

/// The answer to who begins. `now` is in milliseconds since the Unix epoch.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Begun {
    id: String,
    /// Seconds.
    ttl: u64,
    now: u64,
    /// From where the request came, if that is known.
    from: Option<SocketAddr>,
    /// For our own page alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    ice_servers: Option<Vec<IceServer>>,
}

/// The answer to who reads.
#[derive(Debug, Serialize)]
struct Seen {
    sightings: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    transport: &'static str,
    from: SocketAddr,
    method: &'static str,
    /// `answered`, `challenged`, `withheld` or `refused`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    count: u32,
}

impl From<(Sighting, u32)> for Line {
    fn from((Sighting { transport, client, method, outcome }, count): (Sighting, u32)) -> Self {
        let line = Self { transport, from: client, method, outcome: "", code: None, reason: None, rule: None, count };
        match outcome {
            Outcome::Answered => Self { outcome: "answered", ..line },
            Outcome::Challenged => Self { outcome: "challenged", ..line },
            Outcome::Withheld => Self { outcome: "withheld", ..line },
            Outcome::Refused { code, reason, rule } => {
                Self { outcome: "refused", code: Some(code), reason: Some(reason), rule, ..line }
            }
        }
    }
}

/// Begins one.
pub(super) async fn begin(inner: Arc<Inner>, call: Call) -> Response {
    begun(&inner, &call).unwrap_or_else(HttpError::into_response)
}

/// The id in a path. Other paths of that form are PeerJS clients'.
pub(super) struct ProbeName(ProbeId);

impl FromStr for ProbeName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        ProbeId::parse(text).map(Self).ok_or(())
    }
}

/// Tells what was seen of one.
pub(super) async fn read(ProbeName(id): ProbeName, inner: Arc<Inner>, asker: Asker) -> Response {
    seen(&inner, &asker, id).unwrap_or_else(HttpError::into_response)
}

/// # Errors
/// 405, 403 for a page of another site, 429, and 503 when every place is taken.
fn begun(inner: &Inner, call: &Call) -> Result<Response, HttpError> {
    if call.method != Method::POST {
        let text = "this path does not take that method: begin with POST, then read at the path with the id";
        return Err(HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "bad-method", text)
            .with(ALLOW, HeaderValue::from_static("POST")));
    }
    let asker = &call.asker;
    if asker.site == Site::Other {
        let text = "a page of another site cannot test the way: open the page `/check` of this server";
        return Err(HttpError::new(StatusCode::FORBIDDEN, "bad-origin", text));
    }
    check_rate(inner, asker)?;
    let (id, source) = (ProbeId(rand::random()), SourcePrefix::from(asker.peer.remote.ip()));
    let sightings = &inner.options.sightings;
    let taken = sightings.begin(id, source, Instant::now());
    metrics::gauge!("lanturn_probes").set(sightings.len() as f64);
    taken.map_err(full)?;
    let issuer = inner.live.current();
    let ice_servers = (asker.site == Site::Own).then(|| issue_for_probe(&issuer, asker, id, &inner.options.listening));
    Ok(json_reply(
        StatusCode::CREATED,
        &Begun {
            id: id.to_string(),
            ttl: PROBE_LIFE.as_secs(),
            now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64,
            from: Some(asker.peer.remote).filter(|_| !asker.peer.is_hidden),
            ice_servers,
        },
    ))
}

fn full(full: Full) -> HttpError {
    let reason = match full {
        Full::All => "all",
        Full::Prefix => "prefix",
    };
    metrics::counter!("lanturn_probes_refused_total", "reason" => reason).increment(1);
    let text = format!("too many test their way just now: try again in {} s", PROBE_LIFE.as_secs());
    HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text).with(RETRY_AFTER, PROBE_LIFE.as_secs())
}

/// # Errors
/// 404 when it is over, was never begun, or by somebody else.
fn seen(inner: &Inner, asker: &Asker, id: ProbeId) -> Result<Response, HttpError> {
    let source = SourcePrefix::from(asker.peer.remote.ip());
    let found = inner.options.sightings.of(id, source, Instant::now());
    let sightings = found.ok_or_else(|| {
        let text = "no such probe was begun from this address, or it is over: begin one with a POST to `/probe`";
        HttpError::new(StatusCode::NOT_FOUND, "no-such-probe", text)
    })?;
    Ok(json_reply(StatusCode::OK, &Seen { sightings: sightings.into_iter().map(Line::from).collect() }))
}
