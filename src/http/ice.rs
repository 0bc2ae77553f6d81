//! `GET /ice`: what `new RTCPeerConnection(await response.json())` takes.

use hyper::StatusCode;
use serde::Serialize;

use super::answer::Asker;
use super::errors::HttpError;
use super::gate::check_rate;
use super::issue::{Issued, issue_for_page, parse_ttl};
use super::origin::Site;
use super::turn_rest::{self, TurnQuery};
use super::web::Inner;
use crate::credentials::IceServer;

/// The answer. `expires_at` is in seconds since the Unix epoch.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IceReply {
    ice_servers: Vec<IceServer>,
    ttl: u64,
    expires_at: u64,
}

/// For the holder of a key, or for one of our own pages: that one's credential relays only to others of its kind.
///
/// # Errors
/// As `/turn`; 401 for a page of another site without a key.
pub(super) fn reply(inner: &Inner, asker: &Asker, query: &TurnQuery) -> Result<IceReply, HttpError> {
    let issued = ask(inner, asker, query)?;
    let (ttl, expires_at) = (issued.credential.ttl, issued.credential.expires_at);
    Ok(IceReply { ice_servers: issued.ice_servers(), ttl, expires_at })
}

fn ask(inner: &Inner, asker: &Asker, query: &TurnQuery) -> Result<Issued, HttpError> {
    if query.key().is_some() {
        return turn_rest::ask(inner, asker, query);
    }
    check_rate(inner, asker)?;
    if asker.site != Site::Own {
        let text = "only this server's own pages get credentials without an API key: add `key=…`";
        return Err(HttpError::new(StatusCode::UNAUTHORIZED, "missing-key", text));
    }
    Ok(issue_for_page(&inner.live.current(), asker, parse_ttl(query.ttl.as_deref())?))
}
