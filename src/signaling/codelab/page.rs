//! One page in the namespace: what its events do, and what it is told.

use serde::Serialize;
use serde_json::value::RawValue;

use super::kept::Kept;
use super::socket_io::{Event, event};
use super::words::{BYE, HAS_MEDIA, Heard, Said, greeting, has_media};
use crate::signaling::error::{ErrorId, Refusal};
use crate::signaling::message::{LeaveReason, PeerEntry, PeerId, ServerMessage};
use crate::signaling::names::RoomName;
use crate::signaling::outbox::Next;
use crate::signaling::payload::Payload;
use crate::signaling::rooms::FirstOffer;
use crate::signaling::session::Session;

/// The connection's part in the rooms, and the packets that its client is sent next.
pub(super) struct Talk<'a> {
    pub(super) session: &'a mut Session,
    pub(super) packets: &'a mut Vec<String>,
}

pub(super) struct Page {
    /// What the client calls itself.
    id: String,
    /// The room that it asked for last, as it spelt it. It may have left.
    room: Option<(RoomName, String)>,
    other: Option<Other>,
    /// What it takes itself for, if it has been told.
    is_initiator: Option<bool>,
    has_media: bool,
    /// What it said to nobody. An offer is made once, so it is for whoever comes next.
    unsent: Kept,
    /// The other's offer and candidates, until they are answered.
    offered: Kept,
    has_answered: bool,
    /// It made an offer where it was to answer one.
    has_crossed: bool,
}

/// The other one in the room.
struct Other {
    entry: PeerEntry,
    is_page: bool,
    has_media: bool,
}

impl Talk<'_> {
    fn say(&mut self, name: &str, arguments: &[&str]) {
        self.packets.push(event(name, arguments));
    }

    fn say_message(&mut self, message: &Payload) {
        self.say("message", &[message.as_str()]);
    }

    /// Which refusals end a native connection says nothing here: a page does not come back from that.
    fn refuse(&self, id: ErrorId) {
        self.session.refuse_with(Refusal::from(id), None);
    }
}

impl Page {
    /// One that the client calls `id`.
    pub(super) fn new(id: String) -> Self {
        Self {
            id,
            room: None,
            other: None,
            is_initiator: None,
            has_media: false,
            unsent: Kept::default(),
            offered: Kept::default(),
            has_answered: false,
            has_crossed: false,
        }
    }

    /// Does what the client says.
    pub(super) fn hear(&mut self, event: &Event<'_>, talk: &mut Talk<'_>) {
        match (event.name.as_ref(), event.argument) {
            ("create or join", Some(room)) => self.join(room, talk),
            ("message", Some(message)) => self.pass(message, talk),
            ("bye", _) => self.leave(LeaveReason::Left, talk),
            ("ipaddr", _) => talk.say("ipaddr", &[&json(&talk.session.remote().to_canonical())]),
            // As with any server of Socket.IO, an event that nobody listens to is nothing.
            _ => {}
        }
    }

    /// Leaves the room, if it is in one.
    pub(super) fn leave(&mut self, reason: LeaveReason, talk: &mut Talk<'_>) {
        if talk.session.is_member() {
            talk.session.leave(reason);
            // What the room had yet to say is of no concern any more.
            while let Some(Next::Say(_)) = talk.session.try_next() {}
        }
        self.part();
    }

    /// Tells the client what the rooms say.
    pub(super) fn tell(&mut self, message: ServerMessage, talk: &mut Talk<'_>) {
        match message {
            ServerMessage::Joined(mut joined) => {
                // The original has no word for it, but only through these is every member of the room reached.
                talk.say("iceServers", &[&json(&joined.ice_servers)]);
                match joined.peers.pop() {
                    Some(entry) => self.meet(entry, false, talk),
                    None => self.take_role(true, talk),
                }
            }
            ServerMessage::PeerJoined { peer } => self.meet(peer, true, talk),
            ServerMessage::PeerRestarted { id, .. } => {
                if let Some(other) = self.other.take_if(|other| other.entry.id == id) {
                    self.tell_bye(talk);
                    self.meet(other.entry, true, talk);
                }
            }
            ServerMessage::PeerLeft { id, .. } => {
                if self.other.take_if(|other| other.entry.id == id).is_some() {
                    self.tell_bye(talk);
                }
            }
            ServerMessage::Signal { from, data, .. } | ServerMessage::Broadcast { from, data, .. } => {
                self.receive(from, &data, talk);
            }
            ServerMessage::Error { text, .. } => talk.say("log", &[&json(&[text])]),
            ServerMessage::Resumed { .. }
            | ServerMessage::PeerRenamed { .. }
            | ServerMessage::PeerAway { .. }
            | ServerMessage::PeerBack { .. }
            | ServerMessage::Room { .. }
            | ServerMessage::IceServers { .. }
            | ServerMessage::Invite { .. }
            | ServerMessage::Pong => {}
        }
    }

    /// Tells the client that the call is over, if there is one.
    pub(super) fn end_call(&mut self, talk: &mut Talk<'_>) {
        if self.other.is_some() {
            self.tell_bye(talk);
        }
    }

    fn join(&mut self, room: &RawValue, talk: &mut Talk<'_>) {
        // A number will do.
        let typed = serde_json::from_str(room.get()).unwrap_or_else(|_| room.get().to_owned());
        match RoomName::parse(&typed) {
            Ok(name) => {
                self.room = Some((name, typed));
                self.enter(talk);
            }
            Err(id) => {
                talk.refuse(id);
                talk.say("full", &[&json(&typed)]);
            }
        }
    }

    fn enter(&mut self, talk: &mut Talk<'_>) {
        self.leave(LeaveReason::Left, talk);
        let Some((name, typed)) = self.room.clone() else {
            return;
        };
        let mut entrant = talk.session.entrant();
        entrant.is_pair = true;
        entrant.first_offer = FirstOffer::Itself;
        if let Err(id) = talk.session.join(&name, entrant, None) {
            self.room = None;
            talk.refuse(id);
            talk.say("full", &[&json(&typed)]);
        }
    }

    fn part(&mut self) {
        (self.other, self.is_initiator) = (None, None);
        (self.has_answered, self.has_crossed) = (false, false);
        self.unsent.clear();
        self.offered.clear();
    }

    fn pass(&mut self, message: &RawValue, talk: &mut Talk<'_>) {
        let said = Said::by_page(message);
        // It hung up, and starts another call.
        if !talk.session.is_member() && matches!(said, Said::HasMedia | Said::Offer(_)) {
            self.enter(talk);
        }
        match said {
            Said::Bye => self.leave(LeaveReason::Left, talk),
            Said::HasMedia => {
                self.has_media = true;
                if self.other.is_some() {
                    self.signal(has_media(), talk);
                }
                self.offered.take().iter().for_each(|waiting| talk.say_message(waiting));
            }
            // Left over from the call before, a page may still take itself for the initiator. Both offers would be
            // taken back for each other, so there is only the other one's.
            Said::Offer(_) if self.is_initiator == Some(false) && !self.has_answered => self.has_crossed = true,
            Said::Candidate(_) if self.has_crossed && !self.has_answered => {}
            Said::Offer(payload) if self.other.is_none() => {
                self.unsent.clear();
                self.unsent.push(payload);
            }
            // Without an offer it is of a call that has ended.
            Said::Candidate(payload) if self.other.is_none() && !self.unsent.is_empty() => self.unsent.push(payload),
            Said::Offer(payload) | Said::Candidate(payload) | Said::Other(payload) => self.signal(payload, talk),
            Said::Answer(payload) => {
                self.offered.clear();
                self.has_answered = true;
                self.signal(payload, talk);
            }
        }
    }

    fn signal(&mut self, payload: Payload, talk: &mut Talk<'_>) {
        let Some(other) = &self.other else {
            return;
        };
        match talk.session.signal(other.entry.id, None, payload) {
            // It has just left: that is said in its turn.
            Ok(()) | Err(ErrorId::NoSuchPeer) => {}
            Err(id) => talk.refuse(id),
        }
    }

    fn typed(&self) -> String {
        json(&self.room.as_ref().map(|(_, typed)| typed))
    }

    fn take_role(&mut self, is_initiator: bool, talk: &mut Talk<'_>) {
        if self.is_initiator != Some(is_initiator) {
            self.is_initiator = Some(is_initiator);
            let name = if is_initiator { "created" } else { "joined" };
            talk.say(name, &[&self.typed(), &json(&self.id)]);
        }
    }

    /// Somebody else is there now.
    fn meet(&mut self, entry: PeerEntry, was_first: bool, talk: &mut Talk<'_>) {
        let initiates = entry.initiate;
        self.other = Some(Other { entry, is_page: false, has_media: false });
        self.take_role(initiates, talk);
        if was_first || initiates {
            talk.say("join", &[&self.typed()]);
        }
        talk.say("ready", &[]);
        self.signal(greeting(), talk);
        if self.has_media {
            self.signal(has_media(), talk);
        }
        if initiates {
            // Nobody but another page would say it, and a page whose camera was there first waits for it.
            talk.say("message", &[&json(HAS_MEDIA)]);
        }
        let unsent = self.unsent.take();
        if initiates {
            unsent.into_iter().for_each(|payload| self.signal(payload, talk));
        }
    }

    fn tell_bye(&mut self, talk: &mut Talk<'_>) {
        self.part();
        talk.say("bye", &[&self.typed()]);
        talk.say("message", &[&json(BYE)]);
    }

    fn receive(&mut self, from: PeerId, data: &Payload, talk: &mut Talk<'_>) {
        let Some(other) = self.other.as_mut().filter(|other| other.entry.id == from) else {
            return;
        };
        match Heard::of(data) {
            Heard::IsPage => other.is_page = true,
            Heard::HasMedia => {
                other.has_media = true;
                talk.say("message", &[&json(HAS_MEDIA)]);
            }
            Heard::Offer(offer) => {
                self.offered.clear();
                self.offer(offer, talk);
            }
            // It belongs to an offer that has not been answered.
            Heard::Other(message) if !self.offered.is_empty() && message.to_value()["type"] == "candidate" => {
                self.offer(message, talk);
            }
            Heard::Other(message) => talk.say_message(&message),
            Heard::Nothing => {}
        }
    }

    /// A page that waits for its camera cannot take an offer yet: the offer waits with it. But some pages never announce
    /// a camera. They call each other, so this is one of those if the other one offers without having announced its own;
    /// should that be wrong, the offer comes once more with the announcement.
    fn offer(&mut self, message: Payload, talk: &mut Talk<'_>) {
        if self.is_initiator == Some(true) || self.has_media {
            return talk.say_message(&message);
        }
        if self.other.as_ref().is_some_and(|other| other.is_page && !other.has_media) {
            talk.say_message(&message);
        }
        self.offered.push(message);
    }
}

fn json<T: Serialize + ?Sized>(value: &T) -> String {
    // Fails only for maps whose keys are no strings.
    serde_json::to_string(value).unwrap_or_default()
}
