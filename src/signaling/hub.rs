//! One set of rooms, shared by every connection of every dialect.
//!
//! The lock is held for a few map look-ups at a time and never while waiting: messages go to bounded queues.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::candidates;
use super::error::{ErrorId, Refusal};
use super::message::{LeaveReason, PeerId, ServerMessage};
use super::names::{DisplayName, RoomName};
use super::outbox::{Inbox, Outbox, outbox};
use super::pace::{Pace, Paced};
use super::rooms::{Effect, RoomLimits, Rooms};
use crate::credentials::{IceServer, Memberships, Reach, RoomMember};
use crate::limit::{Shares, SourcePrefix};

/// Makes the `iceServers` of a new member who reaches the box at [`Reach`], and says for how many seconds they last.
pub type Mint = Arc<dyn Fn(RoomMember, &Reach) -> (Vec<IceServer>, u64) + Send + Sync>;
/// Hears of every membership that ended, so that what it was allowed can be ended too.
pub type Revoke = Arc<dyn Fn(RoomMember) + Send + Sync>;

/// What the hub is given.
#[derive(Clone)]
pub struct HubOptions {
    /// Members of one room, at least 1.
    pub capacity: u32,
    /// Rooms at once, at least 1.
    pub max_rooms: u32,
    /// How many of them one source may have made, at least 1.
    pub max_rooms_per_prefix: u32,
    /// Connections at once, in a room or not yet, at least 1.
    pub connections: u32,
    /// How many of them may come from one source, at least 1.
    pub connections_per_prefix: u32,
    /// The longest message from a client, in bytes.
    pub message_bytes: usize,
    /// Messages a second that one connection may send in the long run.
    pub message_rate: u32,
    /// How long a connection may be in no room.
    pub hello_deadline: Duration,
    /// How often the server pings.
    pub ping_every: Duration,
    /// A connection from which nothing came for so long is dropped.
    pub silence: Duration,
    /// Makes the `iceServers` of a `joined`.
    pub mint: Mint,
}

impl HubOptions {
    /// The documented time between pings.
    pub const PING_EVERY: Duration = Duration::from_secs(4);
    /// The documented silence after which a connection is dropped.
    pub const SILENCE: Duration = Duration::from_secs(10);
}

impl fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubOptions")
            .field("capacity", &self.capacity)
            .field("max_rooms", &self.max_rooms)
            .field("connections", &self.connections)
            .field("message_bytes", &self.message_bytes)
            .field("message_rate", &self.message_rate)
            .finish_non_exhaustive()
    }
}

/// The rooms and everyone in them.
pub struct Hub {
    options: HubOptions,
    state: Mutex<State>,
    memberships: Arc<Memberships>,
    revoke: Revoke,
    sources: Mutex<Shares>,
    pub(super) connections: watch::Sender<u32>,
    closing: watch::Sender<bool>,
}

struct State {
    rooms: Rooms,
    outboxes: HashMap<PeerId, Outbox>,
    /// A generator fit for secrets: ids must not be guessed.
    rng: StdRng,
}

impl Hub {
    /// Empty rooms. `memberships` is told of everyone who comes, goes, or signals an address.
    pub fn new(options: HubOptions, memberships: Arc<Memberships>, revoke: Revoke) -> Self {
        let HubOptions { capacity, max_rooms, max_rooms_per_prefix, .. } = options;
        let limits = RoomLimits { capacity, max_rooms, max_rooms_per_prefix };
        let state = State { rooms: Rooms::new(limits), outboxes: HashMap::new(), rng: StdRng::from_os_rng() };
        let (connections, closing) = (watch::Sender::new(0), watch::Sender::new(false));
        Self { options, state: Mutex::new(state), memberships, revoke, sources: Mutex::default(), connections, closing }
    }

    /// What it was given.
    pub fn options(&self) -> &HubOptions {
        &self.options
    }

    /// Takes a connection from `remote`, which reaches the box at `reach`. `None` when there are as many as may be, in
    /// all or from that source.
    pub fn connect(self: &Arc<Self>, remote: IpAddr, reach: Reach) -> Option<Session> {
        if let Err(reason) = self.take_place(remote.into()) {
            metrics::counter!("lanturn_signaling_refused_total", "reason" => reason).increment(1);
            return None;
        }
        metrics::gauge!("lanturn_signaling_connections").increment(1);
        let (outbox, inbox) = outbox(self.options.message_bytes);
        let pace = Pace::new(self.options.message_rate);
        let since = Instant::now();
        Some(Session { hub: self.clone(), remote, reach, outbox, inbox, pace, since, member: None })
    }

    fn take_place(&self, source: SourcePrefix) -> Result<(), &'static str> {
        if !self.sources().take(source, self.options.connections_per_prefix) {
            return Err("busy-prefix");
        }
        let is_free = self.connections.send_if_modified(|connections| {
            let free = *connections < self.options.connections;
            *connections += u32::from(free);
            free
        });
        if !is_free {
            self.sources().give(source);
            return Err("busy");
        }
        Ok(())
    }

    /// Asks every connection to close.
    pub fn shutdown(&self) {
        self.closing.send_replace(true);
    }

    /// Returns when no connection is left.
    pub async fn closed(&self) {
        // Fails only when the sender is gone, and that is `self`.
        let _ = self.connections.subscribe().wait_for(|connections| *connections == 0).await;
    }

    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// A panic elsewhere leaves at worst a member that nobody drives; its session's end still removes it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sources(&self) -> MutexGuard<'_, Shares> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, session: &Session, room: &RoomName, name: Option<DisplayName>) -> Result<RoomMember, ErrorId> {
        let state = &mut *self.lock();
        let (member, effects) = state.rooms.join(room, name, session.remote.into(), &mut state.rng, |member| {
            self.memberships.join(member, session.remote);
            (self.options.mint)(member, &session.reach)
        })?;
        state.outboxes.insert(PeerId(member.member), session.outbox.clone());
        self.carry_out(state, effects);
        Ok(member)
    }

    fn pass(&self, from: RoomMember, to: PeerId, data: Value) -> Result<(), ErrorId> {
        let addresses = candidates::addresses(&data);
        let state = &mut *self.lock();
        let effect = state.rooms.signal(PeerId(from.member), to, data)?;
        for address in addresses {
            if !self.memberships.offered(from, address) {
                metrics::counter!("lanturn_signaled_addresses_dropped_total").increment(1);
            }
        }
        self.carry_out(state, vec![effect]);
        Ok(())
    }

    fn remove(&self, member: RoomMember, reason: LeaveReason) {
        let id = PeerId(member.member);
        {
            let state = &mut *self.lock();
            state.outboxes.remove(&id);
            let effects = state.rooms.leave(id, reason);
            self.carry_out(state, effects);
        }
        (self.revoke)(member);
    }

    fn carry_out(&self, state: &State, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    if let Some(outbox) = state.outboxes.get(&to) {
                        outbox.push(message);
                    }
                }
                Effect::Ended(member) => self.memberships.leave(member),
            }
        }
        metrics::gauge!("lanturn_rooms").set(state.rooms.len() as f64);
        metrics::gauge!("lanturn_room_members").set(state.rooms.members() as f64);
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("options", &self.options).finish_non_exhaustive()
    }
}

/// One connection's part in the hub, whatever its dialect. Dropping it ends its membership.
#[derive(Debug)]
pub struct Session {
    hub: Arc<Hub>,
    remote: IpAddr,
    reach: Reach,
    outbox: Outbox,
    inbox: Inbox,
    pace: Pace,
    since: Instant,
    member: Option<RoomMember>,
}

impl Session {
    /// The hub it is of.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Whether it is in a room.
    pub fn is_member(&self) -> bool {
        self.member.is_some()
    }

    /// Enters a room. `joined` is the first thing the room sends.
    ///
    /// # Errors
    /// [`ErrorId::AlreadyJoined`], [`ErrorId::Full`] or [`ErrorId::TooManyRooms`].
    pub fn join(&mut self, room: &RoomName, name: Option<DisplayName>) -> Result<(), ErrorId> {
        if self.member.is_some() {
            return Err(ErrorId::AlreadyJoined);
        }
        self.member = Some(self.hub.enter(self, room, name)?);
        Ok(())
    }

    /// Sends something to one other member. The addresses it offers may be relayed to before it arrives.
    ///
    /// # Errors
    /// [`ErrorId::JoinFirst`] or [`ErrorId::NoSuchPeer`].
    pub fn signal(&mut self, to: PeerId, data: Value) -> Result<(), ErrorId> {
        let member = self.member.ok_or(ErrorId::JoinFirst)?;
        self.hub.pass(member, to, data)?;
        metrics::counter!("lanturn_signals_total").increment(1);
        Ok(())
    }

    /// Leaves the room, if in one.
    pub fn leave(&mut self, reason: LeaveReason) {
        if let Some(member) = self.member.take() {
            self.hub.remove(member, reason);
        }
    }

    /// Queues something for this connection itself, after what is queued already.
    pub fn tell(&self, message: ServerMessage) {
        self.outbox.push(message);
    }

    /// Queues an error. Says with which WebSocket close code the connection is to end, if it is.
    pub fn refuse(&self, refusal: Refusal) -> Option<u16> {
        let code = refusal.id.close_code();
        self.refuse_with(refusal, code)
    }

    /// Counts a message that came. Says whether it is to be handled, or else what [`refuse`](Self::refuse) says.
    ///
    /// # Errors
    /// The close code, if the connection is to end.
    pub fn pace(&mut self) -> Result<(), Option<u16>> {
        match self.pace.take(self.since.elapsed()) {
            Paced::Pass => Ok(()),
            Paced::Drop => Err(self.refuse(ErrorId::RateLimited.into())),
            Paced::Close => Err(self.refuse_with(ErrorId::RateLimited.into(), Some(1013))),
        }
    }

    pub(crate) fn inbox(&mut self) -> &mut Inbox {
        &mut self.inbox
    }

    fn refuse_with(&self, refusal: Refusal, code: Option<u16>) -> Option<u16> {
        metrics::counter!("lanturn_signaling_refused_total", "reason" => refusal.id.id()).increment(1);
        self.tell(ServerMessage::refusal(refusal, code.is_some()));
        code
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leave(LeaveReason::Disconnected);
        self.hub.sources().give(self.remote.into());
        self.hub.connections.send_modify(|connections| *connections -= 1);
        metrics::gauge!("lanturn_signaling_connections").decrement(1);
    }
}
