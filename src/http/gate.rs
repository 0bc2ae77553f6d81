//! Who may have credentials, and how often.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, RETRY_AFTER};

use super::answer::Asker;
use super::errors::HttpError;
use super::live::Issuer;
use super::web::Inner;
use crate::limit::SourcePrefix;

/// Counts one attempt, right or wrong.
///
/// # Errors
/// 429 with `Retry-After` in whole seconds.
pub(super) fn check_rate(inner: &Inner, asker: &Asker) -> Result<(), HttpError> {
    let source = SourcePrefix::from(asker.peer.remote.ip());
    let Err(wait) = inner.rate().take(source, inner.started.elapsed()) else {
        return Ok(());
    };
    let seconds = wait.as_millis().div_ceil(1000).max(1) as u64;
    let text = format!("too many requests for credentials from this address: try again in {seconds} s");
    Err(HttpError::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", text).with(RETRY_AFTER, seconds))
}

/// `place` says where a key would have been seen.
///
/// # Errors
/// 401 without a key, 403 with a wrong one.
pub(super) fn check_key(issuer: &Issuer, key: Option<&str>, place: &str) -> Result<(), HttpError> {
    match key {
        Some(key) if (issuer.accepts_key)(key) => Ok(()),
        Some(_) => {
            let text = "this API key is not one of this server's: look in the keys file";
            Err(HttpError::new(StatusCode::FORBIDDEN, "wrong-key", text))
        }
        None => {
            let text = format!("an API key is needed: add it {place}");
            Err(HttpError::new(StatusCode::UNAUTHORIZED, "missing-key", text))
        }
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    authorization(headers, "bearer")
}

/// The password of `Authorization: Basic` (RFC 7617 section 2).
pub(super) fn basic_password(headers: &HeaderMap) -> Option<String> {
    let decoded = STANDARD.decode(authorization(headers, "basic")?).ok()?;
    let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(password.to_owned())
}

fn authorization<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (named, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    named.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}
