//! Quotas: how much one user, one source prefix and everybody together may have.
//!
//! Shared by all shards. The maps are locked when an allocation begins or ends, never for a packet: an allocation
//! holds its accounts, and those are atomics.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::reject::Reject;
use crate::limit::SourcePrefix;

/// How far ahead of its rate a flow may burst.
const BURST: Duration = Duration::from_millis(250);

/// The limits of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Allocations at a time.
    pub allocations: u32,
    /// Permissions at a time, over all allocations.
    pub permissions: u32,
    /// Channel bindings at a time, over all allocations.
    pub channels: u32,
    /// Relayed application data in kbit/s, each way; 0 is no limit.
    pub bandwidth: u32,
}

/// Which way application data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    Up,
    /// To the client.
    Down,
}

#[derive(Debug)]
struct Account {
    limits: Limits,
    allocations: AtomicU32,
    permissions: AtomicU32,
    channels: AtomicU32,
    /// When the bytes let through so far will have passed at the limit's rate, in ns since [`Quota`]'s epoch.
    paid_until: [AtomicU64; 2],
}

impl Account {
    fn new(limits: Limits) -> Self {
        let zero = AtomicU32::default;
        Self { limits, allocations: zero(), permissions: zero(), channels: zero(), paid_until: Default::default() }
    }

    /// Takes an allocation with what it has, or nothing.
    fn take_all(&self, permissions: u32, channels: u32) -> bool {
        let limits = self.limits;
        let wanted = [
            (&self.allocations, 1, limits.allocations),
            (&self.permissions, permissions, limits.permissions),
            (&self.channels, channels, limits.channels),
        ];
        for (index, (count, number, limit)) in wanted.into_iter().enumerate() {
            let more = |n: u32| n.checked_add(number).filter(|n| *n <= limit);
            if count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
                wanted[..index].iter().for_each(|(count, number, _)| give(count, *number));
                return false;
            }
        }
        true
    }

    fn give_all(&self, permissions: u32, channels: u32) {
        give(&self.allocations, 1);
        give(&self.permissions, permissions);
        give(&self.channels, channels);
    }

    /// A generic cell rate algorithm over bytes.
    fn pay(&self, direction: Direction, bytes: usize, now: u64) -> bool {
        if self.limits.bandwidth == 0 {
            return true;
        }
        let cost = bytes as u64 * 8_000_000 / u64::from(self.limits.bandwidth);
        let next = |until: u64| {
            let until = until.max(now) + cost;
            (until <= now + BURST.as_nanos() as u64 + cost).then_some(until)
        };
        self.paid_until[direction as usize].fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// How long until what has passed is within the burst again, in ns.
    fn wait(&self, direction: Direction, now: u64) -> u64 {
        let until = self.paid_until[direction as usize].load(Ordering::Relaxed);
        until.saturating_sub(now + BURST.as_nanos() as u64)
    }

    /// Counts bytes that have passed, whether they were within the rate or not.
    fn book(&self, direction: Direction, bytes: usize, now: u64) {
        if self.limits.bandwidth > 0 {
            let cost = bytes as u64 * 8_000_000 / u64::from(self.limits.bandwidth);
            let next = |until: u64| Some(until.max(now) + cost);
            let _ = self.paid_until[direction as usize].fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        }
    }
}

/// Adds one unless that would pass the limit.
fn take(count: &AtomicU32, limit: u32) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < limit).then_some(n + 1)).is_ok()
}

fn give(count: &AtomicU32, number: u32) {
    count.fetch_sub(number, Ordering::Relaxed);
}

/// All accounts. Those of users and prefixes exist only while they have an allocation, so the total bounds them.
#[derive(Debug)]
pub struct Quota {
    user: Limits,
    prefix: Limits,
    total: Arc<Account>,
    accounts: Mutex<Accounts>,
    epoch: Instant,
}

#[derive(Debug, Default)]
struct Accounts {
    users: HashMap<String, Arc<Account>>,
    prefixes: HashMap<SourcePrefix, Arc<Account>>,
}

impl Quota {
    /// `now` is any moment before the first packet: rates are counted from it.
    pub fn new(user: Limits, prefix: Limits, total: Limits, now: Instant) -> Arc<Self> {
        let total = Arc::new(Account::new(total));
        Arc::new(Self { user, prefix, total, accounts: Mutex::default(), epoch: now })
    }

    /// Takes one allocation out of the three accounts. Given back when the [`Charge`] is dropped.
    ///
    /// # Errors
    /// [`Reject::AllocationQuotaReached`] for the user or the prefix, [`Reject::InsufficientCapacity`] for the total.
    pub fn charge(self: &Arc<Self>, user: &str, prefix: SourcePrefix) -> Result<Charge, Reject> {
        let mut accounts = self.lock();
        let of_user = get(&mut accounts.users, user.to_owned(), self.user);
        let of_prefix = get(&mut accounts.prefixes, prefix, self.prefix);
        // From here on dropping the charge also tidies the maps, so it must not happen under the lock.
        drop(accounts);
        let mut charge = Charge {
            quota: Arc::clone(self),
            user: user.to_owned(),
            prefix,
            accounts: [of_user, of_prefix, Arc::clone(&self.total)],
            allocations: 0,
            permissions: 0,
            channels: 0,
        };
        for index in 0..charge.accounts.len() {
            let account = &charge.accounts[index];
            if !take(&account.allocations, account.limits.allocations) {
                return Err(if index == 2 { Reject::InsufficientCapacity } else { Reject::AllocationQuotaReached });
            }
            charge.allocations += 1;
        }
        Ok(charge)
    }

    /// Allocations at present, over all shards.
    pub fn allocations(&self) -> u32 {
        self.total.allocations.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn get<K: Eq + Hash>(accounts: &mut HashMap<K, Arc<Account>>, key: K, limits: Limits) -> Arc<Account> {
    Arc::clone(accounts.entry(key).or_insert_with(|| Arc::new(Account::new(limits))))
}

/// What one allocation has taken. Dropping it gives all of it back.
#[derive(Debug)]
pub struct Charge {
    quota: Arc<Quota>,
    user: String,
    prefix: SourcePrefix,
    accounts: [Arc<Account>; 3],
    /// How many of the accounts, from the front, were charged for the allocation itself.
    allocations: usize,
    permissions: u32,
    channels: u32,
}

impl Charge {
    /// Takes one permission.
    pub fn take_permission(&mut self) -> bool {
        let taken = self.take(|account| (&account.permissions, account.limits.permissions));
        self.permissions += u32::from(taken);
        taken
    }

    /// Gives permissions back, as many as expired.
    pub fn give_permissions(&mut self, number: u32) {
        self.permissions -= number;
        self.accounts.iter().for_each(|account| give(&account.permissions, number));
    }

    /// Takes one channel binding.
    pub fn take_channel(&mut self) -> bool {
        let taken = self.take(|account| (&account.channels, account.limits.channels));
        self.channels += u32::from(taken);
        taken
    }

    /// Gives channel bindings back, as many as expired.
    pub fn give_channels(&mut self, number: u32) {
        self.channels -= number;
        self.accounts.iter().for_each(|account| give(&account.channels, number));
    }

    /// Whether so many bytes of application data are within every account's bandwidth.
    pub fn pay(&self, direction: Direction, bytes: usize, now: Instant) -> bool {
        let now = self.since_epoch(now);
        self.accounts.iter().all(|account| account.pay(direction, bytes, now))
    }

    /// Counts all of it against another source prefix from now on.
    ///
    /// # Errors
    /// [`Reject::AllocationQuotaReached`] when that has no room for it: then nothing changes.
    pub(super) fn rehome(&mut self, prefix: SourcePrefix) -> Result<(), Reject> {
        if prefix == self.prefix {
            return Ok(());
        }
        let mut accounts = self.quota.lock();
        let account = get(&mut accounts.prefixes, prefix, self.quota.prefix);
        let [user, _, total] = &self.accounts;
        let mut moved = Self {
            quota: Arc::clone(&self.quota),
            user: self.user.clone(),
            prefix,
            accounts: [Arc::clone(user), account, Arc::clone(total)],
            allocations: 0,
            permissions: 0,
            channels: 0,
        };
        drop(accounts);
        if !moved.accounts[1].take_all(self.permissions, self.channels) {
            return Err(Reject::AllocationQuotaReached);
        }
        // What the user and the total have of it stays as it is: only the prefix's changes hands.
        self.accounts[1].give_all(self.permissions, self.channels);
        (moved.allocations, moved.permissions, moved.channels) = (self.allocations, self.permissions, self.channels);
        (self.allocations, self.permissions, self.channels) = (0, 0, 0);
        *self = moved;
        Ok(())
    }

    /// How long a stream is to wait before it passes on more. Zero unless an account is over its bandwidth.
    pub fn wait(&self, direction: Direction, now: Instant) -> Duration {
        let now = self.since_epoch(now);
        let longest = self.accounts.iter().map(|account| account.wait(direction, now)).max();
        Duration::from_nanos(longest.unwrap_or_default())
    }

    /// Counts bytes of a stream, which cannot be dropped: what they are over the bandwidth, the next ones wait for.
    pub fn book(&self, direction: Direction, bytes: usize, now: Instant) {
        let now = self.since_epoch(now);
        self.accounts.iter().for_each(|account| account.book(direction, bytes, now));
    }

    fn since_epoch(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.quota.epoch).as_nanos() as u64
    }

    fn take(&self, field: impl Fn(&Account) -> (&AtomicU32, u32)) -> bool {
        for (index, account) in self.accounts.iter().enumerate() {
            let (count, limit) = field(account);
            if !take(count, limit) {
                self.accounts[..index].iter().for_each(|account| give(field(account).0, 1));
                return false;
            }
        }
        true
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        for account in &self.accounts[..self.allocations] {
            give(&account.allocations, 1);
        }
        for account in &self.accounts {
            give(&account.permissions, self.permissions);
            give(&account.channels, self.channels);
        }
        // Two owners, the map and this charge: nobody else has the account, and none can get it under the lock.
        let mut accounts = self.quota.lock();
        if Arc::strong_count(&self.accounts[0]) == 2 {
            accounts.users.remove(&self.user);
        }
        if Arc::strong_count(&self.accounts[1]) == 2 {
            accounts.prefixes.remove(&self.prefix);
        }
        // Give up both accounts while the lock is held, so that of two last charges the later one sees the other gone.
        self.accounts = std::array::from_fn(|_| Arc::clone(&self.quota.total));
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const MANY: Limits = Limits { allocations: 1000, permissions: 1000, channels: 1000, bandwidth: 0 };

    fn prefix(text: &str) -> SourcePrefix {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn each_of_the_three_limits_holds_and_is_given_back() {
        let limits = |allocations| Limits { allocations, ..MANY };
        let quota = Quota::new(limits(2), limits(3), limits(4), Instant::now());
        let charge = |user, at| quota.charge(user, prefix(at));
        let first = charge("anna", "192.0.2.1").unwrap();
        let _second = charge("anna", "192.0.2.2").unwrap();
        assert_eq!(charge("anna", "192.0.2.3").unwrap_err(), Reject::AllocationQuotaReached);
        let _third = charge("ben", "192.0.2.1").unwrap();
        let _fourth = charge("ben", "192.0.2.1").unwrap();
        assert_eq!(charge("eve", "192.0.2.9").unwrap_err(), Reject::InsufficientCapacity);
        drop(first);
        assert_eq!(quota.allocations(), 3);
        let _fifth = charge("anna", "192.0.2.1").unwrap();
    }

    #[test]
    fn a_prefix_is_one_account_whatever_the_users() {
        let quota = Quota::new(MANY, Limits { allocations: 1, ..MANY }, MANY, Instant::now());
        let _held = quota.charge("anna", prefix("2001:db8::1")).unwrap();
        assert_eq!(quota.charge("ben", prefix("2001:db8::2")).unwrap_err(), Reject::AllocationQuotaReached);
    }

    #[test]
    fn accounts_end_with_their_last_charge() {
        let quota = Quota::new(MANY, MANY, MANY, Instant::now());
        for n in 0..1000 {
            drop(quota.charge(&n.to_string(), prefix("192.0.2.1")).unwrap());
        }
        assert!(quota.lock().users.is_empty() && quota.lock().prefixes.is_empty());
    }

    #[test]
    fn permissions_and_channels_are_counted_over_all_allocations_of_a_user() {
        let limits = Limits { permissions: 2, channels: 1, ..MANY };
        let quota = Quota::new(limits, MANY, MANY, Instant::now());
        let mut first = quota.charge("anna", prefix("192.0.2.1")).unwrap();
        let mut second = quota.charge("anna", prefix("192.0.2.1")).unwrap();
        assert!(first.take_permission() && second.take_permission() && first.take_channel());
        assert!(!first.take_permission() && !second.take_channel());
        first.give_permissions(1);
        assert!(second.take_permission());
        drop(first);
        assert!(second.take_channel());
        drop(second);
        assert_eq!(quota.total.permissions.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn bandwidth_is_held_to_its_rate_each_way() {
        let start = Instant::now();
        let quota = Quota::new(Limits { bandwidth: 800, ..MANY }, MANY, MANY, start);
        let charge = quota.charge("anna", prefix("192.0.2.1")).unwrap();
        // 800 kbit/s is 100 packets of 1,000 bytes a second. Offered: 400 a second, for two seconds.
        let passed = (0..800).filter(|n| charge.pay(Direction::Up, 1000, start + Duration::from_micros(2500) * *n));
        let passed = passed.count();
        assert!((200..=230).contains(&passed), "{passed}");
        assert!(charge.pay(Direction::Down, 1000, start));
    }
}
