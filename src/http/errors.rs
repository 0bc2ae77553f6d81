//! Errors as clients get them: a status and `{"error":{"id","text"}}`.

use hyper::StatusCode;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue,
};
use serde_json::json;
use warp::reply::Response;

/// One error on its way to a client.
#[derive(Debug)]
pub(super) struct HttpError {
    status: StatusCode,
    id: &'static str,
    text: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl HttpError {
    /// `id` is stable, for programs; `text` says what is wrong and what would be right.
    pub(super) fn new(status: StatusCode, id: &'static str, text: impl Into<String>) -> Self {
        Self { status, id, text: text.into(), headers: Vec::new() }
    }

    pub(super) fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn into_response(self) -> Response {
        metrics::counter!("lanturn_http_refused_total", "reason" => self.id).increment(1);
        let body = json!({ "error": { "id": self.id, "text": self.text } }).to_string();
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
}
