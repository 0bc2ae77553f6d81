//! `POST /v1/turn/keys/{id}/credentials/generate-ice-servers`: what users of Cloudflare's TURN service ask for.

use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Asker;
use super::body::Body;
use super::errors::HttpError;
use super::gate::bearer;
use super::issue::{admit, issue};
use super::web::Inner;
use crate::credentials::IceServer;

#[derive(Debug, Default, Deserialize)]
struct Asked {
    ttl: Option<u64>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Generated {
    ice_servers: Vec<IceServer>,
}

/// # Errors
/// 429, 401, 403, or what is wrong with the body.
pub(super) async fn reply(
    inner: &Inner,
    asker: &Asker,
    headers: &HeaderMap,
    body: Body,
) -> Result<Generated, HttpError> {
    let issuer = admit(inner, asker, bearer(headers), "as `Authorization: Bearer …`")?;
    let body = body.read().await?;
    let text = "the body cannot be read: nothing, or JSON such as `{\"ttl\":3600}`, in whole seconds";
    let asked: Asked = if body.is_empty() {
        Asked::default()
    } else {
        serde_json::from_slice(&body).map_err(|_| HttpError::new(StatusCode::BAD_REQUEST, "bad-body", text))?
    };
    Ok(Generated { ice_servers: issue(&issuer, asker, None, asked.ttl)?.ice_servers() })
}

pub(super) fn error(error: &HttpError) -> Value {
    json!({ "errorCode": error.id(), "errorDescription": error.text() })
}
