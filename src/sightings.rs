//! What the relay saw of clients that test their way: noted by the relay, told by the web side, which meet nowhere else.
//!
//! Pure: time and ids are arguments. A client asks for a probe to be begun and gets an id, which it shows in what it
//! then sends: in SOFTWARE, or in the username of a page's credential. Only requests with the id of a probe that was
//! begun are noted, each kind of them once, so that the table has a fixed size, and costs nothing while it is empty.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::limit::SourcePrefix;

/// Probes at once.
pub const MAX_PROBES: usize = 256;
/// Probes at once from one source prefix.
pub const MAX_PROBES_PER_PREFIX: usize = 16;
/// Sightings kept of one probe: a whole run over three transports has under twenty.
pub const MAX_SIGHTINGS: usize = 48;
/// How long a probe is kept.
pub const PROBE_LIFE: Duration = Duration::from_secs(120);

/// Begins the SOFTWARE (RFC 8489 section 14.14) of a client that tests its way.
const SOFTWARE_PREFIX: &str = "lanturn probe ";
/// Stands before the id in the username of a page's credential.
const USERNAME_PREFIX: &str = ":page:";

/// Names a probe. Nobody guesses it who was not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProbeId(pub u64);

impl ProbeId {
    /// Reads what `Display` prints: 16 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if is_plain { u64::from_str_radix(text, 16).ok().map(Self) } else { None }
    }

    /// What a client says in SOFTWARE so that its requests are noted.
    pub fn software(self) -> String {
        format!("{SOFTWARE_PREFIX}{self}")
    }

    /// The id in a SOFTWARE.
    pub fn of_software(text: &str) -> Option<Self> {
        Self::parse(text.strip_prefix(SOFTWARE_PREFIX)?)
    }

    /// The id in a username, `expiry:page:ID`.
    pub fn of_username(text: &str) -> Option<Self> {
        let (_, id) = text.split_once(USERNAME_PREFIX)?;
        Self::parse(id)
    }
}

impl fmt::Display for ProbeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A success response was sent.
    Answered,
    /// It had no credential yet: the answer says how to ask again.
    Challenged,
    /// It got no answer, for its source prefix had had its share of errors.
    Withheld,
    /// An error response was sent.
    Refused {
        /// Of RFC 8489 section 14.8 or RFC 8656 section 19.
        code: u16,
        /// Why: a stable id.
        reason: &'static str,
        /// The rule of `relay.deny` that says so.
        rule: Option<String>,
    },
}

/// One request of a probe, or several alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// `udp`, `tcp` or `tls`.
    pub transport: &'static str,
    /// From where it came.
    pub client: SocketAddr,
    /// `allocate`, `refresh`, `create-permission` or `channel-bind`.
    pub method: &'static str,
    /// What became of it.
    pub outcome: Outcome,
}

/// Why no probe is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are [`MAX_PROBES`].
    All,
    /// The source prefix has [`MAX_PROBES_PER_PREFIX`].
    Prefix,
}

#[derive(Debug)]
struct Probe {
    source: SourcePrefix,
    ends: Instant,
    /// Each kind once, with how often it was seen.
    seen: Vec<(Sighting, u32)>,
}

/// The probes that were begun, and what was seen of each.
#[derive(Debug, Default)]
pub struct Sightings {
    /// How many there are, for those who must not wait for the lock.
    count: AtomicUsize,
    probes: Mutex<HashMap<ProbeId, Probe>>,
}

impl Sightings {
    /// Begins a probe for a source prefix, which alone may read it. Those that are over make room.
    ///
    /// # Errors
    /// [`Full`]
    pub fn begin(&self, id: ProbeId, source: SourcePrefix, now: Instant) -> Result<(), Full> {
        let mut probes = self.lock();
        probes.retain(|_, probe| probe.ends > now);
        let result = if probes.len() >= MAX_PROBES {
            Err(Full::All)
        } else if probes.values().filter(|probe| probe.source.site() == source.site()).count() >= MAX_PROBES_PER_PREFIX
        {
            Err(Full::Prefix)
        } else {
            probes.insert(id, Probe { source, ends: now + PROBE_LIFE, seen: Vec::new() });
            Ok(())
        };
        self.count.store(probes.len(), Ordering::Relaxed);
        result
    }

    /// Whether there are none, so that nothing is to be noted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there are. Those that are over count until the next one is begun.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Notes a request of a probe. Says false when it was dropped, for [`MAX_SIGHTINGS`] others are kept, or somebody else
    /// is at it: a relay waits for nobody. That of a probe that nobody has begun, or that is over, is no loss.
    pub fn note(&self, id: ProbeId, sighting: Sighting, now: Instant) -> bool {
        let mut probes = match self.probes.try_lock() {
            Ok(probes) => probes,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let Some(probe) = probes.get_mut(&id).filter(|probe| probe.ends > now) else { return true };
        if let Some((_, count)) = probe.seen.iter_mut().find(|(known, _)| *known == sighting) {
            *count = count.saturating_add(1);
            return true;
        }
        let is_kept = probe.seen.len() < MAX_SIGHTINGS;
        if is_kept {
            probe.seen.push((sighting, 1));
        }
        is_kept
    }

    /// What was seen, in the order in which it first was, and how often. `None` when no such probe was begun from that
    /// source prefix, or it is over.
    pub fn of(&self, id: ProbeId, source: SourcePrefix, now: Instant) -> Option<Vec<(Sighting, u32)>> {
        let probes = self.lock();
        let probe = probes.get(&id).filter(|probe| probe.source == source && probe.ends > now)?;
        Some(probe.seen.clone())
    }

    /// A panic elsewhere cannot leave the map half-changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, HashMap<ProbeId, Probe>> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn source(last: u32) -> SourcePrefix {
        IpAddr::from(last.to_be_bytes()).into()
    }

    fn sighting(port: u16) -> Sighting {
        let client = SocketAddr::from(([192, 0, 2, 1], port));
        Sighting { transport: "udp", client, method: "allocate", outcome: Outcome::Challenged }
    }

    #[test]
    fn only_whoever_began_a_probe_reads_it_and_only_for_a_time() {
        let (table, now, id) = (Sightings::default(), Instant::now(), ProbeId(7));
        assert!(table.is_empty());
        assert!(table.note(id, sighting(1), now), "nobody has begun it");
        table.begin(id, source(1), now).unwrap();
        assert!(!table.is_empty());
        for port in [1, 2, 1] {
            assert!(table.note(id, sighting(port), now));
        }
        assert_eq!(table.of(id, source(1), now), Some(vec![(sighting(1), 2), (sighting(2), 1)]));
        assert_eq!(table.of(id, source(2), now), None);
        assert_eq!(table.of(ProbeId(8), source(1), now), None);
        assert_eq!(table.of(id, source(1), now + PROBE_LIFE), None);
    }

    #[test]
    fn strangers_make_nothing_grow_beyond_its_bound() {
        let (table, now) = (Sightings::default(), Instant::now());
        let mut ids = (0..).map(ProbeId);
        for id in ids.by_ref().take(MAX_PROBES_PER_PREFIX) {
            table.begin(id, source(0), now).unwrap();
        }
        assert_eq!(table.begin(ProbeId(9999), source(0), now), Err(Full::Prefix));
        for (number, id) in (MAX_PROBES_PER_PREFIX..MAX_PROBES).zip(ids) {
            table.begin(id, source(number as u32), now).unwrap();
        }
        assert_eq!(table.begin(ProbeId(9999), source(9999), now), Err(Full::All));
        assert_eq!(table.len(), MAX_PROBES);
        let kept = (0..1000).filter(|&port| table.note(ProbeId(0), sighting(port), now)).count();
        assert_eq!((kept, table.of(ProbeId(0), source(0), now).unwrap().len()), (MAX_SIGHTINGS, MAX_SIGHTINGS));
        table.begin(ProbeId(9999), source(9999), now + PROBE_LIFE).unwrap();
        assert_eq!(table.len(), 1, "those that are over are gone");
    }

    #[test]
    fn an_id_is_found_where_a_client_can_put_it() {
        let id = ProbeId(0xabc);
        assert_eq!(ProbeId::of_software(&id.software()), Some(id));
        assert_eq!(ProbeId::of_username("1700000000:page:0000000000000abc"), Some(id));
        for other in ["lanturn probe abc", "lanturn probe 0000000000000ABC", "coturn", ""] {
            assert_eq!(ProbeId::of_software(other), None, "{other}");
        }
        for other in ["1700000000:anna", "1700000000:page:abc", "1:room:0000000000000abc:0000000000000abc"] {
            assert_eq!(ProbeId::of_username(other), None, "{other}");
        }
    }
}
