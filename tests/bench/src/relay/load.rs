//! The loads, and what they cost.

use std::io;
use std::net::UdpSocket;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::turn::{self, Client};
use crate::cost::Cost;
use crate::server::Server;

pub const FLOWS: usize = 32;
/// Packets that a flow has under way at a time.
pub const WINDOW: usize = 32;
/// Application bytes of a packet.
pub const PAYLOAD: usize = 1200;
/// How long to wait for a packet before it counts as lost.
const LOST: Duration = Duration::from_millis(200);
const CHANNEL: u16 = 0x4001;
/// Some servers put their name in every indication.
const SOFTWARE: usize = 32;
/// What a Data indication with an IPv4 address has around its payload, which is a multiple of four here.
const DATA_INDICATION: usize = 36;

#[derive(Clone, Copy)]
pub enum Load {
    ClientToPeer,
    PeerToClient,
    ClientToClient,
    SendIndication,
    DataIndication,
    Binding,
    Unauthorized,
}

/// One direction of traffic.
struct Flow {
    from: UdpSocket,
    to: UdpSocket,
    packet: Vec<u8>,
    /// What is to arrive for it, or a little more.
    arrives: usize,
    /// Whose allocations carry it.
    _clients: Vec<Client>,
}

impl Load {
    pub const ALL: [Self; 7] = [
        Self::ClientToPeer,
        Self::PeerToClient,
        Self::ClientToClient,
        Self::SendIndication,
        Self::DataIndication,
        Self::Binding,
        Self::Unauthorized,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::ClientToPeer => "client to peer, ChannelData",
            Self::PeerToClient => "peer to client, ChannelData",
            Self::ClientToClient => "client to client, both relayed",
            Self::SendIndication => "client to peer, Send indications",
            Self::DataIndication => "peer to client, Data indications",
            Self::Binding => "Binding, a request",
            Self::Unauthorized => "Allocate answered with 401, a request",
        }
    }

    /// Runs all flows for a while, after a short time that does not count.
    pub fn measure(self, server: &Server, window: Duration) -> Cost {
        let flows: Vec<Flow> = (0..FLOWS).map(|_| self.flow(server)).collect();
        let (counts, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        let ready = Barrier::new(FLOWS + 1);
        std::thread::scope(|scope| {
            let threads: Vec<_> = flows.iter().map(|flow| scope.spawn(|| flow.run(&ready, &counts, &stop))).collect();
            ready.wait();
            std::thread::sleep(window / 6);
            counts.store(true, Ordering::Relaxed);
            let (start, before) = (Instant::now(), server.cpu());
            std::thread::sleep(window);
            let (wall, cpu) = (start.elapsed(), server.cpu() - before);
            stop.store(true, Ordering::Relaxed);
            let mut cost = Cost { cpu, wall, ..Cost::default() };
            for thread in threads {
                let (packets, lost) = thread.join().expect("a flow has failed");
                cost.count += packets;
                cost.lost += lost;
            }
            assert!(cost.count > 0, "{}: nothing arrives", self.name());
            cost
        })
    }

    fn flow(self, server: &Server) -> Flow {
        let payload = [0x55; PAYLOAD];
        match self {
            Self::ClientToPeer => {
                let (client, peer) = (Client::allocate(server.address), turn::socket());
                client.bind_channel(CHANNEL, peer.local_addr().unwrap());
                Flow::new(client.socket(), peer, turn::channel_data(CHANNEL, &payload), PAYLOAD, vec![client])
            }
            Self::PeerToClient => {
                let (client, peer) = (Client::allocate(server.address), turn::socket());
                client.bind_channel(CHANNEL, peer.local_addr().unwrap());
                peer.connect(client.relayed).unwrap();
                Flow::new(peer, client.socket(), payload.to_vec(), PAYLOAD + 4, vec![client])
            }
            Self::ClientToClient => {
                let (one, other) = (Client::allocate(server.address), Client::allocate(server.address));
                one.bind_channel(CHANNEL, other.relayed);
                other.bind_channel(CHANNEL, one.relayed);
                let packet = turn::channel_data(CHANNEL, &payload);
                Flow::new(one.socket(), other.socket(), packet, PAYLOAD + 4, vec![one, other])
            }
            Self::SendIndication => {
                let (client, peer) = (Client::allocate(server.address), turn::socket());
                let to = peer.local_addr().unwrap();
                client.permit(to);
                let packet = turn::send_indication(to, &payload);
                Flow::new(client.socket(), peer, packet, PAYLOAD, vec![client])
            }
            Self::DataIndication => {
                let (client, peer) = (Client::allocate(server.address), turn::socket());
                client.permit(peer.local_addr().unwrap());
                peer.connect(client.relayed).unwrap();
                Flow::new(peer, client.socket(), payload.to_vec(), PAYLOAD + DATA_INDICATION, vec![client])
            }
            Self::Binding => Self::question(server, turn::binding(), 0x0101),
            Self::Unauthorized => Self::question(server, turn::allocate(), 0x0113),
        }
    }

    /// The answer comes back to where the request went out.
    fn question(server: &Server, packet: Vec<u8>, expected: u16) -> Flow {
        let socket = turn::socket();
        socket.connect(server.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        socket.send(&packet).unwrap();
        let mut buffer = [0; 1500];
        let length = socket.recv(&mut buffer).expect("the server answers");
        assert_eq!(buffer[..2], expected.to_be_bytes());
        Flow::new(socket.try_clone().unwrap(), socket, packet, length, Vec::new())
    }
}

impl Flow {
    fn new(from: UdpSocket, to: UdpSocket, packet: Vec<u8>, arrives: usize, clients: Vec<Client>) -> Self {
        to.set_read_timeout(Some(LOST)).unwrap();
        Self { from, to, packet, arrives, _clients: clients }
    }

    /// How many packets arrived and were lost while it counted.
    fn run(&self, ready: &Barrier, counts: &AtomicBool, stop: &AtomicBool) -> (u64, u64) {
        let (mut arrived, mut lost) = (0, 0);
        let mut buffer = [0; 2048];
        ready.wait();
        while !stop.load(Ordering::Relaxed) {
            let counted = counts.load(Ordering::Relaxed);
            for _ in 0..WINDOW {
                self.from.send(&self.packet).expect("loopback takes it");
            }
            for number in 0..WINDOW {
                match self.to.recv(&mut buffer) {
                    Ok(length) => {
                        let expected = self.arrives..=self.arrives + SOFTWARE;
                        assert!(expected.contains(&length), "something else has arrived: {length} bytes");
                        arrived += u64::from(counted);
                    }
                    Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                        lost += if counted { (WINDOW - number) as u64 } else { 0 };
                        break;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
        (arrived, lost)
    }
}
