//! What the box saw of this very attempt: `/probe`, begun before and read after.

use std::net::SocketAddr;

use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::clock::Clock;
use super::web::Web;
use crate::sightings::ProbeId;
use crate::turn::Transport;

/// What the box says of one request, or of several alike.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct Sighting {
    transport: String,
    from: SocketAddr,
    outcome: String,
    code: Option<u16>,
    reason: Option<String>,
    rule: Option<String>,
}

/// All that the box says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct View {
    sightings: Vec<Sighting>,
}

#[derive(Deserialize)]
struct Begun {
    id: String,
}

/// Asks the box to take note of whatever carries an id. `None` where it cannot, such as a box of an older version.
pub(super) async fn begin(web: &mut Web, clock: Clock) -> Option<ProbeId> {
    let answer = web.ask(Method::POST, "/probe", clock).await.ok()?;
    if answer.status != StatusCode::CREATED {
        return None;
    }
    let begun: Begun = serde_json::from_slice(&answer.body).ok()?;
    ProbeId::parse(&begun.id)
}

/// Of a reason or a rule, in bytes.
const MAX_TEXT: usize = 64;

/// What it has noted.
pub(super) async fn read(web: &mut Web, id: ProbeId, clock: Clock) -> Option<View> {
    let answer = web.ask(Method::GET, &format!("/probe/{id}"), clock).await.ok()?;
    let mut view: View = serde_json::from_slice(&answer.body).ok().filter(|_| answer.status == StatusCode::OK)?;
    // It goes to a terminal, and the box may be anybody's.
    for text in view.sightings.iter_mut().flat_map(|sighting| [&mut sighting.reason, &mut sighting.rule]).flatten() {
        text.retain(|c| !c.is_control());
        text.truncate(text.floor_char_boundary(MAX_TEXT));
    }
    Some(view)
}

impl View {
    /// From where the first request over a transport came, if any did.
    pub(in crate::cli) fn from(&self, transport: Transport) -> Option<SocketAddr> {
        self.over(transport).next().map(|sighting| sighting.from)
    }

    /// Why the last request that was refused with a code was, and the rule that says so, if it was one.
    pub(in crate::cli) fn why(&self, transport: Transport, code: u16) -> Option<(&str, Option<&str>)> {
        let refused = self.over(transport).filter(|sighting| sighting.outcome == "refused");
        let last = refused.filter(|sighting| sighting.code == Some(code)).last()?;
        Some((last.reason.as_deref()?, last.rule.as_deref()))
    }

    fn over(&self, transport: Transport) -> impl Iterator<Item = &Sighting> {
        self.sightings.iter().filter(move |sighting| sighting.transport == transport.name())
    }
}

#[cfg(test)]
impl View {
    pub(super) fn of(json: &str) -> Self {
        serde_json::from_str(json).unwrap()
    }
}
