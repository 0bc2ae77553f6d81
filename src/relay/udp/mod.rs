//! UDP sockets, behind one facade: [`Listener`] faces clients, [`RelaySocket`] faces peers.
//!
//! `quinn-udp` receives in batches and knows each platform's way to tell a datagram's local address.

mod fragmentation;

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

use super::buffer::{self, SLOT};

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

/// A socket that clients send to.
#[derive(Debug)]
pub(super) struct Listener {
    socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
}

impl Listener {
    fn new(socket: Socket) -> io::Result<Self> {
        let local = socket_address(&socket)?;
        let state = UdpSocketState::new((&socket).into())?;
        // quinn-udp forbids fragments, as QUIC must; a relay passes on what it gets.
        fragmentation::allow(&socket);
        Ok(Self { socket: UdpSocket::from_std(socket.into()), state, local })
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Receives up to a batch. Fewer than that means that the socket is drained.
    pub(super) fn receive(&self, batch: &mut Batch) -> io::Result<usize> {
        let mut slots = batch.slots.chunks_exact_mut(SLOT);
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(slots.next().map_or(&mut [], buffer::receive_into)));
        self.state.recv((&self.socket).into(), &mut buffers, &mut batch.meta)
    }

    /// Sends one datagram from the address that the client sent to.
    pub(super) fn send(&self, to: SocketAddr, from: IpAddr, contents: &[u8]) -> io::Result<()> {
        let destination = self.reachable(to);
        let transmit = Transmit { destination, ecn: None, contents, segment_size: None, src_ip: Some(from) };
        self.state.try_send((&self.socket).into(), &transmit)
    }

    /// A dual-stack socket reaches IPv4 by mapped addresses.
    fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match to {
            SocketAddr::V4(v4) if self.local.is_ipv6() => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            SocketAddr::V4(_) | SocketAddr::V6(_) => to,
        }
    }
}

/// Room for a batch of received datagrams. Pages that no packet has reached take no memory.
#[derive(Debug)]
pub(super) struct Batch {
    slots: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
}

impl Batch {
    pub(super) const SIZE: usize = BATCH_SIZE;

    pub(super) fn new() -> Self {
        Self { slots: vec![0; BATCH_SIZE * SLOT], meta: [RecvMeta::default(); BATCH_SIZE] }
    }

    /// One received buffer: its slot and what is known of it. It may hold several datagrams of `stride` bytes.
    pub(super) fn get(&mut self, index: usize) -> (&mut [u8], RecvMeta) {
        (&mut self.slots[index * SLOT..(index + 1) * SLOT], self.meta[index])
    }
}

/// The socket of one relayed address.
#[derive(Debug)]
pub(super) struct RelaySocket(UdpSocket);

impl RelaySocket {
    /// Binds the first of the addresses that is free.
    pub(super) fn bind(candidates: impl Iterator<Item = SocketAddr>) -> io::Result<(Self, SocketAddr)> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in candidates {
            match UdpSocket::bind(address) {
                Ok(socket) => {
                    fragmentation::allow(&socket);
                    return Ok((Self(socket), address));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.0, token, Interest::READABLE)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.0)
    }

    pub(super) fn receive(&self, slot: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.recv_from(buffer::receive_into(slot))
    }

    pub(super) fn send(&self, to: SocketAddr, payload: &[u8]) -> io::Result<usize> {
        self.0.send_to(payload, to)
    }
}
