//! The rooms: who is in which, who is polite to whom, and the count of signals between each two.
//!
//! Pure: no clock, no sockets. What is to be sent comes out as [`Effect`]s, in the order of sending.

use std::collections::HashMap;

use rand::Rng;
use subtle::ConstantTimeEq as _;

use super::error::ErrorId;
use super::message::{Capacity, Joined, LeaveReason, PeerId, ResumeToken, Role, ServerMessage, VERSION};
use super::names::{DisplayName, Pin, RoomName};
use super::payload::Payload;
pub use super::room::{Entrant, FirstOffer};
use super::room::{Member, Room};
use crate::credentials::{IceServer, MemberTag, RoomMember, RoomTag};
use crate::limit::Shares;

/// How much the rooms may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomLimits {
    /// Members of one room that others see.
    pub capacity: Capacity,
    /// Members of one room that others do not see, at least 1.
    pub unlisted: u32,
    /// Rooms at once, at least 1.
    pub max_rooms: u32,
    /// How many of them one source may have made, at least 1.
    pub max_rooms_per_prefix: u32,
}

/// What is to be done after a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A message for one member.
    Send {
        /// Who gets it.
        to: PeerId,
        /// What.
        message: ServerMessage,
    },
    /// A membership has ended, and with it what it was allowed.
    Ended(RoomMember),
}

/// Every room. A room is there from its first member to its last.
#[derive(Debug)]
pub struct Rooms {
    limits: RoomLimits,
    names: HashMap<RoomName, RoomTag>,
    rooms: HashMap<RoomTag, Room>,
    /// The room that each member is in, and as which in the order of coming.
    whereabouts: HashMap<PeerId, (RoomTag, u64)>,
    /// The rooms that each source has made.
    made: Shares,
    arrivals: u64,
}

impl Rooms {
    /// No rooms yet.
    pub fn new(limits: RoomLimits) -> Self {
        Self {
            limits,
            names: HashMap::new(),
            rooms: HashMap::new(),
            whereabouts: HashMap::new(),
            made: Shares::default(),
            arrivals: 0,
        }
    }

    /// How many rooms there are.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// How many members all rooms have together.
    pub fn members(&self) -> usize {
        self.whereabouts.len()
    }

    /// How many members the room of `id` has, itself included. 0 when it is in none.
    pub fn company(&self, id: PeerId) -> usize {
        let room = self.whereabouts.get(&id).and_then(|(tag, _)| self.rooms.get(tag));
        room.map_or(0, |room| room.members.len())
    }

    /// Lets someone in, under an id that `rng` makes. `invited` looks at an invite, if there is one, with the PIN of the
    /// room, and says as what it lets in. `issue` says how the new member reaches the relay and for how many seconds; it
    /// is asked once, and only if there is a place.
    ///
    /// # Errors
    /// [`ErrorId::Locked`], [`ErrorId::BadPin`], [`ErrorId::BadInvite`], [`ErrorId::Full`] or
    /// [`ErrorId::TooManyRooms`].
    pub fn join<R: Rng>(
        &mut self,
        name: &RoomName,
        mut entrant: Entrant,
        invited: Option<impl FnOnce(Option<&Pin>) -> Option<Role>>,
        rng: &mut R,
        issue: impl FnOnce(RoomMember) -> (Vec<IceServer>, u64),
    ) -> Result<(RoomMember, Vec<Effect>), ErrorId> {
        let tag = self.enter(name, &mut entrant, invited, rng)?;
        let (id, secret) = (self.fresh_id(rng), rng.random());
        let member = RoomMember { room: tag, member: id.0 };
        let (ice_servers, ttl) = issue(member);
        let order = self.arrivals;
        let is_listed = entrant.is_listed;
        let Some(room) = self.rooms.get_mut(&tag) else {
            return Err(ErrorId::TooManyRooms);
        };
        self.arrivals += 1;
        self.whereabouts.insert(id, (tag, order));
        room.members.insert(order, Member::new(entrant, id, secret));
        let another_host = room.choose_host();
        let joined = room.joined(order, self.limits.capacity, ice_servers, ttl);
        let mut effects: Vec<_> = joined.map(|message| Effect::Send { to: id, message }).into_iter().collect();
        if is_listed {
            effects.extend(room.arrival(order));
            effects.extend(room.tell_state(another_host).into_iter().filter(|effect| !is_for(effect, id)));
        }
        Ok((member, effects))
    }

    /// Passes a signal on, with its sender and number stamped on it. `fits` says whether the receiver has room for it;
    /// it is asked last, and if it says no then nothing has happened.
    ///
    /// # Errors
    /// [`ErrorId::JoinFirst`] when `from` is in no room; [`ErrorId::NoSuchPeer`] when `to` is not in that room, or is
    /// `from` itself; [`ErrorId::NotAllowed`] between viewers; [`ErrorId::Stale`] when `epoch` is not that of `to`;
    /// [`ErrorId::PeerBusy`].
    pub fn signal(
        &mut self,
        from: PeerId,
        to: PeerId,
        epoch: Option<u32>,
        data: Payload,
        fits: impl FnOnce(&ServerMessage) -> bool,
    ) -> Result<Effect, ErrorId> {
        let (tag, order) = self.place_of(from)?;
        let receiver = self.whereabouts.get(&to).filter(|(other, _)| *other == tag && to != from);
        let &(_, receiver) = receiver.ok_or(ErrorId::NoSuchPeer)?;
        let room = self.rooms.get_mut(&tag).ok_or(ErrorId::JoinFirst)?;
        let receiver = room.members.get(&receiver).ok_or(ErrorId::NoSuchPeer)?;
        if epoch.is_some_and(|epoch| epoch != receiver.epoch) {
            return Err(ErrorId::Stale);
        }
        let receiving = receiver.role;
        let sender = room.members.get_mut(&order).ok_or(ErrorId::JoinFirst)?;
        if sender.role == Role::Viewer && receiving == Role::Viewer {
            return Err(ErrorId::NotAllowed);
        }
        let seq = sender.sent.get(&to).copied().unwrap_or_default() + 1;
        let message = ServerMessage::Signal { from, epoch: sender.epoch, seq, data };
        if !fits(&message) {
            return Err(ErrorId::PeerBusy);
        }
        sender.sent.insert(to, seq);
        Ok(Effect::Send { to, message })
    }

    /// Passes something on to everybody else in the room. `fits` is asked for each. Who has no room for it does not get
    /// it, and is named beside the effects.
    ///
    /// # Errors
    /// [`ErrorId::JoinFirst`] when `from` is in no room.
    pub fn broadcast(
        &mut self,
        from: PeerId,
        data: &Payload,
        fits: impl Fn(PeerId, &ServerMessage) -> bool,
    ) -> Result<(Vec<Effect>, Vec<PeerId>), ErrorId> {
        let (tag, order) = self.place_of(from)?;
        let room = self.rooms.get_mut(&tag).ok_or(ErrorId::JoinFirst)?;
        let others: Vec<_> = room.members.values().map(|member| member.id).filter(|id| *id != from).collect();
        let sender = room.members.get_mut(&order).ok_or(ErrorId::JoinFirst)?;
        let (mut effects, mut missed) = (Vec::new(), Vec::new());
        for to in others {
            let seq = sender.sent.get(&to).copied().unwrap_or_default() + 1;
            let message = ServerMessage::Broadcast { from, epoch: sender.epoch, seq, data: data.clone() };
            if fits(to, &message) {
                sender.sent.insert(to, seq);
                effects.push(Effect::Send { to, message });
            } else {
                missed.push(to);
            }
        }
        Ok((effects, missed))
    }

    /// Gives someone another name, and tells everybody, itself too.
    ///
    /// # Errors
    /// [`ErrorId::JoinFirst`] when it is in no room.
    pub fn rename(&mut self, id: PeerId, name: Option<DisplayName>) -> Result<Vec<Effect>, ErrorId> {
        let (room, order) = self.room_of(id)?;
        let member = room.members.get_mut(&order).ok_or(ErrorId::JoinFirst)?;
        if !member.is_listed {
            return Err(ErrorId::NotAllowed);
        }
        member.name.clone_from(&name);
        Ok(room.to_listed(&ServerMessage::PeerRenamed { id, name }))
    }

    /// Locks or unlocks the room of its host `id`.
    ///
    /// # Errors
    /// [`ErrorId::NotAllowed`] when `id` is not the host, [`ErrorId::JoinFirst`] when it is in no room.
    pub fn lock(&mut self, id: PeerId, is_locked: bool) -> Result<Vec<Effect>, ErrorId> {
        let room = self.hosted_by(id)?;
        room.is_locked = is_locked;
        Ok(room.tell_state(true))
    }

    /// Gives the room of its host `id` a PIN, or none. Invites that were made under another one end.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn set_pin(&mut self, id: PeerId, pin: Option<Pin>) -> Result<Vec<Effect>, ErrorId> {
        let room = self.hosted_by(id)?;
        room.pin = pin;
        Ok(room.tell_state(true))
    }

    /// What an invite to `role` by `id` is to be made of: the room and its PIN.
    ///
    /// # Errors
    /// [`ErrorId::NotAllowed`] for a role above that of `id`, unless it is the host; [`ErrorId::JoinFirst`] when it is
    /// in no room.
    pub fn invitation(&mut self, id: PeerId, role: Role) -> Result<(&RoomName, Option<&Pin>), ErrorId> {
        let (room, order) = self.room_of(id)?;
        let own = room.members.get(&order).ok_or(ErrorId::JoinFirst)?;
        if !own.is_listed || room.host != Some(id) && !own.role.may_invite(role) {
            return Err(ErrorId::NotAllowed);
        }
        Ok((&room.name, room.pin.as_ref()))
    }

    /// Whether there is such a room, and it has a PIN.
    pub fn has_pin(&self, name: &RoomName) -> bool {
        let room = self.names.get(name).and_then(|tag| self.rooms.get(tag));
        room.is_some_and(|room| room.pin.is_some())
    }

    /// Whether the host `by` may send `id` away, which [`leave`](Self::leave) then does.
    ///
    /// # Errors
    /// As [`lock`](Self::lock), and [`ErrorId::NoSuchPeer`] when nobody else in the room has that id.
    pub fn may_kick(&mut self, by: PeerId, id: PeerId) -> Result<(), ErrorId> {
        let room = self.hosted_by(by)?;
        let is_there = id != by && room.listed().any(|member| member.id == id);
        if is_there { Ok(()) } else { Err(ErrorId::NoSuchPeer) }
    }

    /// Someone's connection dropped. The others hear that it is away, and not that it left.
    pub fn away(&mut self, id: PeerId) -> Vec<Effect> {
        let Ok((room, order)) = self.room_of(id) else {
            return Vec::new();
        };
        let was_away = room.members.get_mut(&order).is_none_or(|member| std::mem::replace(&mut member.is_away, true));
        if was_away { Vec::new() } else { room.to_others(id, &ServerMessage::PeerAway { id }) }
    }

    /// The membership that a token proves.
    ///
    /// # Errors
    /// [`ErrorId::Gone`] when there is none such.
    pub fn prove(&self, token: ResumeToken) -> Result<RoomMember, ErrorId> {
        let &(tag, order) = self.whereabouts.get(&token.id).ok_or(ErrorId::Gone)?;
        let member = self.rooms.get(&tag).and_then(|room| room.members.get(&order)).ok_or(ErrorId::Gone)?;
        let is_right: bool = member.secret.to_be_bytes().ct_eq(&token.secret.to_be_bytes()).into();
        if is_right { Ok(RoomMember { room: tag, member: token.id.0 }) } else { Err(ErrorId::Gone) }
    }

    /// Someone's connection goes on: the others hear that it is back, if they heard that it was away.
    pub fn back(&mut self, id: PeerId) -> Vec<Effect> {
        let Ok((room, order)) = self.room_of(id) else {
            return Vec::new();
        };
        let was_away = room.members.get_mut(&order).is_some_and(|member| std::mem::take(&mut member.is_away));
        if was_away { room.to_others(id, &ServerMessage::PeerBack { id }) } else { Vec::new() }
    }

    /// Someone starts anew, in a new epoch: it is sent `joined` again, and the others hear of it.
    pub fn restart(&mut self, id: PeerId, ice_servers: Vec<IceServer>, ttl: u64) -> Vec<Effect> {
        let capacity = self.limits.capacity;
        let Ok((room, order)) = self.room_of(id) else {
            return Vec::new();
        };
        for member in room.members.values_mut() {
            member.sent.remove(&id);
        }
        let Some(member) = room.members.get_mut(&order) else {
            return Vec::new();
        };
        member.epoch += 1;
        member.is_away = false;
        member.sent.clear();
        let epoch = member.epoch;
        let joined = room.joined(order, capacity, ice_servers, ttl);
        let mut effects: Vec<_> = joined.map(|message| Effect::Send { to: id, message }).into_iter().collect();
        effects.extend(room.to_others(id, &ServerMessage::PeerRestarted { id, epoch }));
        effects
    }

    /// Takes someone out, and tells the others. Nothing happens if they are already gone.
    pub fn leave(&mut self, id: PeerId, reason: LeaveReason) -> Vec<Effect> {
        let Some((tag, order)) = self.whereabouts.remove(&id) else {
            return Vec::new();
        };
        let Some(room) = self.rooms.get_mut(&tag) else {
            return Vec::new();
        };
        let was_listed = room.members.remove(&order).is_some_and(|member| member.is_listed);
        for member in room.members.values_mut() {
            member.sent.remove(&id);
        }
        let mut effects = vec![Effect::Ended(RoomMember { room: tag, member: id.0 })];
        if was_listed {
            effects.extend(room.to_others(id, &ServerMessage::PeerLeft { id, reason }));
            let another_host = room.choose_host();
            effects.extend(room.tell_state(another_host));
            if room.host.is_none() {
                // Nobody is left who could open the door again.
                (room.is_locked, room.pin) = (false, None);
            }
        }
        if room.members.is_empty() {
            self.made.give(room.maker);
            self.names.remove(&room.name);
            self.rooms.remove(&tag);
        }
        effects
    }

    /// The room that has a place for the entrant, made if need be.
    fn enter<R: Rng>(
        &mut self,
        name: &RoomName,
        entrant: &mut Entrant,
        invited: Option<impl FnOnce(Option<&Pin>) -> Option<Role>>,
        rng: &mut R,
    ) -> Result<RoomTag, ErrorId> {
        if let Some((&tag, room)) = self.names.get(name).and_then(|tag| Some((tag, self.rooms.get(tag)?))) {
            room.admit(entrant, invited)?;
            let is_free = room.has_place(entrant, &self.limits.capacity, self.limits.unlisted);
            return if is_free { Ok(tag) } else { Err(ErrorId::Full) };
        }
        if let Some(invited) = invited {
            entrant.role = invited(None).ok_or(ErrorId::BadInvite)?;
        }
        if self.limits.capacity.of(entrant.role) == 0 {
            return Err(ErrorId::Full);
        }
        let is_free = self.rooms.len() < self.limits.max_rooms as usize
            && self.made.take(entrant.source, self.limits.max_rooms_per_prefix);
        if !is_free {
            return Err(ErrorId::TooManyRooms);
        }
        let tag = RoomTag(rng.random());
        self.names.insert(name.clone(), tag);
        self.rooms.insert(tag, Room::new(name.clone(), entrant));
        Ok(tag)
    }

    fn place_of(&self, id: PeerId) -> Result<(RoomTag, u64), ErrorId> {
        self.whereabouts.get(&id).copied().ok_or(ErrorId::JoinFirst)
    }

    fn room_of(&mut self, id: PeerId) -> Result<(&mut Room, u64), ErrorId> {
        let (tag, order) = self.place_of(id)?;
        self.rooms.get_mut(&tag).map(|room| (room, order)).ok_or(ErrorId::JoinFirst)
    }

    fn hosted_by(&mut self, id: PeerId) -> Result<&mut Room, ErrorId> {
        let (room, _) = self.room_of(id)?;
        if room.host == Some(id) { Ok(room) } else { Err(ErrorId::NotAllowed) }
    }

    fn fresh_id<R: Rng>(&self, rng: &mut R) -> PeerId {
        loop {
            let id = PeerId(MemberTag(rng.random()));
            if !self.whereabouts.contains_key(&id) {
                return id;
            }
        }
    }
}

impl Room {
    /// What someone who is new, or starts anew, is told. Nothing if it is not there.
    fn joined(&self, order: u64, capacity: Capacity, ice_servers: Vec<IceServer>, ttl: u64) -> Option<ServerMessage> {
        let member = self.members.get(&order)?;
        let peers = if member.is_listed { self.peers_of(order) } else { Vec::new() };
        let (room, myself, state, resume) = (self.name.clone(), member.myself(), self.state(), member.resume());
        let v = VERSION;
        let joined = Joined { v, room, myself, peers, state, capacity, ice_servers, ttl, resume };
        Some(ServerMessage::Joined(Box::new(joined)))
    }

    /// What the others hear of the one who came as number `order`.
    fn arrival(&self, order: u64) -> Vec<Effect> {
        let Some(newcomer) = self.members.get(&order) else {
            return Vec::new();
        };
        let others = self.listed().filter(|member| member.id != newcomer.id);
        let told = |to: &Member| ServerMessage::PeerJoined { peer: newcomer.entry_for(to, false) };
        others.map(|to| Effect::Send { to: to.id, message: told(to) }).collect()
    }

    /// How the room stands, for everybody who is listed. Nothing if that has not changed.
    fn tell_state(&self, has_changed: bool) -> Vec<Effect> {
        if has_changed { self.to_listed(&ServerMessage::Room { state: self.state() }) } else { Vec::new() }
    }

    fn to_listed(&self, message: &ServerMessage) -> Vec<Effect> {
        self.listed().map(|member| Effect::Send { to: member.id, message: message.clone() }).collect()
    }

    /// Nobody else hears of one who is not listed.
    fn to_others(&self, about: PeerId, message: &ServerMessage) -> Vec<Effect> {
        let is_hidden = self.members.values().any(|member| member.id == about && !member.is_listed);
        if is_hidden {
            return Vec::new();
        }
        self.to_listed(message).into_iter().filter(|effect| !is_for(effect, about)).collect()
    }
}

fn is_for(effect: &Effect, id: PeerId) -> bool {
    matches!(effect, Effect::Send { to, .. } if *to == id)
}

#[cfg(test)]
#[path = "rooms_tests.rs"]
mod tests;
