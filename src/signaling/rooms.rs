//! The rooms: who is in which, who is polite to whom, and the count of signals between each two.
//!
//! Pure: no clock, no sockets. What is to be sent comes out as [`Effect`]s, in the order of sending.

use std::collections::HashMap;

use rand::Rng;
use serde_json::Value;

use super::error::ErrorId;
use super::message::{LeaveReason, Myself, PeerEntry, PeerId, ServerMessage, VERSION};
use super::names::{DisplayName, RoomName};
use crate::credentials::{IceServer, MemberTag, RoomMember, RoomTag};
use crate::limit::{Shares, SourcePrefix};

/// How much the rooms may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomLimits {
    /// Members of one room, at least 1.
    pub capacity: u32,
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
    rooms: HashMap<RoomName, Room>,
    whereabouts: HashMap<PeerId, RoomName>,
    /// The rooms that each source has made.
    made: Shares,
}

#[derive(Debug)]
struct Room {
    tag: RoomTag,
    maker: SourcePrefix,
    /// In order of coming.
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    id: PeerId,
    name: Option<DisplayName>,
    /// The last `seq` sent to each other member. Bounded by the room's capacity.
    sent: HashMap<PeerId, u64>,
}

impl Rooms {
    /// No rooms yet.
    pub fn new(limits: RoomLimits) -> Self {
        Self { limits, rooms: HashMap::new(), whereabouts: HashMap::new(), made: Shares::default() }
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

    /// Lets someone from `source` in, under an id that `rng` makes. `issue` says how the new member reaches the relay
    /// and for how many seconds; it is asked once, and only if there is a place.
    ///
    /// # Errors
    /// [`ErrorId::Full`] or [`ErrorId::TooManyRooms`].
    pub fn join<R: Rng>(
        &mut self,
        room: &RoomName,
        name: Option<DisplayName>,
        source: SourcePrefix,
        rng: &mut R,
        issue: impl FnOnce(RoomMember) -> (Vec<IceServer>, u64),
    ) -> Result<(RoomMember, Vec<Effect>), ErrorId> {
        self.take_place(room, source)?;
        let id = self.fresh_id(rng);
        let capacity = self.limits.capacity;
        let new = || Room { tag: RoomTag(rng.random()), maker: source, members: Vec::new() };
        let entered = self.rooms.entry(room.clone()).or_insert_with(new);
        let member = RoomMember { room: entered.tag, member: id.0 };
        let (ice_servers, ttl) = issue(member);
        let peers = entered.members.iter().map(|there| there.entry(true)).collect();
        let newcomer = Member { id, name: name.clone(), sent: HashMap::new() };
        let myself = Myself { id, name };
        let room_name = room.clone();
        let joined = ServerMessage::Joined { v: VERSION, room: room_name, myself, peers, capacity, ice_servers, ttl };
        let mut effects = vec![Effect::Send { to: id, message: joined }];
        effects.extend(entered.members.iter().map(|there| Effect::Send {
            to: there.id,
            message: ServerMessage::PeerJoined { peer: newcomer.entry(false) },
        }));
        entered.members.push(newcomer);
        self.whereabouts.insert(id, room.clone());
        Ok((member, effects))
    }

    /// Passes a signal on, with its sender and number stamped on it.
    ///
    /// # Errors
    /// [`ErrorId::NoSuchPeer`] when `to` is not in the room of `from`, or is `from` itself; [`ErrorId::JoinFirst`]
    /// when `from` is in no room.
    pub fn signal(&mut self, from: PeerId, to: PeerId, data: Value) -> Result<Effect, ErrorId> {
        let name = self.whereabouts.get(&from).ok_or(ErrorId::JoinFirst)?;
        if to == from || self.whereabouts.get(&to) != Some(name) {
            return Err(ErrorId::NoSuchPeer);
        }
        let members = self.rooms.get_mut(name).map(|room| &mut room.members);
        let sender = members.and_then(|members| members.iter_mut().find(|member| member.id == from));
        let seq = sender.ok_or(ErrorId::JoinFirst)?.sent.entry(to).or_default();
        *seq += 1;
        Ok(Effect::Send { to, message: ServerMessage::Signal { from, seq: *seq, data } })
    }

    /// Takes someone out, and tells the others. Nothing happens if they are already gone.
    pub fn leave(&mut self, id: PeerId, reason: LeaveReason) -> Vec<Effect> {
        let Some(name) = self.whereabouts.remove(&id) else {
            return Vec::new();
        };
        let Some(room) = self.rooms.get_mut(&name) else {
            return Vec::new();
        };
        room.members.retain(|member| member.id != id);
        let mut effects = vec![Effect::Ended(RoomMember { room: room.tag, member: id.0 })];
        for member in &mut room.members {
            member.sent.remove(&id);
            effects.push(Effect::Send { to: member.id, message: ServerMessage::PeerLeft { id, reason } });
        }
        if room.members.is_empty() {
            self.made.give(room.maker);
            self.rooms.remove(&name);
        }
        effects
    }

    /// Whether there is a place in the room, or for it.
    fn take_place(&mut self, room: &RoomName, source: SourcePrefix) -> Result<(), ErrorId> {
        match self.rooms.get(room) {
            Some(room) if room.members.len() >= self.limits.capacity as usize => Err(ErrorId::Full),
            None if self.rooms.len() >= self.limits.max_rooms as usize => Err(ErrorId::TooManyRooms),
            None if !self.made.take(source, self.limits.max_rooms_per_prefix) => Err(ErrorId::TooManyRooms),
            Some(_) | None => Ok(()),
        }
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

impl Member {
    fn entry(&self, polite: bool) -> PeerEntry {
        PeerEntry { id: self.id, name: self.name.clone(), polite }
    }
}

#[cfg(test)]
#[path = "rooms_tests.rs"]
mod tests;
