//! Anything at all from several connections: the rooms keep their bounds and nobody is sent what is not theirs.

#![no_main]

use std::collections::HashMap;
use std::net::IpAddr;

use lanturn::limit::SourcePrefix;
use lanturn::signaling::{
    Capacity, ClientMessage, Effect, Entrant, ErrorId, Join, LeaveReason, PeerId, Pin, ResumeToken, Role, RoomLimits,
    RoomName, Rooms, ServerMessage, candidates,
};
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

const CONNECTIONS: usize = 6;
const CAPACITY: u32 = 3;
const MAX_ROOMS: u32 = 2;
/// The one invite that opens every room.
const INVITE: &str = "open";

/// Where all connections come from.
fn source() -> SourcePrefix {
    IpAddr::from([192, 0, 2, 1]).into()
}

struct Member {
    id: PeerId,
    room: RoomName,
    epoch: u32,
    token: Option<ResumeToken>,
}

#[derive(Default)]
struct World {
    /// Who each connection is.
    members: [Option<Member>; CONNECTIONS],
    /// The last `seq` from one to another.
    heard: HashMap<(PeerId, PeerId), u64>,
}

impl World {
    fn find(&self, id: PeerId) -> Option<&Member> {
        self.members.iter().flatten().find(|member| member.id == id)
    }

    /// A client cannot guess an id or a token, so `@0` to `@5` and `#0` to `#5` in a text stand for those there are.
    fn with_ids(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (number, member) in self.members.iter().enumerate() {
            let Some(member) = member else { continue };
            text = text.replace(&format!("@{number}"), &member.id.to_string());
            if let Some(token) = member.token {
                text = text.replace(&format!("#{number}"), &token.to_string());
            }
        }
        text
    }

    fn check(&mut self, effects: &[Effect], about: &RoomName) {
        for effect in effects {
            let Effect::Send { to, message } = effect else { continue };
            let receiver = self.find(*to).expect("only members are sent anything");
            assert_eq!(&receiver.room, about, "{message:?} leaves its room");
            // A number beyond every float is JSON too, and passed on, but nothing that could be compared.
            if let Ok(read) = ServerMessage::parse(&message.print(Some(1))) {
                assert_eq!(&read, message);
            } else {
                assert!(
                    matches!(message, ServerMessage::Signal { .. } | ServerMessage::Broadcast { .. }),
                    "{message:?}"
                );
            }
            match message {
                ServerMessage::Signal { from, seq, epoch, .. } | ServerMessage::Broadcast { from, seq, epoch, .. } => {
                    assert_eq!(self.find(*from).map(|sender| sender.epoch), Some(*epoch));
                    let last = self.heard.entry((*from, *to)).or_default();
                    *last += 1;
                    assert_eq!(seq, last);
                }
                ServerMessage::PeerRestarted { id, epoch } => {
                    assert_eq!(self.find(*id).map(|member| member.epoch), Some(*epoch));
                }
                _ => {}
            }
        }
    }

    fn forget(&mut self, id: PeerId) {
        self.heard.retain(|(from, to), _| *from != id && *to != id);
    }

    /// Takes a member away.
    fn end(&mut self, rooms: &mut Rooms, id: PeerId, reason: LeaveReason) {
        let seat = self.members.iter_mut().find(|seat| seat.as_ref().is_some_and(|member| member.id == id));
        let member = seat.and_then(Option::take).expect("a member");
        self.forget(id);
        let effects = rooms.leave(id, reason);
        assert!(matches!(effects[0], Effect::Ended(ended) if ended.member == id.0));
        self.check(&effects, &member.room);
    }

    fn join(&mut self, rooms: &mut Rooms, rng: &mut StdRng, connection: usize, join: Join) {
        let Join { room, name, role, pin, invite, resume, .. } = join;
        let resume_window = if resume { Some(15) } else { None };
        let entrant = Entrant { name, role, pin, resume_window, ..Entrant::new(source()) };
        let invited =
            invite.map(|invite| move |_: Option<&Pin>| if invite == INVITE { Some(Role::Viewer) } else { None });
        let Ok((member, effects)) = rooms.join(&room, entrant, invited, rng, |_| (Vec::new(), 60)) else { return };
        let Some(Effect::Send { message: ServerMessage::Joined(joined), .. }) = effects.first() else {
            panic!("`joined` comes first")
        };
        let token = joined.resume.as_ref().map(|offer| offer.token);
        assert_eq!(token.is_some(), resume);
        self.members[connection] = Some(Member { id: PeerId(member.member), room: room.clone(), epoch: 1, token });
        self.check(&effects, &room);
    }

    fn resume(&mut self, rooms: &mut Rooms, token: ResumeToken, fresh: bool) {
        let known = self.members.iter().flatten().any(|member| member.token == Some(token));
        let proved = rooms.prove(token);
        // Every member has a secret; one who asked for no token was told none.
        assert!(!known || proved.is_ok());
        let Some(member) = self.members.iter_mut().flatten().find(|member| member.token == Some(token)) else { return };
        member.epoch += u32::from(fresh);
        let (id, room) = (member.id, member.room.clone());
        if fresh {
            self.forget(id);
        }
        let effects = if fresh { rooms.restart(id, Vec::new(), 60) } else { rooms.back(id) };
        self.check(&effects, &room);
    }

    /// What somebody in a room says.
    fn say(&mut self, rooms: &mut Rooms, (id, room): (PeerId, RoomName), message: ClientMessage) {
        let effects = match message {
            ClientMessage::Signal { to, epoch, data, .. } => {
                assert!(candidates::addresses(&data).found.len() <= candidates::MAX_PER_SIGNAL);
                let receiver = self.find(to).filter(|other| other.id != id && other.room == room);
                let right = receiver.map(|other| epoch.is_none_or(|epoch| epoch == other.epoch));
                let effect = rooms.signal(id, to, epoch, data, |_| true);
                match &effect {
                    Ok(_) | Err(ErrorId::NotAllowed) => assert_eq!(right, Some(true)),
                    Err(ErrorId::Stale) => assert_eq!(right, Some(false)),
                    Err(other) => assert_eq!((right, *other), (None, ErrorId::NoSuchPeer)),
                }
                effect.map(|effect| vec![effect])
            }
            ClientMessage::Broadcast { data, .. } => {
                rooms.broadcast(id, &data, |_, _| true).map(|(effects, _)| effects)
            }
            ClientMessage::Rename { name } => rooms.rename(id, name),
            ClientMessage::Lock { locked } => rooms.lock(id, locked),
            ClientMessage::SetPin { pin } => rooms.set_pin(id, pin),
            ClientMessage::Invite { role, .. } => rooms.invitation(id, role).map(|(named, _)| {
                assert_eq!(named, &room);
                Vec::new()
            }),
            ClientMessage::Kick { id: other } => {
                if rooms.may_kick(id, other).is_ok() {
                    assert_eq!(self.find(other).map(|member| &member.room), Some(&room));
                    self.end(rooms, other, LeaveReason::Kicked);
                }
                return;
            }
            ClientMessage::Leave => return self.end(rooms, id, LeaveReason::Left),
            ClientMessage::Join(_)
            | ClientMessage::Resume { .. }
            | ClientMessage::Ready
            | ClientMessage::Ack { .. }
            | ClientMessage::Ping => return,
        };
        if let Ok(effects) = effects {
            self.check(&effects, &room);
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let limits = RoomLimits {
        capacity: Capacity::any(CAPACITY),
        unlisted: 1,
        max_rooms: MAX_ROOMS,
        max_rooms_per_prefix: MAX_ROOMS,
    };
    let (mut rooms, mut world, mut rng) = (Rooms::new(limits), World::default(), StdRng::seed_from_u64(1));
    // A line is a connection's number and what it sends. An empty text is its end.
    for line in input.split(|byte| *byte == b'\n') {
        let Some((&connection, text)) = line.split_first() else { continue };
        let connection = usize::from(connection) % CONNECTIONS;
        let text = world.with_ids(&String::from_utf8_lossy(text));
        let here = world.members[connection].as_ref().map(|member| (member.id, member.room.clone()));
        match (text.is_empty(), here) {
            (true, Some((id, room))) => {
                if world.find(id).is_some_and(|member| member.token.is_some()) {
                    let effects = rooms.away(id);
                    world.check(&effects, &room);
                } else {
                    world.end(&mut rooms, id, LeaveReason::Disconnected);
                }
            }
            (true, None) => {}
            (false, here) => match (ClientMessage::parse(&text), here) {
                (Ok(ClientMessage::Join(join)), None) => world.join(&mut rooms, &mut rng, connection, join),
                (Ok(ClientMessage::Resume { token: Some(token), fresh, .. }), _) => {
                    world.resume(&mut rooms, token, fresh);
                }
                (Ok(message), Some(here)) => world.say(&mut rooms, here, message),
                (Ok(_), None) => {}
                (Err(refusal), _) => assert!(!refusal.to_string().is_empty()),
            },
        }
        assert!(rooms.len() <= MAX_ROOMS as usize);
        assert_eq!(rooms.members(), world.members.iter().flatten().count());
        for member in world.members.iter().flatten() {
            let crowd = world.members.iter().flatten().filter(|other| other.room == member.room).count();
            assert!(crowd <= CAPACITY as usize);
        }
    }
    let left: Vec<_> = world.members.iter().flatten().map(|member| member.id).collect();
    left.into_iter().for_each(|id| world.end(&mut rooms, id, LeaveReason::Left));
    assert!(rooms.is_empty() && rooms.members() == 0);
});
