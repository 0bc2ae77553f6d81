//! A client's TCP or TLS connection: messages one after another (RFC 8489 section 6.2.2, RFC 8656 section 12.5).

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ServerConnection;

use crate::stun::ConnectionId;
use crate::turn::{FiveTuple, Transport};

/// What may wait for a client that does not read, in bytes. What comes on top of it is dropped, as datagrams are.
const MAX_OUTPUT: usize = 256 * 1024;
/// The same for one that has no allocation, and so may be anyone. One message may wait whatever its length.
const MAX_STRANGER_OUTPUT: usize = 16 * 1024;

/// How much is read from a TLS connection at a time, in bytes. A session by itself reads no more than 4 KiB.
const MAX_ENCRYPTED: usize = 32 * 1024;
/// Bytes of the longest message, which has a STUN header.
const MAX_MESSAGE: usize = 20 + 65_535;
/// The most plaintext of a record that an earlier read has brought the beginning of.
const MAX_RECORD: usize = 16 * 1024 + 256;

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
    /// Spreads connections over shards. Linux gives those who connect even ports, as long as it has some.
    pub(super) fn shard_hint(&self) -> usize {
        usize::from(self.client.port() / 2)
    }

    pub(super) fn five_tuple(&self) -> FiveTuple {
        let transport = if self.tls.is_some() { Transport::Tls } else { Transport::Tcp };
        FiveTuple::new(self.client, self.server, transport)
    }
}

/// What a read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadEnd {
    /// There may be more: call again.
    More,
    /// The socket is drained.
    Drained,
    /// The client sends no more.
    Ended,
    /// The client is gone, or speaks something else.
    Closed,
}

/// A connection on its shard.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    tls: Option<Box<ServerConnection>>,
    five_tuple: FiveTuple,
    /// The beginning of a message whose end has not come yet: at most one message's worth, or what another shard has read.
    partial: Vec<u8>,
    /// Bytes for a client that has not read them yet.
    output: Vec<u8>,
    /// Since when it has had no allocation.
    pub(super) idle_since: Option<Instant>,
    /// The connection with a peer that it is one with: there are no messages on it any more.
    pub(super) spliced: Option<ConnectionId>,
    _guard: Box<dyn Guard>,
}

impl Stream {
    pub(super) fn new(adopted: Adopted, now: Instant) -> Self {
        let five_tuple = adopted.five_tuple();
        let Adopted { socket, mut tls, client: _, server: _, guard } = adopted;
        if let Some(tls) = &mut tls {
            // Ours bounds what waits. The default is less than the largest message, which would end the connection.
            tls.set_buffer_limit(None);
        }
        Self {
            socket: TcpStream::from_std(socket),
            tls: tls.map(Box::new),
            five_tuple,
            partial: Vec::new(),
            output: Vec::new(),
            idle_since: Some(now),
            spliced: None,
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
        if kept > MAX_MESSAGE {
            // There is a whole message already, and perhaps no room for more.
            return (kept, ReadEnd::More);
        }
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

    /// Whether something waits for the next flush, or for the client to read.
    pub(super) fn is_waiting(&self) -> bool {
        !self.output.is_empty()
    }

    /// Takes a message, in pieces, to be sent when it is flushed. False, and none of it is sent, when too much waits for
    /// the client already.
    pub(super) fn send(&mut self, message: [&[u8]; 3]) -> io::Result<bool> {
        let length: usize = message.iter().map(|piece| piece.len()).sum();
        if !self.has_room_for(length) {
            self.flush()?;
            if !self.has_room_for(length) {
                return Ok(false);
            }
        }
        match &mut self.tls {
            // A record each: some clients, coturn's among them, take one record for one message.
            Some(tls) => {
                let written = tls.writer().write_vectored(&message.map(IoSlice::new))?;
                debug_assert_eq!(written, length, "the session has no limit of its own");
                encrypted(tls, &mut self.output)?;
            }
            None => message.iter().for_each(|piece| self.output.extend_from_slice(piece)),
        }
        Ok(true)
    }

    fn has_room_for(&self, length: usize) -> bool {
        let most = if self.idle_since.is_some() { MAX_STRANGER_OUTPUT } else { MAX_OUTPUT };
        !self.is_waiting() || self.output.len() + length <= most
    }

    /// Writes what waits, as far as the socket takes it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            encrypted(tls, &mut self.output)?;
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
        Ok(())
    }

    /// Says that no more will come. False when that waits for the client to read.
    pub(super) fn finish(&mut self) -> io::Result<bool> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.flush()?;
        if self.is_waiting() {
            return Ok(false);
        }
        self.socket.shutdown(Shutdown::Write)?;
        Ok(true)
    }

    /// Gives back memory that nothing waits in.
    pub(super) fn give_back(&mut self) {
        for buffer in [&mut self.output, &mut self.partial] {
            if buffer.is_empty() {
                *buffer = Vec::new();
            }
        }
    }
}

/// Takes out what the session has encrypted.
fn encrypted(tls: &mut ServerConnection, output: &mut Vec<u8>) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(output)?;
    }
    Ok(())
}

fn plain(result: io::Result<usize>) -> (usize, ReadEnd) {
    match result {
        Ok(0) => (0, ReadEnd::Ended),
        Ok(read) => (read, ReadEnd::More),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => (0, ReadEnd::Drained),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => (0, ReadEnd::More),
        Err(_) => (0, ReadEnd::Closed),
    }
}

/// Takes what is decrypted already, or else reads from the socket once: records without content, of which a client
/// can send any number, must not keep the shard here.
///
/// What is read stands at the end of the buffer while it is decrypted into the front of it.
fn read_tls(socket: &mut TcpStream, tls: &mut ServerConnection, buffer: &mut [u8]) -> (usize, ReadEnd) {
    let (taken, end) = take_decrypted(tls, buffer);
    if taken > 0 || end != ReadEnd::More {
        return (taken, end);
    }
    let most = MAX_ENCRYPTED.min(buffer.len().saturating_sub(MAX_RECORD) / 2);
    let (decrypted, encrypted) = buffer.split_at_mut(buffer.len() - most);
    let (read, end) = plain(socket.read(encrypted));
    if end != ReadEnd::More {
        return (0, end);
    }
    let (mut encrypted, mut all) = (&encrypted[..read], 0);
    while !encrypted.is_empty() {
        if tls.read_tls(&mut encrypted).is_err() || tls.process_new_packets().is_err() {
            return (all, ReadEnd::Closed);
        }
        let (taken, end) = take_decrypted(tls, &mut decrypted[all..]);
        all += taken;
        if end != ReadEnd::More {
            return (all, end);
        }
    }
    (all, ReadEnd::More)
}

/// Takes what the session has decrypted, as far as there is room.
fn take_decrypted(tls: &mut ServerConnection, buffer: &mut [u8]) -> (usize, ReadEnd) {
    match tls.reader().read(buffer) {
        Ok(0) if !buffer.is_empty() => (0, ReadEnd::Ended),
        Ok(read) => (read, ReadEnd::More),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => (0, ReadEnd::More),
        Err(_) => (0, ReadEnd::Closed),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use rustls::crypto::ring::default_provider;
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

    use super::*;

    /// Both ends of a TLS session, the handshake done.
    pub(in crate::relay) fn tls_session() -> (ClientConnection, ServerConnection) {
        let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(default_provider());
        let server =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let server = server.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        let mut client = ClientConnection::new(client.into(), "localhost".try_into().unwrap()).unwrap();
        let mut server = ServerConnection::new(server.into()).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            while client.write_tls(&mut wire).unwrap() > 0 {}
            server.read_tls(&mut &wire[..]).unwrap();
            server.process_new_packets().unwrap();
            wire.clear();
            while server.write_tls(&mut wire).unwrap() > 0 {}
            client.read_tls(&mut &wire[..]).unwrap();
            client.process_new_packets().unwrap();
        }
        (client, server)
    }

    #[test]
    fn the_largest_message_fits_through_tls() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, address) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let (mut client, tls) = tls_session();
        let adopted = Adopted { socket, tls: Some(tls), client: address, server: address, guard: Box::new(()) };
        let mut stream = Stream::new(adopted, Instant::now());
        let message = vec![7; 65_552];
        assert!(stream.send([&message, &[], &[]]).unwrap());
        let mut heard = Vec::new();
        while heard.len() < message.len() {
            stream.flush().unwrap();
            client.read_tls(&mut far).unwrap();
            client.process_new_packets().unwrap();
            let mut part = [0; 4096];
            while let Ok(read @ 1..) = client.reader().read(&mut part) {
                heard.extend_from_slice(&part[..read]);
            }
        }
        assert!(heard == message);
    }

    #[test]
    fn what_waits_for_a_slow_reader_is_bounded_and_less_for_a_stranger() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, address) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let adopted = Adopted { socket, tls: None, client: address, server: address, guard: Box::new(()) };
        let mut stream = Stream::new(adopted, Instant::now());
        while stream.send([&[0; 1000], &[], &[]]).unwrap() {}
        assert!((15_000..=MAX_STRANGER_OUTPUT).contains(&stream.output.len()));
        stream.idle_since = None;
        while stream.send([&[0; 1000], &[], &[]]).unwrap() {}
        assert!((250_000..=MAX_OUTPUT).contains(&stream.output.len()));
        drop(far);
    }

    #[test]
    fn records_without_content_give_others_their_turn() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, address) = listener.accept().unwrap();
        let (mut client, tls) = tls_session();
        for _ in 0..8 {
            client.refresh_traffic_keys().unwrap();
            while client.wants_write() {
                client.write_tls(&mut far).unwrap();
            }
        }
        socket.peek(&mut [0]).unwrap();
        socket.set_nonblocking(true).unwrap();
        let adopted = Adopted { socket, tls: Some(tls), client: address, server: address, guard: Box::new(()) };
        let mut stream = Stream::new(adopted, Instant::now());
        assert_eq!(stream.read(&mut vec![0; 131_072]), (0, ReadEnd::More));
    }
}
