//! Who may have credentials, and how often.

use hyper::StatusCode;
use hyper::header::RETRY_AFTER;

use super::answer::Asker;
use super::errors::HttpError;
use super::live::Issuer;
use super::web::Inner;
use crate::limit::SourcePrefix;

/// The shortest that a credential lasts on request, in seconds.
const MIN_TTL: u64 = 60;

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

/// # Errors
/// 401 without a key, 403 with a wrong one.
pub(super) fn check_key(issuer: &Issuer, key: Option<&str>) -> Result<(), HttpError> {
    match key {
        Some(key) if (issuer.accepts_key)(key) => Ok(()),
        Some(_) => {
            let text = "this API key is not one of this server's: look in the keys file";
            Err(HttpError::new(StatusCode::FORBIDDEN, "wrong-key", text))
        }
        None => Err(HttpError::new(StatusCode::UNAUTHORIZED, "missing-key", "an API key is needed: add `key=…`")),
    }
}

/// The lifetime asked for, within what may be had.
///
/// # Errors
/// 400 when it is not a whole number.
pub(super) fn check_ttl(issuer: &Issuer, asked: Option<&str>) -> Result<u64, HttpError> {
    let Some(asked) = asked else {
        return Ok(issuer.ttl);
    };
    let asked: u64 = asked.parse().map_err(|_| {
        HttpError::new(StatusCode::BAD_REQUEST, "bad-ttl", "`ttl` is a whole number of seconds, such as 3600")
    })?;
    Ok(asked.clamp(MIN_TTL.min(issuer.ttl), issuer.ttl))
}
