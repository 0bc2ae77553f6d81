//! Rooms and mailboxes together, against clients who believe what they are told: whatever joins, leaves, drops, resumes,
//! restarts and signals come in whatever order, every view converges, and no signal is lost, repeated, reordered or seen
//! in another room, though clients say again all that they have said.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::budget::{Budget, WaitingLimits};
use super::outbox::{Next, Outbox};
use super::rooms::{Effect, Entrant, RoomLimits, Rooms};
use super::{
    Capacity, ErrorId, Joined, LeaveReason, Payload, PeerEntry, PeerId, Pin, ResumeToken, Role, RoomName, ServerMessage,
};
use crate::credentials::MemberTag;

type Id = u64;

const ROOMS: [&str; 4] = ["kitchen", "cellar", "attic", "garden"];
const CAPACITY: u32 = 4;
/// As much as may wait for one who is away.
const BOUND: usize = 128;

#[derive(Default)]
struct World {
    rooms: Option<Rooms>,
    rng: Option<StdRng>,
    members: BTreeMap<Id, Member>,
    /// What was sent from one to another in their present epochs and has not been heard yet, in order.
    under_way: BTreeMap<(Id, Id), Vec<u64>>,
    sent: u64,
}

struct Member {
    outbox: Outbox,
    holder: u64,
    /// The highest of the client's own numbers that the box has heard.
    heard: u64,
    client: Client,
    room: String,
    epoch: u32,
    is_connected: bool,
}

/// What a client knows, from what it heard alone.
#[derive(Default)]
struct Client {
    id: Id,
    epoch: u32,
    /// Peer -> its entry as last told.
    peers: BTreeMap<Id, PeerEntry>,
    /// Peer -> the last `seq` from it.
    heard: BTreeMap<Id, u64>,
    token: Option<ResumeToken>,
    /// The number of the last event.
    last: u64,
    host: Option<PeerId>,
    /// All that it said, numbered from 1.
    said: Vec<Said>,
}

#[derive(Clone, Copy)]
struct Said {
    to: PeerId,
    epoch: u32,
    data: u64,
}

impl World {
    fn new() -> Self {
        let limits =
            RoomLimits { capacity: Capacity::any(CAPACITY), unlisted: 1, max_rooms: 3, max_rooms_per_prefix: 9 };
        Self { rooms: Some(Rooms::new(limits)), rng: Some(StdRng::seed_from_u64(7)), ..Self::default() }
    }

    fn rooms(&mut self) -> &mut Rooms {
        self.rooms.as_mut().unwrap()
    }

    fn nth(&self, n: usize) -> Option<PeerId> {
        let id = *self.members.keys().nth(n.checked_rem(self.members.len())?)?;
        Some(PeerId(MemberTag(id)))
    }

    fn join(&mut self, room: &str, role: Role) {
        let name = RoomName::parse(room).unwrap();
        let source = IpAddr::from(Ipv4Addr::LOCALHOST).into();
        let entrant = Entrant { role, resume_window: Some(15), ..Entrant::new(source) };
        let nobody = None::<fn(Option<&Pin>) -> Option<Role>>;
        let (rooms, rng) = (self.rooms.as_mut().unwrap(), self.rng.as_mut().unwrap());
        let Ok((member, effects)) = rooms.join(&name, entrant, nobody, rng, |_| (vec![], 60)) else { return };
        let much = WaitingLimits { all: 1 << 30, per_prefix: 1 << 30 };
        let outbox = Outbox::new(1024, Budget::new(much).purse(source, 1));
        outbox.keep();
        let client = Client::default();
        let member_there =
            Member { outbox, holder: 0, heard: 0, client, room: room.into(), epoch: 1, is_connected: true };
        self.members.insert(member.member.0, member_there);
        self.deliver(effects);
        self.read(PeerId(member.member), usize::MAX);
    }

    fn leave(&mut self, id: PeerId, reason: LeaveReason) {
        self.members.remove(&id.0.0);
        self.under_way.retain(|(from, to), _| *from != id.0.0 && *to != id.0.0);
        let effects = self.rooms().leave(id, reason);
        assert!(matches!(effects[0], Effect::Ended(member) if member.member == id.0));
        self.deliver(effects);
    }

    /// The connection drops after the client has read `read` more messages of what it was sent.
    fn drop_connection(&mut self, id: PeerId, read: usize) {
        let member = self.members.get_mut(&id.0.0).unwrap();
        if !member.is_connected {
            return;
        }
        member.is_connected = false;
        // What the box wrote into a connection that is no more.
        for _ in 0..read {
            member.outbox.try_next(member.holder);
        }
        member.outbox.hold(member.holder, true);
        let effects = self.rooms().away(id);
        self.deliver(effects);
    }

    fn resume(&mut self, id: PeerId, fresh: bool) {
        let member = self.members.get_mut(&id.0.0).unwrap();
        let token = member.client.token.unwrap();
        let last = member.client.last;
        let last = if fresh { None } else { Some(last) };
        member.holder = member.outbox.take_over(last).expect("so little is always kept");
        if fresh {
            member.epoch += 1;
            member.heard = 0;
            member.client = Client::default();
        }
        assert_eq!(member.outbox.received(), member.heard);
        member.is_connected = true;
        assert_eq!(self.rooms().prove(token).map(|member| member.member), Ok(id.0));
        let effects = if fresh { self.rooms().restart(id, vec![], 60) } else { self.rooms().back(id) };
        if fresh {
            self.under_way.retain(|(from, to), _| *from != id.0.0 && *to != id.0.0);
        }
        self.deliver(effects);
        if fresh {
            self.read(id, 1);
        }
        // It is sure of nothing.
        (1..=self.members[&id.0.0].client.said.len()).for_each(|number| self.hear(id, number));
    }

    /// Says something, which the box hears at once or when the client is back.
    fn signal(&mut self, from: PeerId, to: PeerId, stale: bool) {
        let data = self.sent;
        self.sent += 1;
        let epoch = self.members[&to.0.0].epoch.wrapping_sub(u32::from(stale));
        let sender = self.members.get_mut(&from.0.0).unwrap();
        sender.client.said.push(Said { to, epoch, data });
        let number = sender.client.said.len();
        if sender.is_connected {
            self.hear(from, number);
        }
    }

    /// The box hears what a client gave that number, perhaps again.
    fn hear(&mut self, from: PeerId, number: usize) {
        let sender = self.members.get_mut(&from.0.0).unwrap();
        let Said { to, epoch, data } = sender.client.said[number - 1];
        let number = number as u64;
        let is_new = number > sender.heard;
        assert_eq!(sender.outbox.is_new(sender.holder, Some(number)), Ok(is_new), "each once, and in order");
        if !is_new {
            return;
        }
        sender.heard = number;
        let (sender, receiver) = (&self.members[&from.0.0], self.members.get(&to.0.0));
        let reachable = from != to && receiver.is_some_and(|receiver| sender.room == receiver.room);
        let stale = receiver.is_some_and(|receiver| receiver.epoch != epoch);
        let is_away = receiver.is_some_and(|receiver| !receiver.is_connected);
        let fits = |signal: &ServerMessage| receiver.is_none_or(|receiver| receiver.outbox.accepts(signal));
        let rooms = self.rooms.as_mut().unwrap();
        match rooms.signal(from, to, Some(epoch), Payload::of(&json!(data)), fits) {
            Ok(effect) => {
                assert!(reachable && !stale);
                self.under_way.entry((from.0.0, to.0.0)).or_default().push(data);
                self.deliver(vec![effect]);
            }
            Err(ErrorId::NoSuchPeer) => assert!(!reachable),
            Err(ErrorId::Stale) => assert!(reachable && stale),
            Err(ErrorId::PeerBusy) => assert!(is_away, "who is there is not spared"),
            Err(other) => assert_eq!(other, ErrorId::NotAllowed),
        }
    }

    /// More than may wait for one who is away: the rest is refused, and nothing of what waits is lost.
    fn flood(&mut self, from: PeerId, to: PeerId) {
        let (sender, receiver) = (&self.members[&from.0.0], &self.members[&to.0.0]);
        if !sender.is_connected || receiver.is_connected {
            return;
        }
        (0..=BOUND).for_each(|_| self.signal(from, to, false));
        let last = self.under_way.get(&(from.0.0, to.0.0)).and_then(|sent| sent.last());
        assert_ne!(last, Some(&(self.sent - 1)), "one more than the bound");
    }

    fn broadcast(&mut self, from: PeerId) {
        if !self.members[&from.0.0].is_connected {
            return;
        }
        let number = self.sent;
        self.sent += 1;
        let members = &self.members;
        let fits = |to: PeerId, signal: &ServerMessage| members[&to.0.0].outbox.accepts(signal);
        let (effects, missed) =
            self.rooms.as_mut().unwrap().broadcast(from, &Payload::of(&json!(number)), fits).unwrap();
        assert!(missed.iter().all(|id| !members[&id.0.0].is_connected), "who is there is not spared");
        for effect in &effects {
            let Effect::Send { to, .. } = effect else { continue };
            assert_eq!(self.members[&to.0.0].room, self.members[&from.0.0].room);
            self.under_way.entry((from.0.0, to.0.0)).or_default().push(number);
        }
        self.deliver(effects);
    }

    fn deliver(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let Effect::Send { to, message } = effect else { continue };
            let member = self.members.get_mut(&to.0.0).expect("only members are sent anything");
            member.outbox.push(message);
        }
    }

    /// A client reads up to `most` messages. Now and then it says what it has.
    fn read(&mut self, id: PeerId, most: usize) {
        let Some(member) = self.members.get_mut(&id.0.0).filter(|member| member.is_connected) else { return };
        for _ in 0..most {
            let (number, message) = match member.outbox.try_next(member.holder) {
                Some(Next::Say(numbered)) => numbered,
                Some(Next::End(why)) => panic!("the bound of who is there is not reached here: {why:?}"),
                None => break,
            };
            if let Some(number) = number {
                assert_eq!(number, member.client.last + 1, "no event is missing");
                member.client.last = number;
            }
            member.client.hear(message, &mut self.under_way);
        }
        if member.client.last % 3 == 0 {
            member.outbox.ack(member.holder, member.client.last);
        }
    }

    /// When everybody is back and has read everything, everybody knows all there is to know, and nothing is under way.
    fn settle(&mut self) {
        let ids: Vec<_> = self.members.keys().map(|id| PeerId(MemberTag(*id))).collect();
        for &id in &ids {
            if !self.members[&id.0.0].is_connected {
                self.resume(id, false);
            }
        }
        ids.iter().for_each(|&id| self.read(id, usize::MAX));
        assert!(self.under_way.values().all(Vec::is_empty), "a signal was lost: {:?}", self.under_way);
        for (id, member) in &self.members {
            let there: Vec<_> =
                self.members.iter().filter(|(other, each)| *other != id && each.room == member.room).collect();
            assert_eq!(member.client.epoch, member.epoch);
            assert!(member.client.peers.keys().eq(there.iter().map(|(other, _)| *other)), "the view is who is there");
            for (other, theirs) in there {
                let (seen, seeing) = (&member.client.peers[other], &theirs.client.peers[id]);
                assert!(seen.polite != seeing.polite, "one of each pair");
                let viewers = seen.role == Role::Viewer && seeing.role == Role::Viewer;
                assert!((seen.initiate != seeing.initiate) != viewers, "one of each pair that may call");
                assert_eq!((seen.epoch, seen.away), (theirs.epoch, false));
                assert_eq!(member.client.host, theirs.client.host, "one host");
            }
        }
        assert_eq!(self.rooms().members(), ids.len());
    }
}

impl Client {
    fn hear(&mut self, message: ServerMessage, under_way: &mut BTreeMap<(Id, Id), Vec<u64>>) {
        match message {
            ServerMessage::Joined(joined) => {
                let Joined { myself, peers, state, resume, .. } = *joined;
                (self.id, self.epoch, self.host) = (myself.id.0.0, myself.epoch, state.host);
                self.peers = peers.into_iter().map(|peer| (peer.id.0.0, peer)).collect();
                self.token = resume.map(|offer| offer.token);
            }
            ServerMessage::PeerJoined { peer } => {
                assert_eq!(self.peers.insert(peer.id.0.0, peer), None, "nobody comes twice");
            }
            ServerMessage::PeerLeft { id, .. } => {
                assert!(self.peers.remove(&id.0.0).is_some(), "only who was there leaves");
                self.heard.remove(&id.0.0);
            }
            ServerMessage::PeerAway { id } => self.peer(id).away = true,
            ServerMessage::PeerBack { id } => self.peer(id).away = false,
            ServerMessage::PeerRestarted { id, epoch } => {
                let peer = self.peer(id);
                (peer.epoch, peer.away) = (epoch, false);
                self.heard.remove(&id.0.0);
            }
            ServerMessage::PeerRenamed { id, name } => {
                if id.0.0 != self.id {
                    self.peer(id).name = name;
                }
            }
            ServerMessage::Room { state } => self.host = state.host,
            ServerMessage::Signal { from, epoch, seq, data } | ServerMessage::Broadcast { from, epoch, seq, data } => {
                assert_eq!(self.peer(from).epoch, epoch, "of the peer as it is now");
                let last = self.heard.insert(from.0.0, seq).unwrap_or(0);
                assert_eq!(seq, last + 1, "no gap, no repeat");
                let sent = under_way.get_mut(&(from.0.0, self.id)).filter(|sent| !sent.is_empty());
                // Whoever left or started anew is owed nothing, and what they had sent may still arrive.
                if let Some(sent) = sent {
                    let number = data.read::<u64>().unwrap();
                    if sent[0] <= number {
                        assert_eq!(sent.remove(0), number, "in the order of sending");
                    }
                }
            }
            ServerMessage::Resumed { .. }
            | ServerMessage::IceServers { .. }
            | ServerMessage::Invite { .. }
            | ServerMessage::Pong
            | ServerMessage::Error { .. } => unreachable!("rooms do not send these"),
        }
    }

    fn peer(&mut self, id: PeerId) -> &mut PeerEntry {
        self.peers.get_mut(&id.0.0).expect("only who is there does anything")
    }
}

#[derive(Clone, Debug)]
enum Step {
    Join(usize, Role),
    Leave(usize),
    Drop(usize, usize),
    Resume(usize, bool),
    Expire(usize),
    Signal(usize, usize, bool),
    Flood(usize, usize),
    Broadcast(usize),
    Rename(usize),
    Read(usize, usize),
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    let role = prop_oneof![4 => Just(Role::Member), 1 => Just(Role::Viewer), 1 => Just(Role::Presenter)];
    prop_oneof![
        3 => (0usize..4, role).prop_map(|(room, role)| Step::Join(room, role)),
        1 => any::<usize>().prop_map(Step::Leave),
        2 => (any::<usize>(), 0usize..5).prop_map(|(who, read)| Step::Drop(who, read)),
        2 => (any::<usize>(), prop::bool::weighted(0.3)).prop_map(|(who, fresh)| Step::Resume(who, fresh)),
        1 => any::<usize>().prop_map(Step::Expire),
        8 => (any::<usize>(), any::<usize>(), prop::bool::weighted(0.1)).prop_map(|(a, b, s)| Step::Signal(a, b, s)),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Step::Flood(from, to)),
        1 => any::<usize>().prop_map(Step::Broadcast),
        1 => any::<usize>().prop_map(Step::Rename),
        4 => (any::<usize>(), 0usize..6).prop_map(|(who, most)| Step::Read(who, most)),
        1 => Just(Step::Settle),
    ]
}

impl World {
    fn take(&mut self, step: Step) {
        match step {
            Step::Join(room, role) => self.join(ROOMS[room], role),
            Step::Leave(who) => self.each(who, |world, id| world.leave(id, LeaveReason::Left)),
            Step::Drop(who, read) => self.each(who, |world, id| world.drop_connection(id, read)),
            // Also over a connection that the box still takes for alive.
            Step::Resume(who, fresh) => self.each(who, |world, id| world.resume(id, fresh)),
            Step::Expire(who) => self.each(who, |world, id| {
                if !world.members[&id.0.0].is_connected {
                    world.leave(id, LeaveReason::Disconnected);
                }
            }),
            Step::Signal(from, to, stale) => self.each(from, |world, from| {
                let to = world.nth(to).unwrap();
                world.signal(from, to, stale);
            }),
            Step::Flood(from, to) => self.each(from, |world, from| {
                let to = world.nth(to).unwrap();
                world.flood(from, to);
            }),
            Step::Broadcast(from) => self.each(from, Self::broadcast),
            Step::Rename(who) => self.each(who, |world, id| {
                let effects = world.rooms().rename(id, None).unwrap();
                world.deliver(effects);
            }),
            Step::Read(who, most) => self.each(who, |world, id| world.read(id, most)),
            Step::Settle => self.settle(),
        }
    }

    fn each(&mut self, who: usize, act: impl FnOnce(&mut Self, PeerId)) {
        if let Some(id) = self.nth(who) {
            act(self, id);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn whatever_happens_every_view_converges_and_no_signal_is_lost(steps in prop::collection::vec(step(), 0..150)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.settle();
    }
}
