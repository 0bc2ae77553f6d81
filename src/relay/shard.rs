//! One shard: the loop that waits for its sockets and does what its server says.

mod dtls;

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use mio::{Events, Poll, Token};

use super::batch::Batch;
use super::departures::Place;
use super::dtls::Sessions;
use super::mailbox::{Command, Mailbox, WAKE};
use super::moving::Elsewhere;
use super::opening::Opened;
use super::outbound::Outbound;
use super::peers::Peers;
use super::server_address;
use super::sockets::Sockets;
use super::spares::Spares;
use super::stream::{Adopted, ReadEnd};
use super::udp::Listener;
use crate::stun::{ConnectionId, NextMessage, next_message};
use crate::turn::{self, FiveTuple, Forward, Now, Opening, RelayTransport, Route, ShardId, Step, Transport};

/// Reads from one socket before the others get their turn.
const TURNS: usize = 4;
/// Receives from one relay socket before the others get their turn.
const RELAY_TURN: usize = 32;
/// Batches from other shards before the sockets get their turn.
const HOPS_TURN: usize = 16;
/// How often counters are published and idle connections looked for.
const TICK: Duration = Duration::from_secs(1);
/// How long a connection may go without an allocation.
const STREAM_IDLE: Duration = Duration::from_secs(30);
/// Slots of a batch that a stream is read into: the beginning of one message and as much again.
pub(super) const STREAM_SLOTS: usize = 2;

/// What a token stands for. Its three lowest bits say which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Mailbox,
    Listener(usize),
    Relay(usize),
    Stream(usize),
    Acceptor(usize),
    Peer(usize),
}

impl Source {
    pub(super) fn token(self) -> Token {
        match self {
            Self::Mailbox => WAKE,
            Self::Listener(index) => Token(index << 3 | 1),
            Self::Relay(index) => Token(index << 3 | 2),
            Self::Stream(index) => Token(index << 3 | 3),
            Self::Acceptor(index) => Token(index << 3 | 4),
            Self::Peer(index) => Token(index << 3 | 5),
        }
    }

    pub(super) fn of(token: Token) -> Self {
        let index = token.0 >> 3;
        match token.0 & 7 {
            1 => Self::Listener(index),
            2 => Self::Relay(index),
            3 => Self::Stream(index),
            4 => Self::Acceptor(index),
            5 => Self::Peer(index),
            _ => Self::Mailbox,
        }
    }
}

/// What a client's connection carries from the next byte on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Messages,
    /// Bytes for a peer.
    Bytes(ConnectionId),
    /// What another shard is to handle, the last message first.
    Elsewhere(ShardId),
}

/// A shard of the data plane.
///
/// A turn serves each socket that is ready. What follows from what they brought is sent at the end of it, or earlier
/// when the batch is full.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) index: usize,
    pub(super) server: turn::Server,
    poll: Poll,
    pub(super) sockets: Sockets,
    pub(super) peers: Peers,
    pub(super) mailboxes: Arc<[Mailbox]>,
    spares: Arc<Spares>,
    pub(super) batch: Batch,
    pub(super) out: Outbound,
    /// Sources that may have something.
    pub(super) ready: Vec<Token>,
    /// Those of them that an error has come for.
    pub(super) failing: Vec<Token>,
    next_tick: Instant,
    stopped: bool,
}

impl Shard {
    pub(super) fn new(
        index: usize,
        server: turn::Server,
        poll: Poll,
        listeners: Vec<Listener>,
        sessions: Sessions,
        mailboxes: Arc<[Mailbox]>,
        spares: Arc<Spares>,
    ) -> io::Result<Self> {
        let registry = poll.registry().try_clone()?;
        let peers = Peers::new(poll.registry().try_clone()?);
        Ok(Self {
            index,
            server,
            poll,
            sockets: Sockets::new(registry, listeners, sessions)?,
            peers,
            batch: Batch::new(),
            out: Outbound::new(mailboxes.len()),
            mailboxes,
            spares,
            ready: Vec::new(),
            failing: Vec::new(),
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
        while !self.stopped {
            self.cycle(&mut events, self.timeout())?;
        }
        Ok(())
    }

    /// Waits until there is something, and does what follows from it.
    pub(super) fn cycle(&mut self, events: &mut Events, timeout: Duration) -> io::Result<()> {
        if let Err(error) = self.poll.poll(events, Some(timeout))
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error);
        }
        for event in events.iter() {
            self.ready.push(event.token());
            if event.is_error() {
                self.failing.push(event.token());
            }
        }
        let now = clock();
        self.serve_errors(now.instant);
        self.resume(now.instant);
        self.turn(now);
        self.server.expire(now.instant);
        self.end_overdue(now.instant);
        self.close_ended();
        if now.instant >= self.next_tick {
            self.tick(now.instant);
        }
        Ok(())
    }

    /// What was done, refused and dropped, by name.
    pub(super) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let hops_dropped = ("hops_dropped", self.mailboxes[self.index].dropped());
        let dtls = self.sockets.dtls.counters();
        self.server.counters().each().into_iter().chain(self.sockets.counters()).chain(dtls).chain([hops_dropped])
    }

    fn timeout(&self) -> Duration {
        if !self.ready.is_empty() || !self.failing.is_empty() {
            return Duration::ZERO;
        }
        let due =
            [self.server.next_expiry(), self.sockets.dtls.next_due(), self.peers.next_resume()].into_iter().flatten();
        let due = due.fold(self.next_tick, Instant::min);
        due.saturating_duration_since(Instant::now())
    }

    /// Serves each source that is ready once, and sends what follows from it.
    fn turn(&mut self, now: Now) {
        let mut tokens = std::mem::take(&mut self.ready);
        // What was not drained may have had news, too.
        tokens.sort_unstable();
        tokens.dedup();
        tokens.retain(|&token| self.serve(Source::of(token), now));
        // While they were served others may have become ready.
        tokens.append(&mut self.ready);
        self.ready = tokens;
        self.sockets.dtls.expire(now.instant);
        self.flush();
        self.close_ended();
    }

    /// Sends what waits, after which there is room to receive again.
    fn flush(&mut self) {
        self.out.flush(&self.batch, &mut self.sockets, &self.mailboxes);
        self.batch.clear();
    }

    /// Makes room for at least so many slots.
    pub(super) fn make_room(&mut self, slots: usize) {
        if self.batch.free() < slots {
            self.flush();
        }
    }

    /// Serves a source for one turn and says whether there may be more.
    fn serve(&mut self, source: Source, now: Now) -> bool {
        match source {
            Source::Mailbox => self.serve_mailbox(now),
            Source::Listener(index) => self.serve_listener(index, now),
            Source::Relay(index) => self.serve_relay(index, now),
            Source::Stream(key) => self.serve_stream(key, now),
            Source::Acceptor(index) => self.serve_acceptor(index, now),
            Source::Peer(key) => self.serve_peer(key, now),
        }
    }

    fn serve_mailbox(&mut self, now: Now) -> bool {
        let mailboxes = Arc::clone(&self.mailboxes);
        let mailbox = &mailboxes[self.index];
        mailbox.clear_wake();
        while let Some(command) = mailbox.next_command() {
            match command {
                Command::Adopt(adopted) => self.adopt(*adopted, now.instant),
                Command::TakeOver(stream) => self.take_over(*stream),
                Command::Revoke(member) => self.server.revoke(member),
                Command::Reconfigure(options) => self.server.reconfigure(options),
                Command::Look(elsewhere) => self.look(*elsewhere, now),
                Command::Settle(settled) => self.settle(settled, now.instant),
                Command::Show(identity) => self.sockets.dtls.show(identity),
                Command::Stop => self.stopped = true,
            }
        }
        self.close_ended();
        for hops in std::iter::from_fn(|| mailbox.next_hops()).take(HOPS_TURN) {
            let (packets, bytes) = hops.open();
            let place = self.out.arrive(bytes);
            for (hop, payload) in packets {
                if let Some(delivery) = self.server.handle_hop(hop, payload.len(), now.instant) {
                    self.out.deliver(delivery, (place, payload), &self.batch, &mut self.sockets);
                }
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
            Ok(key) => self.ready.push(Source::Stream(key).token()),
            Err(error) => tracing::warn!(%error, "a connection cannot be polled"),
        }
    }

    fn serve_listener(&mut self, index: usize, now: Now) -> bool {
        for _ in 0..TURNS {
            self.make_room(Batch::SLOTS / 2);
            let (listener, first) = (self.sockets.listener(index), self.batch.received().len());
            let local = listener.local();
            let is_drained = match listener.receive(&mut self.batch, Batch::SLOTS) {
                Ok(is_drained) => is_drained,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => {
                    tracing::debug!(%error, "receive failed");
                    continue;
                }
            };
            for number in first..self.batch.received().len() {
                let received = self.batch.received()[number];
                let from = FiveTuple::new(received.from, server_address(local, received.to), Transport::Udp);
                for range in received.datagrams() {
                    self.handle_client(from, range, now);
                }
            }
            if is_drained {
                return false;
            }
        }
        true
    }

    fn serve_relay(&mut self, index: usize, now: Now) -> bool {
        self.make_room(RELAY_TURN / 2);
        let first = self.batch.received().len();
        let Some((id, socket)) = self.sockets.relay(index) else { return false };
        let is_drained = match socket.receive(&mut self.batch, RELAY_TURN) {
            Ok(is_drained) => is_drained,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) => {
                tracing::debug!(%error, "receive failed");
                return true;
            }
        };
        for number in first..self.batch.received().len() {
            let received = self.batch.received()[number];
            let from = turn::canonical(received.from);
            for range in received.datagrams() {
                if let Some(delivery) = self.server.handle_peer(id, from, range.len(), now.instant) {
                    self.out.deliver(delivery, (Place::Batch, range), &self.batch, &mut self.sockets);
                }
            }
        }
        !is_drained
    }

    fn serve_stream(&mut self, key: usize, now: Now) -> bool {
        for _ in 0..TURNS {
            self.make_room(STREAM_SLOTS);
            let Some(stream) = self.sockets.stream(key) else { return false };
            if let Some(id) = stream.spliced {
                return self.pump(id, now);
            }
            let (from, room) = (stream.five_tuple(), self.batch.claim(STREAM_SLOTS));
            let (length, end) = stream.read(self.batch.claimed(room.clone()));
            self.batch.give_back(room.clone(), length);
            let read = room.start..room.start + length;
            let Some((used, next)) = self.handle_stream(from, read.clone(), now) else {
                self.disconnect(key);
                return false;
            };
            match next {
                Next::Messages => {}
                Next::Bytes(id) => return self.splice(key, id, used..read.end, now),
                Next::Elsewhere(shard) => {
                    self.hand_over(key, shard, used..read.end);
                    return false;
                }
            }
            let Some(stream) = self.sockets.stream(key) else { return false };
            stream.keep(&self.batch.bytes()[used..read.end]);
            // Also at the end: TLS may have an alert to send.
            if stream.flush().is_err() || matches!(end, ReadEnd::Ended | ReadEnd::Closed) {
                self.disconnect(key);
                return false;
            }
            if end == ReadEnd::Drained {
                return false;
            }
        }
        true
    }

    /// Handles every whole message and says where the first byte is that is not handled, and what begins there. `None`
    /// when the stream makes no sense.
    fn handle_stream(&mut self, from: FiveTuple, read: Range<usize>, now: Now) -> Option<(usize, Next)> {
        let mut at = read.start;
        loop {
            match next_message(&self.batch.bytes()[at..read.end]) {
                NextMessage::Whole(whole) => match self.handle_client(from, at..at + whole, now) {
                    Next::Messages => at += whole,
                    Next::Bytes(id) => return Some((at + whole, Next::Bytes(id))),
                    Next::Elsewhere(shard) => return Some((at, Next::Elsewhere(shard))),
                },
                NextMessage::Partial => return Some((at, Next::Messages)),
                NextMessage::Garbage => return None,
            }
        }
    }

    /// Handles one message of a client, which stands at `range` of the batch.
    fn handle_client(&mut self, from: FiveTuple, range: Range<usize>, now: Now) -> Next {
        let mut next = Next::Messages;
        let replies = self.out.replies.len();
        match self.server.handle_client(from, &self.batch.bytes()[range.clone()], now, &mut self.out.replies) {
            Step::Done => {}
            Step::Reply => self.out.reply(&from, replies, &self.batch, &mut self.sockets),
            Step::ReplyAs(other) => self.out.reply(&other, replies, &self.batch, &mut self.sockets),
            Step::Forward(Forward { payload, route }) => {
                self.forward(route, range.start + payload.start..range.start + payload.end);
            }
            Step::Decrypt => self.decrypt(from, range, now),
            Step::Open(opening) if opening.transport() == RelayTransport::Tcp => {
                self.open_tcp(from, *opening, now.instant);
            }
            Step::Open(opening) => self.open(from, *opening, now.instant),
            Step::Elsewhere(shard) => {
                let packet = self.batch.bytes()[range].into();
                self.mailboxes[usize::from(shard.0)].look(Elsewhere { from, packet, back: self.index });
            }
            Step::Move(moving) => {
                let settled = self.take_along(moving);
                self.settle(settled, now.instant);
            }
            Step::Connect(dial) => self.dial(dial, now.instant),
            Step::Bind(id) => {
                self.out.reply(&from, replies, &self.batch, &mut self.sockets);
                next = Next::Bytes(id);
            }
            Step::HandOver(shard) => next = Next::Elsewhere(shard),
        }
        self.close_ended();
        next
    }

    fn forward(&mut self, route: Route, payload: Range<usize>) {
        match route {
            Route::Peer { allocation, to, dont_fragment } => {
                self.out.pass_to_peer(allocation, (to, dont_fragment), (Place::Batch, payload));
            }
            Route::Client(delivery) => {
                self.out.deliver(delivery, (Place::Batch, payload), &self.batch, &mut self.sockets);
            }
            Route::Shard { shard, hop } => {
                self.out.pass_to_shard(usize::from(shard.0), hop, &self.batch.bytes()[payload], &self.mailboxes);
            }
        }
    }

    /// Binds the relay sockets that an Allocate asks for, and only then answers.
    fn open(&mut self, from: FiveTuple, opening: Opening, now: Instant) {
        let mut opened = Opened::new(&opening, &self.spares);
        let replies = self.out.replies.len();
        let ids = self.server.opened(opening, &opened.addresses(), now, &mut self.out.replies);
        opened.keep_beside(&self.spares);
        for (id, socket) in ids.into_iter().zip(opened.sockets) {
            let (Some(id), Some((socket, _))) = (id, socket) else { continue };
            if let Err(error) = self.sockets.insert_relay(id, socket) {
                tracing::warn!(%error, "a relay socket cannot be polled");
                self.server.disconnected(from);
                return;
            }
        }
        self.out.reply(&from, replies, &self.batch, &mut self.sockets);
    }

    pub(super) fn disconnect(&mut self, key: usize) {
        if let Some(id) = self.sockets.stream(key).and_then(|stream| stream.spliced) {
            self.server.close_connection(id);
            self.close_ended();
        } else if let Some(from) = self.sockets.remove_stream(key) {
            self.server.disconnected(from);
            self.close_ended();
        }
    }

    pub(super) fn close_ended(&mut self) {
        while let Some(from) = self.sockets.dtls.take_ended() {
            self.server.disconnected(from);
        }
        self.close_connections();
        while let Some(id) = self.server.take_closed() {
            // What it was sent before it ended goes out by its socket.
            if !self.out.is_empty() {
                self.out.flush(&self.batch, &mut self.sockets, &self.mailboxes);
            }
            self.sockets.remove_relay(id);
            self.peers.remove_listener(id);
        }
        while let Some(key) = self.sockets.take_broken() {
            if let Some(from) = self.sockets.remove_stream(key) {
                self.server.disconnected(from);
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        self.next_tick = now + TICK;
        self.ready.push(Source::Mailbox.token());
        for key in self.sockets.idle_streams(&self.server, now, STREAM_IDLE) {
            self.disconnect(key);
        }
        for reserved in self.server.expire_reservations(now) {
            self.spares.take(reserved);
        }
        self.sockets.dtls.sweep(now, |from| self.server.has_allocation(from));
        let shard = self.index.to_string();
        for (event, count) in self.counters() {
            metrics::counter!("lanturn_relay_total", "event" => event, "shard" => shard.clone()).absolute(count);
        }
        for (reason, rule, count) in self.server.refused() {
            let labels = [("reason", reason.to_owned()), ("rule", rule.to_owned()), ("shard", shard.clone())];
            metrics::counter!("lanturn_relay_refused_total", &labels).absolute(count);
        }
        metrics::gauge!("lanturn_relay_allocations", "shard" => shard.clone()).set(self.server.len() as f64);
        metrics::gauge!("lanturn_relay_dtls_sessions", "shard" => shard.clone()).set(self.sockets.dtls.len() as f64);
        metrics::gauge!("lanturn_relay_connections", "shard" => shard.clone()).set(self.peers.len() as f64);
        metrics::gauge!("lanturn_relay_streams", "shard" => shard).set(self.sockets.stream_count() as f64);
    }
}

fn clock() -> Now {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    Now { instant: Instant::now(), unix }
}

#[cfg(test)]
impl Shard {
    pub(super) fn mailbox(&self) -> &Mailbox {
        &self.mailboxes[self.index]
    }
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
        let options = Arc::new(Options {
            verifier,
            policy,
            addresses,
            ports: 50_000..=50_999,
            open_ports: None,
            alternate: Default::default(),
            icmp: true,
        });
        let limits = Limits { allocations: 1, permissions: 1, channels: 1, bandwidth: 0 };
        let quota = Quota::new(limits, limits, limits, Instant::now());
        let (relayed, connections, reservations) = (Arc::default(), Arc::default(), Arc::default());
        let (sightings, nonces) = (Arc::default(), Nonces::new(&[0; 32]));
        let shared = Shared {
            quota,
            relayed,
            connections,
            reservations,
            sightings,
            nonces,
            behavior: None,
            unauthorized_rate: 1,
        };
        let server = turn::Server::new(ShardId(0), options, shared, [0; 32], Instant::now());
        Shard::new(0, server, poll, Vec::new(), Sessions::none(), mailboxes, Arc::default()).unwrap()
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
        let (first, far) = connection(client);
        shard.adopt(first, clock().instant);
        drop(far);
        let (second, mut far) = connection(client);
        shard.adopt(second, clock().instant);
        let mut binding = [0; 20];
        binding[..8].copy_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42]);
        far.write_all(&binding).unwrap();
        shard.turn(clock());
        let mut answer = [0; 32];
        far.read_exact(&mut answer).unwrap();
        assert_eq!(answer[..2], [1, 1]);
    }

    #[test]
    fn a_token_names_its_source() {
        for source in [Source::Mailbox, Source::Listener(0), Source::Relay(7), Source::Stream(70_000)]
            .into_iter()
            .chain([Source::Acceptor(3), Source::Peer(70_000)])
        {
            assert_eq!(Source::of(source.token()), source);
        }
    }
}
