//! The dialect of the WebRTC codelab's pages, over Socket.IO: `create or join`, `message`, `bye`.
//!
//! Such a page keeps flags of its own, which decide whether a call comes up: whether it is the initiator, told by
//! `created` and not by `joined`; whether the other is there, told by `join` or `joined`; and whether it has its camera,
//! which it announces as the message "got user media". It makes an offer only when all three are up, looks at them only
//! when a camera or a message comes, and fails on an offer that comes before its own camera. Here the order does not
//! matter: whoever is to offer is told all of it, and what would come too early waits.

pub mod words;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::sleep;

use self::words::{BYE, HAS_MEDIA, Said, greeting, has_media};
use super::error::{ErrorId, Refusal};
use super::message::{LeaveReason, PeerEntry, PeerId, ServerMessage};
use super::names::RoomName;
use super::outbox::Next;
use super::payload::{MAX_DEPTH, Payload, is_too_deep};
use super::rooms::FirstOffer;
use super::session::Session;

/// How soon a client whose transport is full is tried again: nothing says when it no longer is.
pub(crate) const RETRY: Duration = Duration::from_millis(50);
/// What waits for the other, or for a camera: an offer and its candidates.
const MAX_KEPT: usize = 64;
/// Their length together, in bytes.
const MAX_KEPT_BYTES: usize = 128 * 1024;

/// What a client does.
#[derive(Debug)]
pub enum Heard {
    /// It says an event: its name and its arguments, as a JSON array. Beside it, what it holds of the memory that such
    /// may take.
    Event(String, OwnedSemaphorePermit),
    /// It disconnects.
    Leaves,
}

/// Why something could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// Too much waits already.
    Full,
    /// The client is gone.
    Gone,
}

/// A client's connection.
pub trait Wire: Sync {
    /// What the client calls itself.
    fn id(&self) -> String;

    /// The address that it comes from.
    fn seen_at(&self) -> IpAddr;

    /// Sends an event.
    ///
    /// # Errors
    /// [`Unsent`].
    fn emit(&self, event: &str, arguments: &[Payload]) -> Result<(), Unsent>;
}

/// What becomes of a client that is driven no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is gone, or is to be: its connection ends, and it may make another.
    Lost,
    /// It is told to go. A client of Socket.IO does not come back from that.
    SentAway,
}

/// Drives one client until it is gone, or is to go. Its membership ends with that.
pub async fn serve<W: Wire>(wire: &W, heard: mpsc::Receiver<Heard>, session: &mut Session) -> Ending {
    let closing = session.hub().closing();
    let mut client = Client {
        wire,
        session,
        to_say: VecDeque::new(),
        room: None,
        other: None,
        is_initiator: None,
        has_media: false,
        unsent: Kept::default(),
        offered: Kept::default(),
        has_answered: false,
        has_crossed: false,
    };
    let (reason, ending) = client.talk(heard, closing).await;
    client.leave(reason);
    ending
}

struct Client<'a, W> {
    wire: &'a W,
    session: &'a mut Session,
    /// Events that the client has yet to be sent.
    to_say: VecDeque<(&'static str, Vec<Payload>)>,
    /// The room that it asked for last, as it spelt it. It may have left.
    room: Option<(RoomName, String)>,
    other: Option<Other>,
    /// What it takes itself for, if it has been told.
    is_initiator: Option<bool>,
    has_media: bool,
    /// What it said to nobody. An offer is made once, so it is for whoever comes next.
    unsent: Kept<Payload>,
    /// The other's offer and candidates, until they are answered.
    offered: Kept<Payload>,
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

enum Event {
    Heard(Option<Heard>),
    Next(Next),
    Retry,
    Shutdown,
}

impl<W: Wire> Client<'_, W> {
    async fn talk(
        &mut self,
        mut heard: mpsc::Receiver<Heard>,
        mut closing: watch::Receiver<bool>,
    ) -> (LeaveReason, Ending) {
        loop {
            if self.flush() == Err(Unsent::Gone) {
                return (LeaveReason::Disconnected, Ending::Lost);
            }
            let is_full = !self.to_say.is_empty();
            let event = tokio::select! {
                // What it says next would have it told even more.
                heard = heard.recv(), if !is_full => Event::Heard(heard),
                next = self.session.next(), if !is_full => Event::Next(next),
                why = self.session.ended(), if is_full => Event::Next(Next::End(why)),
                () = sleep(RETRY), if is_full => Event::Retry,
                _ = closing.wait_for(|up| *up) => Event::Shutdown,
            };
            match event {
                Event::Heard(Some(Heard::Event(text, _held))) => {
                    if let Err(Some(_)) = self.session.pace() {
                        return (LeaveReason::Disconnected, Ending::SentAway);
                    }
                    self.hear(&text);
                }
                Event::Heard(Some(Heard::Leaves)) => return (LeaveReason::Left, Ending::SentAway),
                Event::Next(Next::Say((_, message))) => self.tell(message),
                Event::Next(Next::End(_)) => {
                    // It was sent away, or does not read: then it does not hear this either.
                    self.tell_bye();
                    let _ = self.flush();
                    return (LeaveReason::Disconnected, Ending::SentAway);
                }
                Event::Heard(None) => return (LeaveReason::Disconnected, Ending::SentAway),
                Event::Shutdown => return (LeaveReason::Disconnected, Ending::Lost),
                Event::Retry => {}
            }
        }
    }

    fn flush(&mut self) -> Result<(), Unsent> {
        while let Some((event, arguments)) = self.to_say.front() {
            self.wire.emit(event, arguments)?;
            self.to_say.pop_front();
        }
        Ok(())
    }

    fn say(&mut self, event: &'static str, arguments: Vec<Value>) {
        self.to_say.push_back((event, arguments.iter().map(Payload::of).collect()));
    }

    fn say_message(&mut self, message: Payload) {
        self.to_say.push_back(("message", vec![message]));
    }

    fn hear(&mut self, text: &str) {
        let event = if is_too_deep(text) { None } else { serde_json::from_str::<Vec<&RawValue>>(text).ok() };
        let Some((name, arguments)) = event.as_ref().and_then(|event| event.split_first()) else {
            let text =
                format!("an event that cannot be read, or is nested deeper than {MAX_DEPTH}: send a flatter one");
            self.session.refuse(Refusal::bad_message(text));
            return;
        };
        match (serde_json::from_str::<String>(name.get()).unwrap_or_default().as_str(), arguments.first()) {
            ("create or join", Some(room)) => self.join(room),
            ("message", Some(message)) => self.pass(message),
            ("bye", _) => self.leave(LeaveReason::Left),
            ("ipaddr", _) => self.say("ipaddr", vec![json!(self.wire.seen_at().to_canonical())]),
            // As with any server of Socket.IO, an event that nobody listens to is nothing.
            _ => {}
        }
    }

    fn join(&mut self, room: &RawValue) {
        // A number will do.
        let typed = serde_json::from_str(room.get()).unwrap_or_else(|_| room.get().to_owned());
        match RoomName::parse(&typed) {
            Ok(name) => {
                self.room = Some((name, typed));
                self.enter();
            }
            Err(id) => {
                self.refuse(id.into());
                self.say("full", vec![json!(typed)]);
            }
        }
    }

    fn enter(&mut self) {
        self.leave(LeaveReason::Left);
        let Some((name, typed)) = self.room.clone() else {
            return;
        };
        let mut entrant = self.session.entrant();
        entrant.is_pair = true;
        entrant.first_offer = FirstOffer::Itself;
        if let Err(id) = self.session.join(&name, entrant, None) {
            self.room = None;
            self.refuse(id.into());
            self.say("full", vec![json!(typed)]);
        }
    }

    fn leave(&mut self, reason: LeaveReason) {
        if self.session.is_member() {
            self.session.leave(reason);
            // What the room had yet to say is of no concern any more.
            while let Some(Next::Say(_)) = self.session.try_next() {}
        }
        self.part();
    }

    fn part(&mut self) {
        (self.other, self.is_initiator) = (None, None);
        (self.has_answered, self.has_crossed) = (false, false);
        self.unsent.clear();
        self.offered.clear();
    }

    fn pass(&mut self, message: &RawValue) {
        let said = Said::by_page(message);
        // It hung up, and starts another call.
        if !self.session.is_member() && matches!(said, Said::HasMedia | Said::Offer(_)) {
            self.enter();
        }
        match said {
            Said::Bye => self.leave(LeaveReason::Left),
            Said::HasMedia => {
                self.has_media = true;
                if self.other.is_some() {
                    self.signal(has_media());
                }
                for waiting in self.offered.take() {
                    self.say_message(waiting);
                }
            }
            // Left over from the call before, a page may still take itself for the initiator. Both offers would be
            // taken back for each other, so there is only the other one's.
            Said::Offer(_) if self.is_initiator == Some(false) && !self.has_answered => self.has_crossed = true,
            Said::Candidate(_) if self.has_crossed && !self.has_answered => {}
            Said::Offer(payload) if self.other.is_none() => {
                self.unsent.clear();
                self.keep(payload);
            }
            // Without an offer it is of a call that has ended.
            Said::Candidate(payload) if self.other.is_none() && !self.unsent.is_empty() => self.keep(payload),
            Said::Offer(payload) | Said::Candidate(payload) | Said::Other(payload) => self.signal(payload),
            Said::Answer(payload) => {
                self.offered.clear();
                self.has_answered = true;
                self.signal(payload);
            }
        }
    }

    fn keep(&mut self, payload: Payload) {
        let length = payload.as_str().len();
        self.unsent.push(payload, length);
    }

    fn signal(&mut self, payload: Payload) {
        let Some(other) = &self.other else {
            return;
        };
        match self.session.signal(other.entry.id, None, payload) {
            // It has just left: that is said in its turn.
            Ok(()) | Err(ErrorId::NoSuchPeer) => {}
            Err(id) => self.refuse(id.into()),
        }
    }

    fn refuse(&self, refusal: Refusal) {
        // Which of them end a native connection says nothing here: a page does not come back from that.
        let _ = self.session.refuse(refusal);
    }

    fn tell(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Joined(mut joined) => {
                // The original has no word for it, but only through these is every member of the room reached.
                self.say("iceServers", vec![json!(joined.ice_servers)]);
                match joined.peers.pop() {
                    Some(entry) => self.meet(entry, false),
                    None => self.take_role(true),
                }
            }
            ServerMessage::PeerJoined { peer } => self.meet(peer, true),
            ServerMessage::PeerRestarted { id, .. } => {
                if let Some(other) = self.other.take_if(|other| other.entry.id == id) {
                    self.tell_bye();
                    self.meet(other.entry, true);
                }
            }
            ServerMessage::PeerLeft { id, .. } => {
                if self.other.take_if(|other| other.entry.id == id).is_some() {
                    self.tell_bye();
                }
            }
            ServerMessage::Signal { from, data, .. } | ServerMessage::Broadcast { from, data, .. } => {
                self.receive(from, &data);
            }
            ServerMessage::Error { text, .. } => self.say("log", vec![json!([text])]),
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

    fn typed(&self) -> Value {
        json!(self.room.as_ref().map(|(_, typed)| typed))
    }

    fn take_role(&mut self, is_initiator: bool) {
        if self.is_initiator != Some(is_initiator) {
            self.is_initiator = Some(is_initiator);
            let event = if is_initiator { "created" } else { "joined" };
            self.say(event, vec![self.typed(), json!(self.wire.id())]);
        }
    }

    /// Somebody else is there now.
    fn meet(&mut self, entry: PeerEntry, was_first: bool) {
        let initiates = entry.initiate;
        self.other = Some(Other { entry, is_page: false, has_media: false });
        self.take_role(initiates);
        if was_first || initiates {
            self.say("join", vec![self.typed()]);
        }
        self.say("ready", Vec::new());
        self.signal(greeting());
        if self.has_media {
            self.signal(has_media());
        }
        if initiates {
            // Nobody but another page would say it, and a page whose camera was there first waits for it.
            self.say("message", vec![json!(HAS_MEDIA)]);
        }
        let unsent = self.unsent.take();
        if initiates {
            unsent.into_iter().for_each(|payload| self.signal(payload));
        }
    }

    fn tell_bye(&mut self) {
        self.part();
        self.say("bye", vec![self.typed()]);
        self.say("message", vec![json!(BYE)]);
    }

    fn receive(&mut self, from: PeerId, data: &Payload) {
        let Some(other) = self.other.as_mut().filter(|other| other.entry.id == from) else {
            return;
        };
        match words::Heard::of(data) {
            words::Heard::IsPage => other.is_page = true,
            words::Heard::HasMedia => {
                other.has_media = true;
                self.say("message", vec![json!(HAS_MEDIA)]);
            }
            words::Heard::Offer(offer) => {
                self.offered.clear();
                self.offer(offer);
            }
            // It belongs to an offer that has not been answered.
            words::Heard::Other(message) if !self.offered.is_empty() && message.to_value()["type"] == "candidate" => {
                self.offer(message);
            }
            words::Heard::Other(message) => self.say_message(message),
            words::Heard::Nothing => {}
        }
    }

    /// A page that waits for its camera cannot take an offer yet: the offer waits with it. But some pages never announce
    /// a camera. They call each other, so this is one of those if the other one offers without having announced its own;
    /// should that be wrong, the offer comes once more with the announcement.
    fn offer(&mut self, message: Payload) {
        if self.is_initiator == Some(true) || self.has_media {
            return self.say_message(message);
        }
        if self.other.as_ref().is_some_and(|other| other.is_page && !other.has_media) {
            self.say_message(message.clone());
        }
        let length = message.as_str().len();
        self.offered.push(message, length);
    }
}

/// Things that wait, within bounds.
struct Kept<T> {
    things: Vec<T>,
    bytes: usize,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { things: Vec::new(), bytes: 0 }
    }
}

impl<T> Kept<T> {
    fn push(&mut self, thing: T, bytes: usize) {
        if self.things.len() < MAX_KEPT && self.bytes + bytes <= MAX_KEPT_BYTES {
            self.things.push(thing);
            self.bytes += bytes;
        } else {
            metrics::counter!("lanturn_codelab_dropped_total").increment(1);
        }
    }

    fn take(&mut self) -> Vec<T> {
        self.bytes = 0;
        std::mem::take(&mut self.things)
    }

    fn clear(&mut self) {
        self.take();
    }

    fn is_empty(&self) -> bool {
        self.things.is_empty()
    }
}
