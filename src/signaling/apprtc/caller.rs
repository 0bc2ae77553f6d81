//! One client of AppRTC, from its `join` on: what it says over either way, and what waits until somebody can hear it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::wire::{BYE, Message, to_theirs};
use crate::credentials::{IceServer, Reach};
use crate::signaling::budget::Purse;
use crate::signaling::error::{ErrorId, Refusal};
use crate::signaling::message::{LeaveReason, PeerId, ServerMessage};
use crate::signaling::names::RoomName;
use crate::signaling::pace::{Pace, Paced};
use crate::signaling::payload::Payload;
use crate::signaling::session::{Handle, Session};

/// The most messages that wait for somebody to come.
const MAX_WAITING: usize = 128;
/// The most memory that they may take, in bytes, unless one message may take more than a quarter of it.
const MAX_WAITING_BYTES: usize = 512 * 1024;

#[derive(Debug)]
pub(super) struct Caller {
    room: RoomName,
    handle: Handle,
    max_bytes: usize,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    seat: Seat,
    /// What ends the membership if nobody takes up its session.
    expiry: Option<AbortHandle>,
    pace: Pace,
    /// The only other in its room, as far as this client has heard.
    peer: Option<PeerId>,
    /// Whether the peer has been sent an offer or answer. POSTs overtake each other, and a candidate before it is
    /// nothing to most clients.
    is_described: bool,
    /// In native form. An offer comes first.
    waiting: Vec<Payload>,
    waiting_bytes: usize,
    purse: Purse,
    has_offer: bool,
}

#[derive(Debug)]
enum Seat {
    /// The session waits to be taken up.
    Kept(Box<Session>),
    /// The session is with the WebSocket, or not here yet.
    Taken,
    Over,
}

impl Caller {
    /// What waits is paid from `purse`.
    pub(super) fn new(room: RoomName, handle: Handle, peer: Option<PeerId>, purse: Purse) -> Self {
        let options = handle.hub().options();
        let (pace, max_bytes) = (Pace::new(options.message_rate), MAX_WAITING_BYTES.max(4 * options.message_bytes));
        let (waiting, waiting_bytes) = (Vec::new(), 0);
        let seat = Seat::Taken;
        let expiry = None;
        let state =
            State { seat, expiry, pace, peer, is_described: false, waiting, waiting_bytes, purse, has_offer: false };
        Self { room, handle, max_bytes, started: Instant::now(), state: Mutex::new(state) }
    }

    pub(super) fn room(&self) -> &RoomName {
        &self.room
    }

    pub(super) fn id(&self) -> PeerId {
        self.handle.id()
    }

    pub(super) fn ice_servers(&self, reach: &Reach) -> (Vec<IceServer>, u64) {
        self.handle.ice_servers(reach)
    }

    /// Keeps the session until it is taken up.
    pub(super) fn seat(&self, session: Session) {
        self.lock().seat = Seat::Kept(session.into());
    }

    /// Notes what is to stop when the session has been taken up, or there is none any more.
    pub(super) fn expires(&self, expiry: AbortHandle) {
        self.lock().expiry = Some(expiry);
    }

    /// Takes the session up, once.
    pub(super) fn take_seat(&self) -> Option<Session> {
        let mut state = self.lock();
        state.stop_expiry();
        match std::mem::replace(&mut state.seat, Seat::Taken) {
            Seat::Kept(session) => Some(*session),
            Seat::Taken => None,
            Seat::Over => {
                state.seat = Seat::Over;
                None
            }
        }
    }

    /// Ends the membership, wherever its session is.
    pub(super) fn leave(&self, reason: LeaveReason) {
        self.handle.leave(reason);
        let mut state = self.lock();
        state.stop_expiry();
        let seat = std::mem::replace(&mut state.seat, Seat::Over);
        drop(state);
        drop(seat);
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.lock().seat, Seat::Over)
    }

    /// Counts a message that did not come over the WebSocket, which counts its own.
    pub(super) fn pace(&self) -> Result<(), Refusal> {
        match self.lock().pace.take(self.started.elapsed()) {
            Paced::Pass => Ok(()),
            Paced::Drop | Paced::Close => Err(ErrorId::RateLimited.into()),
        }
    }

    /// Passes on what the client says, or keeps it until it can be.
    pub(super) fn hear(&self, text: &str) -> Result<(), Refusal> {
        let (data, is_offer, is_description) = match Message::parse(text)? {
            Message::Offer(data) => (data, true, true),
            Message::Answer(data) => (data, false, true),
            Message::Other(data) => (data, false, false),
            Message::Bye => {
                self.leave(LeaveReason::Left);
                return Ok(());
            }
        };
        let mut state = self.lock();
        if matches!(state.seat, Seat::Over) {
            return Err(ErrorId::Gone.into());
        }
        match state.peer {
            Some(peer) if is_description || state.is_described => {
                self.handle.signal(peer, data)?;
                self.describe(&mut state, peer);
                Ok(())
            }
            // An answer to somebody who has gone is for nobody else.
            None if is_description && !is_offer => Ok(()),
            Some(_) | None => Ok(state.wait(data, is_offer, self.max_bytes)?),
        }
    }

    /// What a message is to the client, if it is anything.
    pub(super) fn print(&self, message: &ServerMessage) -> Option<String> {
        match message {
            ServerMessage::PeerJoined { peer } => {
                self.meet(&mut self.lock(), peer.id);
                None
            }
            ServerMessage::PeerLeft { id, .. } => self.part(*id, None),
            // To the client it is somebody else now.
            ServerMessage::PeerRestarted { id, .. } => self.part(*id, Some(*id)),
            ServerMessage::Signal { data, .. } => to_theirs(data),
            ServerMessage::Joined(_)
            | ServerMessage::Resumed { .. }
            | ServerMessage::PeerRenamed { .. }
            | ServerMessage::PeerAway { .. }
            | ServerMessage::PeerBack { .. }
            | ServerMessage::Room { .. }
            | ServerMessage::Broadcast { .. }
            | ServerMessage::IceServers { .. }
            | ServerMessage::Invite { .. }
            | ServerMessage::Pong
            | ServerMessage::Error { .. } => None,
        }
    }

    /// Somebody came. If the client has heard all that was before, what waits need not wait for it to hear this.
    pub(super) fn meet_early(&self, peer: PeerId) {
        let mut state = self.lock();
        if state.peer.is_none() {
            self.meet(&mut state, peer);
        }
    }

    fn meet(&self, state: &mut State, peer: PeerId) {
        if state.peer == Some(peer) {
            return;
        }
        state.peer = Some(peer);
        if state.has_offer {
            self.describe(state, peer);
        }
    }

    /// The peer has an offer or answer, or one is the first of what waits: so the rest can follow.
    fn describe(&self, state: &mut State, peer: PeerId) {
        state.is_described = true;
        for data in state.take_waiting() {
            // One who is gone by now needs nothing.
            let _ = self.handle.signal(peer, data);
        }
    }

    fn part(&self, peer: PeerId, next: Option<PeerId>) -> Option<String> {
        let mut state = self.lock();
        if state.peer != Some(peer) {
            return None;
        }
        (state.peer, state.is_described) = (next, false);
        state.take_waiting();
        Some(BYE.to_owned())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn stop_expiry(&mut self) {
        if let Some(expiry) = self.expiry.take() {
            expiry.abort();
        }
    }

    fn wait(&mut self, data: Payload, is_offer: bool, max_bytes: usize) -> Result<(), ErrorId> {
        if is_offer && self.has_offer {
            // The client has begun anew.
            let old = self.waiting.remove(0);
            self.waiting_bytes -= old.as_str().len();
            self.has_offer = false;
        }
        self.purse.hold(self.waiting_bytes);
        let bytes = self.waiting_bytes + data.as_str().len();
        let fits = self.waiting.len() < MAX_WAITING && bytes <= max_bytes;
        if !fits || !self.purse.has_room_for(data.as_str().len()) {
            return Err(ErrorId::PeerBusy);
        }
        self.waiting_bytes = bytes;
        self.purse.hold(bytes);
        let place = if is_offer { 0 } else { self.waiting.len() };
        self.waiting.insert(place, data);
        self.has_offer |= is_offer;
        Ok(())
    }

    fn take_waiting(&mut self) -> Vec<Payload> {
        (self.waiting_bytes, self.has_offer) = (0, false);
        self.purse.hold(0);
        std::mem::take(&mut self.waiting)
    }
}
