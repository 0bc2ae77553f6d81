use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::*;

/// Clients that believe whatever they are sent, and the rooms they are in.
struct World {
    rooms: Rooms,
    rng: StdRng,
    views: BTreeMap<u64, View>,
}

#[derive(Default)]
struct View {
    room: String,
    /// Peer -> whether this client is polite to it.
    peers: BTreeMap<u64, bool>,
    /// Peer -> the last `seq` from it.
    heard: BTreeMap<u64, u64>,
}

impl World {
    fn new(capacity: u32, max_rooms: u32) -> Self {
        let rooms = Rooms::new(RoomLimits { capacity, max_rooms, max_rooms_per_prefix: 2 });
        Self { rooms, rng: StdRng::seed_from_u64(7), views: BTreeMap::new() }
    }

    /// Every room by somebody from elsewhere.
    fn join(&mut self, room: &str) -> Result<PeerId, ErrorId> {
        let from = u32::try_from(self.rooms.len()).unwrap();
        self.join_from(room, Ipv4Addr::from(from))
    }

    fn join_from(&mut self, room: &str, source: Ipv4Addr) -> Result<PeerId, ErrorId> {
        let (room, source) = (RoomName::parse(room).unwrap(), IpAddr::from(source).into());
        let (member, effects) = self.rooms.join(&room, None, source, &mut self.rng, |_| (vec![], 60))?;
        self.views.insert(member.member.0, View::default());
        self.apply(effects);
        Ok(PeerId(member.member))
    }

    fn leave(&mut self, id: PeerId) {
        let effects = self.rooms.leave(id, LeaveReason::Left);
        assert!(matches!(effects[0], Effect::Ended(member) if member.member == id.0));
        self.views.remove(&id.0.0);
        self.apply(effects);
    }

    fn signal(&mut self, from: PeerId, to: PeerId) -> Result<(), ErrorId> {
        let effect = self.rooms.signal(from, to, json!(null))?;
        self.apply(vec![effect]);
        Ok(())
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let Effect::Send { to, message } = effect else { continue };
            let view = self.views.get_mut(&to.0.0).expect("only members are sent anything");
            view.take(message);
        }
    }

    fn check(&self) {
        for (&id, view) in &self.views {
            let there: Vec<u64> =
                self.views.iter().filter(|(other, v)| **other != id && v.room == view.room).map(|(o, _)| *o).collect();
            assert_eq!(view.peers.keys().copied().collect::<Vec<_>>(), there, "the view is who is there");
            for (other, polite) in &view.peers {
                assert_ne!(*polite, self.views[other].peers[&id], "exactly one of a pair is polite");
            }
        }
        let mut names: Vec<_> = self.views.values().map(|view| &view.room).collect();
        names.sort();
        names.dedup();
        assert_eq!((self.rooms.len(), self.rooms.members()), (names.len(), self.views.len()));
    }

    fn nth(&self, n: usize) -> Option<PeerId> {
        let id = *self.views.keys().nth(n.checked_rem(self.views.len())?)?;
        Some(PeerId(MemberTag(id)))
    }
}

impl View {
    fn take(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Joined { room, peers, .. } => {
                self.room = room.to_string();
                self.peers = peers.iter().map(|peer| (peer.id.0.0, peer.polite)).collect();
            }
            ServerMessage::PeerJoined { peer } => {
                assert_eq!(self.peers.insert(peer.id.0.0, peer.polite), None, "nobody comes twice");
            }
            ServerMessage::PeerLeft { id, .. } => {
                assert!(self.peers.remove(&id.0.0).is_some(), "only who was there leaves");
                self.heard.remove(&id.0.0);
            }
            ServerMessage::Signal { from, seq, .. } => {
                assert!(self.peers.contains_key(&from.0.0), "signals come from who is there");
                let last = self.heard.insert(from.0.0, seq).unwrap_or(0);
                assert_eq!(seq, last + 1, "no gap, no repeat");
            }
            ServerMessage::Pong | ServerMessage::Error { .. } => unreachable!("rooms do not send these"),
        }
    }
}

#[test]
fn one_source_cannot_make_all_the_rooms() {
    let mut world = World::new(8, 8);
    let (greedy, other) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let anna = world.join_from("kitchen", greedy).unwrap();
    world.join_from("cellar", greedy).unwrap();
    assert_eq!(world.join_from("attic", greedy), Err(ErrorId::TooManyRooms));
    let ben = world.join_from("kitchen", other).unwrap();
    world.leave(anna);
    assert_eq!(world.join_from("attic", greedy), Err(ErrorId::TooManyRooms), "the room that it made is still there");
    assert!(world.join_from("attic", other).is_ok());
    assert!(world.join_from("attic", greedy).is_ok(), "a room that another made");
    world.leave(ben);
    assert!(world.join_from("garden", greedy).is_ok());
}

#[test]
fn the_newcomer_is_polite_to_all_who_were_there() {
    let mut world = World::new(8, 8);
    let anna = world.join("kitchen").unwrap();
    let ben = world.join("Kitchen").unwrap();
    let eve = world.join("kitchen ").unwrap();
    assert_eq!(world.views[&eve.0.0].peers, BTreeMap::from([(anna.0.0, true), (ben.0.0, true)]));
    assert_eq!(world.views[&ben.0.0].peers, BTreeMap::from([(anna.0.0, true), (eve.0.0, false)]));
    world.check();
}

#[test]
fn capacity_and_the_number_of_rooms_are_bounds() {
    let mut world = World::new(2, 2);
    let anna = world.join("kitchen").unwrap();
    world.join("kitchen").unwrap();
    assert_eq!(world.join("kitchen"), Err(ErrorId::Full));
    let ben = world.join("cellar").unwrap();
    assert_eq!(world.join("attic"), Err(ErrorId::TooManyRooms));
    world.leave(anna);
    assert!(world.join("kitchen").is_ok(), "a place is free again");
    world.leave(ben);
    assert!(world.join("attic").is_ok(), "an empty room is gone");
    world.check();
}

#[test]
fn a_room_made_again_is_another_room() {
    let mut world = World::new(2, 2);
    let room = RoomName::parse("kitchen").unwrap();
    let mut tags = Vec::new();
    for _ in 0..2 {
        let (member, _) = world
            .rooms
            .join(&room, None, IpAddr::from([192, 0, 2, 1]).into(), &mut world.rng, |_| (vec![], 0))
            .unwrap();
        tags.push(member.room);
        world.rooms.leave(PeerId(member.member), LeaveReason::Disconnected);
    }
    assert_ne!(tags[0], tags[1]);
}

#[test]
fn a_signal_stays_in_its_room() {
    let mut world = World::new(8, 8);
    let anna = world.join("kitchen").unwrap();
    let ben = world.join("cellar").unwrap();
    assert_eq!(world.signal(anna, ben), Err(ErrorId::NoSuchPeer));
    assert_eq!(world.signal(anna, anna), Err(ErrorId::NoSuchPeer));
    world.leave(anna);
    assert_eq!(world.signal(anna, ben), Err(ErrorId::JoinFirst));
}

proptest! {
    #[test]
    fn any_schedule_keeps_every_view_true(steps in prop::collection::vec((0u8..4, 0usize..64, 0usize..64), 0..120)) {
        let mut world = World::new(4, 3);
        for (kind, a, b) in steps {
            match kind {
                0 => { let _ = world.join(["kitchen", "cellar", "attic", "garden"][a % 4]); }
                1 => if let Some(id) = world.nth(a) { world.leave(id) },
                _ => if let (Some(from), Some(to)) = (world.nth(a), world.nth(b)) { let _ = world.signal(from, to); }
            }
            world.check();
        }
    }
}
