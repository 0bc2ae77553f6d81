//! What other threads have to say to a shard.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use mio::{Registry, Token, Waker};

use super::dtls::Identity;
use super::moving::{Elsewhere, Settled};
use super::stream::{Adopted, Stream};
use crate::credentials::RoomMember;
use crate::turn;

/// What may wait for a shard on a hairpin from others, in bytes of packets and of what is told of each.
const MAX_WAITING: usize = 4 << 20;
/// What is told of a packet, in bytes.
const HOP_BYTES: usize = size_of::<(turn::Hop, usize)>();

/// Packets of other shards' clients that may wait for a look. Clients send theirs again.
const MAX_ELSEWHERE: usize = 256;

/// Wakes the shard out of its poll.
pub(super) const WAKE: Token = Token(0);

/// Something to do that must not be lost. There are never more than connections, memberships and reloads.
#[derive(Debug)]
pub(super) enum Command {
    Adopt(Box<Adopted>),
    TakeOver(Box<Stream>),
    Revoke(RoomMember),
    Reconfigure(Arc<turn::Options>),
    /// Bounded by [`MAX_ELSEWHERE`].
    Look(Box<Elsewhere>),
    /// There are as many as there were of those.
    Settle(Settled),
    Show(Option<Arc<Identity>>),
    Stop,
}

/// Packets on their way from another shard.
#[derive(Debug, Default)]
pub(super) struct HopBatch {
    /// Of each packet, who sends it to whom, and where it ends.
    hops: Vec<(turn::Hop, usize)>,
    bytes: Vec<u8>,
}

impl HopBatch {
    /// A batch goes on its way when the next packet would make it longer than this.
    const ENOUGH: usize = 64 * 1024;

    pub(super) fn is_empty(&self) -> bool {
        self.hops.is_empty()
    }

    /// Whether a packet of `length` bytes may be added. The first always may.
    pub(super) fn has_room_for(&self, length: usize) -> bool {
        self.is_empty() || self.size() + HOP_BYTES + length <= Self::ENOUGH
    }

    pub(super) fn push(&mut self, hop: turn::Hop, payload: &[u8]) {
        self.bytes.extend_from_slice(payload);
        self.hops.push((hop, self.bytes.len()));
    }

    /// The packets, with where they are in the bytes, and the bytes.
    pub(super) fn open(self) -> (impl Iterator<Item = (turn::Hop, Range<usize>)>, Vec<u8>) {
        let mut start = 0;
        let packets = self.hops.into_iter().map(move |(hop, end)| (hop, std::mem::replace(&mut start, end)..end));
        (packets, self.bytes)
    }

    fn size(&self) -> usize {
        self.bytes.len() + self.hops.len() * HOP_BYTES
    }
}

/// One shard's mailbox. Any thread sends, the shard receives.
#[derive(Debug)]
pub(super) struct Mailbox {
    commands: (Sender<Command>, Mutex<Receiver<Command>>),
    hops: (Sender<HopBatch>, Mutex<Receiver<HopBatch>>),
    waker: Waker,
    awake: AtomicBool,
    /// Bytes of packets.
    waiting: AtomicUsize,
    dropped: AtomicU64,
    /// Packets that wait for a look.
    elsewhere: AtomicUsize,
}

impl Mailbox {
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        let (command, commands) = channel();
        let (hop, hops) = channel();
        Ok(Self {
            commands: (command, Mutex::new(commands)),
            hops: (hop, Mutex::new(hops)),
            waker: Waker::new(registry, WAKE)?,
            awake: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            elsewhere: AtomicUsize::new(0),
        })
    }

    pub(super) fn command(&self, command: Command) {
        self.command_later(command);
        self.wake();
    }

    /// The shard takes it when it next looks, which it does once a second. To wake it for somebody who has most often
    /// nothing there would cost more than all else that the command needs.
    pub(super) fn command_later(&self, command: Command) {
        // The receiver lives as long as the sender: both are fields of this mailbox.
        let _ = self.commands.0.send(command);
    }

    /// Has a packet looked at, unless too many wait for that.
    pub(super) fn look(&self, elsewhere: Elsewhere) {
        if self.elsewhere.fetch_add(1, Ordering::SeqCst) >= MAX_ELSEWHERE {
            self.elsewhere.fetch_sub(1, Ordering::SeqCst);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.command(Command::Look(Box::new(elsewhere)));
    }

    /// Drops the packets when the mailbox is full: a shard that is behind must not hold up another.
    pub(super) fn hop(&self, packets: HopBatch) {
        let size = packets.size();
        if self.waiting.fetch_add(size, Ordering::SeqCst) + size > MAX_WAITING {
            self.waiting.fetch_sub(size, Ordering::SeqCst);
            self.dropped.fetch_add(packets.hops.len() as u64, Ordering::Relaxed);
            return;
        }
        // The receiver lives as long as the sender.
        let _ = self.hops.0.send(packets);
        self.wake();
    }

    /// Hairpin packets that were dropped because the mailbox was full.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// To be called before taking what is there, so that whatever comes later wakes the shard again.
    pub(super) fn clear_wake(&self) {
        self.awake.store(false, Ordering::SeqCst);
    }

    pub(super) fn next_command(&self) -> Option<Command> {
        let command = next(&self.commands.1);
        if let Some(Command::Look(_)) = command {
            self.elsewhere.fetch_sub(1, Ordering::SeqCst);
        }
        command
    }

    pub(super) fn next_hops(&self) -> Option<HopBatch> {
        let packets = next(&self.hops.1)?;
        self.waiting.fetch_sub(packets.size(), Ordering::SeqCst);
        Some(packets)
    }

    pub(super) fn has_hops(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    fn wake(&self) {
        if !self.awake.swap(true, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a shard cannot be woken");
        }
    }
}

fn next<T>(receiver: &Mutex<Receiver<T>>) -> Option<T> {
    receiver.lock().unwrap_or_else(PoisonError::into_inner).try_recv().ok()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::turn::{AllocationId, Hop, Party};

    fn hop(index: u32) -> Hop {
        let from: SocketAddr = "192.0.2.1:9".parse().unwrap();
        Hop { from, party: Party::Open, to: AllocationId { index, generation: 0 } }
    }

    #[test]
    fn a_batch_gives_back_what_was_put_in() {
        let mut batch = HopBatch::default();
        for (index, payload) in [&b"one"[..], b"", b"three"].into_iter().enumerate() {
            batch.push(hop(index as u32), payload);
        }
        let (packets, bytes) = batch.open();
        let packets: Vec<_> = packets.map(|(hop, range)| (hop.to.index, &bytes[range])).collect();
        assert_eq!(packets, [(0, &b"one"[..]), (1, b""), (2, b"three")]);
    }

    #[test]
    fn a_batch_has_room_for_one_packet_of_any_length_and_no_second_that_is_too_much() {
        let mut batch = HopBatch::default();
        assert!(batch.has_room_for(65_535));
        batch.push(hop(0), &[0; 60_000]);
        assert!(batch.has_room_for(4_000) && !batch.has_room_for(6_000));
    }

    #[test]
    fn a_full_mailbox_drops_and_counts() {
        let poll = mio::Poll::new().unwrap();
        let mailbox = Mailbox::new(poll.registry()).unwrap();
        let fits = MAX_WAITING / (1000 + HOP_BYTES);
        for _ in 0..fits + 10 {
            let mut batch = HopBatch::default();
            batch.push(hop(0), &[1; 1000]);
            mailbox.hop(batch);
        }
        assert_eq!(mailbox.dropped(), 10);
        assert_eq!(std::iter::from_fn(|| mailbox.next_hops()).count(), fits);
        assert!(!mailbox.has_hops());
    }

    #[test]
    fn packets_that_wait_for_a_look_are_bounded() {
        let poll = mio::Poll::new().unwrap();
        let mailbox = Mailbox::new(poll.registry()).unwrap();
        let at = "192.0.2.1:9".parse().unwrap();
        let from = crate::turn::FiveTuple::new(at, at, crate::turn::Transport::Udp);
        let look = || mailbox.look(Elsewhere { from, packet: Box::default(), back: 0 });
        (0..MAX_ELSEWHERE + 10).for_each(|_| look());
        assert_eq!(mailbox.dropped(), 10);
        assert_eq!(std::iter::from_fn(|| mailbox.next_command()).count(), MAX_ELSEWHERE);
        look();
        assert!(matches!(mailbox.next_command(), Some(Command::Look(_))));
    }

    #[test]
    fn commands_are_never_dropped() {
        let poll = mio::Poll::new().unwrap();
        let mailbox = Mailbox::new(poll.registry()).unwrap();
        (0..5000).for_each(|_| mailbox.command(Command::Stop));
        assert_eq!(std::iter::from_fn(|| mailbox.next_command()).count(), 5000);
    }
}
