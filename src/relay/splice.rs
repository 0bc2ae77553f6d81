//! Two connections made one: what comes from the client goes to the peer, and the other way round (RFC 6062 section 5.4).
//!
//! ```text
//!  client ── read ──> [at most one read] ── write ──> peer
//!  client <── write ── [at most one read] <── read ── peer
//! ```
//!
//! A side is read only when all that came from it before has been taken by the other side's socket: whoever reads slowly
//! slows down the writer, and nothing piles up here.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::stream::{ReadEnd, Stream};
use crate::stun::ConnectionId;
use crate::turn::{Direction, Server};

/// How much is read at a time, in bytes, and so what waits in each direction at most: towards a TLS client as encrypted,
/// and towards the peer at first what came in one read with the ConnectionBind, which may be twice as much.
pub(super) const CHUNK: usize = 64 * 1024;
/// Reads from each side before other sockets get their turn.
const TURNS: usize = 4;

/// What becomes of a connection next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Both directions wait for a socket.
    Waits,
    /// There may be more to read.
    More,
    /// A direction is over its bandwidth until then.
    Until(Instant),
    /// Both sides have ended, and all has been passed on.
    Over,
}

/// What is on its way between a client and a peer. What is on its way to the client is in its [`Stream`].
#[derive(Debug)]
pub(super) struct Splice {
    to_peer: Vec<u8>,
    /// The client sends no more.
    client_ended: bool,
    /// And the peer knows.
    peer_told: bool,
    /// The peer sends no more.
    peer_ended: bool,
    /// And the client knows.
    client_told: bool,
}

/// The two ends of a connection, and memory of [`CHUNK`] bytes to read into.
pub(super) struct Ends<'a> {
    pub(super) id: ConnectionId,
    pub(super) client: &'a mut Stream,
    pub(super) peer: &'a mut TcpStream,
    pub(super) server: &'a mut Server,
    pub(super) memory: &'a mut [u8],
    pub(super) now: Instant,
}

impl Ends<'_> {
    /// Why nothing may pass now: the quota of bandwidth.
    fn holds(&self, direction: Direction) -> Option<Progress> {
        let wait = self.server.wait_of(self.id, direction, self.now);
        // No sooner than the clock of the shard moves on.
        (wait > Duration::ZERO).then(|| Progress::Until(self.now + wait.max(Duration::from_millis(1))))
    }
}

impl Splice {
    /// Of the client's bytes, these have come already.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self { to_peer: bytes.to_vec(), client_ended: false, peer_told: false, peer_ended: false, client_told: false }
    }

    /// Passes on what there is.
    ///
    /// # Errors
    /// When either side is gone, and the other has nobody to talk to any more.
    pub(super) fn pump(&mut self, ends: &mut Ends<'_>) -> io::Result<Progress> {
        for _ in 0..TURNS {
            let directions = [self.up(ends)?, self.down(ends)?];
            if self.peer_told && self.client_told {
                return Ok(Progress::Over);
            }
            if !directions.contains(&Progress::More) {
                let until = directions.iter().filter_map(|progress| match progress {
                    Progress::Until(at) => Some(*at),
                    Progress::Waits | Progress::More | Progress::Over => None,
                });
                return Ok(until.min().map_or(Progress::Waits, Progress::Until));
            }
        }
        Ok(Progress::More)
    }

    /// From the client to the peer, once.
    fn up(&mut self, ends: &mut Ends<'_>) -> io::Result<Progress> {
        let sent = write(ends.peer, &self.to_peer)?;
        self.to_peer.drain(..sent);
        if !self.to_peer.is_empty() {
            return Ok(Progress::Waits);
        }
        self.to_peer = Vec::new();
        if self.client_ended {
            if !self.peer_told {
                ends.peer.shutdown(Shutdown::Write)?;
                self.peer_told = true;
            }
            return Ok(Progress::Waits);
        }
        if let Some(held) = ends.holds(Direction::Up) {
            return Ok(held);
        }
        let (read, end) = ends.client.read(ends.memory);
        ends.server.passed(ends.id, Direction::Up, read, ends.now);
        let bytes = &ends.memory[..read];
        let sent = write(ends.peer, bytes)?;
        self.to_peer.extend_from_slice(&bytes[sent..]);
        match end {
            ReadEnd::More => Ok(Progress::More),
            ReadEnd::Drained => Ok(Progress::Waits),
            ReadEnd::Ended => {
                self.client_ended = true;
                Ok(Progress::More)
            }
            ReadEnd::Closed => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    /// From the peer to the client, once.
    fn down(&mut self, ends: &mut Ends<'_>) -> io::Result<Progress> {
        // Also without anything to pass on: TLS may have something to say.
        ends.client.flush()?;
        if ends.client.is_waiting() {
            return Ok(Progress::Waits);
        }
        if self.peer_ended {
            self.client_told = self.client_told || ends.client.finish()?;
            return Ok(Progress::Waits);
        }
        if let Some(held) = ends.holds(Direction::Down) {
            return Ok(held);
        }
        match ends.peer.read(ends.memory) {
            Ok(0) => self.peer_ended = true,
            Ok(read) => {
                ends.server.passed(ends.id, Direction::Down, read, ends.now);
                ends.client.send([&ends.memory[..read], &[], &[]])?;
                ends.client.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Progress::Waits),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(Progress::More)
    }
}

/// Writes as much as the socket takes, and says how much that was.
fn write(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => sent += written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
