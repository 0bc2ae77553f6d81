//! The dialect of matchbox: players in a full mesh, each told whom it is to make an offer to.

pub mod groups;
pub mod wire;

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;

use self::groups::Ticket;
use self::wire::{Event, Request, Uuid, to_theirs};
use super::dialect::{Dialect, Stop};
use super::error::ErrorId;
use super::hub::Hub;
use super::mailbox::Numbered;
use super::message::{PeerEntry, PeerId, ServerMessage};
use super::names::RoomName;
use super::payload::Payload;
use super::rooms::{Entrant, FirstOffer};
use super::session::Session;
use super::socket::drive;

/// The close code of a client that is not let in, where its error has none of its own (RFC 6455 section 7.4.1).
const POLICY: u16 = 1008;

/// Drives one WebSocket to its end, for a client that asked for `room`, percent-decoded, and `query`.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(
    ws: WebSocketStream<S>,
    session: Session,
    room: String,
    query: String,
) {
    let mut session = session;
    let dialect = Matchbox::enter(&mut session, &room, &query);
    drive(ws, session, dialect).await;
}

struct Matchbox {
    /// Only to be dropped: given back before the room is left.
    _place: Option<Place>,
    peers: HashMap<PeerId, Peer>,
    /// The close code of a client that is not let in.
    turned_away: Option<u16>,
}

/// Another member, as this one has been told of it.
#[derive(Clone, Copy)]
struct Peer {
    uuid: Uuid,
    /// Whether this one makes the offer.
    is_offered: bool,
}

/// A place in a group.
struct Place {
    hub: Arc<Hub>,
    ticket: Ticket,
}

#[derive(Deserialize)]
struct Query {
    next: Option<u32>,
}

impl Dialect for Matchbox {
    fn hear(&mut self, session: &mut Session, text: &str, _: &mut Vec<String>) -> Result<(), Stop> {
        match Request::parse(text)? {
            Request::Signal { to, data } => Ok(session.signal(to.id, Some(to.epoch), data)?),
            Request::KeepAlive => Ok(()),
        }
    }

    fn print(&mut self, _: &mut Session, (_, message): Numbered, frames: &mut Vec<String>) -> Option<u16> {
        match message {
            ServerMessage::Joined(joined) => {
                let uuid = Uuid { id: joined.myself.id, epoch: joined.myself.epoch };
                frames.push(Event::IdAssigned(uuid).print());
                joined.peers.iter().for_each(|peer| self.meet(peer, frames));
            }
            ServerMessage::PeerJoined { peer } => self.meet(&peer, frames),
            ServerMessage::PeerLeft { id, .. } => {
                frames.extend(self.peers.remove(&id).map(|peer| Event::PeerLeft(peer.uuid).print()));
            }
            ServerMessage::PeerRestarted { id, epoch } => self.meet_again(id, epoch, frames),
            ServerMessage::Signal { from, epoch, data, .. } => {
                frames.extend(passed(Uuid { id: from, epoch }, &data));
            }
            // There is no word for an error.
            ServerMessage::Error { .. } => return self.turned_away,
            ServerMessage::Resumed { .. }
            | ServerMessage::PeerRenamed { .. }
            | ServerMessage::PeerAway { .. }
            | ServerMessage::PeerBack { .. }
            | ServerMessage::Room { .. }
            | ServerMessage::Broadcast { .. }
            | ServerMessage::IceServers { .. }
            | ServerMessage::Invite { .. }
            | ServerMessage::Pong => {}
        }
        None
    }
}

impl Matchbox {
    fn enter(session: &mut Session, room: &str, query: &str) -> Self {
        let (place, turned_away) = match join(session, room, query) {
            Ok(place) => (place, None),
            Err(why) => (None, session.refuse_with(why.into(), Some(why.close_code().unwrap_or(POLICY)))),
        };
        Self { _place: place, peers: HashMap::new(), turned_away }
    }

    /// Only the one of the two who makes the offer is told of the other.
    fn meet(&mut self, peer: &PeerEntry, frames: &mut Vec<String>) {
        let uuid = Uuid { id: peer.id, epoch: peer.epoch };
        self.peers.insert(peer.id, Peer { uuid, is_offered: peer.initiate });
        if peer.initiate {
            frames.push(Event::NewPeer(uuid).print());
        }
    }

    fn meet_again(&mut self, id: PeerId, epoch: u32, frames: &mut Vec<String>) {
        if let Some(peer) = self.peers.get_mut(&id) {
            frames.push(Event::PeerLeft(peer.uuid).print());
            peer.uuid.epoch = epoch;
            if peer.is_offered {
                frames.push(Event::NewPeer(peer.uuid).print());
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.groups().leave(&self.ticket);
    }
}

/// Enters the room, or that of a group of `next`.
fn join(session: &mut Session, room: &str, query: &str) -> Result<Option<Place>, ErrorId> {
    let room = RoomName::parse(room)?;
    let Query { next } = serde_urlencoded::from_str(query).map_err(|_| ErrorId::BadRoom)?;
    let entrant = Entrant { first_offer: FirstOffer::Earlier, ..session.entrant() };
    let Some(size) = next else {
        return session.join(&room, entrant, None).map(|_| None);
    };
    if size == 0 || size > session.hub().options().capacity.of(entrant.role) {
        return Err(ErrorId::Full);
    }
    let hub = Arc::clone(session.hub());
    let ticket = hub.groups().enter(&room, size);
    let place = Place { hub, ticket };
    session.join(&place.ticket.room()?, entrant, None)?;
    Ok(Some(place))
}

fn passed(sender: Uuid, data: &Payload) -> Option<String> {
    let data = to_theirs(data)?;
    Some(Event::Signal { sender, data: &data }.print())
}

#[cfg(test)]
#[path = "matchbox_tests.rs"]
mod tests;
