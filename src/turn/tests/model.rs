//! Random histories against the RFC written down naively, and random bytes against nothing but the promises.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;

use super::support::*;
use crate::credentials::{MemberTag, RoomMember, RoomTag, Secret, mint_for_member};

const CLIENTS: usize = 3;
const PEERS: [&str; 4] = ["198.51.100.1:1", "198.51.100.1:2", "198.51.100.2:1", "198.51.100.66:1"];
const DENIED: usize = 3;

#[derive(Clone, Debug)]
enum Act {
    Allocate { client: usize, lifetime: Option<u32> },
    Refresh { client: usize, lifetime: u32 },
    Permit { client: usize, peers: Vec<usize> },
    Bind { client: usize, channel: u16, peer: usize },
    Send { client: usize, peer: usize },
    Channel { client: usize, channel: u16 },
    Peer { client: usize, peer: usize },
    Advance { seconds: u64, swept: bool },
    Revoke { client: usize },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let (client, peer, channel) = (0..CLIENTS, 0..PEERS.len(), 0x3FFF..0x4003u16);
    let lifetime = prop_oneof![Just(0), Just(600), Just(1200), Just(5000)];
    let seconds = prop_oneof![1..20u64, Just(299), Just(300), Just(301), Just(599), Just(600)];
    let act = prop_oneof![
        3 => (client.clone(), prop::option::of(lifetime.clone()))
            .prop_map(|(client, lifetime)| Act::Allocate { client, lifetime }),
        1 => (client.clone(), lifetime).prop_map(|(client, lifetime)| Act::Refresh { client, lifetime }),
        3 => (client.clone(), prop::collection::vec(peer.clone(), 0..3))
            .prop_map(|(client, peers)| Act::Permit { client, peers }),
        3 => (client.clone(), channel.clone(), peer.clone())
            .prop_map(|(client, channel, peer)| Act::Bind { client, channel, peer }),
        3 => (client.clone(), peer.clone()).prop_map(|(client, peer)| Act::Send { client, peer }),
        3 => (client.clone(), channel).prop_map(|(client, channel)| Act::Channel { client, channel }),
        3 => (client.clone(), peer).prop_map(|(client, peer)| Act::Peer { client, peer }),
        2 => (seconds, any::<bool>()).prop_map(|(seconds, swept)| Act::Advance { seconds, swept }),
        1 => client.prop_map(|client| Act::Revoke { client }),
    ];
    prop::collection::vec(act, 1..80)
}

/// An allocation as RFC 8656 tells of it: lists with the second at which each entry ends.
#[derive(Default)]
struct Model {
    ends: u64,
    permissions: HashMap<IpAddr, u64>,
    channels: Vec<(u16, SocketAddr, u64)>,
}

impl Model {
    fn permits(&self, peer: SocketAddr, now: u64) -> bool {
        self.ends > now && self.permissions.get(&peer.ip()).is_some_and(|ends| *ends > now)
    }

    fn permit(&mut self, peers: &[SocketAddr], now: u64) {
        self.permissions.extend(peers.iter().map(|peer| (peer.ip(), now + 300)));
    }

    fn channel(&self, wanted: impl Fn(u16, SocketAddr) -> bool, now: u64) -> Option<(u16, SocketAddr)> {
        let standing = self.channels.iter().filter(|(_, _, ends)| *ends > now);
        standing.map(|(number, peer, _)| (*number, *peer)).find(|(number, peer)| wanted(*number, *peer))
    }

    fn bind(&mut self, channel: u16, peer: SocketAddr, now: u64) -> u16 {
        if self.channel(|number, to| (number == channel) != (to == peer), now).is_some() {
            return 400;
        }
        self.channels.retain(|(number, _, ends)| *number != channel && *ends > now);
        self.channels.push((channel, peer, now + 600));
        self.permit(&[peer], now);
        0
    }
}

struct Run {
    lab: Lab,
    clients: Vec<Client>,
    models: Vec<Option<Model>>,
    sockets: Vec<Option<SocketAddr>>,
    gone: [bool; CLIENTS],
    now: u64,
}

fn member(client: usize) -> RoomMember {
    RoomMember { room: RoomTag(1), member: MemberTag(client as u64) }
}

impl Run {
    fn new() -> Self {
        let mut lab = Lab::new();
        // Credentials that outlast every history: their end is another test's.
        let join = |n| {
            let address = format!("192.0.2.{}:5000", n + 1);
            lab.rooms.join(member(n), at(&address).ip());
            let credential = mint_for_member(&Secret::new(SECRETS[0]), member(n), UNIX, 1_000_000);
            lab.holder(&credential.username, &credential.password, &address)
        };
        let clients: Vec<_> = (0..CLIENTS).map(join).collect();
        // Someone else who stays, and has signalled every peer, the denied one too.
        lab.member(member(99), "192.0.2.99:5000");
        PEERS.iter().for_each(|peer| assert!(lab.rooms.saw(member(99), at(peer).ip())));
        let models = (0..CLIENTS).map(|_| None).collect();
        Self { lab, clients, models, sockets: vec![None; CLIENTS], gone: [false; CLIENTS], now: 0 }
    }

    fn model(&mut self, client: usize) -> Option<&mut Model> {
        self.models[client].as_mut().filter(|model| model.ends > self.now)
    }

    /// Asks with a fresh nonce, as a client does after a 438.
    fn ask(&mut self, client: usize, asked: Asked) -> Message {
        self.clients[client].nonce = self.lab.challenge(&self.clients[client]);
        let who = self.clients[client].clone();
        self.lab.ask(&who, asked)
    }

    fn step(&mut self, act: Act) {
        let now = self.now;
        match act {
            Act::Allocate { client, lifetime: asked } => self.allocate(client, asked),
            Act::Refresh { client, lifetime: asked } => self.refresh(client, asked),
            Act::Permit { client, peers } => {
                let addresses: Vec<_> = peers.iter().map(|peer| at(PEERS[*peer])).collect();
                let expected = match (self.gone[client], self.model(client)) {
                    (true, _) => 401,
                    (false, None) => 437,
                    (false, Some(_)) if peers.is_empty() => 400,
                    (false, Some(_)) if peers.contains(&DENIED) => 403,
                    (false, Some(model)) => {
                        model.permit(&addresses, now);
                        0
                    }
                };
                let list: Vec<_> = peers.iter().map(|peer| PEERS[*peer]).collect();
                assert_eq!(code(&self.ask(client, permit(&list))), expected);
            }
            Act::Bind { client, channel, peer } => {
                let expected = match (self.gone[client], self.model(client)) {
                    (true, _) => 401,
                    (false, None) => 437,
                    (false, Some(_)) if channel < 0x4000 => 400,
                    (false, Some(_)) if peer == DENIED => 403,
                    (false, Some(model)) => model.bind(channel, at(PEERS[peer]), now),
                };
                assert_eq!(code(&self.ask(client, bind(channel, PEERS[peer]))), expected);
            }
            Act::Send { .. } | Act::Channel { .. } | Act::Peer { .. } => self.data(act),
            Act::Advance { seconds, swept } => {
                self.now += seconds;
                self.lab.advance(secs(seconds));
                if swept {
                    self.lab.expire();
                }
            }
            Act::Revoke { client } => {
                self.lab.revoke(member(client));
                self.gone[client] = true;
                self.models[client] = None;
            }
        }
    }

    fn allocate(&mut self, client: usize, asked: Option<u32>) {
        let granted = asked.map_or(600, |asked| u64::from(asked).clamp(600, 3600));
        let expected = match (self.gone[client], self.model(client)) {
            (true, _) => 401,
            (false, Some(_)) => 437,
            (false, None) => 0,
        };
        let request = asked.map_or(allocate(), |asked| allocate().lifetime(asked.into()));
        let answer = self.ask(client, request);
        assert_eq!(code(&answer), expected);
        if expected == 0 {
            assert_eq!(lifetime(&answer), granted);
            self.sockets[client] = Some(relayed(&answer));
            self.models[client] = Some(Model { ends: self.now + granted, ..Model::default() });
        }
    }

    fn refresh(&mut self, client: usize, asked: u32) {
        let now = self.now;
        let granted = if asked == 0 { 0 } else { u64::from(asked).clamp(600, 3600) };
        let expected = match (self.gone[client], self.model(client)) {
            (true, _) => 401,
            (false, Some(model)) => {
                model.ends = now + granted;
                0
            }
            (false, None) if asked == 0 => 0,
            (false, None) => 437,
        };
        let answer = self.ask(client, refresh(asked.into()));
        assert_eq!(code(&answer), expected);
        assert!(expected != 0 || lifetime(&answer) == granted);
    }

    fn data(&mut self, act: Act) {
        let now = self.now;
        match act {
            Act::Send { client, peer } => {
                let peer = at(PEERS[peer]);
                let expected = self.model(client).is_some_and(|model| model.permits(peer, now));
                let sent = self.lab.sends(&self.clients[client], &send(&peer.to_string(), b"up"));
                assert_eq!(sent, expected.then(|| (peer, b"up".into())));
            }
            Act::Channel { client, channel } => {
                let model = self.model(client);
                let to = model.and_then(|model| {
                    let (_, peer) = model.channel(|number, _| number == channel, now)?;
                    model.permits(peer, now).then_some(peer)
                });
                let sent = self.lab.sends(&self.clients[client], &channel_data(channel, b"up"));
                assert_eq!(sent, to.map(|to| (to, b"up".into())));
            }
            Act::Peer { client, peer } => {
                let (from, socket) = (at(PEERS[peer]), self.sockets[client]);
                let packet = socket.and_then(|socket| self.lab.peer(PEERS[peer], socket, b"down"));
                let channel = self
                    .model(client)
                    .filter(|model| model.permits(from, now))
                    .map(|model| model.channel(|_, to| to == from, now).map(|(number, _)| number));
                match (channel, packet) {
                    (None, None) => {}
                    (Some(Some(number)), Some(packet)) => assert_eq!(packet, channel_data(number, b"down")),
                    (Some(None), Some(packet)) => assert_eq!(data_indication(&packet), (from, b"down".into())),
                    (expected, got) => panic!("{expected:?} but {got:?}"),
                }
            }
            Act::Allocate { .. }
            | Act::Refresh { .. }
            | Act::Permit { .. }
            | Act::Bind { .. }
            | Act::Advance { .. }
            | Act::Revoke { .. } => unreachable!(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_history_goes_as_the_rfc_tells_it(acts in acts()) {
        let mut run = Run::new();
        for act in acts {
            run.step(act);
            let standing = run.models.iter().flatten().filter(|model| model.ends > run.now).count();
            prop_assert!(run.lab.servers[0].len() >= standing);
        }
        run.lab.expire();
        let standing = run.models.iter().flatten().filter(|model| model.ends > run.now).count();
        prop_assert_eq!(run.lab.servers[0].len(), standing);
        prop_assert_eq!(run.lab.sockets.len(), standing);
        prop_assert_eq!(run.lab.shared.quota.allocations() as usize, standing);
        run.lab.advance(Duration::from_secs(3600));
        run.lab.expire();
        prop_assert_eq!((run.lab.servers[0].len(), run.lab.servers[0].next_expiry()), (0, None));
    }

    #[test]
    fn any_bytes_do_nothing_that_was_not_permitted(mut packet: Vec<u8>, first in 0..130u8) {
        let mut lab = Lab::new();
        let client = lab.client("anna", "192.0.2.1:5000");
        lab.allocate(&client);
        if let Some(byte) = packet.first_mut() {
            *byte = first;
        }
        prop_assert!(!matches!(lab.exchange(&client, &packet), Outcome::Forward(_)));
    }

    #[test]
    fn changed_packets_never_reach_an_unpermitted_peer(
        which in 0..6usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        re_signed: bool,
    ) {
        let mut lab = Lab::new();
        let client = lab.client("anna", "192.0.2.1:5000");
        lab.allocate(&client);
        prop_assert_eq!(lab.code(&client, permit(&[PEER])), 0);
        prop_assert_eq!(lab.code(&client, bind(0x4000, PEER)), 0);
        let asked = [allocate(), refresh(600), permit(&[PEER]), bind(0x4000, PEER)];
        let mut packet = match which {
            4 => send(PEER, b"data"),
            5 => channel_data(0x4000, b"data"),
            _ if re_signed => asked[which].0.raw.clone(),
            _ => asked[which].clone().sign(&client),
        };
        for (index, byte) in changes {
            let index = index.index(packet.len());
            packet[index] = byte;
        }
        if let Some(cut) = cut {
            packet.truncate(cut.index(packet.len()) + 1);
        }
        let mut message = Message::new();
        if which < 4 && re_signed && message.unmarshal_binary(&packet).is_ok() {
            packet = Asked(message).sign(&client);
        }
        match lab.exchange(&client, &packet) {
            Outcome::Forward(forward) => {
                let crate::turn::Route::Peer { to, .. } = forward.route else { panic!("{forward:?}") };
                prop_assert_eq!(to.ip(), at(PEER).ip());
                prop_assert!(forward.payload.end <= packet.len());
            }
            Outcome::Reply(_) | Outcome::ReplyAs(..) | Outcome::Nothing => {}
        }
        // Whatever was changed, nobody can have opened a way to where the policy forbids it.
        for denied in ["198.51.100.66:1", "8.8.8.8:53", "127.0.0.1:22", "169.254.169.254:80"] {
            let sent = lab.exchange(&client, &send(denied, b"x"));
            prop_assert!(sent.is_nothing(), "{}", denied);
        }
    }
}
