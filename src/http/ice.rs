//! `GET /ice`: what `new RTCPeerConnection(await response.json())` takes.

use hyper::StatusCode;
use serde::Serialize;

use super::answer::Asker;
use super::errors::HttpError;
use super::gate::{check_rate, check_ttl};
use super::origin::Site;
use super::turn_rest::{self, TurnQuery};
use super::web::Inner;
use crate::credentials::{Credential, IceServer, Reach, ice_servers};

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
    let (reach, credential) = mint(inner, asker, query)?;
    let ice_servers = ice_servers(reach, &credential);
    Ok(IceReply { ice_servers, ttl: credential.ttl, expires_at: credential.expires_at })
}

fn mint(inner: &Inner, asker: &Asker, query: &TurnQuery) -> Result<(Reach, Credential), HttpError> {
    if query.key.is_some() {
        return turn_rest::mint(inner, asker, query);
    }
    check_rate(inner, asker)?;
    if asker.site != Site::Own {
        let text = "only this server's own pages get credentials without an API key: add `key=…`";
        return Err(HttpError::new(StatusCode::UNAUTHORIZED, "missing-key", text));
    }
    let issuer = inner.live.current();
    let ttl = check_ttl(&issuer, query.ttl.as_deref())?;
    Ok((asker.reach(&issuer), (issuer.mint_for_page)(ttl)))
}
