//! The one way to a credential, whatever the form in which it was asked for.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::StatusCode;

use super::answer::Asker;
use super::errors::HttpError;
use super::gate::{check_key, check_rate};
use super::live::Issuer;
use super::web::Inner;
use crate::credentials::{Credential, IceServer, Reach, ice_servers};
use crate::sightings::{PROBE_LIFE, ProbeId};

/// The shortest that a credential lasts on request, in seconds.
const MIN_TTL: u64 = 60;

/// A credential, and where to use it.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) reach: Reach,
    pub(super) credential: Credential,
}

impl Issued {
    pub(super) fn ice_servers(&self) -> Vec<IceServer> {
        ice_servers(&self.reach, &self.credential)
    }
}

/// Counts the attempt and looks at the key. `place` says where a key would have been seen.
///
/// # Errors
/// 429, 401 or 403, in this order.
pub(super) fn admit(inner: &Inner, asker: &Asker, key: Option<&str>, place: &str) -> Result<Arc<Issuer>, HttpError> {
    check_rate(inner, asker)?;
    let issuer = inner.live.current();
    check_key(&issuer, key, place)?;
    Ok(issuer)
}

/// A credential under the id asked for or else a random one, for the seconds asked for within what may be had.
///
/// # Errors
/// 400 when the id cannot be a username.
pub(super) fn issue(issuer: &Issuer, asker: &Asker, id: Option<&str>, ttl: Option<u64>) -> Result<Issued, HttpError> {
    let random = format!("{:016x}", rand::random::<u64>());
    let credential = (issuer.mint_for_key)(id.unwrap_or(&random), bounded(issuer, ttl))
        .map_err(|error| HttpError::new(StatusCode::BAD_REQUEST, "bad-username", error.to_string()))?;
    Ok(Issued { reach: asker.reach(issuer), credential })
}

/// How one of our own pages tests its way: with a credential that relays only to others of its kind, and at every port that
/// answers.
pub(super) fn issue_for_page(issuer: &Issuer, asker: &Asker, ttl: Option<u64>) -> Issued {
    let credential = (issuer.mint_for_page)(rand::random(), bounded(issuer, ttl));
    Issued { reach: asker.reach(issuer), credential }
}

/// The same, with the id of a probe in its username, for so many seconds.
pub(super) fn issue_for_probe(issuer: &Issuer, asker: &Asker, id: ProbeId, listening: &[SocketAddr]) -> Vec<IceServer> {
    let reach = asker.reach(issuer);
    let urls = reach.other_stun_uris(listening);
    let credential = (issuer.mint_for_page)(id.0, bounded(issuer, Some(PROBE_LIFE.as_secs())));
    let mut servers = Issued { reach, credential }.ice_servers();
    if !urls.is_empty() {
        servers.push(IceServer { urls, username: None, credential: None });
    }
    servers
}

/// # Errors
/// 400 when it is not a whole number of seconds.
pub(super) fn parse_ttl(asked: Option<&str>) -> Result<Option<u64>, HttpError> {
    let text = "the time to live is a whole number of seconds, such as 3600";
    let wrong = |_| HttpError::new(StatusCode::BAD_REQUEST, "bad-ttl", text);
    asked.map(|asked| asked.parse().map_err(wrong)).transpose()
}

fn bounded(issuer: &Issuer, asked: Option<u64>) -> u64 {
    asked.map_or(issuer.ttl, |asked| asked.clamp(MIN_TTL.min(issuer.ttl), issuer.ttl))
}
