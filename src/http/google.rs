//! `/v1alpha/iceconfig?key=…`: what AppRTC's mobile apps and TestRTC ask for.

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Asker;
use super::errors::HttpError;
use super::issue::{admit, issue};
use super::turn_rest::parse;
use super::web::Inner;
use crate::credentials::IceServer;

#[derive(Debug, Deserialize)]
struct Query {
    key: Option<String>,
}

/// The answer. `lifetime_duration` is written `3600s`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IceConfig {
    lifetime_duration: String,
    ice_servers: Vec<IceServer>,
}

impl IceConfig {
    /// `ttl` is in seconds.
    pub(super) fn new(ice_servers: Vec<IceServer>, ttl: u64) -> Self {
        Self { lifetime_duration: format!("{ttl}s"), ice_servers }
    }
}

/// # Errors
/// 400 for the query, then 429, 401 or 403.
pub(super) fn reply(inner: &Inner, asker: &Asker, query: &str) -> Result<IceConfig, HttpError> {
    let query: Query = parse(query)?;
    let issuer = admit(inner, asker, query.key.as_deref(), "in the query, as `key=…`")?;
    let issued = issue(&issuer, asker, None, None)?;
    Ok(IceConfig::new(issued.ice_servers(), issued.credential.ttl))
}

pub(super) fn error(error: &HttpError) -> Value {
    let status = match error.status() {
        StatusCode::BAD_REQUEST => "INVALID_ARGUMENT",
        StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
        StatusCode::FORBIDDEN => "PERMISSION_DENIED",
        StatusCode::METHOD_NOT_ALLOWED => "UNIMPLEMENTED",
        StatusCode::TOO_MANY_REQUESTS => "RESOURCE_EXHAUSTED",
        _ => "FAILED_PRECONDITION",
    };
    json!({ "error": { "code": error.status().as_u16(), "message": error.text(), "status": status } })
}
