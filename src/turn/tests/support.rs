//! A laboratory: servers that share a box, sockets that are only names, clients that sign, and a clock to turn.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::stun::integrity::MessageIntegrity;

pub(crate) use super::messages::*;
use crate::credentials::*;
use crate::turn::*;

pub(crate) const REALM: &str = "lanturn";
pub(super) const SERVER: &str = "192.168.1.5:3478";
pub(super) const SECRETS: [&str; 2] = ["0123456789abcdef", "fedcba9876543210"];
pub(super) const PEER: &str = "198.51.100.7:7000";
pub(super) const MANY: Limits = Limits { allocations: 10_000, permissions: 10_000, channels: 10_000, bandwidth: 0 };
/// The wall clock when a test begins.
pub(super) const UNIX: u64 = 1_700_000_000;

pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What a test may want otherwise.
pub(super) struct Setup {
    pub(super) shards: u16,
    pub(super) user: Limits,
    pub(super) prefix: Limits,
    pub(super) total: Limits,
    pub(super) unauthorized_rate: u32,
    pub(super) ports: std::ops::RangeInclusive<u16>,
    pub(super) open_ports: Option<std::ops::RangeInclusive<u16>>,
    pub(super) interfaces: Vec<&'static str>,
    pub(super) external: Option<(&'static str, &'static str)>,
    pub(super) allow_loopback: bool,
    pub(super) behavior: Option<[&'static str; 2]>,
    pub(super) alternate: Vec<SocketAddr>,
    /// The file of token keys.
    pub(super) tokens: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            shards: 1,
            user: MANY,
            prefix: MANY,
            total: MANY,
            unauthorized_rate: 1_000_000,
            ports: 50_000..=50_999,
            open_ports: None,
            interfaces: vec!["127.0.0.1", "192.168.1.5", "2001:db8::5"],
            external: None,
            allow_loopback: false,
            behavior: None,
            alternate: Vec::new(),
            tokens: None,
        }
    }
}

/// What came of a packet from a client, with the relay socket already opened if one was wanted.
#[derive(Debug)]
pub(super) enum Outcome {
    Nothing,
    Reply(Message),
    /// Between these addresses instead of the client's own.
    ReplyAs(Message, FiveTuple),
    Forward(Forward),
}

/// A box.
pub(super) struct Lab {
    pub(super) servers: Vec<Server>,
    pub(super) shared: Shared,
    pub(super) rooms: Arc<Memberships>,
    pub(super) now: Now,
    pub(super) start: Instant,
    /// The relay sockets that are open.
    pub(super) sockets: HashMap<SocketAddr, (usize, AllocationId)>,
    /// Those that are held back.
    pub(super) spares: HashSet<SocketAddr>,
}

impl Lab {
    pub(super) fn new() -> Self {
        Self::with(Setup::default())
    }

    pub(super) fn with(setup: Setup) -> Self {
        let rooms = Arc::<Memberships>::default();
        let camera = StaticUser { name: "camera".into(), password: Secret::new("front door") };
        let verifier =
            Verifier::new(REALM, Secrets::parse(&SECRETS.join("\n")).unwrap(), &[camera], Arc::clone(&rooms));
        let tokens = setup.tokens.map(|text| TokenKeys::parse(&text).unwrap()).unwrap_or_default();
        let verifier = verifier.with_tokens(tokens);
        let interfaces: Vec<_> = setup.interfaces.iter().map(|ip| ip.parse().unwrap()).collect();
        let external: HashMap<_, _> =
            setup.external.iter().map(|(inner, outer)| (inner.parse().unwrap(), outer.parse().unwrap())).collect();
        let own = interfaces.iter().chain(external.values()).copied().collect();
        let options = Arc::new(Options {
            verifier,
            policy: PeerPolicy {
                allow: vec![
                    PeerRule::Net("198.51.100.0/24".parse().unwrap()),
                    PeerRule::Net("2001:db8:9::/48".parse().unwrap()),
                ],
                deny: vec![PeerRule::Net("198.51.100.66/32".parse().unwrap())],
                allow_loopback: setup.allow_loopback,
                own,
                ..PeerPolicy::default()
            },
            addresses: RelayAddresses { interfaces, external, ..RelayAddresses::default() },
            ports: setup.ports,
            alternate: Alternate { servers: setup.alternate, domain: Some("turn2.example.org".into()) },
            icmp: true,
            open_ports: setup.open_ports,
        });
        let start = Instant::now();
        let shared = Shared {
            quota: Quota::new(setup.user, setup.prefix, setup.total, start),
            relayed: Arc::default(),
            connections: Arc::default(),
            reservations: Arc::default(),
            sightings: Arc::default(),
            behavior: setup.behavior.map(|[one, two]| BehaviorAddresses::new(at(one), at(two))),
            nonces: Nonces::new(&[3; 32]),
            unauthorized_rate: setup.unauthorized_rate,
        };
        let server = |n: u16| Server::new(ShardId(n), Arc::clone(&options), shared.clone(), [n as u8; 32], start);
        let servers = (0..setup.shards).map(server).collect();
        let now = Now { instant: start, unix: UNIX };
        Self { servers, shared, rooms, now, start, sockets: HashMap::new(), spares: HashSet::new() }
    }

    /// Turns the clock forward and tells nobody.
    pub(super) fn advance(&mut self, by: Duration) {
        self.now.instant += by;
        self.now.unix = UNIX + (self.now.instant - self.start).as_secs();
    }

    /// Tells the servers what time it is, and closes the sockets that they no longer want.
    pub(super) fn expire(&mut self) {
        self.servers.iter_mut().for_each(|server| server.expire(self.now.instant));
        for reserved in self.servers[0].expire_reservations(self.now.instant) {
            assert!(self.spares.remove(&reserved));
        }
        self.close_sockets();
    }

    pub(super) fn close_sockets(&mut self) {
        for (shard, server) in self.servers.iter_mut().enumerate() {
            while let Some(closed) = server.take_closed() {
                self.sockets.retain(|_, held| *held != (shard, closed));
            }
        }
    }

    pub(super) fn revoke(&mut self, member: RoomMember) {
        self.rooms.leave(member);
        self.servers.iter_mut().for_each(|server| server.revoke(member));
        self.close_sockets();
    }

    /// One packet from a client, and what comes of it.
    pub(super) fn exchange(&mut self, client: &Client, packet: &[u8]) -> Outcome {
        let mut reply = Vec::new();
        let step = self.servers[client.shard].handle_client(client.five_tuple, packet, self.now, &mut reply);
        match step {
            Step::Done | Step::Decrypt => {
                assert!(reply.is_empty());
                self.close_sockets();
                Outcome::Nothing
            }
            Step::Reply => {
                self.close_sockets();
                Outcome::Reply(read(&reply))
            }
            Step::ReplyAs(between) => Outcome::ReplyAs(read(&reply), between),
            Step::Forward(forward) => {
                assert!(reply.is_empty());
                Outcome::Forward(forward)
            }
            Step::Elsewhere(shard) => {
                assert!(reply.is_empty());
                let step =
                    self.servers[usize::from(shard.0)].handle_client(client.five_tuple, packet, self.now, &mut reply);
                if let Step::Move(moving) = step {
                    return self.settle(client.shard, usize::from(shard.0), *moving);
                }
                if reply.is_empty() { Outcome::Nothing } else { Outcome::Reply(read(&reply)) }
            }
            Step::Move(moving) => self.settle(client.shard, client.shard, *moving),
            other @ (Step::Connect(_) | Step::Bind(_) | Step::HandOver(_)) => panic!("{other:?}"),
            Step::Open(opening) => {
                self.close_sockets();
                let bound = self.bind(&opening);
                let ids = self.servers[client.shard].opened(*opening, &bound, self.now.instant, &mut reply);
                for (id, bound) in ids.into_iter().zip(bound) {
                    assert_eq!(id.is_some(), bound.is_some(), "an allocation exactly when there is a socket");
                    self.sockets.extend(bound.zip(id).map(|(address, id)| (address, (client.shard, id))));
                }
                Outcome::Reply(read(&reply))
            }
        }
    }

    /// Binds what is wanted, as the relay does.
    fn bind(&mut self, opening: &Opening) -> Vec<Option<SocketAddr>> {
        let next = |address: SocketAddr| SocketAddr::new(address.ip(), address.port() + 1);
        let taken = |address: &SocketAddr| self.sockets.contains_key(address) || self.spares.contains(address);
        let free = |address: &SocketAddr| !(taken(address) || opening.wants_pair() && taken(&next(*address)));
        let place = |wanted: &Wanted| match wanted.reserved() {
            Some(reserved) => Some(reserved).filter(|reserved| self.spares.contains(reserved)),
            None => wanted.candidates().find(free),
        };
        let bound: Vec<_> = opening.wanted().iter().map(place).collect();
        self.spares.retain(|spare| !bound.contains(&Some(*spare)));
        self.spares.extend(bound[0].filter(|_| opening.wants_pair()).map(next));
        bound
    }

    /// Carries allocations with their sockets from one shard to another, as the relay does.
    fn settle(&mut self, to: usize, from: usize, moving: Moving) -> Outcome {
        let mut reply = Vec::new();
        let old: Vec<_> = moving.ids().collect();
        let new = self.servers[to].settle(moving, self.now.instant, &mut reply);
        assert_eq!(old.len(), new.len());
        for (old, new) in old.into_iter().zip(new) {
            let (_, held) = self.sockets.iter_mut().find(|(_, held)| **held == (from, old)).unwrap();
            *held = (to, new);
        }
        self.close_sockets();
        if reply.is_empty() { Outcome::Nothing } else { Outcome::Reply(read(&reply)) }
    }

    /// Signs and sends a request and checks that the answer belongs to it and is signed with the same key.
    pub(super) fn ask(&mut self, client: &Client, asked: Asked) -> Message {
        let (method, id) = (asked.0.typ.method, asked.0.transaction_id);
        let mut answer = self.exchange(client, &asked.sign(client)).reply();
        assert_eq!((answer.typ.method, answer.transaction_id), (method, id));
        // Only those may be unsigned: a client must not believe anything else (RFC 8489 section 9.2.5).
        if ![401, 438].contains(&code(&answer)) {
            client.key().check(&mut answer).unwrap();
        }
        answer
    }

    /// The code of the answer to a signed request, 0 for a success. A success is always signed.
    pub(super) fn code(&mut self, client: &Client, asked: Asked) -> u16 {
        let answer = self.ask(client, asked);
        assert!(code(&answer) != 0 || answer.contains(ATTR_MESSAGE_INTEGRITY));
        code(&answer)
    }

    /// A client with a key-minted credential for an hour, and a nonce that it was given.
    pub(super) fn client(&mut self, user: &str, address: &str) -> Client {
        let credential = mint(&Secret::new(SECRETS[0]), user, self.now.unix, 3600).unwrap();
        self.holder(&credential.username, &credential.password, address)
    }

    /// A member of a room, seen at the address it comes from.
    pub(super) fn member(&mut self, member: RoomMember, address: &str) -> Client {
        self.rooms.join(member, at(address).ip());
        let credential = mint_for_member(&Secret::new(SECRETS[0]), member, self.now.unix, 3600);
        self.holder(&credential.username, &credential.password, address)
    }

    pub(super) fn holder(&mut self, username: &str, password: &str, address: &str) -> Client {
        let mut client = Client {
            shard: 0,
            five_tuple: FiveTuple::new(at(address), at(SERVER), Transport::Udp),
            username: username.into(),
            password: password.into(),
            nonce: String::new(),
        };
        client.nonce = self.challenge(&client);
        client
    }

    /// The nonce of a 401.
    pub(super) fn challenge(&mut self, client: &Client) -> String {
        let answer = self.exchange(client, &allocate().0.raw.clone()).reply();
        assert_eq!((code(&answer), text(&answer, ATTR_REALM)), (401, REALM.into()));
        text(&answer, ATTR_NONCE)
    }

    /// Allocates, and says where.
    pub(super) fn allocate(&mut self, client: &Client) -> SocketAddr {
        let answer = self.ask(client, allocate());
        assert_eq!(code(&answer), 0);
        relayed(&answer)
    }

    /// Which allocation a relay socket is for.
    pub(super) fn id(&self, bound: SocketAddr) -> AllocationId {
        self.sockets[&bound].1
    }

    /// A datagram from a peer to a relay socket, and what its client would get.
    pub(super) fn peer(&mut self, from: &str, relayed: SocketAddr, data: &[u8]) -> Option<Vec<u8>> {
        let (shard, id) = *self.sockets.get(&relayed)?;
        let delivery = self.servers[shard].handle_peer(id, at(from), data.len(), self.now.instant)?;
        Some(delivered(&delivery, data))
    }

    /// What a client sends comes out of its relay socket towards this peer, unchanged.
    pub(super) fn sends(&mut self, client: &Client, packet: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        match self.exchange(client, packet) {
            Outcome::Forward(Forward { payload, route: Route::Peer { to, .. } }) => Some((to, packet[payload].into())),
            Outcome::Forward(other) => panic!("{other:?}"),
            Outcome::Nothing => None,
            Outcome::Reply(reply) | Outcome::ReplyAs(reply, _) => panic!("{reply:?}"),
        }
    }
}

impl Outcome {
    pub(super) fn reply(self) -> Message {
        let Self::Reply(message) = self else { panic!("{self:?}") };
        message
    }

    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) shard: usize,
    pub(crate) five_tuple: FiveTuple,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) nonce: String,
}

impl Client {
    pub(crate) fn key(&self) -> MessageIntegrity {
        MessageIntegrity::new_long_term_integrity(self.username.clone(), REALM.into(), self.password.clone())
    }

    pub(super) fn over(mut self, transport: Transport) -> Self {
        self.five_tuple.transport = transport;
        self
    }

    pub(super) fn on_shard(mut self, shard: usize) -> Self {
        self.shard = shard;
        self
    }
}

pub(super) const NS: Duration = Duration::from_nanos(1);

/// Members of two rooms.
pub(super) const ANNA: RoomMember = RoomMember { room: RoomTag(1), member: MemberTag(1) };
pub(super) const BEN: RoomMember = RoomMember { room: RoomTag(1), member: MemberTag(2) };
pub(super) const EVE: RoomMember = RoomMember { room: RoomTag(2), member: MemberTag(3) };
