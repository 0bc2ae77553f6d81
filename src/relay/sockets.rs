//! The sockets of one shard, found by whom they belong to.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::Registry;
use slab::Slab;

use super::departures::{Exit, Runs};
use super::dtls::Sessions;
use super::shard::Source;
use super::stream::{Adopted, Stream};
use super::udp::{Listener, RelaySocket, Sent};
use crate::turn::{AllocationId, FastMap, FiveTuple, Server};

/// Listening sockets, relay sockets and client connections.
#[derive(Debug)]
pub(super) struct Sockets {
    registry: Registry,
    listeners: Vec<Listener>,
    /// By the index of the allocation. As long as the most allocations that this shard has held at a time.
    relays: Vec<Option<(AllocationId, RelaySocket)>>,
    streams: Slab<Stream>,
    by_five_tuple: FastMap<FiveTuple, usize>,
    /// DTLS sessions, over the listening sockets.
    pub(super) dtls: Sessions,
    /// Connections that something waits for since they were last flushed.
    to_flush: Vec<usize>,
    /// Connections that failed while something was sent to them.
    broken: Vec<usize>,
    unsent: u64,
    slow_readers: u64,
}

impl Sockets {
    pub(super) fn new(registry: Registry, mut listeners: Vec<Listener>, dtls: Sessions) -> io::Result<Self> {
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener.register(&registry, Source::Listener(index).token())?;
        }
        Ok(Self {
            registry,
            listeners,
            relays: Vec::new(),
            streams: Slab::new(),
            by_five_tuple: FastMap::default(),
            dtls,
            to_flush: Vec::new(),
            broken: Vec::new(),
            unsent: 0,
            slow_readers: 0,
        })
    }

    pub(super) fn listener(&self, index: usize) -> &Listener {
        &self.listeners[index]
    }

    pub(super) fn relay(&self, index: usize) -> Option<(AllocationId, &RelaySocket)> {
        self.relays.get(index)?.as_ref().map(|(id, socket)| (*id, socket))
    }

    pub(super) fn stream(&mut self, key: usize) -> Option<&mut Stream> {
        self.streams.get_mut(key)
    }

    /// The connection that has this five-tuple.
    pub(super) fn stream_of(&self, from: &FiveTuple) -> Option<usize> {
        self.by_five_tuple.get(from).copied()
    }

    pub(super) fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// What was dropped on its way out.
    pub(super) fn counters(&self) -> [(&'static str, u64); 2] {
        [("unsent", self.unsent), ("slow_readers", self.slow_readers)]
    }

    pub(super) fn insert_relay(&mut self, id: AllocationId, mut socket: RelaySocket) -> io::Result<()> {
        let index = id.index as usize;
        socket.register(&self.registry, Source::Relay(index).token())?;
        if self.relays.len() <= index {
            self.relays.resize_with(index + 1, || None);
        }
        self.relays[index] = Some((id, socket));
        Ok(())
    }

    pub(super) fn remove_relay(&mut self, id: AllocationId) {
        // Closing the descriptor ends its registration anyway.
        drop(self.take_relay(id));
    }

    /// Takes a relay socket away, for another shard to have.
    pub(super) fn take_relay(&mut self, id: AllocationId) -> Option<RelaySocket> {
        let (_, mut socket) = self.relays.get_mut(id.index as usize)?.take_if(|(held, _)| *held == id)?;
        let _ = socket.deregister(&self.registry);
        Some(socket)
    }

    pub(super) fn adopt(&mut self, adopted: Adopted, now: Instant) -> io::Result<usize> {
        self.insert_stream(Stream::new(adopted, now))
    }

    pub(super) fn insert_stream(&mut self, mut stream: Stream) -> io::Result<usize> {
        let entry = self.streams.vacant_entry();
        let key = entry.key();
        stream.register(&self.registry, Source::Stream(key).token())?;
        self.by_five_tuple.insert(stream.five_tuple(), key);
        entry.insert(stream);
        Ok(key)
    }

    pub(super) fn remove_stream(&mut self, key: usize) -> Option<FiveTuple> {
        self.take_stream(key).map(|stream| stream.five_tuple())
    }

    /// Takes a connection out, to be polled elsewhere.
    pub(super) fn take_stream(&mut self, key: usize) -> Option<Stream> {
        let mut stream = self.streams.try_remove(key)?;
        let _ = stream.deregister(&self.registry);
        self.by_five_tuple.remove(&stream.five_tuple());
        Some(stream)
    }

    /// The listening socket that what is for `server` arrives at.
    pub(super) fn listener_for(&self, server: SocketAddr) -> Option<usize> {
        self.listeners.iter().position(|listener| covers(listener.local(), server))
    }

    /// Sends runs by one socket.
    pub(super) fn send(&mut self, exit: Exit, runs: Runs<'_>) -> Sent {
        let sent = match exit {
            Exit::Listener(index) => self.listeners[index].send(runs),
            Exit::Relay(id) => match self.relay(id.index as usize) {
                Some((held, socket)) if held == id => socket.send(runs),
                Some(_) | None => Sent { unsent: runs.map(|run| run.count as u64).sum(), cannot_join: false },
            },
        };
        self.unsent += sent.unsent;
        sent
    }

    pub(super) fn count_unsent(&mut self, datagrams: u64) {
        self.unsent += datagrams;
    }

    /// Sends a message, in pieces, on a client's connection, at the latest when streams are flushed.
    pub(super) fn send_on_stream(&mut self, to: &FiveTuple, message: [&[u8]; 3]) {
        let Some(key) = self.stream_of(to) else { return };
        let Some(stream) = self.streams.get_mut(key) else { return };
        let was_waiting = stream.is_waiting();
        match stream.send(message) {
            Ok(true) if was_waiting => {}
            Ok(true) => self.to_flush.push(key),
            Ok(false) => self.slow_readers += 1,
            Err(_) => self.broken.push(key),
        }
    }

    /// Writes what waits for connections.
    pub(super) fn flush_streams(&mut self) {
        for key in self.to_flush.drain(..) {
            if self.streams.get_mut(key).is_some_and(|stream| stream.flush().is_err()) {
                self.broken.push(key);
            }
        }
    }

    pub(super) fn take_broken(&mut self) -> Option<usize> {
        self.broken.pop()
    }

    /// Connections that have had no allocation for too long. Every so often, or none is found.
    pub(super) fn idle_streams(&mut self, server: &Server, now: Instant, limit: Duration) -> Vec<usize> {
        let mut idle = Vec::new();
        for (key, stream) in &mut self.streams {
            stream.give_back();
            if stream.spliced.is_some() || server.has_allocation(&stream.five_tuple()) {
                stream.idle_since = None;
            } else if now.saturating_duration_since(*stream.idle_since.get_or_insert(now)) > limit {
                idle.push(key);
            }
        }
        idle
    }
}

/// Whether what is sent to `server` arrives at a socket that is bound to `local`: the IPv6 wildcard takes IPv4 as well.
fn covers(local: SocketAddr, server: SocketAddr) -> bool {
    let wildcard = local.ip().is_unspecified() && (local.is_ipv6() || server.is_ipv4());
    local.port() == server.port() && (wildcard || local.ip() == server.ip())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_wildcard_covers_its_own_family_and_ipv6_both() {
        let covers = |local: &str, server: &str| super::covers(local.parse().unwrap(), server.parse().unwrap());
        assert!(covers("[::]:3478", "192.168.1.5:3478") && covers("[::]:3478", "[2001:db8::5]:3478"));
        assert!(covers("0.0.0.0:3478", "192.168.1.5:3478") && covers("[2001:db8::5]:3478", "[2001:db8::5]:3478"));
        assert!(!covers("0.0.0.0:3478", "[2001:db8::5]:3478"), "an IPv4 socket reaches no IPv6 client");
        assert!(!covers("[::]:3478", "192.168.1.5:443") && !covers("192.168.1.6:3478", "192.168.1.5:3478"));
    }
}
