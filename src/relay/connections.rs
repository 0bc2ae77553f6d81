//! What a shard does for TCP allocations (RFC 6062).

use std::io;
use std::ops::Range;
use std::time::Instant;

use super::mailbox::Command;
use super::peers::{Dialed, RelayListener};
use super::shard::{STREAM_SLOTS, Shard, Source};
use super::splice::{CHUNK, Ends, Progress};
use super::stream::Stream;
use crate::stun::ConnectionId;
use crate::turn::{Dial, Direction, FiveTuple, Now, Opening, ShardId, Wanted};

/// Connections that are accepted at one relayed address before other sockets get their turn.
const ACCEPT_TURN: usize = 16;

impl Shard {
    /// Binds the relay sockets of a TCP allocation, and only then answers.
    pub(super) fn open_tcp(&mut self, from: FiveTuple, opening: Opening, now: Instant) {
        let bind = |wanted: &Wanted| {
            let bound = RelayListener::bind(wanted.candidates());
            bound.inspect_err(|error| tracing::debug!(%error, "no relay socket")).ok()
        };
        let listeners: Vec<_> = opening.wanted().iter().map(bind).collect();
        let bound: Vec<_> = listeners.iter().map(|bound| bound.as_ref().map(|(_, address)| *address)).collect();
        let replies = self.out.replies.len();
        let ids = self.server.opened(opening, &bound, now, &mut self.out.replies);
        for (id, listener) in ids.into_iter().zip(listeners) {
            let (Some(id), Some((listener, _))) = (id, listener) else { continue };
            if let Err(error) = self.peers.insert_listener(id, listener) {
                tracing::warn!(%error, "a relay socket cannot be polled");
                self.server.disconnected(from);
                return;
            }
        }
        self.out.reply(&from, replies, &self.batch, &mut self.sockets);
    }

    /// Begins to connect to a peer.
    pub(super) fn dial(&mut self, dial: Dial, now: Instant) {
        if let Err(error) = self.peers.dial(dial) {
            self.dialed(dial.connection, Err(error), now);
        }
    }

    /// Tells the client what came of its Connect.
    fn dialed(&mut self, id: ConnectionId, result: io::Result<()>, now: Instant) {
        let replies = self.out.replies.len();
        if let Some(client) = self.server.connected(id, result, now, &mut self.out.replies) {
            self.out.reply(&client, replies, &self.batch, &mut self.sockets);
        }
        self.close_ended();
    }

    /// Gives up on peers that do not answer.
    pub(super) fn end_overdue(&mut self, now: Instant) {
        while let Some(id) = self.server.take_overdue() {
            self.dialed(id, Err(io::ErrorKind::TimedOut.into()), now);
        }
    }

    pub(super) fn serve_acceptor(&mut self, index: usize, now: Now) -> bool {
        for _ in 0..ACCEPT_TURN {
            match self.peers.accept(index) {
                None => return false,
                Some(Ok((allocation, socket, from))) => {
                    let replies = self.out.replies.len();
                    let attempt = self.server.attempted(allocation, from, now.instant, &mut self.out.replies);
                    // Nobody has permitted it: it is closed by being dropped.
                    let Some((id, client)) = attempt else { continue };
                    if let Err(error) = self.peers.keep(id, socket) {
                        tracing::warn!(%error, "a connection cannot be polled");
                        self.out.replies.truncate(replies);
                        self.server.close_connection(id);
                        continue;
                    }
                    self.out.reply(&client, replies, &self.batch, &mut self.sockets);
                }
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Some(Err(error)) => {
                    tracing::debug!(%error, "accept failed");
                    return false;
                }
            }
        }
        true
    }

    pub(super) fn serve_peer(&mut self, key: usize, now: Now) -> bool {
        let Some(id) = self.peers.id(key) else { return false };
        match self.peers.dialed(key) {
            None => return self.pump(id, now),
            Some(Dialed::Waits) => {}
            Some(Dialed::Stands) => self.dialed(id, Ok(()), now.instant),
            Some(Dialed::Failed(error)) => self.dialed(id, Err(error), now.instant),
        }
        false
    }

    /// Makes a client's connection one with a peer's. `rest` is where in the batch stands what came behind the request.
    pub(super) fn splice(&mut self, key: usize, id: ConnectionId, rest: Range<usize>, now: Now) -> bool {
        let is_there = self.peers.splice(id, key, &self.batch.bytes()[rest.clone()]);
        let Some(stream) = self.sockets.stream(key).filter(|_| is_there) else {
            self.server.close_connection(id);
            self.disconnect(key);
            return false;
        };
        stream.spliced = Some(id);
        self.server.passed(id, Direction::Up, rest.len(), now.instant);
        self.pump(id, now)
    }

    /// Passes on what there is on both sides, and says whether there may be more.
    pub(super) fn pump(&mut self, id: ConnectionId, now: Now) -> bool {
        self.make_room(STREAM_SLOTS);
        let Some((key, peer, splice)) = self.peers.spliced(id) else { return false };
        let Some(client) = self.sockets.stream(key) else { return false };
        let room = self.batch.claim(STREAM_SLOTS);
        let memory = &mut self.batch.claimed(room.clone())[..CHUNK];
        let mut ends = Ends { id, client, peer, server: &mut self.server, memory, now: now.instant };
        let progress = splice.pump(&mut ends);
        // It is all written, or kept elsewhere.
        self.batch.give_back(room, 0);
        match progress {
            Ok(Progress::Waits) => false,
            Ok(Progress::More) => true,
            Ok(Progress::Until(at)) => {
                self.peers.pause(id, at);
                false
            }
            Ok(Progress::Over) | Err(_) => {
                self.server.close_connection(id);
                self.close_ended();
                false
            }
        }
    }

    /// Looks again at what was over its bandwidth.
    pub(super) fn resume(&mut self, now: Instant) {
        while let Some(key) = self.peers.take_resumed(now) {
            self.ready.push(Source::Peer(key).token());
        }
    }

    /// Closes both sockets of each connection that has ended.
    pub(super) fn close_connections(&mut self) {
        while let Some(id) = self.server.take_closed_connection() {
            if let Some(key) = self.peers.remove(id) {
                self.sockets.remove_stream(key);
            }
        }
    }

    /// Gives a client's connection to the shard that has the connection it asks for. `rest` is where in the batch stands
    /// what that shard is to handle.
    pub(super) fn hand_over(&mut self, key: usize, shard: ShardId, rest: Range<usize>) {
        let Some(mut stream) = self.sockets.take_stream(key) else { return };
        stream.keep(&self.batch.bytes()[rest]);
        self.mailboxes[usize::from(shard.0)].command(Command::TakeOver(Box::new(stream)));
    }

    /// Takes a client's connection from another shard.
    pub(super) fn take_over(&mut self, stream: Stream) {
        // As for one that is adopted: one that had its five-tuple is gone.
        if let Some(gone) = self.sockets.stream_of(&stream.five_tuple()) {
            self.disconnect(gone);
        }
        match self.sockets.insert_stream(stream) {
            // What it has kept will not wake the poll.
            Ok(key) => self.ready.push(Source::Stream(key).token()),
            Err(error) => tracing::warn!(%error, "a connection cannot be polled"),
        }
    }
}
