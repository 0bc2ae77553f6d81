//! Who goes by which chosen id, and what waits for an id that nobody goes by yet.
//!
//! Pure. A PeerJS client chooses its id, or has one made, and proves that it is the same client by a token of its own.
//! Somebody may be called a moment before they are there, so that what is said to them waits for [`PATIENCE`].

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::credentials::{RoomMember, RoomTag};
use crate::signaling::message::PeerId;
use crate::signaling::payload::Payload;

/// How long a message waits for somebody to go by the id that it is for.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The most messages and bytes that may wait from one sender: an offer with its candidates to a few who are not there.
pub const PER_SENDER: Load = Load { messages: 64, bytes: 256 * 1024 };
/// The most that may wait from all senders together.
pub const IN_ALL: Load = Load { messages: 4096, bytes: 16 * 1024 * 1024 };

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Messages.
    pub messages: usize,
    /// Their text, in bytes.
    pub bytes: usize,
}

/// Somebody else goes by that id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Who.
    pub by: RoomMember,
}

/// What comes of taking an id.
#[derive(Debug, Default, PartialEq)]
pub struct Claimed {
    /// The member that the same client was before.
    pub replaced: Option<PeerId>,
    /// What waited for the id, oldest first.
    pub waiting: VecDeque<Waiting>,
}

/// A message that waits.
#[derive(Debug, PartialEq)]
pub struct Waiting {
    /// Who sent it.
    pub from: RoomMember,
    /// What.
    pub data: Payload,
    to: Box<str>,
    until: Duration,
}

/// What becomes of a message.
#[derive(Debug, PartialEq)]
pub enum Found {
    /// It is for this member.
    Here(PeerId, Payload),
    /// Nobody goes by that id. It waits until then.
    Waits(Duration),
    /// Nobody does, and as much waits as may from this sender. It was dropped.
    SenderFull,
    /// Nobody does, and as much waits as may in all. It was dropped.
    AllFull,
}

/// The ids of every room.
#[derive(Debug, Default)]
pub struct Directory {
    rooms: HashMap<RoomTag, HashMap<Box<str>, Holder>>,
    /// In the order of coming, and so of expiry.
    waiting: VecDeque<Waiting>,
    loads: HashMap<RoomMember, Load>,
    all: Load,
}

#[derive(Debug)]
struct Holder {
    id: PeerId,
    token: Box<str>,
}

impl Directory {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How much waits from all senders.
    pub fn load(&self) -> Load {
        self.all
    }

    /// Has a member go by an id. The same token takes it over from the member that had it.
    ///
    /// # Errors
    /// [`Taken`] when somebody with another token goes by it.
    pub fn claim(&mut self, member: RoomMember, id: &str, token: &str) -> Result<Claimed, Taken> {
        let ids = self.rooms.entry(member.room).or_default();
        let replaced = match ids.get(id) {
            Some(holder) if *holder.token != *token => {
                return Err(Taken { by: RoomMember { room: member.room, member: holder.id.0 } });
            }
            holder => holder.map(|holder| holder.id),
        };
        ids.insert(id.into(), Holder { id: PeerId(member.member), token: token.into() });
        let waiting = self.take(|waiting| waiting.from.room == member.room && *waiting.to == *id);
        Ok(Claimed { replaced, waiting })
    }

    /// A member is gone: its id is free, unless the same client has taken it over, and nothing waits from it any more.
    pub fn release(&mut self, member: RoomMember, id: &str) {
        if let Some(ids) = self.rooms.get_mut(&member.room) {
            if ids.get(id).is_some_and(|holder| holder.id.0 == member.member) {
                ids.remove(id);
            }
            if ids.is_empty() {
                self.rooms.remove(&member.room);
            }
        }
        if self.loads.contains_key(&member) {
            self.take(|waiting| waiting.from == member);
        }
    }

    /// Who goes by `id` in a room.
    pub fn holder(&self, room: RoomTag, id: &str) -> Option<PeerId> {
        self.rooms.get(&room)?.get(id).map(|holder| holder.id)
    }

    /// Finds who goes by `to` in the room of `from`, or has the message wait.
    pub fn find(&mut self, from: RoomMember, to: &str, data: Payload, now: Duration) -> Found {
        if let Some(id) = self.holder(from.room, to) {
            return Found::Here(id, data);
        }
        let own = self.loads.get(&from).copied().unwrap_or_default().with(&data);
        if !own.is_within(PER_SENDER) {
            return Found::SenderFull;
        }
        let all = self.all.with(&data);
        if !all.is_within(IN_ALL) {
            return Found::AllFull;
        }
        self.loads.insert(from, own);
        self.all = all;
        let until = now + PATIENCE;
        self.waiting.push_back(Waiting { from, data, to: to.into(), until });
        Found::Waits(until)
    }

    /// Gives up on the ids that `from` has called in vain for [`PATIENCE`]: each once, with all that waited for it. Says
    /// when the next is due.
    pub fn expire(&mut self, from: RoomMember, now: Duration) -> (Vec<Box<str>>, Option<Duration>) {
        let mut missed: Vec<Box<str>> = Vec::new();
        let due = self.waiting.iter().take_while(|waiting| waiting.until <= now);
        for waiting in due.filter(|waiting| waiting.from == from) {
            // No more than PER_SENDER wait.
            if !missed.contains(&waiting.to) {
                missed.push(waiting.to.clone());
            }
        }
        if !missed.is_empty() {
            self.take(|waiting| waiting.from == from && missed.contains(&waiting.to));
        }
        let next = self.waiting.iter().find(|waiting| waiting.from == from).map(|waiting| waiting.until);
        (missed, next)
    }

    fn take(&mut self, is_one: impl Fn(&Waiting) -> bool) -> VecDeque<Waiting> {
        if !self.waiting.iter().any(&is_one) {
            return VecDeque::new();
        }
        let (taken, kept): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waiting).into_iter().partition(is_one);
        self.waiting = kept;
        for waiting in &taken {
            self.all = self.all.without(&waiting.data);
            if let Some(load) = self.loads.get_mut(&waiting.from) {
                *load = load.without(&waiting.data);
                if load.messages == 0 {
                    self.loads.remove(&waiting.from);
                }
            }
        }
        taken
    }
}

impl Load {
    fn with(self, data: &Payload) -> Self {
        Self { messages: self.messages + 1, bytes: self.bytes + data.as_str().len() }
    }

    fn without(self, data: &Payload) -> Self {
        Self { messages: self.messages - 1, bytes: self.bytes - data.as_str().len() }
    }

    fn is_within(self, most: Self) -> bool {
        self.messages <= most.messages && self.bytes <= most.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::credentials::MemberTag;

    const START: Duration = Duration::from_secs(100);

    fn member(number: u64) -> RoomMember {
        RoomMember { room: RoomTag(1), member: MemberTag(number) }
    }

    fn id(number: u64) -> PeerId {
        PeerId(MemberTag(number))
    }

    fn data(number: u64) -> Payload {
        Payload::of(&json!(number))
    }

    /// What the messages say that waited for somebody who came.
    fn heard(claimed: Claimed) -> Vec<u64> {
        claimed.waiting.iter().map(|waiting| waiting.data.read().unwrap()).collect()
    }

    #[test]
    fn an_id_is_one_clients_until_it_goes() {
        let mut directory = Directory::new();
        assert_eq!(directory.claim(member(1), "anna", "token 1"), Ok(Claimed::default()));
        assert_eq!(directory.claim(member(2), "anna", "token 2"), Err(Taken { by: member(1) }));
        assert_eq!(directory.find(member(2), "anna", data(1), START), Found::Here(id(1), data(1)));
        let elsewhere = RoomMember { room: RoomTag(2), ..member(3) };
        assert!(directory.claim(elsewhere, "anna", "token 3").is_ok(), "another room has ids of its own");
        directory.release(member(1), "anna");
        assert_eq!(directory.claim(member(2), "anna", "token 2"), Ok(Claimed::default()));
    }

    #[test]
    fn the_same_token_takes_the_id_over_at_once() {
        let mut directory = Directory::new();
        directory.claim(member(1), "anna", "token").unwrap();
        assert_eq!(directory.claim(member(2), "anna", "token").unwrap().replaced, Some(id(1)));
        directory.release(member(1), "anna");
        assert_eq!(directory.find(member(3), "anna", data(1), START), Found::Here(id(2), data(1)));
    }

    #[test]
    fn what_is_said_to_somebody_who_comes_in_time_is_heard_in_order() {
        let mut directory = Directory::new();
        let until = START + PATIENCE;
        assert_eq!(directory.find(member(1), "ben", data(1), START), Found::Waits(until));
        assert_eq!(directory.find(member(1), "cara", data(2), START), Found::Waits(until));
        assert_eq!(directory.find(member(2), "ben", data(3), START), Found::Waits(until));
        let elsewhere = RoomMember { room: RoomTag(2), ..member(9) };
        assert_eq!(heard(directory.claim(elsewhere, "ben", "token").unwrap()), [0u64; 0]);
        assert_eq!(heard(directory.claim(member(3), "ben", "token").unwrap()), [1, 3]);
        assert_eq!(directory.load().messages, 1);
        assert_eq!(directory.expire(member(1), until), (vec!["cara".into()], None));
        assert_eq!(directory.load(), Load::default());
    }

    #[test]
    fn each_call_in_vain_ends_once() {
        let mut directory = Directory::new();
        let second = Duration::from_secs(1);
        for number in 0..3 {
            directory.find(member(1), "ben", data(number), START + second * number as u32);
        }
        directory.find(member(1), "cara", data(3), START + second * 2);
        directory.find(member(2), "ben", data(4), START);
        let due = START + PATIENCE;
        assert_eq!(directory.expire(member(1), due - second), (vec![], Some(due)));
        assert_eq!(directory.expire(member(1), due), (vec!["ben".into()], Some(due + second * 2)));
        assert_eq!(directory.load().messages, 2, "what others wait for is left alone");
        assert_eq!(directory.expire(member(1), due + second * 2), (vec!["cara".into()], None));
        assert_eq!(directory.expire(member(2), due), (vec!["ben".into()], None));
    }

    #[test]
    fn nothing_waits_from_who_is_gone() {
        let mut directory = Directory::new();
        directory.claim(member(1), "anna", "token").unwrap();
        directory.find(member(1), "ben", data(1), START);
        directory.release(member(1), "anna");
        assert_eq!(directory.load(), Load::default());
        assert_eq!(heard(directory.claim(member(2), "ben", "token").unwrap()), [0u64; 0]);
    }

    #[test]
    fn what_waits_from_one_sender_is_bounded() {
        let mut directory = Directory::new();
        for number in 0..PER_SENDER.messages as u64 {
            assert!(matches!(directory.find(member(1), "ben", data(number), START), Found::Waits(_)), "{number}");
        }
        assert_eq!(directory.find(member(1), "cara", data(0), START), Found::SenderFull);
        assert!(matches!(directory.find(member(2), "ben", data(0), START), Found::Waits(_)), "others may");
        directory.expire(member(1), START + PATIENCE);
        let long = Payload::of(&"x".repeat(PER_SENDER.bytes / 2));
        assert!(matches!(directory.find(member(1), "ben", long.clone(), START), Found::Waits(_)));
        assert_eq!(directory.find(member(1), "ben", long, START), Found::SenderFull);
    }

    #[test]
    fn what_waits_from_all_is_bounded() {
        let mut directory = Directory::new();
        let of = |number: usize| member((number / PER_SENDER.messages) as u64);
        for number in 0..IN_ALL.messages {
            assert!(matches!(directory.find(of(number), "ben", data(0), START), Found::Waits(_)), "{number}");
        }
        assert_eq!(directory.find(member(9999), "ben", data(0), START), Found::AllFull);
        assert_eq!(heard(directory.claim(member(8888), "ben", "token").unwrap()).len(), IN_ALL.messages);
        assert_eq!(directory.load(), Load::default());
        let long = Payload::of(&"x".repeat(PER_SENDER.bytes - 2));
        let fitted = (0..1000).take_while(|n| directory.find(member(*n), "eve", long.clone(), START) != Found::AllFull);
        assert_eq!(fitted.count(), IN_ALL.bytes / PER_SENDER.bytes);
    }

    proptest! {
        /// Whatever comes and goes, the loads are those of what waits.
        #[test]
        fn the_loads_are_right(steps in prop::collection::vec((0u8..4, 1u64..5, 0usize..4, 0u64..12), 0..120)) {
            let ids = ["anna", "ben", "cara", "dora"];
            let mut directory = Directory::new();
            let mut now = START;
            for (step, who, whom, seconds) in steps {
                match step {
                    0 => drop(directory.claim(member(who), ids[whom], &who.to_string())),
                    1 => directory.release(member(who), ids[whom]),
                    2 => drop(directory.find(member(who), ids[whom], data(seconds), now)),
                    _ => {
                        now += Duration::from_secs(seconds);
                        let (_, next) = directory.expire(member(who), now);
                        prop_assert!(next.is_none_or(|next| next > now));
                    }
                }
                let sum = directory.waiting.iter().fold(Load::default(), |load, waiting| load.with(&waiting.data));
                prop_assert_eq!(sum, directory.load());
                let messages: usize = directory.loads.values().map(|load| load.messages).sum();
                prop_assert_eq!(messages, sum.messages);
            }
        }
    }
}
