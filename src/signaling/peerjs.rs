//! The dialect of PeerJS: each client goes by an id of its choice, and calls others by theirs.
//!
//! A key is a room. Its clients are not listed: who knows an id may call it, and nobody is told who is there. What one
//! says to another is put into its final form when it comes in, and passes as it is: nobody but these clients knows
//! their [`PeerId`]s, so nothing else is addressed to them.

pub mod directory;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::WebSocketStream;

use self::directory::Found;
use self::wire::{Hello, Request, Unwelcome};
use super::dialect::{Dialect, Stop};
use super::error::{ErrorId, Refusal};
use super::hub::{Hub, Sender};
use super::mailbox::Numbered;
use super::message::{LeaveReason, PeerId, ServerMessage};
use super::outbox::Outbox;
use super::payload::Payload;
use super::rooms::Entrant;
use super::session::Session;
use super::socket::drive;
use crate::credentials::RoomMember;

/// A client from which nothing came for so long is dropped, even if its machine answers pings.
const ALIVE: Duration = Duration::from_secs(90);
/// The close code of one that is not let in, or dropped (RFC 6455 section 7.4.1).
const POLICY: u16 = 1008;
/// The close code of one that said that it leaves.
const NORMAL: u16 = 1000;

/// Drives one WebSocket to its end, for a client that said `query` of itself.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(ws: WebSocketStream<S>, session: Session, query: String) {
    let mut session = session;
    let dialect = PeerJs::enter(&mut session, &query);
    drive(ws, session, dialect).await;
}

struct PeerJs {
    place: Result<Place, Unwelcome>,
    heard: Instant,
}

/// What a client goes by, for as long as it is there.
struct Place {
    hub: Arc<Hub>,
    member: RoomMember,
    id: String,
    caller: Option<Caller>,
}

/// Tells a client whom it has called in vain.
struct Caller {
    has_called: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Dialect for PeerJs {
    const BEAT: Option<Duration> = Some(Duration::from_secs(15));

    fn hear(&mut self, session: &mut Session, text: &str, _: &mut Vec<String>) -> Result<(), Stop> {
        self.heard = Instant::now();
        let Ok(place) = &mut self.place else {
            return Ok(());
        };
        match Request::parse(text, &place.id)? {
            Request::Heartbeat => Ok(()),
            Request::Leave => Err(Stop::Close(NORMAL)),
            Request::Pass { to, data, can_wait: true } => Ok(place.pass(session, &to, data)?),
            Request::Pass { to, data, can_wait: false } => Ok(place.pass_now(session, &to, data)?),
        }
    }

    fn print(&mut self, _: &mut Session, (_, message): Numbered, frames: &mut Vec<String>) -> Option<u16> {
        if let Err(why) = self.place {
            frames.push(why.print());
            return Some(POLICY);
        }
        match message {
            ServerMessage::Joined(_) => frames.push(wire::open()),
            ServerMessage::Signal { data, .. } => frames.push(data.as_str().to_owned()),
            // Clients take an error for the end.
            ServerMessage::Error { text, fatal: true, .. } => frames.push(wire::error(&text)),
            ServerMessage::Error { .. }
            | ServerMessage::Resumed { .. }
            | ServerMessage::PeerJoined { .. }
            | ServerMessage::PeerRenamed { .. }
            | ServerMessage::PeerAway { .. }
            | ServerMessage::PeerBack { .. }
            | ServerMessage::PeerRestarted { .. }
            | ServerMessage::PeerLeft { .. }
            | ServerMessage::Room { .. }
            | ServerMessage::Broadcast { .. }
            | ServerMessage::IceServers { .. }
            | ServerMessage::Invite { .. }
            | ServerMessage::Pong => {}
        }
        None
    }

    fn beat(&mut self, session: &Session) -> Result<Option<String>, Stop> {
        if self.heard.elapsed() < ALIVE {
            return Ok(None);
        }
        let text = "no HEARTBEAT came for 90 s: send one every 5 s";
        session.refuse_with(Refusal::new(ErrorId::HelloTimeout, text), Some(POLICY));
        Err(Stop::Close(POLICY))
    }
}

impl PeerJs {
    /// Whether or not the client is let in, it is told so in its own words.
    fn enter(session: &mut Session, query: &str) -> Self {
        let place = Place::take(session, query);
        if let Err(why) = place {
            metrics::counter!("lanturn_signaling_refused_total", "reason" => why.reason()).increment(1);
            session.tell(ServerMessage::refusal(ErrorId::NotAllowed.into(), true));
        }
        Self { place, heard: Instant::now() }
    }
}

impl Place {
    fn take(session: &mut Session, query: &str) -> Result<Self, Unwelcome> {
        let Hello { room, id, token } = Hello::parse(query)?;
        let entrant = Entrant { is_listed: false, is_apart: true, ..session.entrant() };
        session.join(&room, entrant, None).map_err(Unwelcome::Room)?;
        let member = session.member().ok_or(Unwelcome::Room(ErrorId::Gone))?;
        let hub = Arc::clone(session.hub());
        if claim(&hub, member, &id, &token).is_err() {
            session.leave(LeaveReason::Left);
            return Err(Unwelcome::IdTaken);
        }
        Ok(Self { hub, member, id, caller: None })
    }

    /// Passes something on, now or once there is somebody to pass it to.
    fn pass(&mut self, session: &mut Session, to: &str, data: Payload) -> Result<(), ErrorId> {
        loop {
            let now = self.hub.now();
            let found = self.hub.directory().find(self.member, to, data.clone(), now);
            let reason = match found {
                Found::Here(id, data) => match self.deliver(session, id, data) {
                    Err(ErrorId::NoSuchPeer) => {
                        self.hub.directory().release(RoomMember { member: id.0, ..self.member }, to);
                        continue;
                    }
                    done => return done,
                },
                Found::Waits(_) => {
                    self.caller(session).has_called.notify_one();
                    return Ok(());
                }
                Found::SenderFull => "sender",
                Found::AllFull => "all",
            };
            metrics::counter!("lanturn_peerjs_dropped_total", "bound" => reason).increment(1);
            session.outbox().push(missed(self.member, to, &self.id));
            return Ok(());
        }
    }

    /// Passes on what nobody needs who is not there.
    fn pass_now(&self, session: &mut Session, to: &str, data: Payload) -> Result<(), ErrorId> {
        let holder = self.hub.directory().holder(self.member.room, to);
        match holder.map_or(Ok(()), |id| self.deliver(session, id, data)) {
            Err(ErrorId::NoSuchPeer) => Ok(()),
            done => done,
        }
    }

    /// Clients may call themselves, which the rooms know nothing of.
    fn deliver(&self, session: &mut Session, to: PeerId, data: Payload) -> Result<(), ErrorId> {
        if to.0 != self.member.member {
            return session.signal(to, None, data);
        }
        session.outbox().push(own(self.member, data));
        Ok(())
    }

    fn caller(&mut self, session: &Session) -> &Caller {
        let Self { hub, member, id, caller } = self;
        caller.get_or_insert_with(|| Caller::start(hub, session.outbox(), *member, id))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.directory().release(self.member, &self.id);
    }
}

impl Caller {
    fn start(hub: &Arc<Hub>, outbox: &Outbox, member: RoomMember, id: &str) -> Self {
        let has_called = Arc::new(Notify::new());
        let (hub, outbox, id, called) = (Arc::clone(hub), outbox.clone(), id.to_owned(), Arc::clone(&has_called));
        let task = tokio::spawn(async move {
            loop {
                let now = hub.now();
                let (in_vain, next) = hub.directory().expire(member, now);
                in_vain.iter().for_each(|to| outbox.push(missed(member, to, &id)));
                match next {
                    Some(next) => sleep(next.saturating_sub(now)).await,
                    None => called.notified().await,
                }
            }
        });
        Self { has_called, task }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Has a member go by an id, and hear what waited for it. Who was the same client before is sent away.
fn claim(hub: &Hub, member: RoomMember, id: &str, token: &str) -> Result<(), Unwelcome> {
    let mut directory = hub.directory();
    let claimed = directory.claim(member, id, token).or_else(|taken| {
        // Its connection may still be about to end.
        if hub.company(PeerId(taken.by.member)) > 0 {
            return Err(Unwelcome::IdTaken);
        }
        directory.release(taken.by, id);
        directory.claim(member, id, token).map_err(|_| Unwelcome::IdTaken)
    })?;
    // Before anybody can find the new member: what they say now comes after what waited.
    for waiting in claimed.waiting {
        // Fails when its sender has gone since.
        let sender = Sender { member: waiting.from, hold: None, number: None };
        let _ = hub.pass(sender, PeerId(member.member), None, waiting.data);
    }
    if let Some(replaced) = claimed.replaced {
        hub.end(replaced, ErrorId::Replaced);
    }
    Ok(())
}

/// What a member is told that called `to` in vain.
fn missed(member: RoomMember, to: &str, id: &str) -> ServerMessage {
    own(member, wire::expire(to, id))
}

/// What a member hears that comes from no other.
fn own(member: RoomMember, data: Payload) -> ServerMessage {
    ServerMessage::Signal { from: PeerId(member.member), epoch: 0, seq: 0, data }
}

#[cfg(test)]
#[path = "peerjs_tests.rs"]
mod tests;
