//! AppRTC's dialect: a room of two, joined over HTTP, where the first to come offers.
//!
//! A client joins by a POST, and may talk by POSTs at once; then it opens a WebSocket (the collider), says whose it is,
//! and hears the other one there. Its wire format is that of the AppRTC demo's server, web page and mobile apps.

mod caller;
pub mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;

use self::caller::Caller;
use self::wire::{Command, Said};
use super::dialect::{Dialect, Stop};
use super::error::{ErrorId, Refusal};
use super::hub::Hub;
use super::mailbox::Numbered;
use super::message::{LeaveReason, PeerId, ServerMessage};
use super::names::RoomName;
use super::outbox::Next;
use super::rooms::{Entrant, FirstOffer};
use super::session::Session;
use super::socket::drive;
use crate::credentials::{IceServer, Reach};

/// The close code after an error that has none of its own.
const REFUSED: u16 = 1008;

/// Who has joined over HTTP. There are never more than connections: each holds a place of one.
#[derive(Debug)]
pub struct Callers {
    hub: Arc<Hub>,
    here: Mutex<Here>,
}

#[derive(Debug, Default)]
struct Here {
    /// By the id that only the client itself knows.
    callers: HashMap<String, Arc<Caller>>,
    clients: HashMap<PeerId, String>,
}

/// What a client is told that has joined.
#[derive(Debug)]
pub struct Welcome {
    /// What it proves by that it is itself.
    pub client: String,
    /// The room's name, normalised.
    pub room: RoomName,
    /// Whether it makes the first offer.
    pub is_initiator: bool,
    /// What was said to it already.
    pub messages: Vec<String>,
}

/// Why nobody listens to a client.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NotHere {
    /// The client is in another room.
    #[error("that client is not in this room: join it first")]
    Room,
    /// There is no such client, or no more.
    #[error("there is no such client: join first")]
    Client,
}

impl Callers {
    /// Nobody yet.
    pub fn new(hub: Arc<Hub>) -> Arc<Self> {
        Arc::new(Self { hub, here: Mutex::default() })
    }

    /// Joins a room. The membership ends if no [`serve`] takes it up within the hello deadline.
    ///
    /// # Errors
    /// What [`Session::join`] says.
    pub fn join(self: &Arc<Self>, mut session: Session, room: &RoomName) -> Result<Welcome, ErrorId> {
        let entrant = Entrant { is_pair: true, first_offer: FirstOffer::Earlier, ..session.entrant() };
        let id = session.join(room, entrant, None)?;
        let Some(Next::Say((_, ServerMessage::Joined(joined)))) = session.try_next() else {
            return Err(ErrorId::Gone);
        };
        let handle = session.handle().ok_or(ErrorId::Gone)?;
        let earlier = joined.peers.first();
        if let Some(other) = earlier.and_then(|peer| self.of_peer(peer.id)) {
            other.meet_early(id);
        }
        let is_initiator = earlier.is_none_or(|peer| peer.initiate);
        let purse = self.hub.purse(session.remote().into());
        let caller = Arc::new(Caller::new(joined.room.clone(), handle, earlier.map(|peer| peer.id), purse));
        let mut messages = Vec::new();
        while !is_initiator && let Some(Next::Say((_, message))) = session.try_next() {
            messages.extend(caller.print(&message));
        }
        caller.seat(session);
        let client = format!("{:032x}", rand::random::<u128>());
        let mut here = self.here();
        here.clients.insert(id, client.clone());
        here.callers.insert(client.clone(), Arc::clone(&caller));
        drop(here);
        caller.expires(tokio::spawn(Arc::clone(self).expire(client.clone())).abort_handle());
        Ok(Welcome { client, room: joined.room, is_initiator, messages })
    }

    /// Whether the client is here, and in this room.
    ///
    /// # Errors
    /// [`NotHere`].
    pub fn check(&self, room: &str, client: &str) -> Result<(), NotHere> {
        self.caller(room, client).map(drop)
    }

    /// Takes a message from a client that POSTs it.
    ///
    /// # Errors
    /// [`NotHere`], or else what is wrong with the message.
    pub fn message(&self, room: &str, client: &str, text: &str) -> Result<Result<(), Refusal>, NotHere> {
        let caller = self.caller(room, client)?;
        let heard = caller.pace().and_then(|()| caller.hear(text));
        if let Err(refusal) = &heard {
            metrics::counter!("lanturn_signaling_refused_total", "reason" => refusal.id.id()).increment(1);
        }
        self.forget_if_over(client, &caller);
        Ok(heard)
    }

    /// Ends a membership. One that is over already stays so.
    ///
    /// # Errors
    /// [`NotHere`].
    pub fn leave(&self, room: &str, client: &str) -> Result<(), NotHere> {
        let caller = self.caller(room, client)?;
        caller.leave(LeaveReason::Left);
        self.forget_if_over(client, &caller);
        Ok(())
    }

    /// The `iceServers` of a client that reaches the box at `reach`, and for how many seconds they last.
    ///
    /// # Errors
    /// [`NotHere`].
    pub fn ice_servers(&self, room: &str, client: &str, reach: &Reach) -> Result<(Vec<IceServer>, u64), NotHere> {
        Ok(self.caller(room, client)?.ice_servers(reach))
    }

    fn caller(&self, room: &str, client: &str) -> Result<Arc<Caller>, NotHere> {
        let caller = self.here().callers.get(client).cloned().ok_or(NotHere::Client)?;
        let is_its_room = RoomName::parse(room).is_ok_and(|room| room == *caller.room());
        if is_its_room { Ok(caller) } else { Err(NotHere::Room) }
    }

    fn of_peer(&self, id: PeerId) -> Option<Arc<Caller>> {
        let here = self.here();
        here.callers.get(here.clients.get(&id)?).cloned()
    }

    /// Ends the membership of a client that does not register in time, or whose server stops.
    async fn expire(self: Arc<Self>, client: String) {
        let mut closing = self.hub.closing();
        tokio::select! {
            () = sleep(self.hub.options().hello_deadline) => {}
            _ = closing.wait_for(|up| *up) => {}
        }
        let caller = self.here().callers.get(&client).cloned();
        if let Some(caller) = caller
            && let Some(session) = caller.take_seat()
        {
            metrics::counter!("lanturn_signaling_refused_total", "reason" => ErrorId::HelloTimeout.id()).increment(1);
            drop(session);
            caller.leave(LeaveReason::Disconnected);
            self.forget_if_over(&client, &caller);
        }
    }

    fn forget_if_over(&self, client: &str, caller: &Caller) {
        if caller.is_over() {
            let mut here = self.here();
            here.callers.remove(client);
            here.clients.remove(&caller.id());
        }
    }

    fn here(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drives one collider's WebSocket to its end. The membership that it took up ends with it, and with this future.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(
    ws: WebSocketStream<S>,
    session: Session,
    callers: Arc<Callers>,
) {
    drive(ws, session, Collider { callers, registered: None }).await;
}

struct Collider {
    callers: Arc<Callers>,
    registered: Option<Registered>,
}

/// A client whose WebSocket is here. It is over with this value.
struct Registered {
    client: String,
    caller: Arc<Caller>,
    callers: Arc<Callers>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.caller.leave(LeaveReason::Disconnected);
        self.callers.forget_if_over(&self.client, &self.caller);
    }
}

impl Dialect for Collider {
    fn is_settled(&self, _: &Session) -> bool {
        self.registered.as_ref().is_some_and(|registered| !registered.caller.is_over())
    }

    fn hear(&mut self, session: &mut Session, text: &str, _: &mut Vec<String>) -> Result<(), Stop> {
        match (Command::parse(text)?, &self.registered) {
            (Command::Register { .. }, Some(_)) => Err(ErrorId::AlreadyJoined.into()),
            (Command::Register { roomid, clientid }, None) => self.register(session, &roomid, &clientid),
            (Command::Send { .. }, None) => {
                Err(Refusal::bad_message("`send` before `register`: register first").into())
            }
            (Command::Send { msg }, Some(registered)) => {
                let heard = registered.caller.hear(&msg);
                registered.callers.forget_if_over(&registered.client, &registered.caller);
                Ok(heard?)
            }
        }
    }

    fn print(&mut self, _: &mut Session, (_, message): Numbered, frames: &mut Vec<String>) -> Option<u16> {
        if let ServerMessage::Error { text, fatal, .. } = &message {
            // An error is the end of the call to these clients.
            frames.extend(fatal.then(|| Said { msg: "", error: text }.print()));
        } else if let Some(registered) = &self.registered {
            frames.extend(registered.caller.print(&message).map(|msg| Said { msg: &msg, error: "" }.print()));
        }
        None
    }

    fn close_code(&self, _: &Session, id: ErrorId) -> Option<u16> {
        id.close_code().or(if self.registered.is_some() { None } else { Some(REFUSED) })
    }
}

impl Collider {
    fn register(&mut self, session: &mut Session, room: &str, client: &str) -> Result<(), Stop> {
        let refused = |text: String| Stop::Refused(Refusal::new(ErrorId::Gone, text));
        let caller = self.callers.caller(room, client).map_err(|error| refused(error.to_string()))?;
        let seat = caller.take_seat();
        *session = seat.ok_or_else(|| refused("that client has registered already: join anew".to_owned()))?;
        let (client, callers) = (client.to_owned(), Arc::clone(&self.callers));
        self.registered = Some(Registered { client, caller, callers });
        Ok(())
    }
}

#[cfg(test)]
#[path = "apprtc_tests.rs"]
mod tests;
