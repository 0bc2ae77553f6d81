//! What a shard has to send once it has handled what it received.
//!
//! Datagrams of one length from one socket to one destination leave together: the kernel takes such a run for the price
//! of little more than one (UDP_SEGMENT). Nothing is copied for it. A part of a run says where its payload stands, and
//! what goes around it.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::stun::Framing;
use crate::turn::AllocationId;

/// The most datagrams that the kernel takes as one (UDP_MAX_SEGMENTS in Linux up to 6.8; it has doubled since).
pub(super) const MAX_SEGMENTS: usize = 64;
/// The most bytes of them: what an IPv6 header and an extension or two leave of 65,535.
const MAX_RUN_BYTES: usize = 65_000;
/// How many runs are looked back over for one that goes the same way. Further back, another begins: that costs a little
/// more to send, and changes no order.
const LOOK_BACK: usize = 32;
const ZEROES: [u8; 3] = [0; 3];

/// The socket that something leaves by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exit {
    /// A listening socket, by its index.
    Listener(usize),
    /// The relay socket of an allocation.
    Relay(AllocationId),
    /// The same, which is told first that no datagram may be cut to pieces: so one of these and one of the others are
    /// never in one run.
    RelayWhole(AllocationId),
}

/// Where something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) exit: Exit,
    pub(super) to: SocketAddr,
    /// The address of this machine that it comes from, where the socket has several.
    pub(super) from: Option<IpAddr>,
}

/// Which memory a payload stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// What was received.
    Batch,
    /// The answers of the server.
    Replies,
    /// What came from another shard: which of its packets.
    Hops(usize),
}

/// A payload and what goes around it.
#[derive(Clone, Debug)]
struct Part {
    framing: Option<Framing>,
    place: Place,
    payload: Range<usize>,
    next: Option<usize>,
}

impl Part {
    fn length(&self) -> usize {
        let around = self.framing.as_ref().map_or(0, |framing| framing.head().len() + framing.padding());
        self.payload.len() + around
    }
}

/// A run as it grows.
#[derive(Clone, Copy, Debug)]
struct Growing {
    way: Way,
    /// The length of every part but the last, which may be shorter.
    segment: usize,
    bytes: usize,
    count: usize,
    first: usize,
    last: usize,
    is_open: bool,
}

/// What is to be sent.
#[derive(Debug)]
pub(super) struct Departures {
    runs: Vec<Growing>,
    parts: Vec<Part>,
    /// The runs, by socket.
    order: Vec<usize>,
    max_segments: usize,
}

impl Departures {
    pub(super) fn new() -> Self {
        Self { runs: Vec::new(), parts: Vec::new(), order: Vec::new(), max_segments: MAX_SEGMENTS }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// From now on every datagram is sent by itself.
    pub(super) fn stop_joining(&mut self) {
        self.max_segments = 1;
    }

    /// Adds a datagram behind all that go the same way.
    pub(super) fn push(&mut self, way: Way, framing: Option<Framing>, place: Place, payload: Range<usize>) {
        let part = Part { framing, place, payload, next: None };
        let (length, index) = (part.length(), self.parts.len());
        self.parts.push(part);
        let run = self.runs.iter_mut().rev().take(LOOK_BACK).find(|run| run.way == way);
        if let Some(run) = run.filter(|run| run.is_open && run.count < self.max_segments)
            && length <= run.segment
            && length > 0
            && run.bytes + length <= MAX_RUN_BYTES
        {
            self.parts[run.last].next = Some(index);
            run.last = index;
            run.bytes += length;
            run.count += 1;
            run.is_open = length == run.segment;
            return;
        }
        let is_open = length > 0;
        self.runs.push(Growing { way, segment: length, bytes: length, count: 1, first: index, last: index, is_open });
    }

    /// Gives everything to `send`, socket by socket: the runs that leave by it, in the order in which they began.
    pub(super) fn each_exit<'a>(&'a mut self, memory: Memory<'a>, mut send: impl FnMut(Exit, Runs<'a>)) {
        let Self { runs, parts, order, .. } = self;
        order.clear();
        order.extend(0..runs.len());
        order.sort_unstable_by_key(|&index| (runs[index].way.exit, index));
        for group in order.chunk_by(|&one, &other| runs[one].way.exit == runs[other].way.exit) {
            send(runs[group[0]].way.exit, Runs { runs, parts, memory, order: group });
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.parts.clear();
    }
}

/// Where payloads stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory<'a> {
    pub(super) batch: &'a [u8],
    pub(super) replies: &'a [u8],
    pub(super) hops: &'a [Vec<u8>],
}

impl<'a> Memory<'a> {
    /// The bytes of a payload.
    pub(super) fn bytes(&self, place: Place, payload: Range<usize>) -> &'a [u8] {
        match place {
            Place::Batch => &self.batch[payload],
            Place::Replies => &self.replies[payload],
            Place::Hops(index) => &self.hops[index][payload],
        }
    }
}

/// Runs that leave by one socket.
#[derive(Clone, Debug)]
pub(super) struct Runs<'a> {
    runs: &'a [Growing],
    parts: &'a [Part],
    memory: Memory<'a>,
    order: &'a [usize],
}

impl<'a> Iterator for Runs<'a> {
    type Item = Run<'a>;

    fn next(&mut self) -> Option<Run<'a>> {
        let (&index, rest) = self.order.split_first()?;
        self.order = rest;
        let Growing { way, segment, count, first, .. } = self.runs[index];
        Some(Run { to: way.to, from: way.from, segment, count, first, parts: self.parts, memory: self.memory })
    }
}

/// Datagrams to one destination. All are `segment` bytes long but the last, which may be shorter.
#[derive(Clone, Debug)]
pub(super) struct Run<'a> {
    pub(super) to: SocketAddr,
    pub(super) from: Option<IpAddr>,
    pub(super) segment: usize,
    /// How many there are, up to [`MAX_SEGMENTS`].
    pub(super) count: usize,
    first: usize,
    parts: &'a [Part],
    memory: Memory<'a>,
}

impl<'a> Run<'a> {
    /// The datagrams, each in pieces: what goes before the payload, the payload, and the padding.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = [&'a [u8]; 3]> + use<'a> {
        let (parts, memory) = (self.parts, self.memory);
        std::iter::successors(Some(&parts[self.first]), |part| part.next.map(|next| &parts[next])).map(move |part| {
            let (head, padding) = part.framing.as_ref().map_or((&[][..], 0), |each| (each.head(), each.padding()));
            [head, memory.bytes(part.place, part.payload.clone()), &ZEROES[..padding]]
        })
    }

    /// A run of one of them: which, is for the caller to know.
    pub(super) fn alone(&self) -> Self {
        Self { count: 1, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stun::ChannelNumber;

    fn relay(index: u32) -> Exit {
        Exit::Relay(AllocationId { index, generation: 7 })
    }

    fn way(exit: Exit, port: u16) -> Way {
        Way { exit, to: ([192, 0, 2, 1], port).into(), from: None }
    }

    /// What leaves, in order: by which socket, for whom, and the datagrams of one run.
    fn leaving(departures: &mut Departures, batch: &[u8]) -> Vec<(Exit, u16, Vec<Vec<u8>>)> {
        let mut left = Vec::new();
        departures.each_exit(Memory { batch, replies: &[], hops: &[] }, |exit, runs| {
            for run in runs {
                let datagrams: Vec<Vec<u8>> = run.datagrams().map(|pieces| pieces.concat()).collect();
                assert_eq!(datagrams.len(), run.count);
                assert!(datagrams.iter().rev().skip(1).all(|datagram| datagram.len() == run.segment));
                left.push((exit, run.to.port(), datagrams));
            }
        });
        left
    }

    #[test]
    fn datagrams_of_one_length_leave_together_and_a_shorter_one_is_the_last() {
        let mut departures = Departures::new();
        for range in [0..4, 4..8, 8..10, 10..14, 14..20] {
            departures.push(way(relay(1), 9), None, Place::Batch, range);
        }
        let left = leaving(&mut departures, b"aaaabbbbccddddeeeeee");
        let texts: Vec<Vec<&str>> = left
            .iter()
            .map(|(.., run)| run.iter().map(|datagram| std::str::from_utf8(datagram).unwrap()).collect())
            .collect();
        assert_eq!(texts, [vec!["aaaa", "bbbb", "cc"], vec!["dddd"], vec!["eeeeee"]]);
    }

    #[test]
    fn what_must_stay_whole_is_never_joined_with_what_need_not() {
        let mut departures = Departures::new();
        let whole = |index| Exit::RelayWhole(AllocationId { index, generation: 7 });
        for (exit, range) in [(relay(1), 0..2), (whole(1), 2..4), (relay(1), 4..6), (whole(1), 6..8)] {
            departures.push(way(exit, 9), None, Place::Batch, range);
        }
        let left = leaving(&mut departures, b"a-A-b-B-");
        assert_eq!(left.iter().map(|(exit, ..)| *exit).collect::<Vec<_>>(), [relay(1), whole(1)]);
        assert_eq!(left.into_iter().map(|(.., run)| run.concat()).collect::<Vec<_>>(), [b"a-b-", b"A-B-"]);
    }

    #[test]
    fn one_without_content_is_alone() {
        let mut departures = Departures::new();
        for range in [0..2, 2..2, 2..2, 2..4] {
            departures.push(way(Exit::Listener(0), 9), None, Place::Batch, range);
        }
        let runs: Vec<usize> = leaving(&mut departures, b"aabb").iter().map(|(.., run)| run.len()).collect();
        assert_eq!(runs, [1, 1, 1, 1]);
    }

    #[test]
    fn a_run_has_no_more_than_the_kernel_takes() {
        let mut departures = Departures::new();
        let batch = vec![1; 1200];
        (0..200).for_each(|_| departures.push(way(relay(1), 9), None, Place::Batch, 0..10));
        (0..200).for_each(|_| departures.push(way(relay(2), 9), None, Place::Batch, 0..1200));
        let runs: Vec<usize> = leaving(&mut departures, &batch).iter().map(|(.., run)| run.len()).collect();
        assert_eq!(runs, [64, 64, 64, 8, 54, 54, 54, 38]);
        departures.clear();
        departures.stop_joining();
        (0..3).for_each(|_| departures.push(way(relay(1), 9), None, Place::Batch, 0..10));
        assert_eq!(leaving(&mut departures, &batch).len(), 3);
    }

    #[test]
    fn what_goes_around_a_payload_counts() {
        let mut departures = Departures::new();
        let framing = |length| Framing::channel_data(ChannelNumber::new(0x4001).unwrap(), length, true);
        departures.push(way(Exit::Listener(0), 9), framing(2), Place::Batch, 0..2);
        departures.push(way(Exit::Listener(0), 9), framing(3), Place::Batch, 2..5);
        let left = leaving(&mut departures, b"abcde");
        assert_eq!(left[0].2, [b"\x40\x01\x00\x02ab\0\0", b"\x40\x01\x00\x03cde\0"]);
    }

    proptest! {
        /// Whatever comes, each way gets its own, all of it, and in order.
        #[test]
        fn nothing_is_lost_or_overtakes_what_goes_the_same_way(
            packets in prop::collection::vec((0..3u32, 0..40u16, 0..6usize), 0..300)
        ) {
            let mut departures = Departures::new();
            let (mut batch, mut expected) = (Vec::new(), Vec::new());
            for (number, &(exit, port, length)) in packets.iter().enumerate() {
                let start = batch.len();
                batch.resize(start + length, number as u8);
                departures.push(way(relay(exit), port), None, Place::Batch, start..start + length);
                expected.push((relay(exit), port, batch[start..].to_vec()));
            }
            let left: Vec<_> = leaving(&mut departures, &batch)
                .into_iter()
                .flat_map(|(exit, port, run)| run.into_iter().map(move |datagram| (exit, port, datagram)))
                .collect();
            let of = |all: &[(Exit, u16, Vec<u8>)], exit, port| -> Vec<Vec<u8>> {
                all.iter().filter(|each| (each.0, each.1) == (exit, port)).map(|each| each.2.clone()).collect()
            };
            prop_assert_eq!(left.len(), expected.len());
            for &(exit, port, _) in &packets {
                prop_assert_eq!(of(&left, relay(exit), port), of(&expected, relay(exit), port));
            }
        }
    }
}
