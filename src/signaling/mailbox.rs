//! What waits for one member, and what was sent to it and may have to be sent again.
//!
//! Pure. Events of the room are numbered, wait while the member is away or not ready, and are kept after they were sent
//! until the member says that it has them: so a connection can drop and another go on where it ended. What concerns a
//! connection alone, such as an error, is neither numbered nor kept, and goes first.

use std::collections::VecDeque;

use super::message::ServerMessage;

/// The most messages that wait to be sent.
pub const MAX_WAITING: usize = 256;
/// The most events that are kept after they were sent.
pub const MAX_KEPT: usize = 256;
/// The memory that waiting messages may take, in bytes, unless one message may take more than a quarter of it. Kept
/// ones may take as much again.
const MAX_BYTES: usize = 1 << 20;
/// Counted for a message apart from its data, in bytes.
const MESSAGE_WEIGHT: usize = 512;

/// What comes out: an event with its number, or a message without.
pub type Numbered = (Option<u64>, ServerMessage);

/// More waits than may: the member does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// The event after the one that the member has is no longer kept, or has never been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotKept;

/// Messages for one member, in order.
#[derive(Debug)]
pub struct Mailbox {
    max_bytes: usize,
    keeps: bool,
    is_held: bool,
    direct: VecDeque<ServerMessage>,
    /// First those that are kept, then those that wait.
    events: VecDeque<ServerMessage>,
    /// The number of the first of `events`.
    first: u64,
    kept: usize,
    kept_bytes: usize,
    waiting_bytes: usize,
    /// How many kept events went back to waiting, and are not counted against the bound until they are sent.
    rewound: usize,
    forgotten: u64,
}

impl Mailbox {
    /// For messages of at most `message_bytes` as JSON.
    pub fn new(message_bytes: usize) -> Self {
        Self {
            max_bytes: MAX_BYTES.max(4 * message_bytes),
            keeps: false,
            is_held: false,
            direct: VecDeque::new(),
            events: VecDeque::new(),
            first: 1,
            kept: 0,
            kept_bytes: 0,
            waiting_bytes: 0,
            rewound: 0,
            forgotten: 0,
        }
    }

    /// From now on keeps events that were sent, until [`ack`](Self::ack).
    pub fn keep(&mut self) {
        self.keeps = true;
    }

    /// Holds events back, or no longer.
    pub fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
    }

    /// Whether events are held back.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Whether a signal fits. While events are held back, signals may take half of the bounds: the rest is for what
    /// cannot be refused.
    pub fn fits(&self, signal: &ServerMessage) -> bool {
        let part = if self.is_held { 2 } else { 1 };
        self.waiting() < MAX_WAITING / part && self.waiting_bytes + weigh(signal) <= self.max_bytes / part
    }

    /// Adds a message, numbered if it is an event of the room.
    ///
    /// # Errors
    /// [`Overflow`] when too much waits already.
    pub fn push(&mut self, message: ServerMessage) -> Result<(), Overflow> {
        if self.is_held && self.supersede(&message) {
            return Ok(());
        }
        let weight = weigh(&message);
        if self.waiting() >= MAX_WAITING + self.rewound || self.waiting_bytes + weight > 2 * self.max_bytes {
            return Err(Overflow);
        }
        if self.rewound == 0 && self.waiting_bytes + weight > self.max_bytes {
            return Err(Overflow);
        }
        self.waiting_bytes += weight;
        if message.is_event() {
            self.events.push_back(message)
        } else {
            self.direct.push_back(message)
        }
        Ok(())
    }

    /// The next message to send, if there is one.
    #[allow(clippy::should_implement_trait, reason = "what is pushed later comes out later: it never ends")]
    pub fn next(&mut self) -> Option<Numbered> {
        if let Some(message) = self.direct.pop_front() {
            give_back(&mut self.direct);
            self.waiting_bytes -= weigh(&message);
            return Some((None, message));
        }
        if self.is_held {
            return None;
        }
        let message = self.events.get(self.kept)?.clone();
        let weight = weigh(&message);
        let number = self.first + self.kept as u64;
        self.waiting_bytes -= weight;
        self.rewound = self.rewound.saturating_sub(1);
        self.kept += 1;
        self.kept_bytes += weight;
        while self.kept > 0 && (!self.keeps || self.kept > MAX_KEPT || self.kept_bytes > self.max_bytes) {
            self.forgotten += u64::from(self.keeps);
            self.forget();
        }
        Some((Some(number), message))
    }

    /// The member has every event up to `number`.
    pub fn ack(&mut self, number: u64) {
        while self.kept > 0 && self.first <= number {
            self.forget();
        }
    }

    /// Another connection goes on, which has every event up to `number` and is to be sent those after it, again where
    /// need be.
    ///
    /// # Errors
    /// [`NotKept`] when that cannot be.
    pub fn rewind(&mut self, number: u64) -> Result<(), NotKept> {
        if number < self.first - 1 || number > self.last_sent() {
            return Err(NotKept);
        }
        self.ack(number);
        self.drop_direct();
        self.rewound += self.kept;
        self.waiting_bytes += self.kept_bytes;
        (self.kept, self.kept_bytes) = (0, 0);
        Ok(())
    }

    /// Forgets everything: the member starts anew, and counts from 1.
    pub fn restart(&mut self) {
        self.drop_direct();
        self.restart_events();
        self.is_held = false;
    }

    /// The member has left: the next membership begins at 1. What concerns the connection stays.
    pub fn renew(&mut self) {
        self.restart_events();
        (self.keeps, self.is_held) = (false, false);
    }

    /// Whether one message waits, and nothing else is there.
    pub fn is_single(&self) -> bool {
        self.direct.len() + self.events.len() == 1 && self.kept == 0
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.waiting_bytes + self.kept_bytes
    }

    /// Forgets what was sent, acknowledged or not.
    pub fn forget_kept(&mut self) {
        self.forgotten += self.kept as u64;
        while self.kept > 0 {
            self.forget();
        }
    }

    /// How many events were forgotten for want of space since this was last asked.
    pub fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }

    /// The number of the last event that was sent. 0 before the first.
    pub fn last_sent(&self) -> u64 {
        self.first + self.kept as u64 - 1
    }

    fn restart_events(&mut self) {
        self.first = 1;
        self.events.clear();
        (self.kept, self.kept_bytes, self.rewound) = (0, 0, 0);
        self.waiting_bytes = self.direct.iter().map(weigh).sum();
    }

    /// While events are held back, nobody who comes, goes and renames itself can make more wait than there are members:
    /// what nobody has heard yet and a new message makes untrue is dropped. Says whether the message itself needs not be
    /// told either.
    fn supersede(&mut self, message: &ServerMessage) -> bool {
        match message {
            ServerMessage::PeerLeft { id, .. } => {
                let came = self
                    .forget_waiting(|waiting| matches!(waiting, ServerMessage::PeerJoined { peer } if peer.id == *id));
                self.forget_waiting(|waiting| waiting.is_from(*id));
                came
            }
            ServerMessage::PeerRenamed { id, .. } => {
                self.forget_waiting(
                    |waiting| matches!(waiting, ServerMessage::PeerRenamed { id: other, .. } if other == id),
                );
                false
            }
            ServerMessage::PeerAway { id } => {
                self.forget_waiting(|waiting| *waiting == ServerMessage::PeerBack { id: *id })
            }
            ServerMessage::PeerBack { id } => {
                self.forget_waiting(|waiting| *waiting == ServerMessage::PeerAway { id: *id })
            }
            ServerMessage::PeerRestarted { id, .. } => {
                self.forget_waiting(|waiting| {
                    waiting.is_from(*id) && !matches!(waiting, ServerMessage::PeerRenamed { .. })
                });
                false
            }
            ServerMessage::Room { .. } => {
                self.forget_waiting(|waiting| matches!(waiting, ServerMessage::Room { .. }));
                false
            }
            ServerMessage::Joined(_)
            | ServerMessage::Resumed { .. }
            | ServerMessage::PeerJoined { .. }
            | ServerMessage::Signal { .. }
            | ServerMessage::Broadcast { .. }
            | ServerMessage::IceServers { .. }
            | ServerMessage::Invite { .. }
            | ServerMessage::Pong
            | ServerMessage::Error { .. } => false,
        }
    }

    /// Drops what waits and is so. Says whether anything was.
    fn forget_waiting(&mut self, is_so: impl Fn(&ServerMessage) -> bool) -> bool {
        let (mut index, before) = (0, self.events.len());
        let (kept, bytes) = (self.kept, &mut self.waiting_bytes);
        self.events.retain(|event| {
            let drops = index >= kept && is_so(event);
            index += 1;
            if drops {
                *bytes -= weigh(event);
            }
            !drops
        });
        self.events.len() < before
    }

    /// What concerned the connection that dropped.
    fn drop_direct(&mut self) {
        for message in self.direct.drain(..) {
            self.waiting_bytes -= weigh(&message);
        }
    }

    fn waiting(&self) -> usize {
        self.direct.len() + self.events.len() - self.kept
    }

    fn forget(&mut self) {
        if let Some(message) = self.events.pop_front() {
            give_back(&mut self.events);
            self.first += 1;
            self.kept -= 1;
            self.kept_bytes -= weigh(&message);
        }
    }
}

/// Most members are idle most of the time, and then need no memory for what may come.
fn give_back(queue: &mut VecDeque<ServerMessage>) {
    if queue.is_empty() {
        *queue = VecDeque::new();
    }
}

/// About how many bytes of memory a message takes.
pub(super) fn weigh(message: &ServerMessage) -> usize {
    match message {
        ServerMessage::Signal { data, .. } | ServerMessage::Broadcast { data, .. } => {
            MESSAGE_WEIGHT + data.as_str().len()
        }
        ServerMessage::Joined(joined) => MESSAGE_WEIGHT * (1 + joined.peers.len()),
        ServerMessage::Resumed { .. }
        | ServerMessage::PeerJoined { .. }
        | ServerMessage::PeerRenamed { .. }
        | ServerMessage::PeerAway { .. }
        | ServerMessage::PeerBack { .. }
        | ServerMessage::PeerRestarted { .. }
        | ServerMessage::PeerLeft { .. }
        | ServerMessage::Room { .. }
        | ServerMessage::IceServers { .. }
        | ServerMessage::Invite { .. }
        | ServerMessage::Pong
        | ServerMessage::Error { .. } => MESSAGE_WEIGHT,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::credentials::MemberTag;
    use crate::signaling::{LeaveReason, Payload, PeerEntry, PeerId, Role, RoomState};

    fn signal(seq: u64, bytes: usize) -> ServerMessage {
        let data = Payload::of(&json!("x".repeat(bytes)));
        ServerMessage::Signal { from: PeerId(MemberTag(1)), epoch: 1, seq, data }
    }

    /// What a client that reads everything now would get: the `seq` of each signal.
    fn read(mailbox: &mut Mailbox) -> Vec<u64> {
        let all = std::iter::from_fn(|| mailbox.next());
        all.map(|(_, message)| if let ServerMessage::Signal { seq, .. } = message { seq } else { 0 }).collect()
    }

    fn with_signals(count: u64) -> Mailbox {
        let mut mailbox = Mailbox::new(1024);
        mailbox.keep();
        (1..=count).for_each(|seq| mailbox.push(signal(seq, 1)).unwrap());
        mailbox
    }

    #[test]
    fn the_number_of_waiting_messages_is_bounded() {
        let mut mailbox = with_signals(MAX_WAITING as u64);
        assert_eq!(mailbox.push(ServerMessage::Pong), Err(Overflow));
        assert_eq!(read(&mut mailbox).len(), MAX_WAITING);
        assert_eq!(mailbox.push(ServerMessage::Pong), Ok(()));
    }

    #[test]
    fn their_memory_is_bounded_and_given_back() {
        let mut mailbox = Mailbox::new(1024);
        for seq in 0..1000 {
            mailbox.push(signal(seq, 60_000)).unwrap();
            assert_eq!(read(&mut mailbox), [seq]);
        }
        let fitted = (0..100).take_while(|&seq| mailbox.push(signal(seq, 60_000)).is_ok()).count();
        assert_eq!(fitted, MAX_BYTES / 60_514);
    }

    #[test]
    fn what_was_not_received_is_sent_again_in_order() {
        let mut mailbox = with_signals(5);
        assert_eq!(read(&mut mailbox), [1, 2, 3, 4, 5]);
        mailbox.push(signal(6, 1)).unwrap();
        mailbox.rewind(3).unwrap();
        assert_eq!(read(&mut mailbox), [4, 5, 6]);
        mailbox.ack(5);
        assert_eq!(mailbox.rewind(4), Err(NotKept), "it said that it has 5");
        assert_eq!(mailbox.rewind(7), Err(NotKept), "7 was never sent");
        assert_eq!(mailbox.rewind(u64::MAX), Err(NotKept));
        mailbox.rewind(5).unwrap();
        assert_eq!(read(&mut mailbox), [6]);
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let mut mailbox = with_signals(0);
        for seq in 1..=(MAX_KEPT as u64 + 10) {
            mailbox.push(signal(seq, 1)).unwrap();
            read(&mut mailbox);
        }
        assert_eq!(mailbox.rewind(9), Err(NotKept));
        mailbox.rewind(10).unwrap();
        let waiting = MAX_WAITING as u64;
        (0..waiting).for_each(|seq| mailbox.push(signal(1000 + seq, 1)).unwrap());
        assert_eq!(mailbox.push(signal(0, 1)), Err(Overflow), "a resume does not lift the bound");
        assert_eq!(read(&mut mailbox).len(), MAX_KEPT + MAX_WAITING);
    }

    #[test]
    fn held_back_are_events_and_not_what_concerns_the_connection() {
        let mut mailbox = with_signals(2);
        mailbox.hold(true);
        mailbox.push(ServerMessage::Pong).unwrap();
        assert_eq!(mailbox.next(), Some((None, ServerMessage::Pong)));
        assert_eq!(mailbox.next(), None);
        let refused_at = (3..1000).find(|&seq| {
            let signal = signal(seq, 1);
            let fits = mailbox.fits(&signal);
            if fits {
                mailbox.push(signal).unwrap();
            }
            !fits
        });
        assert_eq!(refused_at, Some(MAX_WAITING as u64 / 2 + 1), "the other half is for what cannot be refused");
        mailbox.hold(false);
        assert_eq!(read(&mut mailbox).len(), MAX_WAITING / 2);
    }

    #[test]
    fn coming_and_going_does_not_pile_up_for_one_who_is_away() {
        let mut mailbox = with_signals(1);
        mailbox.hold(true);
        let state = RoomState { host: None, locked: true, pin: false };
        for round in 1_000..10_000 {
            let id = PeerId(MemberTag(round));
            let peer =
                PeerEntry { id, name: None, role: Role::Member, epoch: 1, polite: true, initiate: true, away: false };
            for message in [
                ServerMessage::PeerJoined { peer },
                ServerMessage::PeerRenamed { id, name: None },
                ServerMessage::Signal { from: id, epoch: 1, seq: 1, data: Payload::of("gone") },
                ServerMessage::PeerAway { id },
                ServerMessage::Room { state: state.clone() },
                ServerMessage::PeerLeft { id, reason: LeaveReason::Left },
            ] {
                mailbox.push(message).unwrap();
            }
        }
        mailbox.hold(false);
        assert_eq!(read(&mut mailbox).len(), 2, "the signal that was there, and how the room stands");
        assert_eq!(mailbox.bytes(), 2 * MESSAGE_WEIGHT + 3, "nothing of the rest is counted");
    }

    #[test]
    fn who_starts_anew_is_sent_nothing_old() {
        let mut mailbox = with_signals(3);
        mailbox.next();
        mailbox.restart();
        assert_eq!(mailbox.next(), None);
        mailbox.push(signal(4, 1)).unwrap();
        assert_eq!(mailbox.next().unwrap().0, Some(1), "numbers begin again");
    }
}
