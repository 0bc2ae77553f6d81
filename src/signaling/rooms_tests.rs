use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng as _};
use serde_json::json;

use super::*;
use crate::signaling::PeerEntry;

/// Rooms of at most `capacity`, and somebody who enters and looks at what comes out.
struct World {
    rooms: Rooms,
    rng: StdRng,
}

/// What one join brought.
struct Entered {
    id: PeerId,
    peers: Vec<PeerEntry>,
    effects: Vec<Effect>,
}

fn from(last: u8) -> Entrant {
    Entrant::new(IpAddr::from(Ipv4Addr::new(192, 0, 2, last)).into())
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn pin(digits: &str) -> Pin {
    Pin::parse(digits).unwrap()
}

impl World {
    fn new(capacity: Capacity) -> Self {
        let limits = RoomLimits { capacity, unlisted: 2, max_rooms: 2, max_rooms_per_prefix: 2 };
        Self { rooms: Rooms::new(limits), rng: StdRng::seed_from_u64(7) }
    }

    fn join(&mut self, name: &str, entrant: Entrant) -> Result<Entered, ErrorId> {
        self.join_invited(name, entrant, None)
    }

    /// An invite here is good for the PIN that it names.
    fn join_invited(&mut self, name: &str, who: Entrant, invite: Option<(&str, Role)>) -> Result<Entered, ErrorId> {
        let invited = invite.map(|(made_under, role)| {
            move |pin: Option<&Pin>| if pin.map_or("", Pin::as_str) == made_under { Some(role) } else { None }
        });
        let (member, mut effects) = self.rooms.join(&room(name), who, invited, &mut self.rng, |_| (vec![], 60))?;
        let id = PeerId(member.member);
        let Effect::Send { to, message: ServerMessage::Joined(joined) } = effects.remove(0) else {
            panic!("`joined` comes first")
        };
        assert_eq!(to, id);
        Ok(Entered { id, peers: joined.peers, effects })
    }

    fn signal(&mut self, from: PeerId, to: PeerId) -> Result<u64, ErrorId> {
        let effect = self.rooms.signal(from, to, None, Payload::of(&json!(null)), |_| true)?;
        let Effect::Send { message: ServerMessage::Signal { seq, .. }, .. } = effect else { panic!("{effect:?}") };
        Ok(seq)
    }

    fn host_told(effects: &[Effect]) -> Option<PeerId> {
        effects.iter().find_map(|effect| match effect {
            Effect::Send { message: ServerMessage::Room { state }, .. } => state.host,
            Effect::Send { .. } | Effect::Ended(_) => None,
        })
    }
}

#[test]
fn one_source_cannot_make_all_the_rooms() {
    let mut world = World::new(Capacity::any(8));
    world.rooms.limits.max_rooms = 8;
    let anna = world.join("kitchen", from(1)).unwrap().id;
    world.join("cellar", from(1)).unwrap();
    assert_eq!(world.join("attic", from(1)).err(), Some(ErrorId::TooManyRooms));
    let ben = world.join("kitchen", from(2)).unwrap().id;
    world.rooms.leave(anna, LeaveReason::Left);
    assert_eq!(world.join("attic", from(1)).err(), Some(ErrorId::TooManyRooms), "the room that it made is still there");
    assert!(world.join("attic", from(2)).is_ok());
    assert!(world.join("attic", from(1)).is_ok(), "a room that another made");
    world.rooms.leave(ben, LeaveReason::Left);
    assert!(world.join("garden", from(1)).is_ok());
}

#[test]
fn the_newcomer_gives_way_and_offers_to_all_who_were_there() {
    let mut world = World::new(Capacity::any(8));
    let anna = world.join("kitchen", from(1)).unwrap().id;
    let ben = world.join("Kitchen", from(1)).unwrap().id;
    let eve = world.join("kitchen ", from(1)).unwrap();
    let seen: Vec<_> = eve.peers.iter().map(|peer| (peer.id, peer.polite, peer.initiate)).collect();
    assert_eq!(seen, [(anna, true, true), (ben, true, true)]);
    for effect in &eve.effects {
        let Effect::Send { message: ServerMessage::PeerJoined { peer }, .. } = effect else { panic!("{effect:?}") };
        assert_eq!((peer.id, peer.polite, peer.initiate), (eve.id, false, false));
    }
}

/// What a client of the second kind is told of one of the first kind who was there, and that one of it.
fn pair(earlier: FirstOffer, newcomer: FirstOffer) -> [(bool, bool); 2] {
    let mut world = World::new(Capacity::any(8));
    world.join("kitchen", Entrant { first_offer: earlier, ..from(1) }).unwrap();
    let joined = world.join("kitchen", Entrant { first_offer: newcomer, ..from(1) }).unwrap();
    let Effect::Send { message: ServerMessage::PeerJoined { peer }, .. } = &joined.effects[0] else { panic!() };
    [(peer.polite, peer.initiate), (joined.peers[0].polite, joined.peers[0].initiate)]
}

#[test]
fn who_is_used_to_offer_offers_and_who_can_give_way_does() {
    use FirstOffer::{Earlier, Itself, Newcomer, Told};
    assert_eq!(pair(Told, Told), [(false, false), (true, true)]);
    assert_eq!(pair(Earlier, Told), [(false, true), (true, false)], "it was there: it calls");
    assert_eq!(pair(Told, Earlier), [(true, true), (false, false)], "it came second: it waits to be called");
    assert_eq!(pair(Newcomer, Told), [(false, false), (true, true)]);
    assert_eq!(pair(Told, Newcomer), [(true, false), (false, true)]);
    assert_eq!(pair(Itself, Told), [(false, true), (true, false)]);
    assert_eq!(pair(Told, Itself), [(true, false), (false, true)], "a codelab page calls whenever it comes");
    assert_eq!(pair(Itself, Itself), [(false, true), (true, false)], "but not two of them");
    assert_eq!(pair(Earlier, Itself), [(false, true), (true, false)], "nor when somebody else is used to");
    for (one, other) in [(Earlier, Newcomer), (Newcomer, Earlier), (Earlier, Earlier), (Newcomer, Newcomer)] {
        let [first, second] = pair(one, other);
        assert!(first.0 != second.0 && first.1 != second.1, "exactly one of {one:?} and {other:?}");
        assert_eq!(first.1, one == Earlier, "who was there does as it is used to");
    }
}

#[test]
fn places_in_all_and_in_each_role_are_bounds() {
    let mut capacity = Capacity::any(3);
    capacity.roles.presenter = 1;
    capacity.roles.viewer = 0;
    let mut world = World::new(capacity);
    let as_role = |role| Entrant { role, ..from(1) };
    assert_eq!(world.join("cellar", as_role(Role::Viewer)).err(), Some(ErrorId::Full));
    assert_eq!(world.rooms.len(), 0, "a room that nobody may enter is not made");
    let anna = world.join("kitchen", as_role(Role::Presenter)).unwrap().id;
    assert_eq!(world.join("kitchen", as_role(Role::Presenter)).err(), Some(ErrorId::Full));
    let ben = world.join("kitchen", as_role(Role::Member)).unwrap().id;
    world.join("kitchen", as_role(Role::Member)).unwrap();
    world.rooms.leave(anna, LeaveReason::Left);
    world.join("kitchen", as_role(Role::Member)).unwrap();
    assert_eq!(world.join("kitchen", as_role(Role::Member)).err(), Some(ErrorId::Full));
    world.join("cellar", from(2)).unwrap();
    assert_eq!(world.join("attic", from(2)).err(), Some(ErrorId::TooManyRooms));
    world.rooms.leave(ben, LeaveReason::Left);
    assert!(world.join("kitchen", from(1)).is_ok(), "a place is free again");
}

#[test]
fn one_who_can_talk_to_one_other_only_is_alone_with_them() {
    let mut world = World::new(Capacity::any(8));
    let two_party = || Entrant { is_pair: true, ..from(1) };
    world.join("kitchen", from(1)).unwrap();
    world.join("kitchen", two_party()).unwrap();
    assert_eq!(world.join("kitchen", from(1)).err(), Some(ErrorId::Full));
    world.join("cellar", from(1)).unwrap();
    world.join("cellar", from(1)).unwrap();
    assert_eq!(world.join("cellar", two_party()).err(), Some(ErrorId::Full));
}

#[test]
fn one_who_is_not_listed_is_seen_by_nobody_and_reached_by_all() {
    let mut world = World::new(Capacity::any(2));
    let hidden = || Entrant { is_listed: false, ..from(1) };
    let first = world.join("kitchen", hidden()).unwrap();
    let anna = world.join("kitchen", from(1)).unwrap();
    let second = world.join("kitchen", hidden()).unwrap();
    assert!(first.peers.is_empty() && anna.peers.is_empty() && second.peers.is_empty());
    assert_eq!((&anna.effects, &second.effects), (&vec![], &vec![]));
    assert_eq!(world.join("kitchen", hidden()).err(), Some(ErrorId::Full));
    let (heard, missed) = world.rooms.broadcast(anna.id, &Payload::of("all"), |_, _| true).unwrap();
    assert!(missed.is_empty());
    let receivers: Vec<_> = heard
        .iter()
        .map(|effect| matches!(effect, Effect::Send { to, .. } if *to == first.id || *to == second.id))
        .collect();
    assert_eq!(receivers, [true, true]);
    assert_eq!(world.signal(second.id, first.id), Ok(1));
    assert_eq!(world.rooms.away(first.id).len(), 0);
    assert!(matches!(world.rooms.leave(first.id, LeaveReason::Left)[..], [Effect::Ended(_)]));
    assert_eq!(world.rooms.rename(second.id, None).err(), Some(ErrorId::NotAllowed));
    world.rooms.lock(anna.id, true).unwrap();
    world.rooms.set_pin(anna.id, Some(pin("4711"))).unwrap();
    world.rooms.leave(anna.id, LeaveReason::Left);
    assert!(world.join("kitchen", from(1)).is_ok(), "a door that nobody could open again is open");
}

#[test]
fn a_room_made_again_is_another_room() {
    let mut world = World::new(Capacity::any(2));
    let mut tags = Vec::new();
    for _ in 0..2 {
        let joined = world.join("kitchen", Entrant { pin: Some(pin("4711")), ..from(1) }).unwrap();
        tags.push(world.rooms.whereabouts[&joined.id].0);
        world.rooms.leave(joined.id, LeaveReason::Disconnected);
    }
    assert_ne!(tags[0], tags[1]);
    assert!(world.join("kitchen", from(1)).is_ok(), "and the PIN went with the first");
}

#[test]
fn a_signal_stays_in_its_room_and_is_counted_only_if_it_is_sent() {
    let mut world = World::new(Capacity::any(8));
    let anna = world.join("kitchen", from(1)).unwrap().id;
    let ben = world.join("kitchen", from(1)).unwrap().id;
    let eve = world.join("cellar", from(1)).unwrap().id;
    assert_eq!(world.signal(anna, eve), Err(ErrorId::NoSuchPeer));
    assert_eq!(world.signal(anna, anna), Err(ErrorId::NoSuchPeer));
    assert_eq!(world.signal(anna, ben), Ok(1));
    let data = || Payload::of(&json!(null));
    assert_eq!(world.rooms.signal(anna, ben, None, data(), |_| false), Err(ErrorId::PeerBusy));
    assert_eq!(world.rooms.broadcast(anna, &data(), |_, _| false), Ok((vec![], vec![ben])));
    assert_eq!(world.signal(anna, ben), Ok(2));
    assert_eq!(world.signal(ben, anna), Ok(1));
    world.rooms.leave(anna, LeaveReason::Left);
    assert_eq!(world.signal(anna, ben), Err(ErrorId::JoinFirst));
}

#[test]
fn viewers_watch_and_do_not_call_each_other() {
    let mut world = World::new(Capacity::any(8));
    let as_role = |role| Entrant { role, ..from(1) };
    let anna = world.join("kitchen", as_role(Role::Presenter)).unwrap().id;
    let ben = world.join("kitchen", as_role(Role::Viewer)).unwrap().id;
    let eve = world.join("kitchen", as_role(Role::Viewer)).unwrap().id;
    assert_eq!(world.signal(ben, eve), Err(ErrorId::NotAllowed));
    assert_eq!((world.signal(ben, anna), world.signal(anna, eve)), (Ok(1), Ok(1)));
    let late = world.join("kitchen", as_role(Role::Viewer)).unwrap();
    assert_eq!(late.peers.iter().map(|peer| peer.initiate).collect::<Vec<_>>(), [true, false, false]);
}

#[test]
fn a_pin_opens_a_room_and_so_does_an_invite_made_under_it() {
    let mut world = World::new(Capacity::any(8));
    let with = |digits| Entrant { pin: Some(pin(digits)), ..from(1) };
    let anna = world.join("kitchen", with("4711")).unwrap().id;
    assert_eq!(world.join("kitchen", from(1)).err(), Some(ErrorId::BadPin));
    assert_eq!(world.join("kitchen", with("4712")).err(), Some(ErrorId::BadPin));
    let ben = world.join("kitchen", with("4711")).unwrap().id;
    assert_eq!(world.rooms.set_pin(ben, None).err(), Some(ErrorId::NotAllowed));
    let invite = |made_under| Some((made_under, Role::Viewer));
    assert_eq!(world.join_invited("kitchen", from(1), invite("1")).err(), Some(ErrorId::BadInvite));
    let eve = world.join_invited("kitchen", from(1), invite("4711")).unwrap();
    let Effect::Send { message: ServerMessage::PeerJoined { peer }, .. } = &eve.effects[0] else { panic!() };
    assert_eq!(peer.role, Role::Viewer, "the invite says the role");
    assert_eq!(world.rooms.invitation(eve.id, Role::Member).err(), Some(ErrorId::NotAllowed));
    assert!(world.rooms.invitation(ben, Role::Member).is_ok() && world.rooms.invitation(anna, Role::Presenter).is_ok());
    world.rooms.set_pin(anna, Some(pin("4712"))).unwrap();
    assert_eq!(world.join_invited("kitchen", from(1), invite("4711")).err(), Some(ErrorId::BadInvite));
    world.rooms.set_pin(anna, None).unwrap();
    assert!(world.join("kitchen", from(1)).is_ok());
}

#[test]
fn the_host_locks_and_sends_away_and_hands_over_by_leaving() {
    let mut world = World::new(Capacity::any(8));
    let anna = world.join("kitchen", from(1)).unwrap().id;
    let viewer = world.join("kitchen", Entrant { role: Role::Viewer, ..from(1) }).unwrap().id;
    let ben = world.join("kitchen", from(1)).unwrap().id;
    assert_eq!(world.rooms.lock(ben, true).err(), Some(ErrorId::NotAllowed));
    assert_eq!(world.rooms.lock(anna, true).unwrap().len(), 3, "everybody hears of it");
    assert_eq!(world.join("kitchen", from(1)).err(), Some(ErrorId::Locked));
    assert_eq!(world.rooms.may_kick(ben, anna), Err(ErrorId::NotAllowed));
    assert_eq!(world.rooms.may_kick(anna, anna), Err(ErrorId::NoSuchPeer));
    assert_eq!(world.rooms.may_kick(anna, ben), Ok(()));
    let effects = world.rooms.leave(anna, LeaveReason::Left);
    assert_eq!(World::host_told(&effects), Some(ben), "before the viewer, who was there first");
    world.rooms.lock(ben, false).unwrap();
    let effects = world.rooms.leave(ben, LeaveReason::Left);
    assert_eq!(World::host_told(&effects), Some(viewer), "there is always somebody");
    let eve = world.join("kitchen", from(1)).unwrap();
    assert_eq!(World::host_told(&eve.effects), Some(eve.id), "until somebody comes who takes part");
    let maker = world.join("cellar", Entrant { role: Role::Viewer, ..from(1) }).unwrap().id;
    assert_eq!(World::host_told(&world.join("cellar", from(1)).unwrap().effects), None, "who made the room keeps it");
    assert!(world.rooms.lock(maker, true).is_ok());
}

#[test]
fn a_token_proves_its_membership_only() {
    let mut world = World::new(Capacity::any(8));
    let anna = world.join("kitchen", Entrant { resume_window: Some(15), ..from(1) }).unwrap().id;
    let ben = world.join("kitchen", from(1)).unwrap().id;
    let effects = world.rooms.restart(anna, vec![], 60);
    let Effect::Send { message: ServerMessage::Joined(joined), .. } = &effects[0] else { panic!("{effects:?}") };
    let (offer, myself) = (joined.resume.as_ref().unwrap(), &joined.myself);
    assert_eq!((offer.window, myself.epoch), (15, 2));
    assert_eq!(world.rooms.prove(offer.token).unwrap().member, anna.0);
    let wrong = [ResumeToken { id: ben, ..offer.token }, ResumeToken { secret: offer.token.secret + 1, ..offer.token }];
    assert_eq!(wrong.map(|token| world.rooms.prove(token)), [Err(ErrorId::Gone); 2]);
    world.rooms.leave(anna, LeaveReason::Left);
    assert_eq!(world.rooms.prove(offer.token), Err(ErrorId::Gone));
}

#[test]
fn a_new_epoch_makes_what_was_meant_for_the_old_one_stale() {
    let mut world = World::new(Capacity::any(8));
    let anna = world.join("kitchen", from(1)).unwrap().id;
    let ben = world.join("kitchen", from(1)).unwrap().id;
    let data = || Payload::of(&json!(null));
    world.signal(anna, ben).unwrap();
    world.signal(ben, anna).unwrap();
    world.rooms.restart(ben, vec![], 60);
    assert_eq!(world.rooms.signal(anna, ben, Some(1), data(), |_| true), Err(ErrorId::Stale));
    assert!(world.rooms.signal(anna, ben, Some(2), data(), |_| true).is_ok());
    assert_eq!((world.signal(anna, ben), world.signal(ben, anna)), (Ok(2), Ok(1)), "both counts began again");
}

/// Numbers that are as good as random, and cost next to nothing (SplitMix64).
struct Cheap(u64);

impl RngCore for Cheap {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^ (mixed >> 29)
    }

    fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = self.next_u64() as u8);
    }
}

#[test]
fn a_million_names_leave_nothing_behind() {
    const NAMES: u32 = 1_000_000;
    const AT_ONCE: usize = 16;
    let (at_once, capacity) = (AT_ONCE as u32, Capacity::any(8));
    let mut rooms = Rooms::new(RoomLimits { capacity, unlisted: 2, max_rooms: at_once, max_rooms_per_prefix: 1 });
    let (mut here, mut rng) = (VecDeque::new(), Cheap(7));
    for number in 0..NAMES {
        let name = RoomName::of_normal(number.to_string());
        let stranger = Entrant::new(IpAddr::from(number.to_be_bytes()).into());
        let invited = None::<fn(Option<&Pin>) -> Option<Role>>;
        let (member, _) = rooms.join(&name, stranger, invited, &mut rng, |_| (vec![], 60)).unwrap();
        here.push_back(PeerId(member.member));
        if here.len() == AT_ONCE {
            rooms.leave(here.pop_front().unwrap(), LeaveReason::Left);
        }
    }
    assert_eq!((rooms.len(), rooms.members()), (AT_ONCE - 1, AT_ONCE - 1));
    here.into_iter().for_each(|id| drop(rooms.leave(id, LeaveReason::Left)));
    let Rooms { names, rooms, whereabouts, made, .. } = rooms;
    assert_eq!((names.len(), rooms.len(), whereabouts.len()), (0, 0, 0));
    assert_eq!(made, Shares::default(), "nothing is remembered of who made them");
    let room = [names.capacity(), rooms.capacity(), whereabouts.capacity()];
    assert!(room.into_iter().all(|room| room <= 4 * AT_ONCE), "{room:?} is of a million names, and not of 16");
}
