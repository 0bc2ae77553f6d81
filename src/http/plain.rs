//! What comes without TLS: most of it is led to where there is some.

use hyper::header::{HeaderValue, LOCATION};
use hyper::{Method, Request, StatusCode};
use warp::reply::Response;

use super::assets;
use super::client::Client;
use super::forms::Form;
use super::origin::Host;

/// Below this path an authority asks without TLS (RFC 8555 section 8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// What is answered at once. None: the request is served as any other.
///
/// Without TLS only this machine is served, for cameras work on `localhost`; and what a client needs before it can
/// trust our certificate. A browser that wants a page is told how to, if it has to: `has_authority`.
pub(super) fn answer<B>(client: Client, host: &Host, request: &Request<B>, has_authority: bool) -> Option<Response> {
    let is_local = client.local.ip().to_canonical().is_loopback() && host.is_local() && !client.is_proxied;
    if client.tls || is_local || is_open(request.uri().path()) {
        return None;
    }
    // Who comes by a proxy sees the proxy's certificate, which is none of our authority's.
    if has_authority && !client.is_proxied && is_page(request) {
        return assets::reply(assets::TRUST, request.headers());
    }
    to_https(host, request)
}

/// What the page about trust is made of, what it leads to, and what an authority asks for.
fn is_open(path: &str) -> bool {
    let files =
        ["/trust", "/trust.json", "/ca.crt", "/lanturn.mobileconfig", "/health", "/qr", "/favicon.svg", "/style.css"];
    files.contains(&path) || path.starts_with("/page/") || path.starts_with(CHALLENGES)
}

fn is_page<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    let is_room = path.strip_prefix("/r/").is_some_and(|room| !room.is_empty() && !room.contains('/'));
    matches!(*request.method(), Method::GET | Method::HEAD)
        && (path == "/" || is_room)
        && Form::of(path, request.uri().query().unwrap_or_default()).is_none()
}

fn to_https<B>(host: &Host, request: &Request<B>) -> Option<Response> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut response = Response::default();
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let location = HeaderValue::try_from(format!("https://{host}{path}")).ok()?;
    response.headers_mut().insert(LOCATION, location);
    Some(response)
}
