//! Paths and methods, as warp filters.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::reject::{InvalidQuery, MethodNotAllowed};
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::answer::Asker;
use super::apprtc;
use super::assets;
use super::authority::{self, Authority};
use super::body::{Body, MAX_BODY_BYTES};
use super::errors::HttpError;
use super::forms::{Call, Form};
use super::issue::admit;
use super::peerjs::Question;
use super::probe::{self, ProbeName};
use super::qr;
use super::web::Inner;

#[derive(Debug, Deserialize)]
struct KeyQuery {
    key: Option<String>,
}

/// Everything but WebSockets. Each request carries its [`Asker`] as an extension.
pub(super) fn routes(inner: &Arc<Inner>) -> BoxedFilter<(Response,)> {
    let room = warp::path!("r" / String).map(drop).untuple_one();
    let pages = warp::path::end().or(room).unify();
    let index = pages.and(read()).and(warp::header::headers_cloned()).map(|headers| page(assets::INDEX, &headers));
    let check = warp::path!("check").and(read()).and(warp::header::headers_cloned());
    let check = check.map(|headers| page(assets::CHECK, &headers));
    let health = warp::path!("health").and(read()).map(|| text("ok\n".into()));
    let metrics = warp::path!("metrics")
        .and(read())
        .and(with(inner))
        .and(warp::ext::get::<Asker>())
        .and(warp::query::<KeyQuery>())
        .map(|inner: Arc<Inner>, asker: Asker, query: KeyQuery| metrics(&inner, &asker, &query));
    let assets = warp::path::full().and(warp::header::headers_cloned()).and_then(asset).and(read());
    credentials(inner)
        .or(calls(inner))
        .unify()
        .or(drawings(inner))
        .unify()
        .or(probes(inner))
        .unify()
        .or(index)
        .unify()
        .or(check)
        .unify()
        .or(peerjs())
        .unify()
        .or(health)
        .unify()
        .or(trust(inner))
        .unify()
        .or(challenge(inner))
        .unify()
        .or(metrics)
        .unify()
        .or(assets)
        .unify()
        .recover(explain)
        .unify()
        .boxed()
}

/// Whatever is of a [`Form`], which looks at the method itself.
fn credentials(inner: &Arc<Inner>) -> BoxedFilter<(Response,)> {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let form = warp::path::full().and(query).and_then(form);
    let call = call(MAX_BODY_BYTES);
    form.and(with(inner)).and(call).then(|form: Form, inner: Arc<Inner>, call: Call| form.answer(inner, call)).boxed()
}

/// Whatever is of AppRTC, which looks at the method itself.
fn calls(inner: &Arc<Inner>) -> BoxedFilter<(Response,)> {
    let request = warp::path::full().and_then(apprtc);
    let call = call(inner.hub.options().message_bytes);
    let answer = |request: apprtc::Request, inner: Arc<Inner>, call: Call| request.answer(inner, call);
    request.and(with(inner)).and(call).then(answer).boxed()
}

/// Links as QR codes. It looks at the method itself.
fn drawings(inner: &Arc<Inner>) -> BoxedFilter<(Response,)> {
    warp::path!("qr").and(with(inner)).and(call(qr::MAX_LINK_BYTES)).then(qr::answer).boxed()
}

/// What the relay saw of somebody. What begins it looks at the method itself.
fn probes(inner: &Arc<Inner>) -> BoxedFilter<(Response,)> {
    let begin = warp::path!("probe").and(with(inner)).and(call(MAX_BODY_BYTES)).then(probe::begin);
    let asker = warp::ext::get::<Asker>();
    let read = warp::path!("probe" / ProbeName).and(read()).and(with(inner)).and(asker).then(probe::read);
    begin.or(read).unify().boxed()
}

/// The request in full. Its body was limited to `limit` bytes.
fn call(limit: usize) -> BoxedFilter<(Call,)> {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let body = warp::body::stream().map(move |chunks| Body::new(chunks, limit));
    let call = warp::ext::get::<Asker>().and(warp::method()).and(query).and(warp::header::headers_cloned()).and(body);
    call.map(|asker, method, query, headers, body| Call { asker, method, query, headers, body }).boxed()
}

async fn apprtc(path: FullPath) -> Result<apprtc::Request, Rejection> {
    apprtc::Request::of(path.as_str()).ok_or_else(warp::reject)
}

async fn form(path: FullPath, query: String) -> Result<Form, Rejection> {
    Form::of(path.as_str(), &query).ok_or_else(warp::reject)
}

/// Whatever is a [`Question`] of a PeerJS client.
fn peerjs() -> BoxedFilter<(Response,)> {
    let question = warp::path::full().and_then(question).and(read()).and(warp::ext::get::<Asker>());
    let answer = |question: Question, asker: Asker| question.answer(&asker).unwrap_or_else(HttpError::into_response);
    question.map(answer).boxed()
}

async fn question(path: FullPath) -> Result<Question, Rejection> {
    Question::of(path.as_str()).ok_or_else(warp::reject)
}

fn read() -> BoxedFilter<()> {
    warp::get().or(warp::head()).unify().boxed()
}

fn with(inner: &Arc<Inner>) -> impl Filter<Extract = (Arc<Inner>,), Error = Infallible> + Clone + use<> {
    let inner = inner.clone();
    warp::any().map(move || inner.clone())
}

fn page(name: &str, headers: &HeaderMap) -> Response {
    assets::reply(name, headers).unwrap_or_else(|| not_found().into_response())
}

async fn asset(path: FullPath, headers: HeaderMap) -> Result<Response, Rejection> {
    assets::reply(path.as_str().trim_start_matches('/'), &headers).ok_or_else(warp::reject)
}

/// The page about trust, and what it hands out.
fn trust(inner: &Arc<Inner>) -> BoxedFilter<(Response,)> {
    let headers = warp::header::headers_cloned();
    let page = warp::path!("trust").and(read()).and(headers).map(|headers| page(assets::TRUST, &headers));
    let facts = warp::path!("trust.json").and(read()).and(with(inner)).and(warp::ext::get::<Asker>());
    let facts =
        facts.map(|inner: Arc<Inner>, asker: Asker| authority::facts(inner.live.current().authority_for(&asker.host)));
    let certificate = warp::path!("ca.crt").and(read()).and(with(inner));
    let certificate = certificate.map(|inner: Arc<Inner>| handed_out(&inner, Authority::certificate));
    let profile = warp::path!("lanturn.mobileconfig").and(read()).and(with(inner));
    let profile = profile.map(|inner: Arc<Inner>| handed_out(&inner, Authority::profile));
    page.or(facts).unify().or(certificate).unify().or(profile).unify().boxed()
}

/// What an authority finds while it validates one of our names (RFC 8555 section 8.3).
fn challenge(inner: &Arc<Inner>) -> BoxedFilter<(Response,)> {
    let token = warp::path!(".well-known" / "acme-challenge" / String).and(read()).and(with(inner));
    let answer = |token: String, inner: Arc<Inner>| {
        let found = (inner.live.current().public.key_authorization)(&token);
        found.map_or_else(|| not_found().into_response(), octets)
    };
    token.map(answer).boxed()
}

fn octets(body: String) -> Response {
    let mut response = text(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}

fn handed_out(inner: &Inner, form: impl FnOnce(&Authority) -> Response) -> Response {
    inner.live.current().authority.as_ref().map_or_else(|| not_found().into_response(), form)
}

fn metrics(inner: &Inner, asker: &Asker, query: &KeyQuery) -> Response {
    let is_local = asker.peer.remote.ip().to_canonical().is_loopback() && asker.host.is_local();
    let allowed = if is_local && !asker.peer.is_proxied {
        Ok(())
    } else {
        admit(inner, asker, query.key.as_deref(), "in the query, as `key=…`").map(drop)
    };
    match allowed {
        Ok(()) => {
            inner.hub.measure();
            text((inner.options.render_metrics)())
        }
        Err(error) => error.into_response(),
    }
}

pub(super) fn text(body: String) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
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
