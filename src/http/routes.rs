//! Paths and methods, as warp filters.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use serde::{Deserialize, Serialize};
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::reject::{InvalidQuery, MethodNotAllowed};
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::answer::Asker;
use super::errors::HttpError;
use super::gate::{check_key, check_rate};
use super::turn_rest::TurnQuery;
use super::web::Inner;
use super::{assets, ice, turn_rest};

/// Lets a page of a public site ask a server on the local network (Private Network Access).
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

#[derive(Debug, Deserialize)]
struct KeyQuery {
    key: Option<String>,
}

/// Everything but `/ws`. Each request carries its [`Asker`] as an extension.
pub(super) fn routes(inner: &Arc<Inner>) -> BoxedFilter<(Response,)> {
    let room = warp::path!("r" / String).map(drop).untuple_one();
    let pages = warp::path::end().or(room).unify();
    let index = pages.and(read()).and(warp::header::headers_cloned()).map(index);
    let health = warp::path!("health").and(read()).map(|| text("ok\n".into()));
    let certificate = warp::path!("ca.crt").and(read()).and(with(inner)).map(|inner: Arc<Inner>| certificate(&inner));
    let metrics = warp::path!("metrics")
        .and(read())
        .and(with(inner))
        .and(warp::ext::get::<Asker>())
        .and(warp::query::<KeyQuery>())
        .map(|inner: Arc<Inner>, asker: Asker, query: KeyQuery| metrics(&inner, &asker, &query));
    let assets = warp::path::full().and(warp::header::headers_cloned()).and_then(asset).and(read());
    index
        .or(health)
        .unify()
        .or(certificate)
        .unify()
        .or(metrics)
        .unify()
        .or(credentials(inner))
        .unify()
        .or(assets)
        .unify()
        .recover(explain)
        .unify()
        .boxed()
}

fn credentials(inner: &Arc<Inner>) -> BoxedFilter<(Response,)> {
    let turn = warp::path!("turn")
        .and(read())
        .and(with(inner))
        .and(warp::ext::get::<Asker>())
        .and(warp::query::<TurnQuery>())
        .map(|inner: Arc<Inner>, asker: Asker, query: TurnQuery| {
            answer(turn_rest::reply(&inner, &asker, &query), true)
        });
    let ice = warp::path!("ice")
        .and(read())
        .and(with(inner))
        .and(warp::ext::get::<Asker>())
        .and(warp::query::<TurnQuery>())
        .map(|inner: Arc<Inner>, asker: Asker, query: TurnQuery| {
            answer(ice::reply(&inner, &asker, &query), query.key.is_some())
        });
    let paths = warp::path!("turn").or(warp::path!("ice")).unify();
    let preflight = paths.and(warp::options()).map(preflight);
    preflight.or(turn).unify().or(ice).unify().boxed()
}

fn read() -> BoxedFilter<()> {
    warp::get().or(warp::head()).unify().boxed()
}

fn with(inner: &Arc<Inner>) -> impl Filter<Extract = (Arc<Inner>,), Error = Infallible> + Clone + use<> {
    let inner = inner.clone();
    warp::any().map(move || inner.clone())
}

fn index(headers: HeaderMap) -> Response {
    assets::reply(assets::INDEX, &headers).unwrap_or_else(|| not_found().into_response())
}

async fn asset(path: FullPath, headers: HeaderMap) -> Result<Response, Rejection> {
    assets::reply(path.as_str().trim_start_matches('/'), &headers).ok_or_else(warp::reject)
}

/// In DER, which phones take as well as computers. Not as an attachment: a phone would file it instead of installing it.
fn certificate(inner: &Inner) -> Response {
    let Some(certificate) = inner.options.ca_certificate.clone() else { return not_found().into_response() };
    let mut response = Response::new(certificate.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-x509-ca-cert"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn metrics(inner: &Inner, asker: &Asker, query: &KeyQuery) -> Response {
    let allowed = if asker.peer.remote.ip().to_canonical().is_loopback() {
        Ok(())
    } else {
        check_rate(inner, asker).and_then(|()| check_key(&inner.live.current(), query.key.as_deref()))
    };
    match allowed {
        Ok(()) => text((inner.options.render_metrics)()),
        Err(error) => error.into_response(),
    }
}

fn text(body: String) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whoever has a key may ask from a page of any site.
fn answer<T: Serialize>(reply: Result<T, HttpError>, is_keyed: bool) -> Response {
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => return error.into_response(),
    };
    let mut response = text(serde_json::to_string(&reply).unwrap_or_default());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if is_keyed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    response
}

fn preflight() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    response
}

fn not_found() -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND, "not-found", "nothing is at this path: the page is at `/`")
}

async fn explain(rejection: Rejection) -> Result<Response, Infallible> {
    // A query is read only after the method was found right, if perhaps by another filter of the same path.
    let error = if rejection.find::<InvalidQuery>().is_some() {
        let text = "the query cannot be read: write each parameter once, as `name=value`, percent-encoded";
        HttpError::new(StatusCode::BAD_REQUEST, "bad-query", text)
    } else if rejection.find::<MethodNotAllowed>().is_some() {
        let text = "this path does not take that method: use GET";
        HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "bad-method", text)
            .with(ALLOW, HeaderValue::from_static("GET, HEAD"))
    } else {
        not_found()
    };
    Ok(error.into_response())
}
