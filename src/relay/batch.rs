//! Received packets: they stay where they were received until all that goes on of them has been sent.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// The largest payload that IPv4 carries in a datagram is 65,507 bytes; IPv6's is a little larger. What the kernel
/// joins of several datagrams (UDP_GRO) is no longer.
pub(super) const MAX_DATAGRAM: usize = 65_535;

/// One receive: a datagram, or several of one sender that the kernel has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received {
    /// Where it begins in [`Batch::bytes`].
    pub(super) start: usize,
    pub(super) length: usize,
    /// The length of each datagram in it but the last, which may be shorter.
    pub(super) stride: usize,
    pub(super) from: SocketAddr,
    /// The address of this machine that it was sent to, where the socket is told.
    pub(super) to: Option<IpAddr>,
}

impl Received {
    /// Where each of its datagrams is in [`Batch::bytes`]. One without content is one, too.
    pub(super) fn datagrams(self) -> impl Iterator<Item = Range<usize>> {
        let (start, end, stride) = (self.start, self.start + self.length, self.stride.max(1));
        (0..self.length.div_ceil(stride).max(1)).map(move |number| {
            let start = start + number * stride;
            start..(start + stride).min(end)
        })
    }
}

/// Memory for what a shard receives before it sends. Pages that no packet has reached take no memory.
#[derive(Debug)]
pub(super) struct Batch {
    memory: Box<[u8]>,
    received: Vec<Received>,
    used: usize,
}

impl Batch {
    /// Receives of [`MAX_DATAGRAM`] bytes that it has room for.
    pub(super) const SLOTS: usize = 64;

    pub(super) fn new() -> Self {
        let memory = vec![0; Self::SLOTS * MAX_DATAGRAM].into_boxed_slice();
        Self { memory, received: Vec::with_capacity(Self::SLOTS), used: 0 }
    }

    /// For how many more receives there is room.
    pub(super) fn free(&self) -> usize {
        Self::SLOTS - self.used
    }

    /// Forgets all that was received.
    pub(super) fn clear(&mut self) {
        self.received.clear();
        self.used = 0;
    }

    /// All memory, in which packets stand.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory
    }

    /// The receives, in order, since it was cleared.
    pub(super) fn received(&self) -> &[Received] {
        &self.received
    }

    /// The free slots.
    pub(super) fn slots(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.memory.chunks_exact_mut(MAX_DATAGRAM).skip(self.used)
    }

    /// Takes the next free slot, into which a receive of `length` bytes went.
    pub(super) fn push(&mut self, length: usize, stride: usize, from: SocketAddr, to: Option<IpAddr>) {
        self.received.push(Received { start: self.used * MAX_DATAGRAM, length, stride, from, to });
        self.used += 1;
    }

    /// Takes so many slots, one behind another, for what is no datagram. There must be room.
    pub(super) fn claim(&mut self, slots: usize) -> Range<usize> {
        let start = self.used * MAX_DATAGRAM;
        self.used += slots;
        start..start + slots * MAX_DATAGRAM
    }

    /// Gives back those slots of the last claim that so many bytes do not reach.
    pub(super) fn give_back(&mut self, claim: Range<usize>, length: usize) {
        self.used = (claim.start + length).div_ceil(MAX_DATAGRAM);
    }

    /// Memory that was claimed.
    pub(super) fn claimed(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.memory[range]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the datagrams begin and end.
    fn received(length: usize, stride: usize) -> Vec<(usize, usize)> {
        let from = "192.0.2.1:9".parse().unwrap();
        let received = Received { start: 100, length, stride, from, to: None };
        received.datagrams().map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn what_was_joined_comes_apart_where_it_was_joined() {
        assert_eq!(received(25, 10), [(100, 110), (110, 120), (120, 125)]);
        assert_eq!(received(20, 10), [(100, 110), (110, 120)]);
        assert_eq!(received(7, 7), [(100, 107)]);
        assert_eq!(received(7, 0), received(7, 1), "a stride of nothing is none that the kernel tells");
        assert_eq!(received(0, 0), [(100, 100)]);
    }

    #[test]
    fn slots_are_taken_in_turn_and_all_given_back() {
        let mut batch = Batch::new();
        let from = "192.0.2.1:9".parse().unwrap();
        batch.slots().next().unwrap()[..2].copy_from_slice(b"ab");
        batch.push(2, 2, from, None);
        batch.slots().next().unwrap()[..1].copy_from_slice(b"c");
        batch.push(1, 1, from, None);
        let texts: Vec<_> = batch.received().iter().map(|each| &batch.bytes()[each.start..][..each.length]).collect();
        assert_eq!(texts, [&b"ab"[..], b"c"]);
        assert_eq!((batch.claim(2), batch.free()), (2 * MAX_DATAGRAM..4 * MAX_DATAGRAM, Batch::SLOTS - 4));
        for (length, left) in [(2 * MAX_DATAGRAM, 4), (MAX_DATAGRAM + 1, 4), (MAX_DATAGRAM, 3), (1, 3), (0, 2)] {
            batch.give_back(2 * MAX_DATAGRAM..4 * MAX_DATAGRAM, length);
            assert_eq!(batch.free(), Batch::SLOTS - left, "{length} bytes");
        }
        batch.clear();
        assert_eq!((batch.received().len(), batch.free(), batch.slots().count()), (0, Batch::SLOTS, Batch::SLOTS));
    }
}
