//! Limits by source prefix: on rates, in constant memory, and on numbers.
//!
//! Pure: time is an argument. The table of rates has a fixed number of slots and a keyed hash picks one for each prefix,
//! so no stranger can make it grow, and none can choose whose slot to share.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Slots in a table: 64 KiB. Two prefixes that share one share its rate.
const SLOTS: usize = 8192;

/// A source of traffic: an IPv4 address or an IPv6 /64, the least that one host controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourcePrefix(u64, bool);

impl SourcePrefix {
    /// The site that the source is a part of: an IPv6 /48 (RFC 6177), or the IPv4 address itself.
    pub fn site(self) -> Self {
        let Self(bits, is_v6) = self;
        if is_v6 { Self(bits >> 16 << 16, true) } else { self }
    }
}

impl From<IpAddr> for SourcePrefix {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => Self(u64::from(Ipv4Addr::to_bits(v4)), false),
            IpAddr::V6(v6) => Self((Ipv6Addr::to_bits(v6) >> 64) as u64, true),
        }
    }
}

/// So many events a period from each source prefix, with a burst of as many.
///
/// A generic cell rate algorithm: a slot keeps only the time at which it would be full again.
#[derive(Debug)]
pub struct RateLimit {
    slots: Box<[Duration]>,
    hasher: RandomState,
    interval: Duration,
    burst: Duration,
    refused: u64,
}

impl RateLimit {
    /// Lets `events` (at least 1) through in any `period`, from each prefix.
    pub fn new(events: u32, period: Duration) -> Self {
        Self {
            slots: vec![Duration::ZERO; SLOTS].into_boxed_slice(),
            hasher: RandomState::new(),
            interval: period / events.max(1),
            burst: period,
            refused: 0,
        }
    }

    /// Takes one event at `now`, the time since any fixed start.
    ///
    /// # Errors
    /// How long to wait before the next event would be let through.
    pub fn take(&mut self, source: SourcePrefix, now: Duration) -> Result<(), Duration> {
        let index = self.hasher.hash_one(source) as usize % SLOTS;
        let slot = &mut self.slots[index];
        let next = (*slot).max(now) + self.interval;
        if next > now + self.burst {
            self.refused += 1;
            return Err(next - now - self.burst);
        }
        *slot = next;
        Ok(())
    }

    /// Whether an event at `now` would be refused. Takes none.
    pub fn is_exhausted(&self, source: SourcePrefix, now: Duration) -> bool {
        let slot = self.slots[self.hasher.hash_one(source) as usize % SLOTS];
        slot.max(now) + self.interval > now + self.burst
    }

    /// How many events were refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

/// How many of something each source prefix has. Only those that have one are kept, so whatever bounds the whole bounds
/// this too.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shares(HashMap<SourcePrefix, u32>);

impl Shares {
    /// Whether the source may take one more, up to `limit`. If so, it has it.
    pub fn take(&mut self, source: SourcePrefix, limit: u32) -> bool {
        let taken = self.0.get(&source).copied().unwrap_or_default();
        let is_free = taken < limit;
        if is_free {
            self.0.insert(source, taken + 1);
        }
        is_free
    }

    /// Gives back one that was taken.
    pub fn give(&mut self, source: SourcePrefix) {
        match self.0.get_mut(&source) {
            Some(taken) if *taken > 1 => *taken -= 1,
            Some(_) | None => drop(self.0.remove(&source)),
        }
    }

    /// How many sources have any.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none has any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> SourcePrefix {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let mut limit = RateLimit::new(10, Duration::from_secs(1));
        let now = Duration::from_secs(5);
        let passed = (0..50).filter(|_| limit.take(source("192.0.2.1"), now).is_ok()).count();
        assert_eq!((passed, limit.refused()), (10, 40));
        assert!(limit.is_exhausted(source("192.0.2.1"), now) && !limit.is_exhausted(source("192.0.2.2"), now));
        assert_eq!(limit.take(source("192.0.2.1"), now), Err(Duration::from_millis(100)));
        assert!(limit.take(source("192.0.2.1"), now + Duration::from_millis(100)).is_ok());
    }

    #[test]
    fn one_host_is_one_source() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("2001:db8::1").site(), source("2001:db8:0:ffff::1").site());
        assert_ne!(source("2001:db8::1").site(), source("2001:db8:1::1").site());
        assert_ne!(source("192.0.2.1").site(), source("192.0.2.2").site());
    }

    #[test]
    fn a_flood_of_prefixes_takes_no_more_memory() {
        let mut limit = RateLimit::new(1, Duration::from_secs(1));
        for n in 0..1_000_000u32 {
            let _ = limit.take(IpAddr::from(n.to_be_bytes()).into(), Duration::ZERO);
        }
        assert_eq!(limit.slots.len(), SLOTS);
    }

    #[test]
    fn each_source_has_its_share_and_leaves_nothing_behind() {
        let source = |ip: &str| SourcePrefix::from(ip.parse::<IpAddr>().unwrap());
        let mut shares = Shares::default();
        let (one, other) = (source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert!(shares.take(one, 2) && shares.take(source("2001:db8::2"), 2) && !shares.take(one, 2));
        assert!(shares.take(other, 2));
        shares.give(one);
        assert!(shares.take(one, 2) && !shares.take(one, 2));
        [one, one, other].into_iter().for_each(|source| shares.give(source));
        assert!(shares.is_empty());
    }
}
