//! TURN over DTLS on the port of UDP (RFC 7350).
//!
//! ```text
//! datagram ─ ClientHello without a good cookie ─ HelloVerifyRequest, and nothing is kept
//!          ├ ClientHello with one ────────────── a session, half open
//!          └ anything else ───────────────────── the session of its five-tuple, or nothing
//! ```
//!
//! A session lives on the shard that its client's datagrams arrive at. Each message is a record, and each record a
//! datagram.

mod bounds;
mod cookie;
mod crypto;
mod hello;
mod session;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;

pub(super) use bounds::Bounds;
pub use bounds::Limits;
use cookie::Cookies;
pub use crypto::provider;
use hello::{Alert, ClientHello};
pub use session::Identity;
use session::{Drained, Failure, MAX_DATAGRAM, MAX_PLAINTEXT, Session};

use crate::turn::{FastMap, FiveTuple, Now};

/// How long a session without an allocation may go without a message.
const IDLE: Duration = Duration::from_secs(30);

/// Datagrams that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) bytes: Vec<u8>,
    /// To whom, and where in the bytes.
    pub(super) datagrams: Vec<(FiveTuple, Range<usize>)>,
}

impl Outbox {
    fn push(&mut self, to: FiveTuple, datagram: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(datagram);
        self.datagrams.push((to, start..self.bytes.len()));
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    challenged: u64,
    opened: u64,
    refused: u64,
    failed: u64,
    dropped: u64,
    oversized: u64,
}

/// The sessions of one shard.
#[derive(Debug)]
pub(super) struct Sessions {
    /// None while the certificate is one that cannot be shown.
    identity: Option<Arc<Identity>>,
    bounds: Arc<Bounds>,
    cookies: Cookies,
    sessions: Slab<Session>,
    by_five_tuple: FastMap<FiveTuple, usize>,
    /// Half-open ones, by when they have something to do.
    due: BTreeSet<(Instant, usize)>,
    outbox: Outbox,
    /// Clients whose session has ended.
    ended: Vec<FiveTuple>,
    scratch: Box<[u8]>,
    message: Vec<u8>,
    counters: Counters,
}

impl Sessions {
    /// None yet. `key` makes its cookies unpredictable.
    pub(super) fn new(identity: Option<Arc<Identity>>, bounds: Arc<Bounds>, key: &[u8; 32]) -> Self {
        Self {
            identity,
            bounds,
            cookies: Cookies::new(key),
            sessions: Slab::new(),
            by_five_tuple: FastMap::default(),
            due: BTreeSet::new(),
            outbox: Outbox::default(),
            ended: Vec::new(),
            scratch: vec![0; MAX_DATAGRAM].into(),
            message: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Shows another certificate from the next handshake on.
    pub(super) fn show(&mut self, identity: Option<Arc<Identity>>) {
        self.identity = identity;
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// What was done, refused and dropped, by name.
    pub(super) fn counters(&self) -> [(&'static str, u64); 6] {
        let Counters { challenged, opened, refused, failed, dropped, oversized } = self.counters;
        [
            ("dtls_challenged", challenged),
            ("dtls_opened", opened),
            ("dtls_refused", refused),
            ("dtls_failed", failed),
            ("dtls_dropped", dropped),
            ("dtls_oversized", oversized),
        ]
    }

    /// Takes a datagram, and says where in its memory the messages that it carried stand now.
    pub(super) fn receive(&mut self, from: FiveTuple, datagram: &mut [u8], now: Now) -> Vec<Range<usize>> {
        let held = self.by_five_tuple.get(&from).copied();
        if let Some(hello) = ClientHello::parse(datagram)
            && held.is_none_or(|key| self.sessions[key].random != hello.random)
        {
            self.greet(from, &hello, now);
            return Vec::new();
        }
        let Some(key) = held else {
            self.counters.dropped += 1;
            return Vec::new();
        };
        let was_received = self.sessions[key].receive(datagram, now.instant);
        let opened = self.settle(key, was_received, datagram);
        // Who says something and goodbye at once waits for no answer.
        let Some(session) = self.sessions.get_mut(key) else { return Vec::new() };
        if !opened.is_empty() {
            session.used_at = now.instant;
        }
        opened
    }

    /// Whether a client has a session.
    pub(super) fn has(&self, from: &FiveTuple) -> bool {
        self.by_five_tuple.contains_key(from)
    }

    /// Takes a message for a client, in pieces.
    pub(super) fn send(&mut self, to: &FiveTuple, pieces: [&[u8]; 3]) {
        let Some(&key) = self.by_five_tuple.get(to) else {
            self.counters.dropped += 1;
            return;
        };
        self.message.clear();
        pieces.iter().for_each(|piece| self.message.extend_from_slice(piece));
        if self.message.len() > MAX_PLAINTEXT {
            self.counters.oversized += 1;
            return;
        }
        let was_sent = self.sessions[key].send(&self.message);
        self.settle(key, was_sent, &mut []);
    }

    /// When [`Sessions::expire`] is next due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|&(due, _)| due)
    }

    /// Repeats what half-open clients have not answered, and gives those up that take too long.
    pub(super) fn expire(&mut self, now: Instant) {
        let due: Vec<usize> = self.due.iter().take_while(|(due, _)| *due <= now).map(|&(_, key)| key).collect();
        for key in due {
            let is_on = self.sessions[key].expire(now);
            self.settle(key, is_on, &mut []);
        }
    }

    /// Ends those that have had neither an allocation nor anything to say for too long. Every so often, or none is
    /// found.
    pub(super) fn sweep(&mut self, now: Instant, has_allocation: impl Fn(&FiveTuple) -> bool) {
        let mut ending = Vec::new();
        for (key, session) in &mut self.sessions {
            if has_allocation(&session.from) {
                session.used_at = now;
            } else if now.saturating_duration_since(session.used_at) > IDLE {
                ending.push(key);
            }
        }
        ending.into_iter().for_each(|key| self.end(key));
    }

    /// A client whose session has ended since the last call.
    pub(super) fn take_ended(&mut self) -> Option<FiveTuple> {
        self.ended.pop()
    }

    /// What waits to be sent.
    pub(super) fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// A client that begins, or begins anew: then what it had is lost to it (RFC 6347 section 4.2.8).
    fn greet(&mut self, from: FiveTuple, hello: &ClientHello<'_>, now: Now) {
        let Some(identity) = self.identity.clone() else {
            self.counters.dropped += 1;
            return;
        };
        if !hello.is_1_2() {
            self.counters.failed += 1;
            self.outbox.push(from, &hello.refuse(Alert::ProtocolVersion));
            return;
        }
        if !self.cookies.accepts(hello.cookie(), &from, &hello.random, now.unix) {
            self.counters.challenged += 1;
            let cookie = self.cookies.make(&from, &hello.random, now.unix);
            self.outbox.push(from, &hello.verify(&cookie));
            return;
        }
        if let Some(&old) = self.by_five_tuple.get(&from) {
            self.remove(old);
        }
        let Some(ticket) = self.bounds.admit(from.client.ip()) else {
            self.counters.refused += 1;
            return;
        };
        match Session::new(&identity, from, hello, ticket, now.instant) {
            Ok(session) => self.begin(session, hello),
            Err(failure) => {
                self.note(from, &failure);
                self.outbox.push(from, &hello.refuse(Alert::HandshakeFailure));
            }
        }
    }

    fn begin(&mut self, session: Session, hello: &ClientHello<'_>) {
        let (from, waiting) = (session.from, self.outbox.datagrams.len());
        let key = self.sessions.insert(session);
        self.by_five_tuple.insert(from, key);
        self.drain(key, &mut []);
        if self.sessions.contains(key) && self.outbox.datagrams.len() == waiting {
            // It has no answer to what it cannot read.
            self.counters.failed += 1;
            self.outbox.push(from, &hello.refuse(Alert::HandshakeFailure));
            self.remove(key);
        }
    }

    /// Takes out what came of something that a session was to do, and ends the session if that has failed.
    fn settle(&mut self, key: usize, done: Result<(), Failure>, memory: &mut [u8]) -> Vec<Range<usize>> {
        let opened = match done {
            Err(Failure::Panicked) => Vec::new(),
            Err(Failure::UsedUp) => {
                self.end(key);
                return Vec::new();
            }
            Ok(()) | Err(Failure::Dtls(_)) => self.drain(key, memory),
        };
        if let Err(failure) = done {
            self.fail(key, &failure);
        }
        opened
    }

    /// Takes out what a session has brought forth.
    fn drain(&mut self, key: usize, memory: &mut [u8]) -> Vec<Range<usize>> {
        let Self { sessions, outbox, scratch, .. } = self;
        let session = &mut sessions[key];
        let (from, was_half_open) = (session.from, session.ticket.is_half_open());
        let drained = match session.drain(scratch, memory, |datagram| outbox.push(from, datagram)) {
            Ok(drained) => drained,
            Err(failure) => {
                self.fail(key, &failure);
                return Vec::new();
            }
        };
        let Drained { opened, lost, is_closed, due } = drained;
        self.counters.opened += u64::from(was_half_open && !session.ticket.is_half_open());
        self.counters.dropped += lost;
        if session.scheduled != due {
            let before = std::mem::replace(&mut session.scheduled, due);
            before.map(|due| self.due.remove(&(due, key)));
            due.map(|due| self.due.insert((due, key)));
        }
        if is_closed {
            self.end(key);
        }
        opened
    }

    fn fail(&mut self, key: usize, failure: &Failure) {
        if let Some(session) = self.sessions.get(key) {
            self.note(session.from, failure);
            self.remove(key);
        }
    }

    fn note(&mut self, from: FiveTuple, failure: &Failure) {
        self.counters.failed += 1;
        match failure {
            Failure::Panicked => tracing::warn!(client = %from.client, "a DTLS session has failed: {failure}"),
            Failure::Dtls(_) | Failure::UsedUp => {
                tracing::debug!(client = %from.client, "a DTLS session has failed: {failure}")
            }
        }
    }

    /// Ends a session, and says so to the client.
    fn end(&mut self, key: usize) {
        let Self { sessions, outbox, scratch, .. } = self;
        let Some(session) = sessions.get_mut(key) else { return };
        let from = session.from;
        let goodbye =
            session.close().and_then(|()| session.drain(scratch, &mut [], |datagram| outbox.push(from, datagram)));
        match goodbye {
            Ok(_) => self.remove(key),
            Err(failure) => self.fail(key, &failure),
        }
    }

    fn remove(&mut self, key: usize) {
        let Some(session) = self.sessions.try_remove(key) else { return };
        self.by_five_tuple.remove(&session.from);
        session.scheduled.map(|due| self.due.remove(&(due, key)));
        self.ended.push(session.from);
    }
}

#[cfg(test)]
impl Sessions {
    /// Of a shard that speaks no DTLS.
    pub(super) fn none() -> Self {
        let limits = Limits { sessions: 0, sessions_per_prefix: 0, half_open: 0, half_open_per_prefix: 0 };
        Self::new(None, Bounds::new(limits), &[0; 32])
    }
}
