//! One set of rooms, shared by every connection of every dialect.
//!
//! The lock is held for a few map look-ups at a time and never while waiting: messages go to bounded mailboxes.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::Counter;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::time::Instant;

use super::budget::{Budget, Purse, WaitingLimits};
use super::candidates::{self, Offered};
use super::error::ErrorId;
use super::matchbox::groups::Groups;
use super::message::{Capacity, LeaveReason, PeerId, ResumeToken, Role, ServerMessage};
use super::names::{Pin, RoomName};
use super::outbox::Outbox;
use super::payload::Payload;
use super::peerjs::directory::Directory;
use super::rooms::{Effect, Entrant, RoomLimits, Rooms};
use super::session::Session;
use super::slots::Slots;
use crate::credentials::{IceServer, Memberships, Reach, RoomMember};
use crate::limit::{RateLimit, SourcePrefix};

/// Wrong PINs that one source may try in a minute.
const PIN_GUESSES: u32 = 10;
/// Wrong PINs that one site, an IPv6 /48, may try in a minute from all its sources.
const PIN_GUESSES_OF_SITE: u32 = 30;

/// What the rooms give to their members, signed with the secrets in force.
pub trait Grants: Send + Sync {
    /// The `iceServers` of a member who reaches the box at [`Reach`], and for how many seconds they last.
    fn ice_servers(&self, member: RoomMember, reach: &Reach) -> (Vec<IceServer>, u64);
    /// An invite, and when it ends in seconds since the Unix epoch.
    fn invite(&self, room: &RoomName, pin: Option<&Pin>, role: Role, ttl: Duration) -> (String, u64);
    /// As what an invite lets into a room with that PIN now, if it does.
    fn invited(&self, invite: &str, room: &RoomName, pin: Option<&Pin>) -> Option<Role>;
}

/// Hears of every membership that ended, so that what it was allowed can be ended too.
pub type Revoke = Arc<dyn Fn(RoomMember) + Send + Sync>;

/// What the hub is given.
#[derive(Clone)]
pub struct HubOptions {
    /// Members of one room that others see.
    pub capacity: Capacity,
    /// Members of one room that others do not see, at least 1.
    pub unlisted: u32,
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
    /// How long a member whose connection dropped is waited for, if it can resume. Zero: not at all.
    pub resume_window: Duration,
    /// Rooms that one source can enter in a minute, at least 1.
    pub join_rate: u32,
    /// Bytes that may wait for everybody, and for the connections of one source. A little always may.
    pub waiting_bytes: usize,
    /// See [`waiting_bytes`](Self::waiting_bytes).
    pub waiting_bytes_per_prefix: usize,
    /// How often the server pings.
    pub ping_every: Duration,
    /// A connection from which nothing came for so long is dropped.
    pub silence: Duration,
    /// What members are given.
    pub grants: Arc<dyn Grants>,
}

impl HubOptions {
    /// The documented bound on what waits for everybody.
    pub const WAITING_BYTES: usize = 256 << 20;
    /// The documented bound on what waits for the connections of one source.
    pub const WAITING_BYTES_PER_PREFIX: usize = 32 << 20;
    /// The documented time between pings.
    pub const PING_EVERY: Duration = Duration::from_secs(4);
    /// The documented silence after which a connection is dropped: it and the way of the news take less than 10 s.
    pub const SILENCE: Duration = Duration::from_secs(9);
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
    directory: Mutex<Directory>,
    groups: Mutex<Groups>,
    /// Of connections.
    places: Mutex<Slots>,
    /// Of memberships whose connection dropped.
    waits: Mutex<Slots>,
    /// Wrong PINs: of a source, and of the whole site that it may be one of.
    guesses: Mutex<(RateLimit, RateLimit)>,
    joins: Mutex<RateLimit>,
    budget: Mutex<Budget>,
    started: Instant,
    signals: Counter,
    pub(super) sessions: watch::Sender<u32>,
    closing: watch::Sender<bool>,
    moved: watch::Sender<()>,
}

/// A member who says something.
pub(super) struct Sender<'a> {
    pub(super) member: RoomMember,
    /// Its mailbox, and the hold on it of the connection over which it says so. None for what it said before.
    pub(super) hold: Option<(&'a Outbox, u64)>,
    /// The client's own number for it.
    pub(super) number: Option<u64>,
}

impl Sender<'_> {
    /// Whether it is to be passed on: an older connection is heard no more, and nothing is heard twice. Only under the
    /// lock, or what a newer connection says could overtake it.
    fn is_heard(&self) -> Result<bool, ErrorId> {
        self.hold.map_or(Ok(true), |(outbox, holder)| outbox.is_new(holder, self.number))
    }
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
        let HubOptions { capacity, unlisted, max_rooms, max_rooms_per_prefix, .. } = options;
        let limits = RoomLimits { capacity, unlisted, max_rooms, max_rooms_per_prefix };
        let state = State { rooms: Rooms::new(limits), outboxes: HashMap::new(), rng: StdRng::from_os_rng() };
        let waiting = WaitingLimits { all: options.waiting_bytes, per_prefix: options.waiting_bytes_per_prefix };
        let a_minute = |events| RateLimit::new(events, Duration::from_secs(60));
        let places = || Mutex::new(Slots::new(options.connections, options.connections_per_prefix));
        Self {
            places: places(),
            waits: places(),
            guesses: Mutex::new((a_minute(PIN_GUESSES), a_minute(PIN_GUESSES_OF_SITE))),
            joins: Mutex::new(a_minute(options.join_rate)),
            budget: Mutex::new(Budget::new(waiting)),
            options,
            state: Mutex::new(state),
            memberships,
            revoke,
            directory: Mutex::default(),
            groups: Mutex::default(),
            started: Instant::now(),
            signals: metrics::counter!("lanturn_signals_total"),
            sessions: watch::Sender::new(0),
            closing: watch::Sender::new(false),
            moved: watch::Sender::new(()),
        }
    }

    /// What it was given.
    pub fn options(&self) -> &HubOptions {
        &self.options
    }

    /// Takes a connection from `remote`, which reaches the box at `reach`. `None` when there are as many as may be, in
    /// all or from that source.
    pub fn connect(self: &Arc<Self>, remote: IpAddr, reach: Reach) -> Option<Session> {
        if let Err(reason) = lock(&self.places).take(remote.into()) {
            metrics::counter!("lanturn_signaling_refused_total", "reason" => reason).increment(1);
            return None;
        }
        self.sessions.send_modify(|sessions| *sessions += 1);
        metrics::gauge!("lanturn_signaling_connections").increment(1);
        Some(Session::new(Arc::clone(self), remote, reach))
    }

    /// A mailbox for a connection from `source`.
    pub(super) fn outbox(&self, source: SourcePrefix) -> Outbox {
        Outbox::new(self.options.message_bytes, self.purse(source))
    }

    /// What a mailbox for somebody from `source` pays from.
    pub(super) fn purse(&self, source: SourcePrefix) -> Purse {
        // Of connections, and of memberships that are waited for.
        lock(&self.budget).purse(source, 2 * self.options.connections as usize)
    }

    /// Has the gauges tell what changes too often to tell each time.
    pub fn measure(&self) {
        metrics::gauge!("lanturn_waiting_bytes").set(lock(&self.budget).waiting() as f64);
    }

    /// The connection of a session dropped: whoever comes may have its place, above all who goes on with its membership.
    /// As many memberships can be waited for in this way as there may be connections; any other keeps its place. Says
    /// whether it is given away.
    pub(super) fn lend_place(&self, source: SourcePrefix) -> bool {
        let is_lent = lock(&self.waits).take(source).is_ok();
        if is_lent {
            self.give_place(source);
        } else {
            metrics::counter!("lanturn_places_kept_total").increment(1);
        }
        is_lent
    }

    /// A session has ended, whose place was lent or not.
    pub(super) fn disconnect(&self, source: SourcePrefix, is_lent: bool) {
        if is_lent {
            lock(&self.waits).give(source);
        } else {
            self.give_place(source);
        }
        self.sessions.send_modify(|sessions| *sessions -= 1);
    }

    fn give_place(&self, source: SourcePrefix) {
        lock(&self.places).give(source);
        metrics::gauge!("lanturn_signaling_connections").decrement(1);
    }

    /// Asks every connection to close.
    pub fn shutdown(&self) {
        self.closing.send_replace(true);
    }

    /// The way to the box, or from its relay, is another: members are given what they are to use from now on.
    pub fn moved(&self) {
        self.moved.send_replace(());
    }

    /// Returns when no connection is left, and no membership is waited for.
    pub async fn closed(&self) {
        // Fails only when the sender is gone, and that is `self`.
        let _ = self.sessions.subscribe().wait_for(|sessions| *sessions == 0).await;
    }

    /// Who goes by which chosen id. While it is held, [`pass`](Self::pass) may be called, and not the other way round.
    pub(super) fn directory(&self) -> MutexGuard<'_, Directory> {
        lock(&self.directory)
    }

    /// The groups that form.
    pub(super) fn groups(&self) -> MutexGuard<'_, Groups> {
        lock(&self.groups)
    }

    /// The time since the hub was made.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Changes each time that [`moved`](Self::moved) is called from now on.
    pub(super) fn moves(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }

    /// Lets a connection in, whose mailbox is `outbox`.
    pub(super) fn enter(
        &self,
        (remote, reach, outbox): (IpAddr, &Reach, &Outbox),
        room: &RoomName,
        entrant: Entrant,
        invite: Option<&str>,
    ) -> Result<RoomMember, ErrorId> {
        let (source, now) = (entrant.source, self.now());
        if lock(&self.joins).take(source, now).is_err() {
            metrics::counter!("lanturn_joins_refused_total").increment(1);
            return Err(ErrorId::RateLimited);
        }
        let is_listed = entrant.is_listed;
        let invited = invite.map(|invite| |pin: Option<&Pin>| self.options.grants.invited(invite, room, pin));
        let mut state = lock(&self.state);
        let State { rooms, outboxes, rng } = &mut *state;
        let guesses = entrant.pin.is_some() && invite.is_none() && rooms.has_pin(room);
        if guesses && self.has_guessed_enough(source, now) {
            metrics::counter!("lanturn_pin_guesses_refused_total").increment(1);
            return Err(ErrorId::RateLimited);
        }
        let joined = rooms.join(room, entrant, invited, rng, |member| {
            if !is_listed {
                return (Vec::new(), 0);
            }
            self.memberships.join(member, reach.seen_at(remote));
            self.options.grants.ice_servers(member, reach)
        });
        if guesses && joined.as_ref().is_err_and(|id| *id == ErrorId::BadPin) {
            // Whether it was one too many shows at the next.
            let mut guesses = lock(&self.guesses);
            let _ = (guesses.0.take(source, now), guesses.1.take(source.site(), now));
        }
        let (member, effects) = joined?;
        outboxes.insert(PeerId(member.member), outbox.clone());
        self.carry_out(&state, effects);
        self.count(&state);
        Ok(member)
    }

    fn has_guessed_enough(&self, source: SourcePrefix, now: Duration) -> bool {
        let guesses = lock(&self.guesses);
        guesses.0.is_exhausted(source, now) || guesses.1.is_exhausted(source.site(), now)
    }

    /// Has the connection from `remote` go on with the membership that the token proves, in its mailbox. `attempt` is the
    /// client's own number for that, if it has one.
    pub(super) fn resume(
        &self,
        (remote, reach): (IpAddr, &Reach),
        token: ResumeToken,
        last: Option<u64>,
        attempt: Option<u64>,
    ) -> Result<(RoomMember, Outbox, u64), ErrorId> {
        let mut state = lock(&self.state);
        let member = state.rooms.prove(token)?;
        let outbox = state.outboxes.get(&token.id).cloned().ok_or(ErrorId::Gone)?;
        if !outbox.is_newer(attempt, last.is_none()) {
            return Err(ErrorId::Replaced);
        }
        let Ok(holder) = outbox.take_over(last) else {
            let effects = state.rooms.leave(token.id, LeaveReason::Disconnected);
            state.outboxes.remove(&token.id);
            outbox.end(ErrorId::Gone);
            let ended = self.carry_out(&state, effects);
            self.count(&state);
            drop(state);
            self.revoke(ended);
            return Err(ErrorId::Gone);
        };
        if reach.seen_at(remote).is_some_and(|seen| !self.memberships.saw(member, seen)) {
            metrics::counter!("lanturn_seen_addresses_dropped_total").increment(1);
        }
        let (ice_servers, ttl) = self.options.grants.ice_servers(member, reach);
        let effects = if last.is_some() {
            outbox.push(ServerMessage::Resumed { received: outbox.received(), ice_servers, ttl });
            state.rooms.back(token.id)
        } else {
            state.rooms.restart(token.id, ice_servers, ttl)
        };
        self.carry_out(&state, effects);
        Ok((member, outbox, holder))
    }

    /// Marks a member whose connection dropped as away, unless another connection has it by now.
    pub(super) fn away(&self, id: PeerId, (outbox, holder): (&Outbox, u64)) {
        let state = &mut *lock(&self.state);
        if !outbox.is_held_by(holder) {
            return;
        }
        outbox.hold(holder, true);
        let effects = state.rooms.away(id);
        self.carry_out(state, effects);
    }

    /// Passes a signal on. A member with credentials may be reached at the addresses that it offers.
    pub(super) fn pass(
        &self,
        sender: Sender<'_>,
        to: PeerId,
        epoch: Option<u32>,
        data: Payload,
    ) -> Result<(), ErrorId> {
        let is_reached = self.memberships.is_member(sender.member);
        let Offered { found, dropped } = if is_reached { candidates::addresses(&data) } else { Offered::default() };
        let state = &mut *lock(&self.state);
        if !sender.is_heard()? {
            return Ok(());
        }
        let from = sender.member;
        let State { rooms, outboxes, .. } = &mut *state;
        let fits = |signal: &ServerMessage| outboxes.get(&to).is_none_or(|outbox| outbox.accepts(signal));
        let effect = rooms.signal(PeerId(from.member), to, epoch, data, fits)?;
        let forgotten = found.into_iter().filter(|address| !self.memberships.offered(from, *address)).count();
        if dropped + forgotten > 0 {
            let lost = (dropped + forgotten) as u64;
            metrics::counter!("lanturn_signaled_addresses_dropped_total").increment(lost);
        }
        self.signals.increment(1);
        self.carry_out(state, vec![effect]);
        Ok(())
    }

    /// Passes something on to everybody else. Says who did not get it, because too much waits for them.
    pub(super) fn pass_to_all(&self, sender: Sender<'_>, data: &Payload) -> Result<Vec<PeerId>, ErrorId> {
        let state = &mut *lock(&self.state);
        if !sender.is_heard()? {
            return Ok(Vec::new());
        }
        let from = sender.member;
        let State { rooms, outboxes, .. } = &mut *state;
        let fits = |to, signal: &ServerMessage| outboxes.get(&to).is_none_or(|outbox| outbox.accepts(signal));
        let (effects, missed) = rooms.broadcast(PeerId(from.member), data, fits)?;
        self.signals.increment(effects.len() as u64);
        if !missed.is_empty() {
            metrics::counter!("lanturn_broadcasts_missed_total").increment(missed.len() as u64);
        }
        self.carry_out(state, effects);
        Ok(missed)
    }

    /// Changes something in the rooms, and sends what follows from it.
    pub(super) fn change(
        &self,
        change: impl FnOnce(&mut Rooms) -> Result<Vec<Effect>, ErrorId>,
    ) -> Result<(), ErrorId> {
        let state = &mut *lock(&self.state);
        let effects = change(&mut state.rooms)?;
        self.carry_out(state, effects);
        Ok(())
    }

    /// Makes an invite to the room of `id`.
    pub(super) fn invite(&self, id: PeerId, role: Role, ttl: Duration) -> Result<ServerMessage, ErrorId> {
        let mut state = lock(&self.state);
        let (room, pin) = state.rooms.invitation(id, role)?;
        let (invite, expires_at) = self.options.grants.invite(room, pin, role, ttl);
        Ok(ServerMessage::Invite { room: room.clone(), role, invite, expires_at })
    }

    /// Has the host `by` send `id` away.
    pub(super) fn kick(&self, by: PeerId, id: PeerId) -> Result<(), ErrorId> {
        let mut state = lock(&self.state);
        state.rooms.may_kick(by, id)?;
        let outbox = state.outboxes.remove(&id);
        let effects = state.rooms.leave(id, LeaveReason::Kicked);
        let ended = self.carry_out(&state, effects);
        self.count(&state);
        if let Some(outbox) = outbox {
            outbox.end(ErrorId::Kicked);
        }
        drop(state);
        self.revoke(ended);
        Ok(())
    }

    /// Ends a membership, if it is still with that connection.
    pub(super) fn remove(&self, member: RoomMember, (outbox, holder): (&Outbox, u64), reason: LeaveReason) {
        let id = PeerId(member.member);
        let mut state = lock(&self.state);
        if !outbox.is_held_by(holder) {
            return;
        }
        state.outboxes.remove(&id);
        let effects = state.rooms.leave(id, reason);
        let ended = self.carry_out(&state, effects);
        self.count(&state);
        drop(state);
        self.revoke(ended);
    }

    /// Ends the connection of a member, if it is still there.
    pub(super) fn end(&self, id: PeerId, why: ErrorId) {
        if let Some(outbox) = lock(&self.state).outboxes.get(&id) {
            outbox.end(why);
        }
    }

    /// Whether a member may relay: one that is not listed may not.
    pub(super) fn has_credential(&self, member: RoomMember) -> bool {
        self.memberships.is_member(member)
    }

    /// How many members the room of `id` has, itself included.
    pub(super) fn company(&self, id: PeerId) -> usize {
        lock(&self.state).rooms.company(id)
    }

    pub(super) fn grants(&self) -> &dyn Grants {
        &*self.options.grants
    }

    /// Sends what is to be sent, and returns whose membership has ended.
    fn carry_out(&self, state: &State, effects: Vec<Effect>) -> Vec<RoomMember> {
        let mut ended = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    if let Some(outbox) = state.outboxes.get(&to) {
                        outbox.push(message);
                    }
                }
                Effect::Ended(member) => {
                    self.memberships.leave(member);
                    ended.push(member);
                }
            }
        }
        ended
    }

    /// Not under the lock: the relay takes its time.
    fn revoke(&self, ended: Vec<RoomMember>) {
        ended.into_iter().for_each(|member| (self.revoke)(member));
    }

    fn count(&self, state: &State) {
        metrics::gauge!("lanturn_rooms").set(state.rooms.len() as f64);
        metrics::gauge!("lanturn_room_members").set(state.rooms.members() as f64);
    }
}

/// A panic elsewhere leaves at worst a member that nobody drives; its session's end still removes it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("options", &self.options).finish_non_exhaustive()
    }
}
