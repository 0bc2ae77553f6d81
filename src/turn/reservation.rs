//! Ports that EVEN-PORT holds back, until RESERVATION-TOKEN asks for them (RFC 8656 sections 7.2 and 18.9).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::quota::Charge;

/// How long a port is held back. RFC 8656 section 7.2 asks for 30 s at least.
pub const RESERVATION_LIFETIME: Duration = Duration::from_secs(30);

/// Names a port that is held back (RFC 8656 section 18.9). Nobody can guess one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReservationToken(pub [u8; 8]);

#[derive(Debug)]
struct Reservation {
    bound: SocketAddr,
    user: String,
    /// It counts as an allocation, so the quota bounds how many there are.
    charge: Charge,
    expires: Instant,
}

/// What is held back on all shards: a token may come in on another than the one that gave it.
#[derive(Debug, Default)]
pub struct Reservations(Mutex<HashMap<ReservationToken, Reservation>>);

impl Reservations {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Ends those that nobody asked for in time, and says where their sockets are bound.
    pub fn expire(&self, now: Instant) -> Vec<SocketAddr> {
        let mut due = Vec::new();
        self.lock().retain(|_, reservation| {
            if reservation.expires <= now {
                due.push(reservation.bound);
            }
            reservation.expires > now
        });
        due
    }

    pub(super) fn hold(&self, token: ReservationToken, bound: SocketAddr, user: &str, charge: Charge, now: Instant) {
        let reservation = Reservation { bound, user: user.to_owned(), charge, expires: now + RESERVATION_LIFETIME };
        self.lock().insert(token, reservation);
    }

    /// Hands over what is held back for a user, once.
    pub(super) fn claim(&self, token: ReservationToken, user: &str, now: Instant) -> Option<(SocketAddr, Charge)> {
        let mut all = self.lock();
        let held = all.get(&token)?;
        if held.user != user || held.expires <= now {
            return None;
        }
        all.remove(&token).map(|Reservation { bound, charge, .. }| (bound, charge))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ReservationToken, Reservation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
