//! Errors as clients get them: a status and `{"error":{"id","text"}}`, or what the form that they asked in has for it.

use hyper::StatusCode;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue,
    WWW_AUTHENTICATE,
};
use serde_json::{Value, json};
use warp::reply::Response;

/// One error on its way to a client.
#[derive(Debug)]
pub(super) struct HttpError {
    status: StatusCode,
    id: &'static str,
    text: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    print: fn(&Self) -> Value,
}

impl HttpError {
    /// `id` is stable, for programs; `text` says what is wrong and what would be right.
    pub(super) fn new(status: StatusCode, id: &'static str, text: impl Into<String>) -> Self {
        Self { status, id, text: text.into(), headers: Vec::new(), print: Self::own }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn id(&self) -> &'static str {
        self.id
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With another body than our own.
    pub(super) fn said(mut self, print: fn(&Self) -> Value) -> Self {
        self.print = print;
        self
    }

    /// A wrong key is answered as a missing one, and either with the way to authenticate if HTTP has a name for it
    /// (RFC 9110 section 11.6.1).
    pub(super) fn unauthorized(mut self, challenge: Option<&'static str>) -> Self {
        if !matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return self;
        }
        self.status = StatusCode::UNAUTHORIZED;
        match challenge {
            Some(challenge) => self.with(WWW_AUTHENTICATE, HeaderValue::from_static(challenge)),
            None => self,
        }
    }

    pub(super) fn into_response(self) -> Response {
        metrics::counter!("lanturn_http_refused_total", "reason" => self.id).increment(1);
        let body = (self.print)(&self).to_string();
        let mut response = Response::new(body.into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // It holds no secret, and whoever writes a page for another site has to see what is wrong.
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
        headers.extend(self.headers);
        response
    }

    fn own(&self) -> Value {
        json!({ "error": { "id": self.id, "text": self.text } })
    }
}
