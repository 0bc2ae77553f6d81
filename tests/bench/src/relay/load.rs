//! The loads of bursts.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::flow::{self, End, Flow};
use super::link::Transport;
use super::turn::{self, Client};
use crate::cost::Cost;
use crate::server::Server;

pub const FLOWS: usize = 32;
/// Application bytes of a packet.
pub const PAYLOAD: usize = 1200;
const CHANNEL: u16 = 0x4001;
/// Some servers put their name in every indication.
const SOFTWARE: usize = 32;
/// What a Data indication with an IPv4 address has around its payload, which is a multiple of four here.
const DATA_INDICATION: usize = 36;

#[derive(Clone, Debug)]
pub enum Load {
    ClientToPeer(Transport),
    PeerToClient(Transport),
    ClientToClient,
    SendIndication,
    DataIndication,
    /// The peer's packets come joined.
    Joined(Transport),
    Binding,
    Unauthorized,
}

impl Load {
    /// Runs all flows for a while, after a short time that does not count.
    pub fn measure(&self, server: &Server, window: Duration) -> Cost {
        flow::measure(&mut self.flows(server), server, window)
    }

    pub fn flows(&self, server: &Server) -> Vec<Flow> {
        (0..FLOWS).map(|_| self.flow(server.address)).collect()
    }

    pub fn name(&self) -> String {
        match self {
            Self::ClientToPeer(Transport::Udp) => "client to peer, ChannelData".into(),
            Self::PeerToClient(Transport::Udp) => "peer to client, ChannelData".into(),
            Self::ClientToPeer(transport) => format!("client over {} to peer, ChannelData", transport.name()),
            Self::PeerToClient(transport) => format!("peer to client over {}, ChannelData", transport.name()),
            Self::ClientToClient => "client to client, both relayed".into(),
            Self::SendIndication => "client to peer, Send indications".into(),
            Self::DataIndication => "peer to client, Data indications".into(),
            Self::Joined(Transport::Udp) => "peer that joins its packets (UDP_SEGMENT) to client".into(),
            Self::Joined(transport) => {
                format!("peer that joins its packets (UDP_SEGMENT) to client over {}", transport.name())
            }
            Self::Binding => "Binding, a request".into(),
            Self::Unauthorized => "Allocate answered with 401, a request".into(),
        }
    }

    /// What is to be reached beside coturn (issue 4).
    pub fn reach(&self) -> Option<f64> {
        match self {
            Self::ClientToPeer(Transport::Udp) | Self::PeerToClient(Transport::Udp) => Some(0.60),
            Self::ClientToPeer(_) | Self::PeerToClient(_) => Some(0.70),
            Self::ClientToClient => Some(0.30),
            Self::SendIndication | Self::DataIndication => Some(0.80),
            Self::Joined(_) => None,
            Self::Binding => Some(0.75),
            Self::Unauthorized => Some(0.50),
        }
    }

    fn flow(&self, server: SocketAddr) -> Flow {
        let payload = [0x55; PAYLOAD];
        let packet = turn::channel_data(CHANNEL, &payload);
        match self {
            Self::ClientToPeer(transport) => {
                let (client, peer) = bound(transport, server);
                Flow::from_client(transport, client, packet, peer, PAYLOAD)
            }
            Self::PeerToClient(transport) => {
                let (client, peer) = bound(transport, server);
                peer.connect(client.relayed).unwrap();
                Flow::to_client(transport, End::Datagrams(peer), payload.to_vec(), client, packet.len())
            }
            Self::Joined(transport) => {
                let (client, peer) = bound(transport, server);
                peer.connect(client.relayed).unwrap();
                Flow::to_client(transport, End::Joined(peer), payload.to_vec(), client, packet.len())
            }
            Self::ClientToClient => {
                let (mut one, mut other) = (Client::allocate(server), Client::allocate(server));
                one.bind_channel(CHANNEL, other.relayed);
                other.bind_channel(CHANNEL, one.relayed);
                let arrives = packet.len();
                let mut flow = Flow::to_client(&Transport::Udp, datagrams(one.socket()), packet, other, arrives);
                flow.clients.push(one);
                flow
            }
            Self::SendIndication => {
                let (mut client, peer) = (Client::allocate(server), turn::socket());
                let to = peer.local_addr().unwrap();
                client.permit(to);
                Flow::from_client(&Transport::Udp, client, turn::send_indication(to, &payload), peer, PAYLOAD)
            }
            Self::DataIndication => {
                let (mut client, peer) = (Client::allocate(server), turn::socket());
                client.permit(peer.local_addr().unwrap());
                peer.connect(client.relayed).unwrap();
                let arrives = PAYLOAD + DATA_INDICATION;
                Flow::to_client(&Transport::Udp, End::Datagrams(peer), payload.to_vec(), client, arrives)
            }
            Self::Binding => question(server, turn::binding(), 0x0101),
            Self::Unauthorized => question(server, turn::allocate(), 0x0113),
        }
    }
}

/// A client with a channel to a peer.
fn bound(transport: &Transport, server: SocketAddr) -> (Client, UdpSocket) {
    let (mut client, peer) = (Client::allocate_over(transport, server), turn::socket());
    client.bind_channel(CHANNEL, peer.local_addr().unwrap());
    (client, peer)
}

fn datagrams(socket: &UdpSocket) -> End {
    End::Datagrams(socket.try_clone().unwrap())
}

/// The answer comes back to where the request went out.
fn question(server: SocketAddr, packet: Vec<u8>, expected: u16) -> Flow {
    let socket = turn::socket();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket.send(&packet).unwrap();
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).expect("the server answers");
    assert_eq!(buffer[..2], expected.to_be_bytes());
    Flow::new(datagrams(&socket), End::Datagrams(socket), packet, length, Vec::new())
}

impl Flow {
    fn new(from: End, to: End, packet: Vec<u8>, arrives: usize, clients: Vec<Client>) -> Self {
        let (to, arrives) = (to.patient(), (arrives, arrives + SOFTWARE));
        Self { from, to, packet, arrives, clients }
    }

    fn from_client(transport: &Transport, client: Client, packet: Vec<u8>, peer: UdpSocket, arrives: usize) -> Self {
        let to = End::Datagrams(peer);
        match transport {
            Transport::Udp => Self::new(datagrams(client.socket()), to, packet, arrives, vec![client]),
            Transport::Tcp | Transport::Tls(_) => {
                Self::new(End::Stream(Box::new(client)), to, packet, arrives, Vec::new())
            }
        }
    }

    fn to_client(transport: &Transport, from: End, packet: Vec<u8>, client: Client, arrives: usize) -> Self {
        match transport {
            Transport::Udp => Self::new(from, datagrams(client.socket()), packet, arrives, vec![client]),
            Transport::Tcp | Transport::Tls(_) => {
                Self::new(from, End::Stream(Box::new(client)), packet, arrives, Vec::new())
            }
        }
    }
}
