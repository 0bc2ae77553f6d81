//! What a shard sends: gathered while it handles what it received, and sent at the end of its turn.

use std::net::SocketAddr;
use std::ops::Range;

use super::batch::Batch;
use super::departures::{Departures, Exit, Memory, Place, Way};
use super::dtls::Outbox;
use super::mailbox::{HopBatch, Mailbox};
use super::sockets::Sockets;
use crate::stun::Framing;
use crate::turn::{AllocationId, Delivery, FiveTuple, Hop, Transport};

/// What waits for the end of the turn.
#[derive(Debug)]
pub(super) struct Outbound {
    departures: Departures,
    /// The server's answers. What a departure says of its place here holds until it has left.
    pub(super) replies: Vec<u8>,
    /// What came from other shards.
    arrived: Vec<Vec<u8>>,
    /// What goes to other shards, by their index.
    hops: Vec<HopBatch>,
}

impl Outbound {
    /// For one of so many shards.
    pub(super) fn new(shards: usize) -> Self {
        let hops = (0..shards).map(|_| HopBatch::default()).collect();
        Self { departures: Departures::new(), replies: Vec::with_capacity(1024), arrived: Vec::new(), hops }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.departures.is_empty()
    }

    /// Keeps what came from another shard, and says where it stands now.
    pub(super) fn arrive(&mut self, bytes: Vec<u8>) -> Place {
        self.arrived.push(bytes);
        Place::Hops(self.arrived.len() - 1)
    }

    /// Answers a client with what was appended to the replies from `start` on.
    pub(super) fn reply(&mut self, to: &FiveTuple, start: usize, batch: &Batch, sockets: &mut Sockets) {
        let payload = start..self.replies.len();
        self.pass_to_client(to, None, (Place::Replies, payload), batch, sockets);
        if to.transport.is_stream() {
            // The connection has a copy, and a stream of requests must not fill this up.
            self.replies.truncate(start);
        }
    }

    /// Application data for a client.
    pub(super) fn deliver(
        &mut self,
        delivery: Delivery,
        payload: (Place, Range<usize>),
        batch: &Batch,
        sockets: &mut Sockets,
    ) {
        let Delivery { to, framing } = delivery;
        self.pass_to_client(&to, Some(framing), payload, batch, sockets);
    }

    fn pass_to_client(
        &mut self,
        to: &FiveTuple,
        framing: Option<Framing>,
        (place, payload): (Place, Range<usize>),
        batch: &Batch,
        sockets: &mut Sockets,
    ) {
        if to.transport == Transport::Udp {
            return self.pass_as_datagram(to, framing, (place, payload), sockets);
        }
        let (head, padding) = framing.as_ref().map_or((&[][..], 0), |each| (each.head(), each.padding()));
        let message = [head, self.memory(batch).bytes(place, payload), &[0; 3][..padding]];
        if to.transport.is_stream() {
            sockets.send_on_stream(to, message);
        } else {
            sockets.dtls.send(to, message);
        }
    }

    fn pass_as_datagram(
        &mut self,
        to: &FiveTuple,
        framing: Option<Framing>,
        (place, payload): (Place, Range<usize>),
        sockets: &mut Sockets,
    ) {
        let Some(listener) = sockets.listener_for(to.server) else { return sockets.count_unsent(1) };
        let way = Way { exit: Exit::Listener(listener), to: to.client, from: Some(to.server.ip()) };
        self.departures.push(way, framing, place, payload);
    }

    /// Takes what DTLS sessions have to send.
    fn take_encrypted(&mut self, sockets: &mut Sockets) {
        let Outbox { bytes, mut datagrams } = std::mem::take(sockets.dtls.outbox());
        let start = self.replies.len();
        self.replies.extend_from_slice(&bytes);
        for (to, range) in datagrams.drain(..) {
            let place = (Place::Replies, start + range.start..start + range.end);
            self.pass_as_datagram(&to, None, place, sockets);
        }
        // Their memory is used again.
        *sockets.dtls.outbox() = Outbox { bytes, datagrams };
        sockets.dtls.outbox().bytes.clear();
    }

    /// Application data for a peer.
    pub(super) fn pass_to_peer(&mut self, id: AllocationId, to: SocketAddr, payload: (Place, Range<usize>)) {
        let way = Way { exit: Exit::Relay(id), to, from: None };
        self.departures.push(way, None, payload.0, payload.1);
    }

    /// Application data for a client of another shard.
    pub(super) fn pass_to_shard(&mut self, shard: usize, hop: Hop, payload: &[u8], mailboxes: &[Mailbox]) {
        let hops = &mut self.hops[shard];
        if !hops.has_room_for(payload.len()) {
            mailboxes[shard].hop(std::mem::take(hops));
        }
        hops.push(hop, payload);
    }

    /// Sends everything.
    pub(super) fn flush(&mut self, batch: &Batch, sockets: &mut Sockets, mailboxes: &[Mailbox]) {
        self.take_encrypted(sockets);
        if !self.departures.is_empty() {
            let memory = Memory { batch: batch.bytes(), replies: &self.replies, hops: &self.arrived };
            let mut cannot_join = false;
            self.departures.each_exit(memory, |exit, runs| cannot_join |= sockets.send(exit, runs).cannot_join);
            self.departures.clear();
            if cannot_join {
                tracing::info!("datagrams are sent one by one: a network device cannot split them");
                self.departures.stop_joining();
            }
        }
        self.replies.clear();
        self.arrived.clear();
        for (hops, mailbox) in self.hops.iter_mut().zip(mailboxes).filter(|(hops, _)| !hops.is_empty()) {
            mailbox.hop(std::mem::take(hops));
        }
        sockets.flush_streams();
    }

    fn memory<'a>(&'a self, batch: &'a Batch) -> Memory<'a> {
        Memory { batch: batch.bytes(), replies: &self.replies, hops: &self.arrived }
    }
}
