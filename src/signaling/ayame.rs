//! Ayame's dialect (`WS /signaling`): a room of two, where the second to come offers.
//!
//! Its wire format is that of the server and the web SDK of the Ayame project. A key is neither needed nor looked at: a
//! room here needs none.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;

use super::call::{self, Candidate, Description, Form, Key};
use super::dialect::{Dialect, Stop};
use super::error::{ErrorId, Refusal};
use super::message::{LeaveReason, PeerId, ServerMessage};
use super::names::RoomName;
use super::rooms::{Entrant, FirstOffer};
use super::session::Session;
use super::socket::drive;
use crate::credentials::IceServer;

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

/// What a client says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Heard<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    room_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sdp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ice: Option<Candidate<'a>>,
}

/// What the server says of its own.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
enum Said<'a> {
    Accept {
        connection_id: PeerId,
        /// Whether the receiver is to offer, as it is when somebody was there before it.
        is_exist_client: bool,
        /// The same, under its older name.
        is_exist_user: bool,
        ice_servers: &'a [IceServer],
    },
    Reject {
        reason: &'static str,
    },
    Candidate {
        ice: Candidate<'a>,
    },
    Ping,
    Bye,
}

impl Said<'_> {
    fn print(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Dialect for Ayame {
    const BEAT: Option<Duration> = Some(Duration::from_secs(5));

    fn hear(&mut self, session: &mut Session, text: &str, _: &mut Vec<String>) -> Result<(), Stop> {
        let heard: Heard<'_> = call::parse(text)?;
        let form = match heard.kind.as_ref() {
            "register" => return self.register(session, heard.room_id.as_deref()),
            "pong" => {
                self.answered = Instant::now();
                return Ok(());
            }
            // A client in its stand-alone mode says that it is about to close.
            "connected" => return Ok(()),
            "bye" => {
                session.leave(LeaveReason::Left);
                return Err(Stop::Close(NORMAL));
            }
            "offer" | "answer" => {
                let sdp = heard.sdp.ok_or_else(|| missing("sdp"))?;
                Form::Description(Description { kind: heard.kind, sdp })
            }
            "candidate" => Form::Candidate(heard.ice.ok_or_else(|| missing("ice"))?),
            _ => Form::Own(call::parse::<&RawValue>(text)?),
        };
        if !session.is_member() {
            return Err(ErrorId::JoinFirst.into());
        }
        match self.peer {
            Some(peer) => Ok(session.signal(peer, None, form.print(Key::Ayame))?),
            None => Ok(()),
        }
    }

    fn print(
        &mut self,
        _: &mut Session,
        _: Option<u64>,
        message: ServerMessage,
        frames: &mut Vec<String>,
    ) -> Option<u16> {
        match message {
            ServerMessage::Joined(joined) => {
                let earlier = joined.peers.first();
                self.peer = earlier.map(|peer| peer.id);
                let offers = earlier.is_some_and(|peer| peer.initiate);
                let accept = Said::Accept {
                    connection_id: joined.myself.id,
                    is_exist_client: offers,
                    is_exist_user: offers,
                    ice_servers: &joined.ice_servers,
                };
                frames.push(accept.print());
            }
            ServerMessage::PeerJoined { peer } => self.peer = Some(peer.id),
            ServerMessage::Signal { data, .. } => frames.extend(print(&data)),
            // Such a client has one call and no way to begin another: it is told that this one is over.
            ServerMessage::PeerLeft { id, .. } | ServerMessage::PeerRestarted { id, .. } if self.peer == Some(id) => {
                frames.push(Said::Bye.print());
                return Some(NORMAL);
            }
            ServerMessage::Error { id, fatal: true, .. } => frames.push(Said::Reject { reason: id.id() }.print()),
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
        Ok(Some(Said::Ping.print()))
    }
}

impl Ayame {
    fn register(&mut self, session: &mut Session, room: Option<&str>) -> Result<(), Stop> {
        let room = RoomName::parse(room.ok_or_else(|| missing("roomId"))?)?;
        let entrant = Entrant { is_pair: true, first_offer: FirstOffer::Newcomer, ..session.entrant() };
        session.join(&room, entrant, None)?;
        self.answered = Instant::now();
        Ok(())
    }
}

fn print(data: &super::Payload) -> Option<String> {
    match Form::read(data, Key::Ayame)? {
        Form::Description(description) => serde_json::to_string(&description).ok(),
        Form::Candidate(ice) => Some(Said::Candidate { ice }.print()),
        Form::Own(own) => {
            let kind = serde_json::from_str::<Heard<'_>>(own.get()).ok()?.kind;
            // What only the server may say, no other client can have it say.
            let is_ours = matches!(kind.as_ref(), "accept" | "reject" | "ping" | "bye");
            if is_ours { None } else { Some(own.get().to_owned()) }
        }
    }
}

fn missing(field: &str) -> Refusal {
    Refusal::bad_message(format!("`{field}` is missing"))
}

#[cfg(test)]
#[path = "ayame_tests.rs"]
mod tests;
