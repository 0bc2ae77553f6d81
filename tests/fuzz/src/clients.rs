//! Clients with credentials, and a record of what each was promised that the servers are held to.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use lanturn::credentials::{
    Credential, IntegrityKey, MemberTag, RoomMember, RoomTag, Secret, mint, mint_for_member, mint_for_page,
};
use lanturn::stun::{ChannelData, Class, Frame, MOBILITY_TICKET, PasswordAlgorithm, TransactionId, method};
use lanturn::turn::{
    AllocationId, Delivery, FiveTuple, Forward, Moving, Now, Opening, PERMISSION_LIFETIME, RESERVATION_LIFETIME,
    RelayTransport, Route, ShardId, Step, Transport,
};
use stun::attributes::ATTR_RESERVATION_TOKEN;

use crate::connections::Connection;
use crate::messages::{Asked, Peer};
use crate::{ALLOWED, Fixture, OWN, REALM, SECRET, START};

/// Two in each of two rooms, three with keys (two of them one user), and a page.
pub const CLIENTS: usize = 8;
const TTL: u64 = 3600;

/// More than this is let out of the quota at no time, and no more than so much of it to one user.
const MOST: usize = 6;
const MOST_OF_ONE_USER: usize = 4;
const TRANSPORTS: [Transport; 4] = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls];

/// An allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) shard: usize,
    pub(crate) id: AllocationId,
    pub(crate) relayed: SocketAddr,
    pub(crate) transport: RelayTransport,
}

pub(crate) struct Client {
    pub(crate) five_tuple: FiveTuple,
    /// Where its packets come in.
    pub(crate) shard: usize,
    pub(crate) credential: Credential,
    key: IntegrityKey,
    member: Option<RoomMember>,
    /// Its last signed request.
    last: Vec<u8>,
    /// What it holds: nothing, one, or one of each address family.
    pub(crate) held: Vec<Held>,
    /// When the peer's address was last permitted.
    permissions: HashMap<IpAddr, Instant>,
    /// What it was last told of those.
    ticket: Vec<u8>,
    token: Vec<u8>,
}

impl Client {
    pub(crate) fn holds(&self, transport: RelayTransport, v6: bool) -> Option<Held> {
        self.held.iter().find(|held| held.transport == transport && held.relayed.is_ipv6() == v6).copied()
    }
}

/// A box, its clients and the time.
pub struct World {
    pub(crate) fixture: Fixture,
    pub(crate) now: Now,
    pub(crate) clients: Vec<Client>,
    pub(crate) connections: Vec<Connection>,
    /// The sockets that are held back, and for which user.
    spares: HashMap<SocketAddr, String>,
    /// Addresses that no client has had yet, by their port.
    pub(crate) next_port: u16,
    /// Which of the sockets of an Allocate cannot be had.
    missing: [bool; 2],
    /// Whether whoever is on its way to another shard leaves its room meanwhile.
    leaves: bool,
}

impl World {
    pub fn new() -> Self {
        let fixture = Fixture::new(2);
        let now = Now { instant: fixture.start, unix: START };
        let clients: Vec<Client> = (0..CLIENTS).map(client).collect();
        for (number, client) in clients.iter().enumerate() {
            if let Some(member) = client.member {
                fixture.rooms.join(member, seen_at(number));
            }
        }
        Self {
            fixture,
            now,
            clients,
            connections: Vec::new(),
            spares: HashMap::new(),
            next_port: 10_000,
            missing: [false; 2],
            leaves: false,
        }
    }

    pub fn resolve(&self, peer: Peer) -> SocketAddr {
        let (ip, port) = match peer {
            Peer::Allowed { host, port } => ([198, 51, 100, host].into(), port),
            Peer::Member { number, port } => (seen_at(usize::from(number) % CLIENTS), port),
            Peer::Own { v6, port } => (OWN[usize::from(v6)].parse().unwrap(), port),
            Peer::Any { ip, port } => (ip, port),
            Peer::Relayed { who } => match &self.clients[usize::from(who) % CLIENTS].held[..] {
                [.., held] => return held.relayed,
                [] => (OWN[0].parse().unwrap(), 50_000),
            },
        };
        SocketAddr::new(ip, port)
    }

    /// Sends a signed request, and says whether it was granted.
    pub fn request(&mut self, who: usize, asked: Asked) -> bool {
        let packet = self.sign(who, asked);
        self.clients[who].last = packet.clone();
        self.exchange(who, &packet)
    }

    /// Allocates, while some of the sockets that it takes cannot be had.
    pub fn allocate(&mut self, who: usize, asked: Asked, missing: [bool; 2]) {
        self.missing = missing;
        self.request(who, asked);
        self.missing = [false; 2];
    }

    /// Asks for the port that was held back for a client.
    pub fn claim(&mut self, who: usize, of: usize, mobile: bool) {
        let token = self.clients[of].token.clone();
        let user = |who: usize| &self.clients[who].credential.username;
        let is_own = user(who) == user(of);
        let is_granted = self.request(who, Asked::reserved(&token, mobile));
        assert!(is_own || !is_granted, "client {who} has what was held back for client {of}");
    }

    /// A client comes from another address and by another transport, on any shard, and takes along what the ticket of a
    /// client is for.
    pub fn roam(&mut self, who: usize, of: usize, to: Roaming) {
        let ticket = self.clients[of].ticket.clone();
        let user = |who: usize| &self.clients[who].credential.username;
        // What two clients of one user may take from each other is more than this model knows.
        if ticket.is_empty() || who != of && user(who) == user(of) {
            return;
        }
        let Client { five_tuple: before, shard, .. } = self.clients[who];
        self.come_from(who, [192, 0, 2, to.host % 4].into(), TRANSPORTS[usize::from(to.transport % 4)], to.shard);
        self.leaves = to.leaves;
        let is_granted = self.request(who, Asked::moving(&ticket, to.lifetime));
        let has_moved = !self.leaves && to.leaves || is_granted;
        self.leaves = false;
        assert!(who == of || !has_moved, "client {who} has the allocation of client {of}");
        if !has_moved {
            (self.clients[who].five_tuple, self.clients[who].shard) = (before, shard);
        }
    }

    /// A five-tuple that nobody has had yet.
    pub(crate) fn come_from(&mut self, who: usize, ip: IpAddr, transport: Transport, shard: bool) {
        self.next_port = self.next_port.wrapping_add(1).max(10_000);
        let client = &mut self.clients[who];
        let address = SocketAddr::new(ip, self.next_port);
        client.five_tuple = FiveTuple::new(address, client.five_tuple.server, transport);
        client.shard = usize::from(shard);
    }

    pub(crate) fn sign(&self, who: usize, asked: Asked) -> Vec<u8> {
        let client = &self.clients[who];
        let nonce = self.fixture.shared.nonces.issue(client.five_tuple.client, self.now.unix);
        asked.sign(&client.credential.username, client.key.bytes(), &nonce)
    }

    /// What CreatePermission and ChannelBind have promised: only what the client's scope allows.
    pub fn permitted(&mut self, who: usize, peer: IpAddr) {
        let peer = peer.to_canonical();
        self.check_scope(who, peer);
        self.clients[who].permissions.insert(peer, self.now.instant);
    }

    pub(crate) fn check_scope(&self, who: usize, peer: IpAddr) {
        let allowed = match (who, self.clients[who].member) {
            (_, Some(member)) => self.fixture.rooms.reaches(member.room, peer, |_| true),
            (7, None) => false,
            (_, None) => ALLOWED.parse::<ipnet::IpNet>().unwrap().contains(&peer),
        };
        assert!(is_own(peer) || allowed, "client {who} may not reach {peer}");
    }

    /// Sends ChannelData or a Send indication.
    pub fn data(&mut self, who: usize, packet: &[u8]) {
        assert!(!self.exchange(who, packet), "data is not answered");
    }

    pub fn from_peer(&mut self, who: usize, peer: Peer, length: usize) {
        let from = self.resolve(peer);
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let Some(held) = self.clients[who].holds(RelayTransport::Udp, from.is_ipv6()) else { return };
        if let Some(delivery) = self.fixture.servers[held.shard].handle_peer(held.id, from, length, self.now.instant) {
            assert_eq!(delivery.to, self.clients[who].five_tuple);
            self.check_permission(who, from.ip());
            check_framing(&delivery, length);
        }
    }

    pub fn damaged(&mut self, who: usize, at: usize, bit: u8) {
        let mut packet = self.clients[who].last.clone();
        if packet.is_empty() {
            return;
        }
        let at = at % packet.len();
        packet[at] ^= 1 << (bit % 8);
        self.refused(who, &packet);
    }

    /// The nonce is another client's.
    pub fn stolen(&mut self, who: usize, by: usize) {
        let packet = self.clients[who].last.clone();
        self.refused(by, &packet);
    }

    pub fn repeated(&mut self, who: usize) {
        let packet = self.clients[who].last.clone();
        let before = self.clients[who].permissions.clone();
        if self.exchange(who, &packet) {
            // It may have been CreatePermission once more: the record cannot tell for which peers.
            self.clients[who].permissions = before.into_keys().map(|peer| (peer, self.now.instant)).collect();
        }
    }

    pub fn wait(&mut self, milliseconds: u32) {
        self.now.instant += Duration::from_millis(milliseconds.into());
        self.now.unix = START + (self.now.instant - self.fixture.start).as_secs();
    }

    pub fn expire(&mut self) {
        for server in &mut self.fixture.servers {
            server.expire(self.now.instant);
        }
        for reserved in self.fixture.servers[0].expire_reservations(self.now.instant) {
            assert!(self.spares.remove(&reserved).is_some(), "{reserved} was not held back");
        }
        self.end_overdue();
        assert!(
            self.fixture.servers.iter().all(|server| server.next_expiry().is_none_or(|next| next > self.now.instant))
        );
    }

    pub fn leave(&mut self, who: usize) {
        let Some(member) = self.clients[who].member else { return };
        self.fixture.rooms.leave(member);
        self.fixture.servers.iter_mut().for_each(|server| server.revoke(member));
        let five_tuple = &self.clients[who].five_tuple;
        assert!(!self.fixture.servers.iter().any(|server| server.has_allocation(five_tuple)));
    }

    pub fn disconnect(&mut self, who: usize) {
        let Client { five_tuple, shard, .. } = self.clients[who];
        self.fixture.servers[shard].disconnected(five_tuple);
    }

    /// What holds at any time.
    pub fn check(&mut self) {
        self.close_ended();
        let held: usize = self.clients.iter().map(|client| client.held.len()).sum();
        let standing: usize = self.fixture.servers.iter().map(lanturn::turn::Server::len).sum();
        assert_eq!((held, self.spares.len()), (standing, self.fixture.shared.reservations.len()));
        let taken = held + self.spares.len() + self.connections.len();
        assert_eq!(taken as u32, self.fixture.shared.quota.allocations());
        assert!(taken <= MOST);
        for client in &self.clients {
            let user = &client.credential.username;
            assert!(self.taken_by(user) <= MOST_OF_ONE_USER, "{user}");
        }
        self.check_connections();
    }

    fn taken_by(&self, user: &str) -> usize {
        let of_user = |who: usize| self.clients[who].credential.username == user;
        let held = (0..CLIENTS).filter(|&who| of_user(who)).map(|who| self.clients[who].held.len());
        let spares = self.spares.values().filter(|holder| *holder == user).count();
        held.sum::<usize>() + spares + self.connections.iter().filter(|connection| of_user(connection.who)).count()
    }

    fn close_ended(&mut self) {
        for (shard, server) in self.fixture.servers.iter_mut().enumerate() {
            while let Some(id) = server.take_closed() {
                let is_it = |held: &Held| (held.shard, held.id) == (shard, id);
                let client = self.clients.iter_mut().find(|client| client.held.iter().any(is_it));
                let client = client.expect("each ends once");
                let at = client.held.iter().position(is_it).unwrap();
                let ended = client.held.swap_remove(at);
                client.permissions.retain(|peer, _| peer.is_ipv6() != ended.relayed.is_ipv6());
            }
        }
        self.close_ended_connections();
    }

    /// Everybody goes, and when the time of what was held back is over, nothing stays.
    pub fn end(&mut self) {
        let addresses: Vec<_> = self.clients.iter().flat_map(|client| client.held.clone()).collect();
        (0..CLIENTS).for_each(|who| self.disconnect(who));
        self.check();
        self.wait(RESERVATION_LIFETIME.as_millis() as u32);
        self.expire();
        self.check();
        assert_eq!(self.fixture.shared.quota.allocations(), 0);
        assert!(self.connections.is_empty() && self.spares.is_empty());
        let servers = &self.fixture.servers;
        assert!(servers.iter().all(|server| server.is_empty() && server.next_expiry().is_none()));
        let is_gone = |held: &Held| self.fixture.shared.relayed.get_of(held.transport, held.relayed).is_none();
        assert!(addresses.iter().all(is_gone));
    }

    fn refused(&mut self, who: usize, packet: &[u8]) {
        let is_binding = Frame::parse(packet).is_ok_and(|frame| frame.method() == method::BINDING);
        assert!(!self.exchange(who, packet) || is_binding, "{packet:x?}");
    }

    /// Sends a packet and does what the server says. True when it was a request and is granted.
    pub(crate) fn exchange(&mut self, who: usize, packet: &[u8]) -> bool {
        let mut reply = Vec::new();
        let (shard, step) = self.step(who, packet, &mut reply);
        match step {
            Step::Done | Step::Decrypt => assert!(reply.is_empty()),
            Step::Reply | Step::ReplyAs(_) => {}
            Step::Open(opening) => self.open(who, *opening, &mut reply),
            Step::Forward(forward) => self.forward(who, packet, forward),
            Step::Move(moving) => self.settle(who, shard, *moving, &mut reply),
            Step::Connect(dial) => self.dial(who, shard, dial),
            Step::Bind(id) => self.bound(who, shard, id),
            Step::Elsewhere(_) | Step::HandOver(_) => panic!("client {who}: {step:?} once more"),
        }
        if reply.is_empty() {
            return false;
        }
        let (asked, answer) = (Frame::parse(packet).unwrap(), Frame::parse(&reply).unwrap());
        assert_eq!((asked.class(), answer.class()), (Class::Request, Class::Response));
        assert_eq!(answer.transaction_id(), asked.transaction_id());
        let is_granted = answer.raw_type() & 0x0110 == 0x0100;
        if is_granted {
            self.remember(who, &answer);
        }
        is_granted
    }

    /// What is to be done for a packet, and the shard that says so.
    fn step(&mut self, who: usize, packet: &[u8], reply: &mut Vec<u8>) -> (usize, Step) {
        let Client { five_tuple, shard, .. } = self.clients[who];
        match self.fixture.servers[shard].handle_client(five_tuple, packet, self.now, reply) {
            Step::Elsewhere(ShardId(other)) | Step::HandOver(ShardId(other)) => {
                let other = usize::from(other);
                assert!(reply.is_empty() && other != shard);
                (other, self.fixture.servers[other].handle_client(five_tuple, packet, self.now, reply))
            }
            step => (shard, step),
        }
    }

    fn remember(&mut self, who: usize, answer: &Frame<'_>) {
        let client = &mut self.clients[who];
        if let Some(ticket) = answer.get(MOBILITY_TICKET) {
            client.ticket = ticket.value.to_vec();
        }
        if let Some(token) = answer.get(ATTR_RESERVATION_TOKEN) {
            client.token = token.value.to_vec();
        }
    }

    fn open(&mut self, who: usize, opening: Opening, reply: &mut Vec<u8>) {
        let client = &self.clients[who];
        // A member's lasts as long as the membership.
        let is_fresh = client.member.is_some() || client.credential.expires_at > self.now.unix;
        assert!(is_fresh, "client {who} allocates with an old credential");
        assert!(client.member.is_none_or(|member| self.fixture.rooms.is_member(member)), "client {who} has left");
        let (transport, shard) = (opening.transport(), client.shard);
        // An allocation that has expired gives way to the new one.
        self.close_ended();
        let bound = self.place(who, &opening);
        let ids = self.fixture.servers[shard].opened(opening, &bound, self.now.instant, reply);
        assert_eq!(ids.len(), bound.len());
        for (id, bound) in ids.into_iter().zip(bound) {
            assert_eq!(id.is_some(), bound.is_some(), "an allocation exactly when there is a socket");
            let held = id.zip(bound).map(|(id, relayed)| Held { shard, id, relayed, transport });
            self.clients[who].held.extend(held);
        }
    }

    /// Where the sockets of an opening are bound.
    fn place(&mut self, who: usize, opening: &Opening) -> Vec<Option<SocketAddr>> {
        let next = |address: SocketAddr| SocketAddr::new(address.ip(), address.port() + 1);
        let user = &self.clients[who].credential.username;
        let mut bound = Vec::new();
        for (wanted, missing) in opening.wanted().iter().zip(self.missing) {
            if let Some(reserved) = wanted.reserved() {
                assert_eq!(self.spares.remove(&reserved).as_ref(), Some(user), "{reserved} is held back for another");
                bound.push(Some(reserved));
                continue;
            }
            let is_free = |at: SocketAddr| !self.is_taken(opening.transport(), at);
            let fits = |at: &SocketAddr| is_free(*at) && (!opening.wants_pair() || is_free(next(*at)));
            bound.push(wanted.candidates().find(fits).filter(|_| !missing));
        }
        let beside = bound[0].filter(|_| opening.wants_pair()).map(next);
        self.spares.extend(beside.map(|beside| (beside, user.clone())));
        bound
    }

    fn is_taken(&self, transport: RelayTransport, at: SocketAddr) -> bool {
        let mut held = self.clients.iter().flat_map(|client| &client.held);
        let is_spare = transport == RelayTransport::Udp && self.spares.contains_key(&at);
        is_spare || held.any(|held| (held.transport, held.relayed) == (transport, at))
    }

    /// Carries what a client holds from the shard where it is to the one where its packets come in now.
    fn settle(&mut self, who: usize, from: usize, moving: Moving, reply: &mut Vec<u8>) {
        let client = &self.clients[who];
        let (to, member) = (client.shard, client.member);
        assert_eq!(moving.five_tuple(), client.five_tuple);
        let old: Vec<_> = moving.ids().collect();
        let is_own = |id: &AllocationId| client.held.iter().any(|held| (held.shard, held.id) == (from, *id));
        assert!(old.iter().all(is_own) && old.len() == client.held.len(), "client {who} moves what it does not hold");
        let leaves = std::mem::take(&mut self.leaves) && member.is_some();
        if leaves {
            self.leave(who);
        }
        let new = self.fixture.servers[to].settle(moving, self.now.instant, reply);
        assert_eq!(old.len(), new.len());
        for (old, new) in old.into_iter().zip(new) {
            let held = self.clients[who].held.iter_mut().find(|held| (held.shard, held.id) == (from, old));
            let held = held.expect("it is carried once");
            (held.shard, held.id) = (to, new);
        }
        assert_eq!(reply.is_empty(), leaves);
        assert_eq!(self.fixture.servers[to].has_allocation(&self.clients[who].five_tuple), !leaves);
    }

    fn forward(&mut self, who: usize, packet: &[u8], Forward { payload, route }: Forward) {
        assert!(payload.start >= 4 && payload.start <= payload.end && payload.end <= packet.len());
        let length = payload.len();
        match route {
            Route::Peer { allocation, to, .. } => {
                let client = &self.clients[who];
                let held = client.holds(RelayTransport::Udp, to.is_ipv6()).map(|held| (held.shard, held.id));
                assert_eq!(held, Some((client.shard, allocation)));
                assert!(!is_own(to.ip()) && to.port() != 0);
                self.check_permission(who, to.ip());
            }
            Route::Client(delivery) => self.check_hairpin(who, &delivery, length),
            Route::Shard { shard: ShardId(shard), hop } => {
                let server = &mut self.fixture.servers[usize::from(shard)];
                if let Some(delivery) = server.handle_hop(hop, length, self.now.instant) {
                    self.check_hairpin(who, &delivery, length);
                }
            }
        }
    }

    /// Both have permitted the other, and both are of one room, or of none.
    fn check_hairpin(&self, who: usize, delivery: &Delivery, length: usize) {
        let other = self.clients.iter().position(|client| client.five_tuple == delivery.to).unwrap();
        self.check_party(who, other);
        let is_way = |v6: bool| {
            let relayed = |who: usize| self.clients[who].holds(RelayTransport::Udp, v6).map(|held| held.relayed.ip());
            let ends = relayed(who).zip(relayed(other));
            ends.is_some_and(|(one, two)| self.has_permission(who, two) && self.has_permission(other, one))
        };
        assert!(is_way(false) || is_way(true), "clients {who} and {other} have not both permitted it");
        check_framing(delivery, length);
    }

    pub(crate) fn check_party(&self, who: usize, other: usize) {
        let room = |who: usize| self.clients[who].member.map(|member| member.room);
        assert_eq!(room(who), room(other), "clients {who} and {other}");
    }

    pub(crate) fn check_permission(&self, who: usize, peer: IpAddr) {
        assert!(self.has_permission(who, peer), "client {who} has no permission for {peer}");
    }

    fn has_permission(&self, who: usize, peer: IpAddr) -> bool {
        let since = self.clients[who].permissions.get(&peer);
        since.is_some_and(|&since| self.now.instant - since < PERMISSION_LIFETIME)
    }
}

/// How a client comes to be elsewhere.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Roaming {
    pub shard: bool,
    pub host: u8,
    pub transport: u8,
    pub lifetime: Option<u32>,
    pub leaves: bool,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

fn client(number: usize) -> Client {
    let secret = Secret::new(SECRET);
    let member =
        (number < 4).then(|| RoomMember { room: RoomTag(number as u64 / 2), member: MemberTag(100 + number as u64) });
    let credential = match (number, member) {
        (_, Some(member)) => mint_for_member(&secret, member, START, TTL),
        (4 | 5, None) => mint(&secret, "anna", START, TTL).unwrap(),
        (6, None) => mint(&secret, "ben", START, TTL).unwrap(),
        _ => mint_for_page(&secret, 9, START, TTL),
    };
    let transport = TRANSPORTS[number % 4];
    let address = SocketAddr::new([192, 0, 2, number as u8 / 3].into(), 5000 + number as u16);
    let server = SocketAddr::new(OWN[usize::from(number == 6)].parse().unwrap(), 3478);
    Client {
        five_tuple: FiveTuple::new(address, server, transport),
        shard: number % 2,
        key: IntegrityKey::derive(PasswordAlgorithm::Md5, &credential.username, REALM, &credential.password),
        credential,
        member,
        last: Vec::new(),
        held: Vec::new(),
        permissions: HashMap::new(),
        ticket: Vec::new(),
        token: Vec::new(),
    }
}

/// Whether an address is one of the box.
pub(crate) fn is_own(ip: IpAddr) -> bool {
    OWN.iter().any(|own| own.parse::<IpAddr>().unwrap() == ip)
}

/// Where the signaler saw a member.
fn seen_at(number: usize) -> IpAddr {
    [192, 0, 2, 100 + number as u8].into()
}

/// What is put around a payload makes a message of it.
fn check_framing(delivery: &Delivery, length: usize) {
    let framing = &delivery.framing;
    let message = [framing.head(), &vec![0; length], &[0; 3][..framing.padding()]].concat();
    match message[0] {
        0 => assert_ne!(Frame::parse(&message).unwrap().transaction_id(), TransactionId::default()),
        _ => assert_eq!(ChannelData::parse(&message).unwrap().data.len(), length),
    }
}
