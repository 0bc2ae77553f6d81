//! The form of draft-uberti-behave-turn-rest-00, and with the further fields that AppRTC and codelab pages read.

use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use super::answer::Asker;
use super::errors::HttpError;
use super::issue::{Issued, admit, issue, parse_ttl};
use super::web::Inner;
use crate::credentials::IceServer;

/// The query of a request.
#[derive(Debug, Deserialize)]
pub(super) struct TurnQuery {
    pub(super) username: Option<String>,
    key: Option<String>,
    /// What the draft calls `key`, in its older form. Some clients send both.
    api: Option<String>,
    pub(super) ttl: Option<String>,
}

impl TurnQuery {
    /// # Errors
    /// 400 when a parameter is there twice, or not UTF-8.
    pub(super) fn parse(query: &str) -> Result<Self, HttpError> {
        parse(query)
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_deref().or(self.api.as_deref())
    }
}

/// The answer of the draft (section 2.2).
#[derive(Debug, Serialize)]
pub(super) struct RestReply {
    username: String,
    password: String,
    ttl: u64,
    uris: Vec<String>,
}

/// The answer to `requestTurn`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TurnReply {
    #[serde(flatten)]
    rest: RestReply,
    turn: String,
    ice_servers: Vec<IceServer>,
}

/// # Errors
/// 429, 401, 403 or 400, in this order.
pub(super) fn rest(inner: &Inner, asker: &Asker, query: &TurnQuery) -> Result<RestReply, HttpError> {
    Ok(RestReply::from(ask(inner, asker, query)?))
}

/// # Errors
/// As [`rest`].
pub(super) fn turn(inner: &Inner, asker: &Asker, query: &TurnQuery) -> Result<TurnReply, HttpError> {
    let issued = ask(inner, asker, query)?;
    let (turn, ice_servers) = (issued.reach.authority(), issued.ice_servers());
    Ok(TurnReply { rest: RestReply::from(issued), turn, ice_servers })
}

/// A credential for the holder of a key.
pub(super) fn ask(inner: &Inner, asker: &Asker, query: &TurnQuery) -> Result<Issued, HttpError> {
    let issuer = admit(inner, asker, query.key(), "in the query, as `key=…`")?;
    issue(&issuer, asker, query.username.as_deref(), parse_ttl(query.ttl.as_deref())?)
}

/// Reads a query of any form.
pub(super) fn parse<'de, T: Deserialize<'de>>(query: &'de str) -> Result<T, HttpError> {
    let text = "the query cannot be read: write each parameter once, as `name=value`, percent-encoded";
    serde_urlencoded::from_str(query).map_err(|_| HttpError::new(StatusCode::BAD_REQUEST, "bad-query", text))
}

impl From<Issued> for RestReply {
    fn from(Issued { reach, credential }: Issued) -> Self {
        let uris = reach.turn_uris();
        Self { username: credential.username, password: credential.password, ttl: credential.ttl, uris }
    }
}
