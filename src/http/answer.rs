//! One request: is it for us, may it come this way, and who answers it.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Limited;
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_LENGTH;
use hyper::service::Service as _;
use hyper::{Method, Request, StatusCode};
use hyper_util::service::TowerToHyperService;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::apprtc;
use super::body::{MAX_BODY_BYTES, too_large};
use super::client::Client;
use super::errors::HttpError;
use super::forms::Form;
use super::greeting;
use super::headers;
use super::live::Issuer;
use super::origin::{Host, Site};
use super::plain;
use super::qr::MAX_LINK_BYTES;
use super::socketio;
use super::upgrade::{self, Dialect};
use super::web::{Inner, Peer, Running};
use crate::credentials::Reach;
use crate::signaling::ErrorId;

/// Who asks. Goes with the request as an extension.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) peer: Client,
    pub(super) site: Site,
    /// What it calls us.
    pub(super) host: Host,
}

impl Asker {
    /// The address at which this client reaches the box: the one it came in on, or behind a proxy the one it named.
    pub(super) fn reach(&self, issuer: &Issuer) -> Reach {
        let Client { local, remote, is_proxied, is_hidden, tls: _ } = self.peer;
        let reach = if is_proxied {
            Reach::past_proxy(local, remote, &issuer.external, self.host.literal())
        } else {
            Reach::of(local, remote, &issuer.external)
        };
        let reach = if is_hidden { reach.hidden() } else { reach };
        match self.host.name() {
            Some(name) => reach.by_name(&name),
            None => reach,
        }
    }
}

pub(super) async fn answer(
    inner: Arc<Inner>,
    routes: BoxedFilter<(Response,)>,
    peer: Peer,
    request: Request<Incoming>,
    running: Running,
) -> Result<Response, Infallible> {
    let client = Client::of(peer, request.headers(), &inner);
    let host = Host::of(&request, &inner.live.current().hosts);
    let is_head = request.method() == Method::HEAD;
    let answered = answer_for(&inner, routes, client, host.as_ref(), request, running).await;
    let mut response = answered.unwrap_or_else(HttpError::into_response);
    // What is said over a WebSocket is never shown.
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        headers::secure(response.headers_mut(), host.as_ref(), client.tls);
    }
    metrics::counter!("lanturn_http_responses_total", "status" => response.status().as_str().to_owned()).increment(1);
    Ok(if is_head { without_body(response) } else { response })
}

async fn answer_for(
    inner: &Arc<Inner>,
    routes: BoxedFilter<(Response,)>,
    client: Client,
    host: Option<&Host>,
    mut request: Request<Incoming>,
    running: Running,
) -> Result<Response, HttpError> {
    let Some(host) = host else {
        let id = ErrorId::BadHost;
        return Err(HttpError::new(StatusCode::MISDIRECTED_REQUEST, id.id(), id.text()));
    };
    let has_authority = inner.live.current().authority_for(host).is_some();
    if let Some(response) = plain::answer(client, host, &request, has_authority) {
        return Ok(response);
    }
    let site = Site::of(request.headers(), host, client.tls, &inner.options.origins);
    let asker = Asker { peer: client, site, host: host.clone() };
    if socketio::is_path(request.uri().path()) {
        return socketio::answer(inner, &asker, request, running).await;
    }
    let limit = body_limit(inner, request.uri().path());
    if request.body().size_hint().lower() > limit as u64 {
        let query = request.uri().query().unwrap_or_default();
        return match Form::of(request.uri().path(), query) {
            Some(form) => Ok(form.refuse(query, too_large(limit))),
            None => Err(too_large(limit)),
        };
    }
    if request.uri().path() == "/trust/socket" && upgrade::is_upgrade(&request) {
        return greeting::answer(&mut request, running);
    }
    if let Some(dialect) = Dialect::of(&request) {
        return upgrade::answer(dialect, inner, &asker, &mut request, running);
    }
    request.extensions_mut().insert(asker);
    let request = request.map(|body| Limited::new(body, limit));
    match TowerToHyperService::new(warp::service(routes)).call(request).await {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

/// The longest body that the path takes, in bytes.
fn body_limit(inner: &Inner, path: &str) -> usize {
    if path == "/qr" {
        return MAX_LINK_BYTES;
    }
    let is_message = apprtc::Request::of(path).is_some_and(|request| request.is_message());
    if is_message { inner.hub.options().message_bytes } else { MAX_BODY_BYTES }
}

/// RFC 9110 section 9.3.2: what GET would have said, without saying it.
fn without_body(response: Response) -> Response {
    let length = response.body().size_hint().exact();
    let mut response = response.map(|_| Bytes::new().into());
    if let Some(length) = length {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    response
}
