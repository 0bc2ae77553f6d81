//! Someone in a namespace, and what they can be asked to do.

use std::net::{SocketAddr, SocketAddrV4};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::program::Program;
use super::support::PATIENCE;
use super::support::server::Server;

/// The argument that makes this program a client.
pub const ROLE: &str = "play-a-client";

/// The port of the bare client.
pub const BARE_PORT: u16 = 5000;

/// How to talk to the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    Udp,
    Tcp,
    Tls,
}

/// What a client is asked to do: one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// A Binding request to each, from one UDP socket: [`Answer::Bindings`].
    Bindings(Vec<SocketAddr>),
    /// [`Answer::Allocated`].
    Allocate { way: Way, server: SocketAddr, username: String, password: String, authority: String },
    /// A plain UDP socket: [`Answer::Done`].
    Bind(SocketAddr),
    /// From the relayed address or the plain socket, whichever was made last: [`Answer::Done`].
    Send { to: SocketAddr, text: String },
    /// The next packet, if one comes soon: [`Answer::Received`].
    Receive,
    /// Joins a room, and stays: [`Answer::Heard`].
    Join { server: SocketAddr, room: String, authority: String },
    /// What is said in the room next: [`Answer::Heard`].
    Hear,
    /// An allocation over UDP by a client that asks exactly for what it is told to: [`Answer::Relayed`].
    AllocateBare { server: SocketAddr, username: String, password: String },
    /// A permission for the bare client: [`Answer::Done`].
    Permit(SocketAddr),
    /// Send indications of the bare client, one behind another, each with so many bytes of that letter, and with
    /// DONT-FRAGMENT or not: [`Answer::Done`].
    SendEach { to: SocketAddr, each: Vec<(usize, u8, bool)> },
    /// The next ICMP error that the bare client is told of, if one comes soon: [`Answer::Error`].
    Error,
    /// Says of a datagram that it is too long for an MTU: [`Answer::Done`].
    Complain { from: SocketAddrV4, to: SocketAddrV4, mtu: u16 },
    /// Watches what goes by in the namespace: [`Answer::Done`].
    Watch,
    /// The IPv4 packets seen since then that begin a datagram to a port: [`Answer::Seen`].
    Seen(u16),
    /// A page over HTTPS: [`Answer::Page`].
    Get { server: SocketAddr, path: String, authority: String },
}

/// What comes of it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Where each answer came from, and what it says.
    Bindings(Vec<(SocketAddr, SocketAddr)>),
    Allocated(Allocated),
    Received(Option<(String, SocketAddr)>),
    Page(String),
    Relayed(SocketAddr),
    Error(Option<(SocketAddr, Vec<u8>)>),
    Seen(Vec<Seen>),
    /// A message of the box, as JSON.
    Heard(String),
    Done,
    Failed(String),
}

/// A client's addresses, as the box says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocated {
    pub mapped: SocketAddr,
    pub relayed: SocketAddr,
}

/// What an IPv4 header says, and the first byte of the datagram in the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub first: u8,
    pub dont_fragment: bool,
    pub more_fragments: bool,
    /// The DSCP and ECN.
    pub service: u8,
    pub time_to_live: u8,
}

/// This program, started again in a namespace. Ends with this value.
pub struct Client(Program);

impl Client {
    pub fn in_namespace(name: &str) -> Self {
        let this = std::env::current_exe().unwrap();
        Self(Program::start(name, ".", &[this.to_str().unwrap(), ROLE]))
    }

    /// Asks, and waits for the answer.
    pub fn ask(&mut self, ask: &Ask) -> Answer {
        self.0.ask(ask, PATIENCE * 2)
    }

    /// An allocation with a credential of the box.
    pub fn try_allocate(&mut self, server: &Server, at: SocketAddr, way: Way) -> Result<Allocated, String> {
        let (username, password) = server.credential("anna");
        let authority = server.read("certs/ca.pem");
        match self.ask(&Ask::Allocate { way, server: at, username, password, authority }) {
            Answer::Allocated(allocated) => Ok(allocated),
            other => Err(format!("{other:?}")),
        }
    }

    pub fn allocate(&mut self, server: &Server, at: SocketAddr, way: Way) -> Allocated {
        let allocated = self.try_allocate(server, at, way);
        allocated.unwrap_or_else(|error| panic!("no allocation at {at} over {way:?}: {error}\n{}", server.log()))
    }

    /// The same for the bare client, over UDP: its relayed address.
    pub fn allocate_bare(&mut self, server: &Server, at: SocketAddr) -> SocketAddr {
        let (username, password) = server.credential("anna");
        match self.ask(&Ask::AllocateBare { server: at, username, password }) {
            Answer::Relayed(relayed) => relayed,
            other => panic!("no allocation at {at}: {other:?}\n{}", server.log()),
        }
    }

    /// The next ICMP error that the bare client is told of.
    pub fn error(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        match self.ask(&Ask::Error) {
            Answer::Error(error) => error,
            other => panic!("{other:?}"),
        }
    }

    /// What was seen since [`Ask::Watch`].
    pub fn seen(&mut self, port: u16) -> Vec<Seen> {
        match self.ask(&Ask::Seen(port)) {
            Answer::Seen(seen) => seen,
            other => panic!("{other:?}"),
        }
    }

    /// Where each answer came from, and the mapped address in it.
    pub fn bindings(&mut self, servers: &[SocketAddr]) -> Result<Vec<(SocketAddr, SocketAddr)>, String> {
        match self.ask(&Ask::Bindings(servers.to_vec())) {
            Answer::Bindings(list) => Ok(list),
            other => Err(format!("{other:?}")),
        }
    }

    pub fn bind(&mut self, address: SocketAddr) {
        assert_eq!(self.ask(&Ask::Bind(address)), Answer::Done);
    }

    pub fn send(&mut self, to: SocketAddr, text: &str) {
        assert_eq!(self.ask(&Ask::Send { to, text: text.into() }), Answer::Done);
    }

    pub fn receive(&mut self) -> Option<(String, SocketAddr)> {
        match self.ask(&Ask::Receive) {
            Answer::Received(packet) => packet,
            other => panic!("{other:?}"),
        }
    }

    /// Joins a room of the box.
    pub fn join(&mut self, server: &Server, at: SocketAddr, room: &str) {
        let authority = server.read("certs/ca.pem");
        let joined = self.heard(&Ask::Join { server: at, room: room.into(), authority });
        assert_eq!(joined["type"], "joined", "{joined}");
    }

    /// What it is told in the room next.
    pub fn hear(&mut self) -> Value {
        self.heard(&Ask::Hear)
    }

    fn heard(&mut self, ask: &Ask) -> Value {
        match self.ask(ask) {
            Answer::Heard(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// What the box answers to a GET.
    pub fn page(&mut self, server: &Server, at: SocketAddr, path: &str) -> String {
        let authority = server.read("certs/ca.pem");
        match self.ask(&Ask::Get { server: at, path: path.into(), authority }) {
            Answer::Page(page) => page,
            other => panic!("{other:?}"),
        }
    }

    /// The `iceServers` that the box tells this client when it comes in on an address.
    pub fn ice_urls(&mut self, server: &Server, at: SocketAddr) -> Vec<String> {
        let page = self.page(server, at, &format!("/ice?key={}", server.key()));
        let reply: Value = serde_json::from_str(&page).unwrap_or_else(|_| panic!("{page}"));
        let entries = reply["iceServers"].as_array().unwrap();
        let urls = entries.iter().flat_map(|entry| entry["urls"].as_array().unwrap());
        urls.map(|url| url.as_str().unwrap().to_owned()).collect()
    }
}
