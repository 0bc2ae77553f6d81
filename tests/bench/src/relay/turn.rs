//! As much of a TURN client as it takes to be relayed (RFC 8656).

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ring::hmac;

use super::link::{Link, Stream, Transport};

pub const REALM: &str = "bench";
pub const USER: &str = "load";
pub const PASSWORD: &str = "a password for the bench";

const COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();
const ID: [u8; 12] = *b"lanturnbench";
const ALLOCATE: u16 = 0x0003;
const REFRESH: u16 = 0x0004;
const CREATE_PERMISSION: u16 = 0x0008;
const CHANNEL_BIND: u16 = 0x0009;
const SEND: u16 = 0x0016;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const CHANNEL_NUMBER: u16 = 0x000C;
const LIFETIME: u16 = 0x000D;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const DATA: u16 = 0x0013;
const REALM_ATTRIBUTE: u16 = 0x0014;
const NONCE: u16 = 0x0015;
const XOR_RELAYED_ADDRESS: u16 = 0x0016;
const REQUESTED_TRANSPORT: u16 = 0x0019;

/// How long a server may take over an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A client with an allocation.
pub struct Client {
    link: Link,
    nonce: Vec<u8>,
    pub relayed: SocketAddr,
}

impl Client {
    pub fn allocate(server: SocketAddr) -> Self {
        Self::allocate_over(&Transport::Udp, server)
    }

    pub fn allocate_over(transport: &Transport, server: SocketAddr) -> Self {
        Self::on(transport.connect(server, PATIENCE))
    }

    /// With a socket of the caller's.
    pub fn allocate_from(socket: UdpSocket, server: SocketAddr) -> Self {
        Self::on(Link::datagrams(socket, server, PATIENCE))
    }

    fn on(mut link: Link) -> Self {
        let challenge = link.ask(&allocate()).expect("the server answers");
        let nonce = get(&challenge, NONCE).expect("a 401 has a nonce").to_vec();
        let mut request = allocate();
        sign(&mut request, &nonce);
        let answer = link.ask(&request).expect("the server answers");
        assert_eq!(answer[..2], (ALLOCATE | 0x0100).to_be_bytes(), "no allocation: {answer:x?}");
        let relayed = get(&answer, XOR_RELAYED_ADDRESS).expect("an allocation has an address");
        let port = u16::from_be_bytes([relayed[2] ^ COOKIE[0], relayed[3] ^ COOKIE[1]]);
        let octets: [u8; 4] = std::array::from_fn(|index| relayed[4 + index] ^ COOKIE[index]);
        Self { link, nonce, relayed: SocketAddr::new(octets.into(), port) }
    }

    pub fn bind_channel(&mut self, channel: u16, peer: SocketAddr) {
        let [high, low] = channel.to_be_bytes();
        let mut request = message(CHANNEL_BIND);
        add(&mut request, CHANNEL_NUMBER, &[high, low, 0, 0]);
        add(&mut request, XOR_PEER_ADDRESS, &xor_address(peer));
        self.succeed(request);
    }

    pub fn permit(&mut self, peer: SocketAddr) {
        let mut request = message(CREATE_PERMISSION);
        add(&mut request, XOR_PEER_ADDRESS, &xor_address(peer));
        self.succeed(request);
    }

    fn succeed(&mut self, mut request: Vec<u8>) {
        let [high, low] = [request[0], request[1]];
        sign(&mut request, &self.nonce);
        let answer = self.link.ask(&request).expect("the server answers");
        assert_eq!(answer[..2], [high | 0x01, low], "refused: {answer:x?}");
    }

    /// Its socket, if it came over UDP.
    pub fn socket(&self) -> &UdpSocket {
        match &self.link {
            Link::Datagrams(socket) => socket,
            Link::Stream(_) => panic!("this client came over TCP"),
        }
    }

    /// Its connection, if it came over TCP or TLS.
    pub fn stream(&mut self) -> &mut Stream {
        match &mut self.link {
            Link::Stream(stream) => stream,
            Link::Datagrams(_) => panic!("this client came over UDP"),
        }
    }
}

/// Its port may be another client's next. One that came over TCP is gone with its connection.
impl Drop for Client {
    fn drop(&mut self) {
        let Link::Datagrams(socket) = &self.link else { return };
        let mut request = message(REFRESH);
        add(&mut request, LIFETIME, &[0; 4]);
        sign(&mut request, &self.nonce);
        if socket.send(&request).is_err() {
            return;
        }
        // What it was sent last stands before the answer.
        let mut buffer = [0; 2048];
        while let Ok(length) = socket.recv(&mut buffer) {
            if buffer[..length].starts_with(&(REFRESH | 0x0100).to_be_bytes()) {
                return;
            }
        }
    }
}

fn xor_address(peer: SocketAddr) -> Vec<u8> {
    let IpAddr::V4(ip) = peer.ip() else { panic!("loopback is IPv4 here") };
    let (port, octets) = (peer.port().to_be_bytes(), ip.octets());
    let mut value = vec![0, 1, port[0] ^ COOKIE[0], port[1] ^ COOKIE[1]];
    value.extend((0..4).map(|index| octets[index] ^ COOKIE[index]));
    value
}

/// A socket of a client or a peer, at an address of its own: coturn may take who comes from one that it knows for who
/// came from there before.
pub fn socket() -> UdpSocket {
    static NEXT: AtomicU32 = AtomicU32::new(u32::from_be_bytes([127, 1, 0, 1]));
    bound(NEXT.fetch_add(1, Ordering::Relaxed).into())
}

/// The same at 127.0.0.x.
pub fn socket_of(x: u8) -> UdpSocket {
    bound(Ipv4Addr::new(127, 0, 0, x))
}

fn bound(address: Ipv4Addr) -> UdpSocket {
    UdpSocket::bind((address, 0)).unwrap()
}

pub fn binding() -> Vec<u8> {
    message(0x0001)
}

/// Allocate without a credential.
pub fn allocate() -> Vec<u8> {
    let mut request = message(ALLOCATE);
    add(&mut request, REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
    request
}

pub fn channel_data(channel: u16, payload: &[u8]) -> Vec<u8> {
    [&channel.to_be_bytes()[..], &(payload.len() as u16).to_be_bytes(), payload].concat()
}

/// A Send indication (RFC 8656 section 11.1).
pub fn send_indication(peer: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut indication = message(SEND);
    add(&mut indication, XOR_PEER_ADDRESS, &xor_address(peer));
    add(&mut indication, DATA, payload);
    indication
}

fn message(kind: u16) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &[0, 0], &COOKIE, &ID].concat()
}

fn add(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&(value.len() as u16).to_be_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
    set_length(message, 0);
}

fn set_length(message: &mut [u8], more: usize) {
    let length = (message.len() - 20 + more) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

/// MESSAGE-INTEGRITY is over a message whose length counts it already (RFC 8489 section 14.5).
fn sign(message: &mut Vec<u8>, nonce: &[u8]) {
    for (kind, value) in [(USERNAME, USER.as_bytes()), (REALM_ATTRIBUTE, REALM.as_bytes()), (NONCE, nonce)] {
        add(message, kind, value);
    }
    set_length(message, 24);
    let key = md5::compute(format!("{USER}:{REALM}:{PASSWORD}"));
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key.0);
    let tag = hmac::sign(&key, message);
    add(message, MESSAGE_INTEGRITY, tag.as_ref());
}

fn get(message: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = &message[20..];
    while let [k0, k1, l0, l1, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        if u16::from_be_bytes([*k0, *k1]) == wanted {
            return behind.get(..length);
        }
        rest = behind.get(length.next_multiple_of(4)..)?;
    }
    None
}
