//! One shard: the loop that waits for its sockets and does what its server says.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use mio::{Events, Poll, Token};

use super::buffer::{SLOT, in_slot};
use super::mailbox::{Command, HopPacket, Mailbox, WAKE};
use super::sockets::Sockets;
use super::stream::{Adopted, ReadEnd};
use super::udp::{Batch, Listener, RelaySocket};
use super::{buffer, server_address};
use crate::stun::{HEADROOM, NextMessage, next_message};
use crate::turn::{self, FiveTuple, Forward, Now, Opening, Route, Step, Transport};

/// Reads from one socket before the others get their turn.
const TURNS: usize = 4;
/// Packets from one relay socket before the others get their turn.
const RELAY_TURN: usize = 64;
/// How often counters are published and idle connections looked for.
const TICK: Duration = Duration::from_secs(1);
/// How long a connection may go without an allocation.
const STREAM_IDLE: Duration = Duration::from_secs(30);
/// What a stream is read into: the beginning of one message and as much again.
const STREAM_BUFFER: usize = HEADROOM + 2 * SLOT;

/// What a token stands for. Its two lowest bits say which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Mailbox,
    Listener(usize),
    Relay(usize),
    Stream(usize),
}

impl Source {
    pub(super) fn token(self) -> Token {
        match self {
            Self::Mailbox => WAKE,
            Self::Listener(index) => Token(index << 2 | 1),
            Self::Relay(index) => Token(index << 2 | 2),
            Self::Stream(index) => Token(index << 2 | 3),
        }
    }

    fn of(token: Token) -> Self {
        let index = token.0 >> 2;
        match token.0 & 3 {
            1 => Self::Listener(index),
            2 => Self::Relay(index),
            3 => Self::Stream(index),
            _ => Self::Mailbox,
        }
    }
}

/// What is received into, apart from the shard so that a packet and the shard can be borrowed at once.
#[derive(Debug)]
struct Buffers {
    batch: Batch,
    slot: Vec<u8>,
    stream: Vec<u8>,
}

/// A shard of the data plane.
#[derive(Debug)]
pub(super) struct Shard {
    index: usize,
    server: turn::Server,
    poll: Poll,
    sockets: Sockets,
    mailboxes: Arc<[Mailbox]>,
    reply: Vec<u8>,
    /// Sources that were not drained.
    pending: BTreeSet<Token>,
    next_tick: Instant,
    stopped: bool,
}

impl Shard {
    pub(super) fn new(
        index: usize,
        server: turn::Server,
        poll: Poll,
        listeners: Vec<Listener>,
        mailboxes: Arc<[Mailbox]>,
    ) -> io::Result<Self> {
        let registry = poll.registry().try_clone()?;
        Ok(Self {
            index,
            server,
            poll,
            sockets: Sockets::new(registry, listeners)?,
            mailboxes,
            reply: Vec::with_capacity(1024),
            pending: BTreeSet::new(),
            next_tick: Instant::now(),
            stopped: false,
        })
    }

    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// When the system does not let it wait for its sockets any more.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut buffers = Buffers { batch: Batch::new(), slot: vec![0; SLOT], stream: vec![0; STREAM_BUFFER] };
        while !self.stopped {
            if let Err(error) = self.poll.poll(&mut events, Some(self.timeout()))
                && error.kind() != io::ErrorKind::Interrupted
            {
                return Err(error);
            }
            self.pending.extend(events.iter().map(mio::event::Event::token));
            let now = clock();
            for token in std::mem::take(&mut self.pending) {
                if self.serve(Source::of(token), &mut buffers, now) {
                    self.pending.insert(token);
                }
            }
            self.server.expire(now.instant);
            self.close_ended();
            if now.instant >= self.next_tick {
                self.tick(now.instant);
            }
        }
        Ok(())
    }

    fn timeout(&self) -> Duration {
        if !self.pending.is_empty() {
            return Duration::ZERO;
        }
        let due = self.server.next_expiry().map_or(self.next_tick, |expiry| expiry.min(self.next_tick));
        due.saturating_duration_since(Instant::now())
    }

    /// Serves a source for one turn and says whether there may be more.
    fn serve(&mut self, source: Source, buffers: &mut Buffers, now: Now) -> bool {
        match source {
            Source::Mailbox => self.serve_mailbox(&mut buffers.slot, now),
            Source::Listener(index) => self.serve_listener(index, &mut buffers.batch, now),
            Source::Relay(index) => self.serve_relay(index, &mut buffers.slot, now),
            Source::Stream(key) => self.serve_stream(key, &mut buffers.stream, now),
        }
    }

    fn serve_mailbox(&mut self, slot: &mut [u8], now: Now) -> bool {
        let mailboxes = Arc::clone(&self.mailboxes);
        let mailbox = &mailboxes[self.index];
        mailbox.clear_wake();
        while let Some(command) = mailbox.next_command() {
            match command {
                Command::Adopt(adopted) => self.adopt(*adopted, now.instant),
                Command::Revoke(member) => self.server.revoke(member),
                Command::Reconfigure(options) => self.server.reconfigure(options),
                Command::Stop => self.stopped = true,
            }
        }
        self.close_ended();
        for HopPacket { hop, payload } in std::iter::from_fn(|| mailbox.next_hop()).take(RELAY_TURN) {
            if let Some(delivery) = self.server.handle_hop(hop, payload.len(), now.instant) {
                let range = in_slot(0..payload.len());
                slot[range.clone()].copy_from_slice(&payload);
                self.deliver(&delivery, slot, range);
            }
        }
        mailbox.has_hops()
    }

    fn adopt(&mut self, adopted: Adopted, now: Instant) {
        // The system uses a five-tuple again only when the connection that had it is gone: only the news of that is
        // still on its way, and would end the new one.
        if let Some(gone) = self.sockets.stream_of(&adopted.five_tuple()) {
            self.disconnect(gone);
        }
        match self.sockets.adopt(adopted, now) {
            // What the handshake has read already will not wake the poll.
            Ok(key) => drop(self.pending.insert(Source::Stream(key).token())),
            Err(error) => tracing::warn!(%error, "a connection cannot be polled"),
        }
    }

    fn serve_listener(&mut self, index: usize, batch: &mut Batch, now: Now) -> bool {
        for _ in 0..TURNS {
            let listener = self.sockets.listener(index);
            let local = listener.local();
            let received = match listener.receive(batch) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => {
                    tracing::debug!(%error, "receive failed");
                    continue;
                }
            };
            for number in 0..received {
                let (slot, meta) = batch.get(number);
                let from = FiveTuple::new(meta.addr, server_address(local, meta.dst_ip), Transport::Udp);
                let stride = meta.stride.max(1);
                for start in (0..meta.len.max(1)).step_by(stride) {
                    let end = (start + stride).min(meta.len);
                    self.handle_client(from, slot, in_slot(start..end), now);
                }
            }
            if received < Batch::SIZE {
                return false;
            }
        }
        true
    }

    fn serve_relay(&mut self, index: usize, slot: &mut [u8], now: Now) -> bool {
        for _ in 0..RELAY_TURN {
            let Some((id, socket)) = self.sockets.relay(index) else { return false };
            match socket.receive(slot) {
                Ok((length, from)) => {
                    let from = turn::canonical(from);
                    if let Some(delivery) = self.server.handle_peer(id, from, length, now.instant) {
                        self.deliver(&delivery, slot, in_slot(0..length));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => tracing::debug!(%error, "receive failed"),
            }
        }
        true
    }

    fn serve_stream(&mut self, key: usize, buffer: &mut [u8], now: Now) -> bool {
        for _ in 0..TURNS {
            let Some(stream) = self.sockets.stream(key) else { return false };
            let from = stream.five_tuple();
            let (length, end) = stream.read(&mut buffer[HEADROOM..STREAM_BUFFER - HEADROOM]);
            let Some(used) = self.handle_stream(from, buffer, length, now) else {
                self.disconnect(key);
                return false;
            };
            let Some(stream) = self.sockets.stream(key) else { return false };
            stream.keep(&buffer[in_slot(used..length)]);
            // Also at the end: TLS may have an alert to send.
            if stream.flush().is_err() || end == ReadEnd::Closed {
                self.disconnect(key);
                return false;
            }
            if end == ReadEnd::Drained {
                return false;
            }
        }
        true
    }

    /// Handles every whole message and says how many bytes they were. `None` when the stream makes no sense.
    fn handle_stream(&mut self, from: FiveTuple, buffer: &mut [u8], length: usize, now: Now) -> Option<usize> {
        let mut at = 0;
        loop {
            match next_message(&buffer[in_slot(at..length)]) {
                NextMessage::Whole(whole) => {
                    self.handle_client(from, buffer, in_slot(at..at + whole), now);
                    at += whole;
                }
                NextMessage::Partial => return Some(at),
                NextMessage::Garbage => return None,
            }
        }
    }

    /// Handles one message of a client, which stands at `range` of the slot.
    fn handle_client(&mut self, from: FiveTuple, slot: &mut [u8], range: std::ops::Range<usize>, now: Now) {
        self.reply.clear();
        match self.server.handle_client(from, &slot[range.clone()], now, &mut self.reply) {
            Step::Done => {}
            Step::Reply => self.sockets.send(&from, &self.reply),
            Step::Forward(Forward { payload, route }) => {
                let payload = range.start + payload.start..range.start + payload.end;
                self.forward(route, slot, payload);
            }
            Step::Open(opening) => self.open(from, *opening, now.instant),
        }
        self.close_ended();
    }

    fn forward(&mut self, route: Route, slot: &mut [u8], payload: std::ops::Range<usize>) {
        match route {
            Route::Peer { allocation, to } => self.sockets.send_to_peer(allocation, to, &slot[payload]),
            Route::Client(delivery) => self.deliver(&delivery, slot, payload),
            Route::Shard { shard, hop } => {
                let packet = HopPacket { hop, payload: slot[payload].into() };
                self.mailboxes[usize::from(shard.0)].hop(packet);
            }
        }
    }

    fn deliver(&mut self, delivery: &turn::Delivery, slot: &mut [u8], payload: std::ops::Range<usize>) {
        buffer::wrap(slot, payload, &delivery.framing, |message| self.sockets.send(&delivery.to, message));
    }

    /// Binds the relay socket that an Allocate asks for, and only then answers.
    fn open(&mut self, from: FiveTuple, opening: Opening, now: Instant) {
        let bound = RelaySocket::bind(opening.candidates());
        if let Err(error) = &bound {
            tracing::debug!(%error, "no relay socket");
        }
        let (socket, address) = match bound {
            Ok((socket, address)) => (Some(socket), Ok(address)),
            Err(error) => (None, Err(error)),
        };
        if let (Some(id), Some(socket)) = (self.server.opened(opening, address, now, &mut self.reply), socket)
            && let Err(error) = self.sockets.insert_relay(id, socket)
        {
            tracing::warn!(%error, "a relay socket cannot be polled");
            self.server.disconnected(from);
            return;
        }
        self.sockets.send(&from, &self.reply);
    }

    fn disconnect(&mut self, key: usize) {
        if let Some(from) = self.sockets.remove_stream(key) {
            self.server.disconnected(from);
            self.close_ended();
        }
    }

    fn close_ended(&mut self) {
        while let Some(id) = self.server.take_closed() {
            self.sockets.remove_relay(id);
        }
        while let Some(key) = self.sockets.take_broken() {
            if let Some(from) = self.sockets.remove_stream(key) {
                self.server.disconnected(from);
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        self.next_tick = now + TICK;
        for key in self.sockets.idle_streams(&self.server, now, STREAM_IDLE) {
            self.disconnect(key);
        }
        let shard = self.index.to_string();
        for (event, count) in self.server.counters().each().into_iter().chain(self.sockets.counters()) {
            metrics::counter!("lanturn_relay_total", "event" => event, "shard" => shard.clone()).absolute(count);
        }
        let dropped = self.mailboxes[self.index].dropped();
        metrics::counter!("lanturn_relay_total", "event" => "hops_dropped", "shard" => shard.clone()).absolute(dropped);
        metrics::gauge!("lanturn_relay_allocations", "shard" => shard.clone()).set(self.server.len() as f64);
        metrics::gauge!("lanturn_relay_streams", "shard" => shard).set(self.sockets.stream_count() as f64);
    }
}

fn clock() -> Now {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    Now { instant: Instant::now(), unix }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;
    use crate::credentials::{Secrets, Verifier};
    use crate::turn::{Limits, Nonces, Options, PeerPolicy, Quota, RelayAddresses, ShardId, Shared};

    fn shard() -> Shard {
        let poll = Poll::new().unwrap();
        let mailboxes = [Mailbox::new(poll.registry()).unwrap()].into();
        let verifier = Verifier::new("r", Secrets::parse("0123456789abcdef").unwrap(), &[], Arc::default());
        let (policy, addresses) = (PeerPolicy::default(), RelayAddresses::default());
        let options = Arc::new(Options { verifier, policy, addresses, ports: 50_000..=50_999 });
        let limits = Limits { allocations: 1, permissions: 1, channels: 1, bandwidth: 0 };
        let quota = Quota::new(limits, limits, limits, Instant::now());
        let shared = Shared { quota, relayed: Arc::default(), nonces: Nonces::new(&[0; 32]), unauthorized_rate: 1 };
        let server = turn::Server::new(ShardId(0), options, shared, [0; 32], Instant::now());
        Shard::new(0, server, poll, Vec::new(), mailboxes).unwrap()
    }

    /// A connection as the listener hands it over, said to come from `client`, and the far end of it.
    fn connection(client: SocketAddr) -> (Adopted, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        (Adopted { socket, tls: None, client, server: client, guard: Box::new(()) }, far)
    }

    #[test]
    fn a_connection_outlives_the_end_of_one_that_had_its_five_tuple() {
        let (mut shard, client) = (shard(), "192.0.2.1:5000".parse().unwrap());
        let mut buffers = Buffers { batch: Batch::new(), slot: vec![0; SLOT], stream: vec![0; STREAM_BUFFER] };
        let (first, far) = connection(client);
        shard.adopt(first, clock().instant);
        drop(far);
        let (second, mut far) = connection(client);
        shard.adopt(second, clock().instant);
        let mut binding = [0; 20];
        binding[..8].copy_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42]);
        far.write_all(&binding).unwrap();
        for token in std::mem::take(&mut shard.pending) {
            shard.serve(Source::of(token), &mut buffers, clock());
        }
        let mut answer = [0; 32];
        far.read_exact(&mut answer).unwrap();
        assert_eq!(answer[..2], [1, 1]);
    }

    #[test]
    fn a_token_names_its_source() {
        for source in [Source::Mailbox, Source::Listener(0), Source::Relay(7), Source::Stream(70_000)] {
            assert_eq!(Source::of(source.token()), source);
        }
    }
}
