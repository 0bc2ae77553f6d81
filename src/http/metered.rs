//! `GET /api/v1/turn/credentials?apiKey=…`: what users of Metered's TURN service ask for.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Asker;
use super::errors::HttpError;
use super::issue::{admit, issue};
use super::turn_rest::parse;
use super::web::Inner;
use crate::credentials::IceServer;

#[derive(Debug, Deserialize)]
struct Query {
    #[serde(rename = "apiKey")]
    key: Option<String>,
}

/// # Errors
/// 400 for the query, then 429, 401 or 403.
pub(super) fn reply(inner: &Inner, asker: &Asker, query: &str) -> Result<Vec<IceServer>, HttpError> {
    let query: Query = parse(query)?;
    let issuer = admit(inner, asker, query.key.as_deref(), "in the query, as `apiKey=…`")?;
    Ok(issue(&issuer, asker, None, None)?.ice_servers())
}

/// Programs compare the text for a key that does not open.
pub(super) fn error(error: &HttpError) -> Value {
    let text = if error.status() == StatusCode::UNAUTHORIZED { "Invalid API Key" } else { error.text() };
    json!({ "error": text })
}
