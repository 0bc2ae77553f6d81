//! What other threads have to say to a shard.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};

use mio::{Registry, Token, Waker};

use super::stream::Adopted;
use crate::credentials::RoomMember;
use crate::turn;

/// Packets that may wait for a shard on a hairpin from others.
const MAX_HOPS: usize = 1024;

/// Wakes the shard out of its poll.
pub(super) const WAKE: Token = Token(0);

/// Something to do that must not be lost. There are never more than connections, memberships and reloads.
#[derive(Debug)]
pub(super) enum Command {
    Adopt(Box<Adopted>),
    Revoke(RoomMember),
    Reconfigure(Arc<turn::Options>),
    Stop,
}

/// A packet on its way from another shard.
#[derive(Debug)]
pub(super) struct HopPacket {
    pub(super) hop: turn::Hop,
    pub(super) payload: Box<[u8]>,
}

/// One shard's mailbox. Any thread sends, the shard receives.
#[derive(Debug)]
pub(super) struct Mailbox {
    commands: (Sender<Command>, Mutex<Receiver<Command>>),
    hops: (SyncSender<HopPacket>, Mutex<Receiver<HopPacket>>),
    waker: Waker,
    awake: AtomicBool,
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

impl Mailbox {
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        let (command, commands) = channel();
        let (hop, hops) = sync_channel(MAX_HOPS);
        Ok(Self {
            commands: (command, Mutex::new(commands)),
            hops: (hop, Mutex::new(hops)),
            waker: Waker::new(registry, WAKE)?,
            awake: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        })
    }

    pub(super) fn command(&self, command: Command) {
        // The receiver lives as long as the sender: both are fields of this mailbox.
        let _ = self.commands.0.send(command);
        self.wake();
    }

    /// Drops the packet when the mailbox is full: a shard that is behind must not hold up another.
    pub(super) fn hop(&self, packet: HopPacket) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        if self.hops.0.try_send(packet).is_err() {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            self.wake();
        }
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
        next(&self.commands.1)
    }

    pub(super) fn next_hop(&self) -> Option<HopPacket> {
        let packet = next(&self.hops.1)?;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        Some(packet)
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

    #[test]
    fn a_full_mailbox_drops_and_counts() {
        let poll = mio::Poll::new().unwrap();
        let mailbox = Mailbox::new(poll.registry()).unwrap();
        let from: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let hop = Hop { from, party: Party::Open, to: AllocationId { index: 0, generation: 0 } };
        for _ in 0..MAX_HOPS + 10 {
            mailbox.hop(HopPacket { hop, payload: Box::new([1]) });
        }
        assert_eq!(mailbox.dropped(), 10);
        assert_eq!(std::iter::from_fn(|| mailbox.next_hop()).count(), MAX_HOPS);
    }

    #[test]
    fn commands_are_never_dropped() {
        let poll = mio::Poll::new().unwrap();
        let mailbox = Mailbox::new(poll.registry()).unwrap();
        (0..5000).for_each(|_| mailbox.command(Command::Stop));
        assert_eq!(std::iter::from_fn(|| mailbox.next_command()).count(), 5000);
    }
}
