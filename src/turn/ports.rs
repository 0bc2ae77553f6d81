//! Which ports to try for a relayed address.

use std::ops::RangeInclusive;

use rand::Rng;

/// The most ports tried for one allocation, so that a full range costs a bounded time.
const TRIES: u32 = 512;

/// Ports of a range in an order that nobody can guess, each at most once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidates {
    first: u32,
    size: u32,
    start: u32,
    stride: u32,
    tried: u32,
}

impl Candidates {
    pub(super) fn new(range: &RangeInclusive<u16>, rng: &mut impl Rng) -> Self {
        let first = u32::from(*range.start());
        let size = u32::from(*range.end()).saturating_sub(first) + 1;
        let stride = coprime(rng.random_range(0..size), size);
        Self { first, size, start: rng.random_range(0..size), stride, tried: 0 }
    }
}

impl Iterator for Candidates {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.tried == self.size.min(TRIES) {
            return None;
        }
        let offset = (u64::from(self.start) + u64::from(self.tried) * u64::from(self.stride)) % u64::from(self.size);
        self.tried += 1;
        Some((self.first + offset as u32) as u16)
    }
}

/// The first number from `from` on that shares no factor with `size`: its multiples visit every place.
fn coprime(from: u32, size: u32) -> u32 {
    (from.max(1)..).find(|&n| gcd(n, size) == 1).unwrap_or(1)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn every_port_of_a_small_range_is_tried_once() {
        for seed in 0..100 {
            let mut rng = StdRng::seed_from_u64(seed);
            let tried: Vec<u16> = Candidates::new(&(50_000..=50_099), &mut rng).collect();
            assert_eq!(tried.len(), 100);
            assert_eq!(tried.iter().collect::<HashSet<_>>().len(), 100);
            assert!(tried.iter().all(|port| (50_000..=50_099).contains(port)));
        }
    }

    #[test]
    fn the_whole_range_of_ports_and_a_single_one_work() {
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(Candidates::new(&(1..=65_535), &mut rng).count(), TRIES as usize);
        assert_eq!(Candidates::new(&(65_535..=65_535), &mut rng).collect::<Vec<_>>(), [65_535]);
    }
}
