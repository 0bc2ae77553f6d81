//! Clients with credentials, and a record of what each was promised that the servers are held to.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use lanturn::credentials::{
    Credential, IntegrityKey, MemberTag, RoomMember, RoomTag, Secret, mint, mint_for_member, mint_for_page,
};
use lanturn::stun::{ChannelData, Class, Frame, PasswordAlgorithm, TransactionId, method};
use lanturn::turn::{
    AllocationId, Delivery, FiveTuple, Forward, Now, Opening, PERMISSION_LIFETIME, Route, ShardId, Step, Transport,
};

use crate::messages::{Asked, Peer};
use crate::{ALLOWED, Fixture, OWN, REALM, SECRET, START};

/// Two in each of two rooms, three with keys (two of them one user), and a page.
pub const CLIENTS: usize = 8;
const TTL: u64 = 3600;

struct Client {
    five_tuple: FiveTuple,
    credential: Credential,
    key: IntegrityKey,
    member: Option<RoomMember>,
    /// Its last signed request.
    last: Vec<u8>,
    /// What it holds.
    allocation: Option<(AllocationId, SocketAddr)>,
    /// When the peer's address was last permitted.
    permissions: HashMap<IpAddr, Instant>,
}

/// A box, its clients and the time.
pub struct World {
    fixture: Fixture,
    now: Now,
    clients: Vec<Client>,
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
        Self { fixture, now, clients }
    }

    pub fn resolve(&self, peer: Peer) -> SocketAddr {
        let (ip, port) = match peer {
            Peer::Allowed { host, port } => ([198, 51, 100, host].into(), port),
            Peer::Member { number, port } => (seen_at(usize::from(number) % CLIENTS), port),
            Peer::Own { v6, port } => (OWN[usize::from(v6)].parse().unwrap(), port),
            Peer::Any { ip, port } => (ip, port),
            Peer::Relayed { who } => match self.clients[usize::from(who) % CLIENTS].allocation {
                Some((_, relayed)) => return relayed,
                None => (OWN[0].parse().unwrap(), 50_000),
            },
        };
        SocketAddr::new(ip, port)
    }

    /// Sends a signed request, and says whether it was granted.
    pub fn request(&mut self, who: usize, asked: Asked) -> bool {
        let client = &mut self.clients[who];
        let nonce = self.fixture.shared.nonces.issue(client.five_tuple.client, self.now.unix);
        client.last = asked.sign(&client.credential.username, client.key.bytes(), &nonce);
        let packet = client.last.clone();
        self.exchange(who, &packet)
    }

    /// What CreatePermission and ChannelBind have promised: only what the client's scope allows.
    pub fn permitted(&mut self, who: usize, peer: IpAddr) {
        let peer = peer.to_canonical();
        let own = OWN.iter().any(|own| own.parse::<IpAddr>().unwrap() == peer);
        let allowed = match (who, self.clients[who].member) {
            (_, Some(member)) => self.fixture.rooms.reaches(member.room, peer, |_| true),
            (7, None) => false,
            (_, None) => ALLOWED.parse::<ipnet::IpNet>().unwrap().contains(&peer),
        };
        assert!(own || allowed, "client {who} may not reach {peer}");
        self.clients[who].permissions.insert(peer, self.now.instant);
    }

    /// Sends ChannelData or a Send indication.
    pub fn data(&mut self, who: usize, packet: &[u8]) {
        assert!(!self.exchange(who, packet), "data is not answered");
    }

    pub fn from_peer(&mut self, who: usize, peer: Peer, length: usize) {
        let Some((id, _)) = self.clients[who].allocation else { return };
        let from = self.resolve(peer);
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        if let Some(delivery) = self.fixture.servers[who % 2].handle_peer(id, from, length, self.now.instant) {
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
            assert!(server.next_expiry().is_none_or(|next| next > self.now.instant));
        }
    }

    pub fn leave(&mut self, who: usize) {
        let Some(member) = self.clients[who].member else { return };
        self.fixture.rooms.leave(member);
        self.fixture.servers.iter_mut().for_each(|server| server.revoke(member));
        assert!(!self.fixture.servers[who % 2].has_allocation(&self.clients[who].five_tuple));
    }

    pub fn disconnect(&mut self, who: usize) {
        self.fixture.servers[who % 2].disconnected(self.clients[who].five_tuple);
    }

    /// What holds at any time.
    pub fn check(&mut self) {
        self.close_ended();
        let held = self.clients.iter().filter(|client| client.allocation.is_some()).count();
        let standing: usize = self.fixture.servers.iter().map(lanturn::turn::Server::len).sum();
        assert_eq!((held, held as u32), (standing, self.fixture.shared.quota.allocations()));
        assert!(held <= 6);
    }

    fn close_ended(&mut self) {
        for (index, server) in self.fixture.servers.iter_mut().enumerate() {
            while let Some(id) = server.take_closed() {
                let held = |(number, client): &(usize, &mut Client)| {
                    number % 2 == index && client.allocation.is_some_and(|(own, _)| own == id)
                };
                let (_, client) = self.clients.iter_mut().enumerate().find(held).expect("each ends once");
                client.allocation = None;
                client.permissions.clear();
            }
        }
    }

    /// Everybody goes, and nothing stays.
    pub fn end(&mut self) {
        (0..CLIENTS).for_each(|who| self.disconnect(who));
        let addresses: Vec<_> = self.clients.iter().filter_map(|client| client.allocation).collect();
        self.check();
        assert_eq!(self.fixture.shared.quota.allocations(), 0);
        assert!(self.fixture.servers.iter().all(lanturn::turn::Server::is_empty));
        assert!(addresses.iter().all(|(_, relayed)| self.fixture.shared.relayed.get(*relayed).is_none()));
    }

    fn refused(&mut self, who: usize, packet: &[u8]) {
        let is_binding = Frame::parse(packet).is_ok_and(|frame| frame.method() == method::BINDING);
        assert!(!self.exchange(who, packet) || is_binding, "{packet:x?}");
    }

    /// Sends a packet and does what the server says. True when it was a request and is granted.
    fn exchange(&mut self, who: usize, packet: &[u8]) -> bool {
        let mut reply = Vec::new();
        let from = self.clients[who].five_tuple;
        match self.fixture.servers[who % 2].handle_client(from, packet, self.now, &mut reply) {
            Step::Done | Step::Decrypt => assert!(reply.is_empty()),
            Step::Reply | Step::ReplyAs(_) => {}
            Step::Open(opening) => self.open(who, *opening, &mut reply),
            Step::Forward(forward) => self.forward(who, packet, forward),
            other @ (Step::Connect(_) | Step::Bind(_) | Step::HandOver(_) | Step::Elsewhere(_) | Step::Move(_)) => {
                panic!("client {who} has asked for none of this: {other:?}")
            }
        }
        if reply.is_empty() {
            return false;
        }
        let (asked, answer) = (Frame::parse(packet).unwrap(), Frame::parse(&reply).unwrap());
        assert_eq!((asked.class(), answer.class()), (Class::Request, Class::Response));
        assert_eq!(answer.transaction_id(), asked.transaction_id());
        answer.raw_type() & 0x0110 == 0x0100
    }

    fn open(&mut self, who: usize, opening: Opening, reply: &mut Vec<u8>) {
        let client = &self.clients[who];
        // A member's lasts as long as the membership.
        let is_fresh = client.member.is_some() || client.credential.expires_at > self.now.unix;
        assert!(is_fresh, "client {who} allocates with an old credential");
        assert!(client.member.is_none_or(|member| self.fixture.rooms.is_member(member)), "client {who} has left");
        let taken: Vec<_> = self.clients.iter().filter_map(|client| client.allocation.map(|(_, at)| at)).collect();
        let free = opening.wanted()[0].candidates().find(|address| !taken.contains(address));
        // Only the first socket can be had: two allocations on one five-tuple are more than this model knows.
        let bound: Vec<_> = (0..opening.wanted().len()).map(|index| free.filter(|_| index == 0)).collect();
        // An allocation that has expired gives way to the new one.
        self.close_ended();
        let ids = self.fixture.servers[who % 2].opened(opening, &bound, self.now.instant, reply);
        assert!(ids.iter().zip(&bound).all(|(id, bound)| id.is_some() == bound.is_some()));
        self.clients[who].allocation = ids[0].zip(free);
    }

    fn forward(&mut self, who: usize, packet: &[u8], Forward { payload, route }: Forward) {
        assert!(payload.start >= 4 && payload.start <= payload.end && payload.end <= packet.len());
        let length = payload.len();
        match route {
            Route::Peer { allocation, to, .. } => {
                assert_eq!(self.clients[who].allocation.map(|(id, _)| id), Some(allocation));
                assert!(!OWN.iter().any(|own| own.parse::<IpAddr>().unwrap() == to.ip()) && to.port() != 0);
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
        let room = |who: usize| self.clients[who].member.map(|member| member.room);
        assert_eq!(room(who), room(other));
        let relayed = |who: usize| self.clients[who].allocation.unwrap().1.ip();
        self.check_permission(who, relayed(other));
        self.check_permission(other, relayed(who));
        check_framing(delivery, length);
    }

    fn check_permission(&self, who: usize, peer: IpAddr) {
        let since = self.clients[who].permissions.get(&peer);
        let stands = since.is_some_and(|&since| self.now.instant - since < PERMISSION_LIFETIME);
        assert!(stands, "client {who} has no permission for {peer}");
    }
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
    let transport = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls][number % 4];
    let address = SocketAddr::new([192, 0, 2, number as u8 / 3].into(), 5000 + number as u16);
    let server = SocketAddr::new(OWN[usize::from(number == 6)].parse().unwrap(), 3478);
    Client {
        five_tuple: FiveTuple::new(address, server, transport),
        key: IntegrityKey::derive(PasswordAlgorithm::Md5, &credential.username, REALM, &credential.password),
        credential,
        member,
        last: Vec::new(),
        allocation: None,
        permissions: HashMap::new(),
    }
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
