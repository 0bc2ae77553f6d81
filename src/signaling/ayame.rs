//! Ayame's dialect (`WS /signaling`): a room of two, where the second to come offers.
//!
//! Its wire format is that of the server and the web SDK of the Ayame project. A key is neither needed nor looked at: a
//! room here needs none.

pub mod wire;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;

use self::wire::{Event, Request, to_theirs};
use super::dialect::{Dialect, Stop};
use super::error::ErrorId;
use super::mailbox::Numbered;
use super::message::{LeaveReason, PeerId, ServerMessage};
use super::names::RoomName;
use super::rooms::{Entrant, FirstOffer};
use super::session::Session;
use super::socket::drive;

/// How long the server waits for a `pong`.
const PONG_TIMEOUT: Duration = Duration::from_secs(60);
/// The close code of a call that is over, and of a client that does not answer: Ayame has no other.
const NORMAL: u16 = 1000;
/// The close code after a `reject` that has none of its own.
const REJECTED: u16 = 1008;

/// Drives one WebSocket to its end. The membership ends with it, and with this future.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(ws: WebSocketStream<S>, session: Session) {
    drive(ws, session, Ayame { peer: None, answered: Instant::now() }).await;
}

struct Ayame {
    /// The only other in its room.
    peer: Option<PeerId>,
    /// When it last answered a ping.
    answered: Instant,
}

impl Dialect for Ayame {
    const BEAT: Option<Duration> = Some(Duration::from_secs(5));

    fn hear(&mut self, session: &mut Session, text: &str, _: &mut Vec<String>) -> Result<(), Stop> {
        let data = match Request::parse(text)? {
            Request::Register(room) => return self.register(session, &room),
            Request::Pong => {
                self.answered = Instant::now();
                return Ok(());
            }
            Request::Connected => return Ok(()),
            Request::Bye => {
                session.leave(LeaveReason::Left);
                return Err(Stop::Close(NORMAL));
            }
            Request::Signal(data) => data,
        };
        if !session.is_member() {
            return Err(ErrorId::JoinFirst.into());
        }
        match self.peer {
            Some(peer) => Ok(session.signal(peer, None, data)?),
            None => Ok(()),
        }
    }

    fn print(&mut self, _: &mut Session, (_, message): Numbered, frames: &mut Vec<String>) -> Option<u16> {
        match message {
            ServerMessage::Joined(joined) => {
                let earlier = joined.peers.first();
                self.peer = earlier.map(|peer| peer.id);
                let offers = earlier.is_some_and(|peer| peer.initiate);
                let accept = Event::Accept {
                    connection_id: joined.myself.id,
                    is_exist_client: offers,
                    is_exist_user: offers,
                    ice_servers: &joined.ice_servers,
                };
                frames.push(accept.print());
            }
            ServerMessage::PeerJoined { peer } => self.peer = Some(peer.id),
            ServerMessage::Signal { data, .. } => frames.extend(to_theirs(&data)),
            // Such a client has one call and no way to begin another: it is told that this one is over.
            ServerMessage::PeerLeft { id, .. } | ServerMessage::PeerRestarted { id, .. } if self.peer == Some(id) => {
                frames.push(Event::Bye.print());
                return Some(NORMAL);
            }
            ServerMessage::Error { id, fatal: true, .. } => frames.push(Event::Reject { reason: id.id() }.print()),
            ServerMessage::PeerLeft { .. }
            | ServerMessage::PeerRestarted { .. }
            | ServerMessage::Error { .. }
            | ServerMessage::Resumed { .. }
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

    fn close_code(&self, session: &Session, id: ErrorId) -> Option<u16> {
        // Whoever is not let in is told so by a `reject`, which is the last word.
        id.close_code().or(if session.is_member() { None } else { Some(REJECTED) })
    }

    fn beat(&mut self, session: &Session) -> Result<Option<String>, Stop> {
        if !session.is_member() {
            return Ok(None);
        }
        if self.answered.elapsed() >= PONG_TIMEOUT {
            metrics::counter!("lanturn_signaling_refused_total", "reason" => "no-pong").increment(1);
            return Err(Stop::Close(NORMAL));
        }
        Ok(Some(Event::Ping.print()))
    }
}

impl Ayame {
    fn register(&mut self, session: &mut Session, room: &RoomName) -> Result<(), Stop> {
        let entrant = Entrant { is_pair: true, first_offer: FirstOffer::Newcomer, ..session.entrant() };
        session.join(room, entrant, None)?;
        self.answered = Instant::now();
        Ok(())
    }
}

#[cfg(test)]
#[path = "ayame_tests.rs"]
mod tests;
