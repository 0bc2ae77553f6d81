//! `POST /2010-04-01/Accounts/{sid}/Tokens.json`: what Twilio's libraries ask for and read. They take every URL as one
//! string, so each has an entry of its own.

use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::answer::Asker;
use super::body::Body;
use super::errors::HttpError;
use super::gate::basic_password;
use super::issue::{admit, issue, parse_ttl};
use super::web::Inner;
use crate::credentials::Credential;

#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(rename = "Ttl")]
    ttl: Option<String>,
}

/// The answer. `ttl` is in seconds, and the dates are those of RFC 2822 section 3.3.
#[derive(Debug, Serialize)]
pub(super) struct Token {
    username: String,
    password: String,
    ttl: String,
    account_sid: String,
    ice_servers: Vec<Server>,
    date_created: String,
    date_updated: String,
}

#[derive(Debug, Serialize)]
struct Server {
    url: String,
    urls: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

/// The account may have any name: the password alone is looked at.
///
/// # Errors
/// 429, 401, 403, or what is wrong with the body.
pub(super) async fn reply(
    inner: &Inner,
    asker: &Asker,
    account: String,
    headers: &HeaderMap,
    body: Body,
) -> Result<Token, HttpError> {
    let password = basic_password(headers);
    let issuer = admit(inner, asker, password.as_deref(), "as the password of Basic authentication")?;
    let text = "the body cannot be read: a form with nothing in it, or `Ttl=3600`";
    let asked: Asked = serde_urlencoded::from_bytes(&body.read().await?)
        .map_err(|_| HttpError::new(StatusCode::BAD_REQUEST, "bad-body", text))?;
    let issued = issue(&issuer, asker, None, parse_ttl(asked.ttl.as_deref())?)?;
    let servers = issued.ice_servers().into_iter().flat_map(|server| {
        let (username, credential) = (server.username, server.credential);
        let one = move |url: String| Server {
            urls: url.clone(),
            url,
            username: username.clone(),
            credential: credential.clone(),
        };
        server.urls.into_iter().map(one)
    });
    let date = minted_at(&issued.credential);
    Ok(Token {
        ice_servers: servers.collect(),
        username: issued.credential.username,
        password: issued.credential.password,
        ttl: issued.credential.ttl.to_string(),
        account_sid: account,
        date_created: date.clone(),
        date_updated: date,
    })
}

/// `code` is one of those that the libraries tell apart; there is no page to read more on.
pub(super) fn error(error: &HttpError) -> Value {
    let code = match error.status() {
        StatusCode::UNAUTHORIZED => 20003,
        StatusCode::METHOD_NOT_ALLOWED => 20004,
        StatusCode::TOO_MANY_REQUESTS => 20429,
        _ => 20001,
    };
    json!({ "code": code, "message": error.text(), "more_info": "", "status": error.status().as_u16() })
}

fn minted_at(credential: &Credential) -> String {
    let seconds = credential.expires_at.saturating_sub(credential.ttl);
    let date = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    date.and_then(|date| date.format(&Rfc2822).ok()).unwrap_or_default()
}
