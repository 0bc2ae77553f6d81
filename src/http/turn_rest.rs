//! `GET /turn`: TURN credentials for whoever holds an API key, in the form of draft-uberti-behave-turn-rest-00 and
//! with the fields that AppRTC and codelab pages read.

use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use super::answer::Asker;
use super::errors::HttpError;
use super::gate::{check_key, check_rate, check_ttl};
use super::web::Inner;
use crate::credentials::{Credential, IceServer, Reach, ice_servers};

/// The query of a request.
#[derive(Debug, Deserialize)]
pub(super) struct TurnQuery {
    pub(super) username: Option<String>,
    pub(super) key: Option<String>,
    pub(super) ttl: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TurnReply {
    username: String,
    password: String,
    ttl: u64,
    uris: Vec<String>,
    turn: String,
    ice_servers: Vec<IceServer>,
}

/// # Errors
/// 429, 401, 403 or 400, in this order.
pub(super) fn reply(inner: &Inner, asker: &Asker, query: &TurnQuery) -> Result<TurnReply, HttpError> {
    let (reach, credential) = mint(inner, asker, query)?;
    Ok(TurnReply {
        uris: reach.turn_uris(),
        turn: reach.authority(),
        ice_servers: ice_servers(reach, &credential),
        username: credential.username,
        password: credential.password,
        ttl: credential.ttl,
    })
}

/// A credential for the holder of a key, under the id asked for or else a random one.
pub(super) fn mint(inner: &Inner, asker: &Asker, query: &TurnQuery) -> Result<(Reach, Credential), HttpError> {
    check_rate(inner, asker)?;
    let issuer = inner.live.current();
    check_key(&issuer, query.key.as_deref())?;
    let ttl = check_ttl(&issuer, query.ttl.as_deref())?;
    let id = query.username.clone().unwrap_or_else(|| format!("{:016x}", rand::random::<u64>()));
    let credential = (issuer.mint_for_key)(&id, ttl)
        .map_err(|error| HttpError::new(StatusCode::BAD_REQUEST, "bad-username", error.to_string()))?;
    Ok((asker.reach(&issuer), credential))
}
