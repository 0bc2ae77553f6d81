//! When to order: pure arithmetic.

use std::time::Duration;

use time::OffsetDateTime;

/// What part of its life a certificate is used for before it is renewed. The rest is for attempts that fail.
const USED: f64 = 2.0 / 3.0;
/// By up to so much of its life the renewal is put off, so that boxes that started together do not renew together.
const SPREAD: f64 = 1.0 / 12.0;
/// What part of the rest of its life a new certificate is used for at least, however far back it is dated.
const SPARED: f64 = 1.0 / 3.0;
/// From the first failed attempt to the second. Let's Encrypt lets a name fail five times an hour.
const FIRST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: OffsetDateTime,
    pub(super) not_after: OffsetDateTime,
}

impl Validity {
    pub(super) fn contains(&self, now: OffsetDateTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// When to renew it. `chance` is from 0 to 1.
    pub(super) fn renewal(&self, chance: f64) -> OffsetDateTime {
        self.not_before + (self.not_after - self.not_before) * (USED + SPREAD * chance)
    }

    /// The same for one that has come just now.
    pub(super) fn first_renewal(&self, now: OffsetDateTime, chance: f64) -> OffsetDateTime {
        self.renewal(chance).max(now + (self.not_after - now) * SPARED)
    }
}

/// How long to wait after so many failed attempts in a row, at least one. `chance` is from 0 to 1.
pub(super) fn pause(failures: u32, chance: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
    doubled.mul_f64(1.0 - chance / 4.0)
}

#[cfg(test)]
mod tests {
    use time::Duration as Span;

    use super::*;

    fn validity(life: Span) -> Validity {
        Validity { not_before: OffsetDateTime::UNIX_EPOCH, not_after: OffsetDateTime::UNIX_EPOCH + life }
    }

    #[test]
    fn it_is_renewed_after_two_thirds_of_its_life_and_somewhat_later() {
        let days = |days, chance| {
            (validity(Span::days(days)).renewal(chance) - OffsetDateTime::UNIX_EPOCH).as_seconds_f64() / 86_400.0
        };
        assert!((days(90, 0.0) - 60.0).abs() < 0.01);
        assert!((days(90, 1.0) - 67.5).abs() < 0.01);
        assert!((days(6, 0.0) - 4.0).abs() < 0.01);
    }

    #[test]
    fn a_new_one_is_used_for_a_while_however_far_back_it_is_dated() {
        let certificate = validity(Span::hours(3));
        let now = OffsetDateTime::UNIX_EPOCH + Span::hours(1);
        assert_eq!(certificate.first_renewal(now, 0.0), certificate.renewal(0.0));
        let late = OffsetDateTime::UNIX_EPOCH + Span::minutes(150);
        assert!(certificate.renewal(1.0) < late);
        assert_eq!((certificate.first_renewal(late, 1.0) - late).whole_seconds(), 10 * 60);
    }

    #[test]
    fn it_is_valid_from_the_first_moment_to_the_last() {
        let certificate = validity(Span::hours(1));
        let at = |seconds| certificate.contains(OffsetDateTime::UNIX_EPOCH + Span::seconds(seconds));
        assert_eq!([-1, 0, 3600, 3601].map(at), [false, true, true, false]);
    }

    #[test]
    fn pauses_grow_and_end_growing() {
        let minutes = [1, 2, 3, 4, 20, u32::MAX].map(|failures| pause(failures, 0.0).as_secs() / 60);
        assert_eq!(minutes, [5, 10, 20, 40, 360, 360]);
        assert_eq!(pause(1, 1.0).as_secs(), 225);
    }
}
