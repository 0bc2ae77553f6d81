//! A client's TCP or TLS connection: messages one after another (RFC 8489 section 6.2.2, RFC 8656 section 12.5).

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ServerConnection;

use crate::turn::{FiveTuple, Transport};

/// What may wait for a client that does not read, in bytes. What comes on top of it is dropped, as datagrams are.
const MAX_OUTPUT: usize = 256 * 1024;

/// A connection that has turned out to speak TURN, on its way to a shard.
#[derive(Debug)]
pub struct Adopted {
    /// The socket, in non-blocking mode.
    pub socket: std::net::TcpStream,
    /// The TLS session, its handshake done.
    pub tls: Option<ServerConnection>,
    /// The client's address.
    pub client: SocketAddr,
    /// The address that it came in on.
    pub server: SocketAddr,
    /// Says to whom it may concern that the connection has ended, by being dropped.
    pub guard: Box<dyn Guard>,
}

/// Something that is dropped when a connection ends.
pub trait Guard: Send + std::fmt::Debug {}

impl<T: Send + std::fmt::Debug> Guard for T {}

impl Adopted {
    /// Spreads connections over shards.
    pub(super) fn shard_hint(&self) -> usize {
        usize::from(self.client.port())
    }
}

/// What a read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadEnd {
    /// There may be more: call again.
    More,
    /// The socket is drained.
    Drained,
    /// The client is gone, or speaks something else.
    Closed,
}

/// A connection on its shard.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    tls: Option<Box<ServerConnection>>,
    five_tuple: FiveTuple,
    /// The beginning of a message whose end has not come yet: at most one message's worth.
    partial: Vec<u8>,
    /// Bytes for a client that has not read them yet.
    output: Vec<u8>,
    /// Since when it has had no allocation.
    pub(super) idle_since: Option<Instant>,
    _guard: Box<dyn Guard>,
}

impl Stream {
    pub(super) fn new(adopted: Adopted, now: Instant) -> Self {
        let Adopted { socket, tls, client, server, guard } = adopted;
        let transport = if tls.is_some() { Transport::Tls } else { Transport::Tcp };
        Self {
            socket: TcpStream::from_std(socket),
            tls: tls.map(Box::new),
            five_tuple: FiveTuple::new(client, server, transport),
            partial: Vec::new(),
            output: Vec::new(),
            idle_since: Some(now),
            _guard: guard,
        }
    }

    pub(super) fn five_tuple(&self) -> FiveTuple {
        self.five_tuple
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE | Interest::WRITABLE)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.socket)
    }

    /// Reads once into `buffer`, behind what was left of the last read, and says how much is there.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> (usize, ReadEnd) {
        let kept = self.partial.len();
        buffer[..kept].copy_from_slice(&self.partial);
        self.partial.clear();
        let (read, end) = match &mut self.tls {
            None => plain(self.socket.read(&mut buffer[kept..])),
            Some(tls) => read_tls(&mut self.socket, tls, &mut buffer[kept..]),
        };
        (kept + read, end)
    }

    /// Keeps the beginning of a message until the next read.
    pub(super) fn keep(&mut self, partial: &[u8]) {
        self.partial.extend_from_slice(partial);
    }

    /// Sends a message now or later. False, and none of it is sent, when too much waits for the client already.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<bool> {
        if self.output.len() + message.len() > MAX_OUTPUT {
            return Ok(false);
        }
        match &mut self.tls {
            Some(tls) => {
                // A session holds less than the longest message, so what it has encrypted is taken out in between.
                let mut left = message;
                while !left.is_empty() {
                    let taken = tls.writer().write(left)?;
                    while tls.wants_write() {
                        tls.write_tls(&mut self.output)?;
                    }
                    left = left.get(taken..).filter(|_| taken > 0).ok_or(io::ErrorKind::WriteZero)?;
                }
            }
            None if self.output.is_empty() => {
                let sent = match self.socket.write(message) {
                    Ok(sent) => sent,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                    Err(error) => return Err(error),
                };
                self.output.extend_from_slice(&message[sent..]);
                return Ok(true);
            }
            None => self.output.extend_from_slice(message),
        }
        self.flush()?;
        Ok(true)
    }

    /// Writes what waits, as far as the socket takes it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.output)?;
            }
        }
        let mut sent = 0;
        while sent < self.output.len() {
            match self.socket.write(&self.output[sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.drain(..sent);
        if self.output.is_empty() {
            self.output = Vec::new();
        }
        Ok(())
    }
}

fn plain(result: io::Result<usize>) -> (usize, ReadEnd) {
    match result {
        Ok(0) => (0, ReadEnd::Closed),
        Ok(read) => (read, ReadEnd::More),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => (0, ReadEnd::Drained),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => (0, ReadEnd::More),
        Err(_) => (0, ReadEnd::Closed),
    }
}

/// Takes what is decrypted already, or decrypts the next of it.
fn read_tls(socket: &mut TcpStream, tls: &mut ServerConnection, buffer: &mut [u8]) -> (usize, ReadEnd) {
    loop {
        match tls.reader().read(buffer) {
            Ok(0) => return (0, ReadEnd::Closed),
            Ok(read) => return (read, ReadEnd::More),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return (0, ReadEnd::Closed),
        }
        match plain(tls.read_tls(socket)) {
            (_, ReadEnd::More) => {}
            other => return other,
        }
        if tls.process_new_packets().is_err() {
            return (0, ReadEnd::Closed);
        }
    }
}
