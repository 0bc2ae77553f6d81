//! The TCP side of relayed addresses (RFC 6062): where peers connect to, and the connections with them.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};

use super::shard::Source;
use super::splice::Splice;
use crate::stun::ConnectionId;
use crate::turn::{AllocationId, Dial, FastMap, canonical};

/// Connections that the kernel may hold for one relayed address.
const BACKLOG: i32 = 16;

/// The socket of a relayed address for TCP. Connections to peers leave from the same address.
#[derive(Debug)]
pub(super) struct RelayListener(TcpListener);

impl RelayListener {
    /// Binds the first of the addresses that is free.
    pub(super) fn bind(candidates: impl Iterator<Item = SocketAddr>) -> io::Result<(Self, SocketAddr)> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in candidates {
            match listen(address) {
                Ok(listener) => return Ok((Self(TcpListener::from_std(listener)), address)),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = open(address)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    // Only now: a second listener must find the port busy, and what connects from it must not.
    socket.set_reuse_port(true)?;
    Ok(socket.into())
}

/// Begins to connect from the address of a relay socket. The stream becomes writable when it stands.
fn connect(from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = open(from)?;
    socket.set_reuse_port(true)?;
    socket.bind(&from.into())?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    Ok(TcpStream::from_std(socket.into()))
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections that linger in TIME_WAIT keep no port busy.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// What is known of a connection that was asked for.
#[derive(Debug)]
pub(super) enum Dialed {
    /// The peer has not answered yet.
    Waits,
    /// It stands.
    Stands,
    /// There will be none.
    Failed(io::Error),
}

/// How far a connection with a peer is.
#[derive(Debug)]
enum State {
    Connecting,
    /// Nothing is read from it: what the peer sends waits in the kernel, and is bounded there.
    Pending,
    /// It is one with the stream of this key.
    Spliced(usize, Splice),
}

#[derive(Debug)]
struct Peer {
    id: ConnectionId,
    socket: TcpStream,
    state: State,
    /// When it goes on, if it is over the bandwidth.
    resumes: Option<Instant>,
}

/// The TCP relay sockets of one shard and their connections.
#[derive(Debug)]
pub(super) struct Peers {
    registry: Registry,
    /// By the index of the allocation.
    listeners: FastMap<usize, (AllocationId, RelayListener)>,
    all: Slab<Peer>,
    by_id: FastMap<ConnectionId, usize>,
    resuming: BTreeSet<(Instant, usize)>,
}

impl Peers {
    pub(super) fn new(registry: Registry) -> Self {
        let (listeners, by_id) = Default::default();
        Self { registry, listeners, all: Slab::new(), by_id, resuming: BTreeSet::new() }
    }

    /// How many connections there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn insert_listener(&mut self, id: AllocationId, mut listener: RelayListener) -> io::Result<()> {
        let index = id.index as usize;
        self.registry.register(&mut listener.0, Source::Acceptor(index).token(), Interest::READABLE)?;
        self.listeners.insert(index, (id, listener));
        Ok(())
    }

    pub(super) fn remove_listener(&mut self, id: AllocationId) {
        let index = id.index as usize;
        if self.listeners.get(&index).is_some_and(|(held, _)| *held == id)
            && let Some((_, mut listener)) = self.listeners.remove(&index)
        {
            // Closing the descriptor ends its registration anyway.
            let _ = self.registry.deregister(&mut listener.0);
        }
    }

    /// The next connection from a peer, with the allocation whose relayed address it came to.
    pub(super) fn accept(&self, index: usize) -> Option<io::Result<(AllocationId, TcpStream, SocketAddr)>> {
        let (id, listener) = self.listeners.get(&index)?;
        Some(listener.0.accept().map(|(socket, from)| (*id, socket, canonical(from))))
    }

    /// Begins to connect.
    pub(super) fn dial(&mut self, dial: Dial) -> io::Result<()> {
        self.insert(dial.connection, connect(dial.from, dial.to)?, State::Connecting)
    }

    /// Keeps a connection from a peer until a client takes it.
    pub(super) fn keep(&mut self, id: ConnectionId, socket: TcpStream) -> io::Result<()> {
        self.insert(id, socket, State::Pending)
    }

    fn insert(&mut self, id: ConnectionId, mut socket: TcpStream, state: State) -> io::Result<()> {
        // What arrives in small pieces is passed on in small pieces.
        let _ = socket.set_nodelay(true);
        let entry = self.all.vacant_entry();
        let token = Source::Peer(entry.key()).token();
        self.registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        self.by_id.insert(id, entry.key());
        entry.insert(Peer { id, socket, state, resumes: None });
        Ok(())
    }

    /// Which connection it is.
    pub(super) fn id(&self, key: usize) -> Option<ConnectionId> {
        self.all.get(key).map(|peer| peer.id)
    }

    /// What has become of an attempt to connect. `None` when it is over already.
    pub(super) fn dialed(&mut self, key: usize) -> Option<Dialed> {
        let peer = self.all.get_mut(key).filter(|peer| matches!(peer.state, State::Connecting))?;
        let dialed = match peer.socket.take_error() {
            Ok(Some(error)) | Err(error) => Dialed::Failed(error),
            Ok(None) => match peer.socket.peer_addr() {
                Ok(_) => Dialed::Stands,
                Err(error) if error.kind() == io::ErrorKind::NotConnected => Dialed::Waits,
                Err(error) => Dialed::Failed(error),
            },
        };
        if matches!(dialed, Dialed::Stands) {
            peer.state = State::Pending;
        }
        Some(dialed)
    }

    /// Makes a connection one with a client's stream, of which these bytes have come already. False when it is gone.
    pub(super) fn splice(&mut self, id: ConnectionId, stream: usize, bytes: &[u8]) -> bool {
        let peer = self.by_id.get(&id).and_then(|key| self.all.get_mut(*key));
        peer.map(|peer| peer.state = State::Spliced(stream, Splice::new(bytes))).is_some()
    }

    /// The stream that a connection is one with, its own socket, and what is on its way between them.
    pub(super) fn spliced(&mut self, id: ConnectionId) -> Option<(usize, &mut TcpStream, &mut Splice)> {
        let peer = self.all.get_mut(*self.by_id.get(&id)?)?;
        match &mut peer.state {
            State::Spliced(stream, splice) => Some((*stream, &mut peer.socket, splice)),
            State::Connecting | State::Pending => None,
        }
    }

    /// Closes a connection, and says which stream it was one with.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<usize> {
        let key = self.by_id.remove(&id)?;
        let mut peer = self.all.try_remove(key)?;
        let _ = self.registry.deregister(&mut peer.socket);
        if let Some(resumes) = peer.resumes {
            self.resuming.remove(&(resumes, key));
        }
        match peer.state {
            State::Spliced(stream, _) => Some(stream),
            State::Connecting | State::Pending => None,
        }
    }

    /// Looks at a connection again at that moment.
    pub(super) fn pause(&mut self, id: ConnectionId, until: Instant) {
        let Some(&key) = self.by_id.get(&id) else { return };
        let Some(peer) = self.all.get_mut(key) else { return };
        if peer.resumes.is_none() {
            peer.resumes = Some(until);
            self.resuming.insert((until, key));
        }
    }

    /// When the next connection goes on that was over the bandwidth.
    pub(super) fn next_resume(&self) -> Option<Instant> {
        self.resuming.first().map(|(at, _)| *at)
    }

    /// A connection that goes on now.
    pub(super) fn take_resumed(&mut self, now: Instant) -> Option<usize> {
        let &(at, key) = self.resuming.first().filter(|(at, _)| *at <= now)?;
        self.resuming.remove(&(at, key));
        if let Some(peer) = self.all.get_mut(key) {
            peer.resumes = None;
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_for_one_listener_and_connections_leave_from_it() {
        let free = || std::iter::once("127.0.0.1:0".parse().unwrap());
        let (first, _) = RelayListener::bind(free()).unwrap();
        let address = first.0.local_addr().unwrap();
        let busy = RelayListener::bind([address].into_iter()).unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::AddrInUse);
        let peers = [0; 2].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let made = peers.each_ref().map(|peer| connect(address, peer.local_addr().unwrap()).unwrap());
        for peer in &peers {
            assert_eq!(peer.accept().unwrap().1, address);
        }
        let busy = RelayListener::bind([address].into_iter()).unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::AddrInUse, "still, though others share it");
        drop((first, made));
    }
}
