//! UDP sockets, behind one facade: [`Listener`] faces clients, [`RelaySocket`] faces peers.
//!
//! Both receive in batches, and say of each datagram from where to where it went. On Linux they also send in batches.

#[cfg(target_os = "linux")]
mod errors;
mod fragmentation;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple"))]
mod option;
#[cfg(any(not(target_os = "linux"), test))]
mod portable;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;

use arrayvec::ArrayVec;
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::batch::Batch;
use super::departures::Run;
use crate::stun::Icmp;

/// What the kernel may hold for a listening socket, in bytes. It grants less where `net.core.rmem_max` is lower.
const SOCKET_BUFFER: usize = 4 << 20;

/// The listening sockets of one address, one for each shard.
#[derive(Debug)]
pub struct Bound {
    address: SocketAddr,
    sockets: Vec<Socket>,
}

impl Bound {
    /// The address, with the port that the system chose where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many shards it has sockets for.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    pub(super) fn into_listeners(self) -> impl Iterator<Item = io::Result<Listener>> {
        self.sockets.into_iter().map(Listener::new)
    }
}

/// Binds an address once for each shard. The kernel spreads clients over them by their addresses (SO_REUSEPORT).
///
/// # Errors
/// What the system says: a busy port, an address that is not this box's, no permission.
pub fn bind(address: SocketAddr, shards: usize) -> io::Result<Bound> {
    // Without SO_REUSEPORT first: another process that has the port must not go unnoticed.
    let probe = open(address, false)?;
    let bound = socket_address(&probe)?;
    drop(probe);
    let sockets = (0..shards).map(|_| open(bound, true)).collect::<io::Result<Vec<_>>>()?;
    Ok(Bound { address: bound, sockets })
}

fn open(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    if shared {
        // A smaller buffer than asked for still works.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn socket_address(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("a UDP socket without an address"))
}

/// What became of what was to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Datagrams that the system did not take.
    pub(super) unsent: u64,
    /// Whether it cannot send several as one, as it turns out.
    pub(super) cannot_join: bool,
}

/// ICMP errors for datagrams that a socket has sent.
#[derive(Debug)]
pub(super) struct Errors {
    /// To whom each was sent, and what was said of it.
    pub(super) told: ArrayVec<(SocketAddr, Icmp), { Errors::AT_ONCE }>,
    /// Whether there are no more.
    pub(super) is_drained: bool,
}

impl Errors {
    /// How many are taken before others get their turn.
    pub(super) const AT_ONCE: usize = 32;
}

/// A socket that clients send to.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Bare,
    local: SocketAddr,
}

impl Listener {
    fn new(socket: Socket) -> io::Result<Self> {
        let local = socket_address(&socket)?;
        let socket = Bare::new(UdpSocket::from_std(socket.into()), local.is_ipv6())?;
        socket.tell_destination();
        Ok(Self { socket, local })
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket.io, token, Interest::READABLE)
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Receives into free slots of the batch, at most so many, and says whether the socket is drained.
    pub(super) fn receive(&self, batch: &mut Batch, most: usize) -> io::Result<bool> {
        self.socket.receive(batch, most)
    }

    /// Sends each run from the address that its client sent to.
    pub(super) fn send<'a>(&self, runs: impl Iterator<Item = Run<'a>>) -> Sent {
        self.socket.send(self.local.is_ipv6(), runs)
    }
}

/// The socket of one relayed address.
#[derive(Debug)]
pub(super) struct RelaySocket {
    socket: Bare,
    is_v6: bool,
}

impl RelaySocket {
    /// Binds the first of the addresses that is free.
    pub(super) fn bind(candidates: impl Iterator<Item = SocketAddr>) -> io::Result<(Self, SocketAddr)> {
        first_free(candidates, |address| Ok((Self::at(address)?, address)))
    }

    /// Binds the first of the addresses that is free and has another free port after it, and that one too.
    pub(super) fn bind_pair(candidates: impl Iterator<Item = SocketAddr>) -> io::Result<(Self, Self, SocketAddr)> {
        first_free(candidates, |address| {
            let beside = address.port().checked_add(1).ok_or(io::ErrorKind::AddrInUse)?;
            Ok((Self::at(address)?, Self::at(SocketAddr::new(address.ip(), beside))?, address))
        })
    }

    fn at(address: SocketAddr) -> io::Result<Self> {
        let is_v6 = address.is_ipv6();
        Ok(Self { socket: Bare::new(UdpSocket::bind(address)?, is_v6)?, is_v6 })
    }

    /// Has the system keep the ICMP errors for what is sent, for [`RelaySocket::take_errors`].
    pub(super) fn keep_errors(&self) {
        self.socket.keep_errors(self.is_v6);
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket.io, token, Interest::READABLE)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.socket.io)
    }

    /// Receives into free slots of the batch, at most so many, and says whether the socket is drained.
    pub(super) fn receive(&self, batch: &mut Batch, most: usize) -> io::Result<bool> {
        self.socket.receive(batch, most)
    }

    pub(super) fn send<'a>(&self, runs: impl Iterator<Item = Run<'a>>) -> Sent {
        self.socket.send(self.is_v6, runs)
    }

    /// Takes some of the ICMP errors that have come for what was sent.
    pub(super) fn take_errors(&self) -> Errors {
        self.socket.take_errors()
    }

    /// Sends without letting anybody cut the datagrams to pieces (RFC 8656 section 11.2). One that is too long for the way
    /// is unsent, as far as this machine knows of it.
    pub(super) fn send_whole<'a>(&self, runs: impl Iterator<Item = Run<'a>>) -> Sent {
        fragmentation::forbid(&self.socket.io, self.is_v6);
        let sent = self.send(runs);
        fragmentation::allow_again(&self.socket.io, self.is_v6);
        sent
    }
}

/// Sends datagrams of one length as one that is split at the end of its way.
#[cfg(all(test, target_os = "linux"))]
pub(super) fn send_joined(socket: &std::net::UdpSocket, to: SocketAddr, all: &[u8], length: usize) {
    option::set(socket, libc::SOL_UDP, libc::UDP_SEGMENT, length as libc::c_int);
    assert_eq!(socket.send_to(all, to).ok(), Some(all.len()));
    option::set(socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0);
}

/// Sends them one by one.
#[cfg(all(test, not(target_os = "linux")))]
pub(super) fn send_joined(socket: &std::net::UdpSocket, to: SocketAddr, all: &[u8], length: usize) {
    all.chunks(length).for_each(|each| assert_eq!(socket.send_to(each, to).ok(), Some(length)));
}

/// What comes of the first address that nobody has.
fn first_free<T>(
    candidates: impl Iterator<Item = SocketAddr>,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in candidates {
        match bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            other => return other,
        }
    }
    Err(last)
}

/// A socket and what its system needs to know of it.
#[derive(Debug)]
struct Bare {
    io: UdpSocket,
    #[cfg(not(target_os = "linux"))]
    state: quinn_udp::UdpSocketState,
}

#[cfg(target_os = "linux")]
impl Bare {
    fn new(io: UdpSocket, is_v6: bool) -> io::Result<Self> {
        fragmentation::allow(&io, is_v6);
        linux::accept_joined(&io);
        Ok(Self { io })
    }

    fn tell_destination(&self) {
        linux::tell_destination(&self.io);
    }

    fn receive(&self, batch: &mut Batch, most: usize) -> io::Result<bool> {
        let most = most.min(batch.free());
        Ok(linux::receive(&self.io, batch, most)? < most)
    }

    fn send<'a>(&self, is_v6: bool, runs: impl Iterator<Item = Run<'a>>) -> Sent {
        linux::send(&self.io, is_v6, runs)
    }

    fn keep_errors(&self, is_v6: bool) {
        errors::keep(&self.io, is_v6);
    }

    fn take_errors(&self) -> Errors {
        errors::take(&self.io)
    }
}

#[cfg(not(target_os = "linux"))]
impl Bare {
    fn new(io: UdpSocket, is_v6: bool) -> io::Result<Self> {
        let state = quinn_udp::UdpSocketState::new((&io).into())?;
        // quinn-udp forbids fragments, as QUIC must; a relay passes on what it gets.
        fragmentation::allow(&io, is_v6);
        Ok(Self { io, state })
    }

    /// It has been told already.
    fn tell_destination(&self) {}

    fn receive(&self, batch: &mut Batch, most: usize) -> io::Result<bool> {
        portable::receive(&self.io, &self.state, batch, most).map(|_| false)
    }

    fn send<'a>(&self, is_v6: bool, runs: impl Iterator<Item = Run<'a>>) -> Sent {
        portable::send(&self.io, &self.state, is_v6, runs)
    }

    /// Here nobody is told of them.
    fn keep_errors(&self, _is_v6: bool) {}

    fn take_errors(&self) -> Errors {
        Errors { told: ArrayVec::new(), is_drained: true }
    }
}
