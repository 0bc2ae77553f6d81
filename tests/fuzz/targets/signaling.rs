//! Anything at all from several connections: the rooms keep their bounds and nobody is sent what is not theirs.

#![no_main]

use std::collections::HashMap;
use std::net::IpAddr;

use lanturn::limit::SourcePrefix;
use lanturn::signaling::{
    ClientMessage, Effect, LeaveReason, PeerId, RoomLimits, RoomName, Rooms, ServerMessage, candidates,
};
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

const CONNECTIONS: usize = 6;
const LIMITS: RoomLimits = RoomLimits { capacity: 3, max_rooms: 2, max_rooms_per_prefix: 2 };

/// Where all connections come from.
fn source() -> SourcePrefix {
    IpAddr::from([192, 0, 2, 1]).into()
}

#[derive(Default)]
struct World {
    /// Who each connection is, and in which room.
    members: [Option<(PeerId, RoomName)>; CONNECTIONS],
    /// The last `seq` from one to another.
    heard: HashMap<(PeerId, PeerId), u64>,
}

impl World {
    fn room_of(&self, id: PeerId) -> Option<&RoomName> {
        self.members.iter().flatten().find(|(member, _)| *member == id).map(|(_, room)| room)
    }

    /// A client cannot guess an id, so `@0` to `@5` in a text stand for those there are.
    fn with_ids(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (number, member) in self.members.iter().enumerate() {
            if let Some((id, _)) = member {
                text = text.replace(&format!("@{number}"), &id.to_string());
            }
        }
        text
    }

    fn check(&mut self, effects: &[Effect], about: &RoomName) {
        for effect in effects {
            let Effect::Send { to, message } = effect else { continue };
            assert_eq!(self.room_of(*to), Some(about), "{message:?} leaves its room");
            assert_eq!(&ServerMessage::parse(&message.print()).unwrap(), message);
            if let ServerMessage::Signal { from, seq, .. } = message {
                let last = self.heard.entry((*from, *to)).or_default();
                *last += 1;
                assert_eq!(seq, last);
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let (mut rooms, mut world, mut rng) = (Rooms::new(LIMITS), World::default(), StdRng::seed_from_u64(1));
    // A line is a connection's number and what it sends. An empty text is its end.
    for line in input.split(|byte| *byte == b'\n') {
        let Some((&connection, text)) = line.split_first() else { continue };
        let connection = usize::from(connection) % CONNECTIONS;
        let text = world.with_ids(&String::from_utf8_lossy(text));
        let here = world.members[connection].clone();
        if text.is_empty() {
            let Some((id, room)) = world.members[connection].take() else { continue };
            let effects = rooms.leave(id, LeaveReason::Disconnected);
            world.check(&effects, &room);
            continue;
        }
        match (ClientMessage::parse(&text), here) {
            (Ok(ClientMessage::Join { room, name }), None) => {
                if let Ok((member, effects)) = rooms.join(&room, name, source(), &mut rng, |_| (Vec::new(), 60)) {
                    world.members[connection] = Some((PeerId(member.member), room.clone()));
                    world.check(&effects, &room);
                }
            }
            (Ok(ClientMessage::Signal { to, data }), Some((id, room))) => {
                assert!(candidates::addresses(&data).len() <= candidates::MAX_PER_SIGNAL);
                let reachable = id != to && world.room_of(to) == Some(&room);
                let effect = rooms.signal(id, to, data);
                assert_eq!(effect.is_ok(), reachable);
                world.check(&effect.into_iter().collect::<Vec<_>>(), &room);
            }
            (Ok(ClientMessage::Leave), Some((id, room))) => {
                world.members[connection] = None;
                world.check(&rooms.leave(id, LeaveReason::Left), &room);
            }
            (Err(refusal), _) => assert!(!refusal.to_string().is_empty()),
            _ => {}
        }
        assert!(rooms.len() <= LIMITS.max_rooms as usize);
        assert_eq!(rooms.members(), world.members.iter().flatten().count());
        for (_, room) in world.members.iter().flatten() {
            let crowd = world.members.iter().flatten().filter(|(_, other)| other == room).count();
            assert!(crowd <= LIMITS.capacity as usize);
        }
    }
    for (id, _) in world.members.iter().flatten() {
        rooms.leave(*id, LeaveReason::Left);
    }
    assert!(rooms.is_empty() && rooms.members() == 0);
});
