//! Packets that come together fare as each of them would alone: the same bytes, the same order within a flow, the same
//! source addresses, the same counters. Tried on whole shards, with real sockets.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::stun::message::BINDING_SUCCESS;
use mio::{Events, Poll};
use proptest::prelude::*;
use rustls::StreamOwned;

use super::dtls::Sessions;
use super::mailbox::{Command, Mailbox};
use super::shard::Shard;
use super::stream::Adopted;
use super::stream::tests::tls_session;
use super::udp;
use crate::credentials::{Secret, Secrets, StaticUser, Verifier};
use crate::stun::{NextMessage, next_message};
use crate::turn::tests::messages::{
    ATTR_NONCE, Asked, METHOD_BINDING, Message, allocate, bind, channel_data, code, data_indication, mapped, permit,
    read, relayed, send, text,
};
use crate::turn::tests::support::{self, REALM};
use crate::turn::{
    Alternate, FiveTuple, Limits, Nonces, Options, PeerPolicy, Quota, RelayAddresses, Server, ShardId, Shared,
    Transport,
};

/// The box. Its sockets are bound to every address, so that it must choose this one as the source.
const BOX: &str = "127.0.0.3";
const CLIENTS: &str = "127.0.0.2:0";
/// Those of the channels, of the indications, and one that no client permits.
const PEERS: [&str; 3] = ["127.0.0.4:0", "127.0.0.5:0", "127.0.0.6:0"];
/// Which shard each client is on, and how it comes.
const PLACES: [(usize, Transport); 5] =
    [(0, Transport::Udp), (0, Transport::Udp), (0, Transport::Tcp), (1, Transport::Udp), (1, Transport::Tls)];
const SHARDS: usize = 2;
const TO_PEER: u16 = 0x4001;
const TO_NEXT: u16 = 0x4002;
const UNBOUND: u16 = 0x4003;
const PATIENCE: Duration = Duration::from_secs(20);
const END: &[u8] = b"and that was all of round ";

/// Something that is sent.
#[derive(Clone, Debug)]
enum Packet {
    Channel {
        from: usize,
        number: u16,
        length: usize,
    },
    /// To the second peer.
    Indication {
        from: usize,
        length: usize,
    },
    /// An indication that goes around the hairpin.
    HairpinIndication {
        from: usize,
        length: usize,
    },
    Binding {
        from: usize,
    },
    Junk {
        from: usize,
    },
    Peer {
        from: usize,
        to: usize,
        length: usize,
    },
    /// Several of one length, which the peer's system may join.
    Burst {
        from: usize,
        to: usize,
        length: usize,
        count: usize,
    },
}

/// A connection, encrypted or not.
trait Duplex: io::Read + io::Write {}

impl<T: io::Read + io::Write> Duplex for T {}

/// Where something was heard, from which address, and of which flow it is.
type Heard = BTreeMap<(String, String, String), Vec<Vec<u8>>>;

enum Wire {
    Datagrams(UdpSocket),
    Stream(Box<dyn Duplex>, Vec<u8>),
}

struct Client {
    wire: Wire,
    address: SocketAddr,
    relayed: SocketAddr,
}

struct World {
    shards: Vec<Shard>,
    servers: Vec<SocketAddr>,
    events: Events,
    clients: Vec<Client>,
    peers: Vec<UdpSocket>,
    heard: Heard,
    /// What peers and clients have heard, the ends of rounds included.
    count: (u64, u64),
    bindings: u64,
    rounds: u8,
    ends: usize,
    /// Whether bursts are joined.
    joins: bool,
}

fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn shards() -> (Vec<Shard>, Vec<SocketAddr>) {
    let ip: IpAddr = BOX.parse().unwrap();
    let user = StaticUser { name: "camera".into(), password: Secret::new("front door") };
    let secrets = Secrets::parse("0123456789abcdef").unwrap();
    let options = Arc::new(Options {
        verifier: Verifier::new(REALM, secrets, &[user], Arc::default()),
        policy: PeerPolicy { allow_loopback: true, own: [ip].into(), ..PeerPolicy::default() },
        addresses: RelayAddresses { interfaces: vec![ip], loopback: true, ..RelayAddresses::default() },
        ports: 20_000..=32_000,
        open_ports: None,
        alternate: Alternate::default(),
        icmp: true,
    });
    let limits = Limits { allocations: 100, permissions: 100, channels: 100, bandwidth: 0 };
    let quota = Quota::new(limits, limits, limits, Instant::now());
    let (relayed, connections, reservations) = (Arc::default(), Arc::default(), Arc::default());
    let (sightings, nonces) = (Arc::default(), Nonces::new(&[0; 32]));
    let shared = Shared {
        quota,
        relayed,
        connections,
        reservations,
        sightings,
        nonces,
        behavior: None,
        unauthorized_rate: 1000,
    };
    let polls: Vec<Poll> = (0..SHARDS).map(|_| Poll::new().unwrap()).collect();
    let mailboxes: Arc<[Mailbox]> = polls.iter().map(|poll| Mailbox::new(poll.registry()).unwrap()).collect();
    let mut shards = Vec::new();
    let mut servers = Vec::new();
    for (index, poll) in polls.into_iter().enumerate() {
        let bound = udp::bind("[::]:0".parse().unwrap(), 1).unwrap();
        servers.push(SocketAddr::new(ip, bound.address().port()));
        let listeners = bound.into_listeners().collect::<io::Result<_>>().unwrap();
        let id = ShardId(index as u16);
        let server = Server::new(id, Arc::clone(&options), shared.clone(), [index as u8; 32], Instant::now());
        let (sessions, mailboxes) = (Sessions::none(), Arc::clone(&mailboxes));
        shards.push(Shard::new(index, server, poll, listeners, sessions, mailboxes, Arc::default()).unwrap());
    }
    (shards, servers)
}

impl World {
    /// Clients with a channel to the first peer and to the next client, and a permission for the second peer.
    fn new() -> Self {
        let (shards, servers) = shards();
        let peers = PEERS.map(socket).into();
        let events = Events::with_capacity(64);
        let (heard, clients) = (Heard::new(), Vec::new());
        let (count, bindings, rounds, ends) = ((0, 0), 0, 0, 0);
        let mut world =
            Self { shards, servers, events, clients, peers, heard, count, bindings, rounds, ends, joins: false };
        let mut signers = Vec::new();
        for (shard, transport) in PLACES {
            signers.push(world.connect(shard, transport));
        }
        for (index, signer) in signers.iter().enumerate() {
            let peers = world.peers.iter().map(|peer| peer.local_addr().unwrap().to_string()).collect::<Vec<_>>();
            let next = world.clients[(index + 1) % PLACES.len()].relayed.to_string();
            for asked in [bind(TO_PEER, &peers[0]), bind(TO_NEXT, &next), permit(&[&peers[1]])] {
                assert_eq!(code(&world.ask(index, asked.sign(signer))), 0);
            }
        }
        world
    }

    /// Makes a client with an allocation.
    fn connect(&mut self, shard: usize, transport: Transport) -> support::Client {
        let server = self.servers[shard];
        let (wire, address) = match transport {
            Transport::Tcp | Transport::Tls => {
                let listener = TcpListener::bind((BOX, 0)).unwrap();
                let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                far.set_nonblocking(true).unwrap();
                let (socket, client) = listener.accept().unwrap();
                socket.set_nonblocking(true).unwrap();
                let (far, tls): (Box<dyn Duplex>, _) = if transport == Transport::Tls {
                    let (near, tls) = tls_session();
                    (Box::new(StreamOwned::new(near, far)), Some(tls))
                } else {
                    (Box::new(far), None)
                };
                let adopted = Adopted { socket, tls, client, server, guard: Box::new(()) };
                self.shards[shard].mailbox().command(Command::Adopt(Box::new(adopted)));
                (Wire::Stream(far, Vec::new()), client)
            }
            Transport::Udp | Transport::Dtls => {
                let socket = socket(CLIENTS);
                let address = socket.local_addr().unwrap();
                (Wire::Datagrams(socket), address)
            }
        };
        let index = self.clients.len();
        self.clients.push(Client { wire, address, relayed: address });
        let five_tuple = FiveTuple::new(address, server, transport);
        let (username, password) = ("camera".into(), "front door".into());
        let mut signer = support::Client { shard, five_tuple, username, password, nonce: String::new() };
        signer.nonce = text(&self.ask(index, allocate().0.raw), ATTR_NONCE);
        let answer = self.ask(index, allocate().sign(&signer));
        assert_eq!(code(&answer), 0);
        self.clients[index].relayed = relayed(&answer);
        signer
    }

    /// Sends a request and waits for its answer.
    fn ask(&mut self, client: usize, request: Vec<u8>) -> Message {
        self.send(client, &request);
        let start = Instant::now();
        loop {
            self.cycle();
            if let Some((_, answer)) = self.clients[client].receive() {
                return read(&answer);
            }
            assert!(start.elapsed() < PATIENCE, "no answer");
        }
    }

    fn cycle(&mut self) {
        for shard in &mut self.shards {
            shard.cycle(&mut self.events, Duration::ZERO).unwrap();
        }
    }

    fn send(&mut self, client: usize, packet: &[u8]) {
        let server = self.servers[PLACES[client].0];
        match &mut self.clients[client].wire {
            Wire::Datagrams(socket) => assert_eq!(socket.send_to(packet, server).unwrap(), packet.len()),
            Wire::Stream(stream, _) => {
                let padding = packet.len().next_multiple_of(4) - packet.len();
                stream.write_all(&[packet, &[0; 3][..padding]].concat()).unwrap();
                stream.flush().unwrap();
            }
        }
    }

    fn send_packet(&mut self, number: usize, packet: &Packet) {
        let payload = |length: usize| (0..length).map(|at| (number * 7 + at) as u8).collect::<Vec<u8>>();
        match *packet {
            Packet::Channel { from, number, length } => self.send(from, &channel_data(number, &payload(length))),
            Packet::Indication { from, length } => {
                let peer = self.peers[1].local_addr().unwrap().to_string();
                self.send(from, &send(&peer, &payload(length)));
            }
            Packet::HairpinIndication { from, length } => {
                let next = self.clients[(from + 2) % PLACES.len()].relayed.to_string();
                self.send(from, &send(&next, &payload(length)));
            }
            Packet::Binding { from } => {
                self.bindings += 1;
                self.send(from, &Asked::request(METHOD_BINDING).0.raw);
            }
            // On a stream there would be no telling where the next message begins.
            Packet::Junk { from } if PLACES[from].1.is_stream() => self.send(from, &channel_data(UNBOUND, b"")),
            Packet::Junk { from } => self.send(from, &[22; 60]),
            Packet::Peer { from, to, length } => {
                let to = self.clients[to].relayed;
                assert_eq!(self.peers[from].send_to(&payload(length), to).unwrap(), length);
            }
            Packet::Burst { from, to, length, count } => {
                let (to, payload) = (self.clients[to].relayed, payload(length * count));
                if self.joins {
                    udp::send_joined(&self.peers[from], to, &payload, length);
                } else {
                    payload
                        .chunks(length)
                        .for_each(|each| assert_eq!(self.peers[from].send_to(each, to).unwrap(), length));
                }
            }
        }
    }

    /// Waits until all that was sent so far has been through: what is sent last, on every way in, arrives last.
    fn settle(&mut self) {
        self.rounds += 1;
        self.ends = 0;
        let end = [END, &[self.rounds]].concat();
        for client in 0..PLACES.len() {
            self.send(client, &channel_data(TO_PEER, &end));
            self.peers[0].send_to(&end, self.clients[client].relayed).unwrap();
        }
        let start = Instant::now();
        // Around the hairpin it is through when as much was heard as was counted.
        while self.ends < 2 * PLACES.len() || self.count != self.counted() {
            self.cycle();
            self.hear();
            let state = (self.ends, self.count, self.counted());
            assert!(start.elapsed() < PATIENCE, "lost (ends, heard, counted): {state:?}");
        }
    }

    /// What peers and clients must have heard, by the shards' counters.
    fn counted(&self) -> (u64, u64) {
        let sum = |name: &str| -> u64 {
            let counters = self.shards.iter().flat_map(Shard::counters);
            counters.filter(|(event, _)| *event == name).map(|(_, count)| count).sum()
        };
        (sum("packets_up") - sum("hairpins"), sum("packets_down") + self.bindings)
    }

    /// Takes down all that has arrived.
    fn hear(&mut self) {
        let mut heard = Vec::new();
        let mut buffer = vec![0; 65_535];
        for (index, peer) in self.peers.iter().enumerate() {
            while let Ok((length, from)) = peer.recv_from(&mut buffer) {
                self.count.0 += 1;
                heard.push((format!("peer {index}"), self.name(from), String::new(), buffer[..length].to_vec()));
            }
        }
        for index in 0..self.clients.len() {
            while let Some((from, message)) = self.clients[index].receive() {
                self.count.1 += 1;
                let source = from.map_or_else(String::new, |from| self.name(from));
                let (flow, bytes) = self.understand(index, message);
                heard.push((format!("client {index}"), source, flow, bytes));
            }
        }
        for (at, from, flow, bytes) in heard {
            match bytes.strip_prefix(END) {
                Some(round) => self.ends += usize::from(round == [self.rounds]),
                None => self.heard.entry((at, from, flow)).or_default().push(bytes),
            }
        }
    }

    /// Of which flow a message to a client is, and what it says. Addresses differ from world to world.
    fn understand(&self, client: usize, message: Vec<u8>) -> (String, Vec<u8>) {
        if message[0] >= 64 {
            let length = usize::from(u16::from_be_bytes([message[2], message[3]]));
            let flow = format!("channel {:x?}, padding {}", &message[..2], message.len() - 4 - length);
            return (flow, message[4..4 + length].to_vec());
        }
        if message[..2] == [0, 0x17] {
            let (peer, data) = data_indication(&message);
            return (format!("data from {}", self.name(peer)), data);
        }
        let answer = read(&message);
        assert_eq!((answer.typ, mapped(&answer)), (BINDING_SUCCESS, self.clients[client].address));
        ("binding".into(), Vec::new())
    }

    /// What an address is called in every world.
    fn name(&self, address: SocketAddr) -> String {
        let peers = self.peers.iter().map(|peer| peer.local_addr().unwrap());
        let relays = self.clients.iter().map(|client| client.relayed);
        let all: [(&str, Vec<SocketAddr>); 3] =
            [("server", self.servers.clone()), ("relay", relays.collect()), ("peer", peers.collect())];
        let found = all.iter().find_map(|(kind, all)| Some((kind, all.iter().position(|each| *each == address)?)));
        found.map_or_else(|| panic!("nobody is at {address}"), |(kind, index)| format!("{kind} {index}"))
    }
}

impl Client {
    /// A message, if one is there, and from where it came.
    fn receive(&mut self) -> Option<(Option<SocketAddr>, Vec<u8>)> {
        let mut buffer = vec![0; 65_535];
        match &mut self.wire {
            Wire::Datagrams(socket) => {
                let (length, from) = socket.recv_from(&mut buffer).ok()?;
                Some((Some(from), buffer[..length].to_vec()))
            }
            Wire::Stream(stream, received) => {
                if let Ok(length) = stream.read(&mut buffer) {
                    assert!(length > 0, "the connection has ended");
                    received.extend_from_slice(&buffer[..length]);
                }
                let NextMessage::Whole(whole) = next_message(received) else { return None };
                Some((None, received.drain(..whole).collect()))
            }
        }
    }
}

/// What is heard of some packets, and the counters, when so many are sent at a time.
fn pass(packets: &[Packet], at_a_time: usize) -> (Heard, Vec<(&'static str, u64)>) {
    let mut world = World::new();
    world.joins = at_a_time > 1;
    let mut number = 0;
    for some in packets.chunks(at_a_time) {
        for packet in some {
            world.send_packet(number, packet);
            number += 1;
        }
        world.settle();
    }
    // As many rounds either way, since their ends are counted as well.
    while usize::from(world.rounds) < packets.len() {
        world.settle();
    }
    let counters = world.shards.iter().flat_map(Shard::counters).collect();
    (world.heard, counters)
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0usize), 4 => Just(160), 8 => Just(1200), 3 => 1..1500usize, 1 => Just(9000)]
}

fn packet() -> impl Strategy<Value = Packet> {
    let (client, peer) = (0..PLACES.len(), 0..PEERS.len());
    let number = prop_oneof![4 => Just(TO_PEER), 3 => Just(TO_NEXT), 1 => Just(UNBOUND)];
    prop_oneof![
        8 => (client.clone(), number, length()).prop_map(|(from, number, length)| Packet::Channel { from, number, length }),
        2 => (client.clone(), length()).prop_map(|(from, length)| Packet::Indication { from, length }),
        2 => (client.clone(), length()).prop_map(|(from, length)| Packet::HairpinIndication { from, length }),
        1 => client.clone().prop_map(|from| Packet::Binding { from }),
        1 => client.clone().prop_map(|from| Packet::Junk { from }),
        6 => (peer.clone(), client.clone(), length()).prop_map(|(from, to, length)| Packet::Peer { from, to, length }),
        2 => (peer, client, 1..1300usize, 2..6usize)
            .prop_map(|(from, to, length, count)| Packet::Burst { from, to, length, count }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn packets_that_come_together_fare_as_each_would_alone(packets in prop::collection::vec(packet(), 1..60)) {
        let (alone, alone_counters) = pass(&packets, 1);
        let (together, counters) = pass(&packets, packets.len());
        prop_assert_eq!(together, alone);
        prop_assert_eq!(counters, alone_counters);
    }
}
