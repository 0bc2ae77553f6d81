//! When a connection has to do something although nothing comes.

use std::time::Duration;

use tokio::time::Instant;

use super::hub::HubOptions;

/// What is to be done at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing was heard for too long.
    Silence,
    /// The client has not said what it came for.
    NoHello,
    /// Its credential is to be replaced.
    Refresh,
    /// Its dialect has something to say from time to time.
    Beat,
    /// It is asked whether it is there.
    Ping,
}

/// The deadlines of one connection.
#[derive(Debug)]
pub(super) struct Deadlines {
    silence: Duration,
    hello: Duration,
    ping_every: Duration,
    beat_every: Option<Duration>,
    heard: Instant,
    /// When the client last took what it had not taken at once.
    read: Instant,
    unsettled_since: Option<Instant>,
    refresh: Option<Instant>,
    beat: Option<Instant>,
    ping: Instant,
}

impl Deadlines {
    /// For a connection that is new at `now`, and has not settled.
    pub(super) fn new(options: &HubOptions, beat_every: Option<Duration>, now: Instant) -> Self {
        let (silence, hello, ping_every) = (options.silence, options.hello_deadline, options.ping_every);
        let (ping, beat) = (now + ping_every, beat_every.map(|every| now + every));
        let unsettled_since = Some(now);
        let (heard, read) = (now, now);
        Self { silence, hello, ping_every, beat_every, heard, read, unsettled_since, refresh: None, beat, ping }
    }

    /// Until when the client may take to read what it is sent: no longer than it may be silent, or one that is gone
    /// would be missed later for being written to.
    pub(super) fn patience(&self) -> Instant {
        self.heard.max(self.read) + self.silence
    }

    /// What is due first, and when.
    pub(super) fn first(&self) -> (Instant, Due) {
        let others = [
            (self.unsettled_since.map(|since| since + self.hello), Due::NoHello),
            (self.refresh, Due::Refresh),
            (self.beat, Due::Beat),
            (Some(self.ping), Due::Ping),
        ];
        let others = others.into_iter().filter_map(|(at, due)| at.map(|at| (at, due)));
        others.fold(
            (self.heard + self.silence, Due::Silence),
            |first, other| if other.0 < first.0 { other } else { first },
        )
    }

    /// Something was heard.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
    }

    /// The client has read something: a write that had to wait for it is done.
    pub(super) fn reads(&mut self, now: Instant) {
        self.read = now;
    }

    /// The client was asked whether it is there.
    pub(super) fn pinged(&mut self, now: Instant) {
        self.ping = now + self.ping_every;
    }

    /// The dialect was asked what it has to say.
    pub(super) fn beaten(&mut self, now: Instant) {
        self.beat = self.beat_every.map(|every| now + every);
    }

    /// The client has a credential that lasts `ttl` seconds. It is to be replaced well before its end; with 0 there is
    /// none.
    pub(super) fn granted(&mut self, ttl: u64, now: Instant) {
        let renewal = || now + (Duration::from_secs(ttl) * 3 / 4).max(Duration::from_secs(1));
        self.refresh = (ttl > 0).then(renewal);
    }

    /// It has none any more.
    pub(super) fn ungranted(&mut self) {
        self.refresh = None;
    }

    /// Whether the client has said what it came for. The hello deadline runs from when it no longer has.
    pub(super) fn settle(&mut self, is_settled: bool, now: impl FnOnce() -> Instant) {
        self.unsettled_since = if is_settled { None } else { self.unsettled_since.or_else(|| Some(now())) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::options;
    use super::*;

    fn deadlines() -> (Deadlines, Instant) {
        let now = Instant::now();
        (Deadlines::new(&options(), None, now), now)
    }

    fn after(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_of_all_is_due() {
        let (mut deadlines, now) = deadlines();
        let options = options();
        assert_eq!(deadlines.first(), (now + options.ping_every, Due::Ping));
        deadlines.pinged(now + after(60));
        assert_eq!(deadlines.first(), (now + options.hello_deadline, Due::NoHello));
        deadlines.settle(true, || now);
        assert_eq!(deadlines.first(), (now + options.silence, Due::Silence));
        deadlines.hear(now + after(60));
        deadlines.granted(4, now);
        assert_eq!(deadlines.first(), (now + after(3), Due::Refresh));
        deadlines.granted(1, now);
        assert_eq!(deadlines.first(), (now + after(1), Due::Refresh), "never at once");
    }

    #[test]
    fn a_client_may_take_as_long_to_read_as_to_speak() {
        let (mut deadlines, now) = deadlines();
        let silence = options().silence;
        assert_eq!(deadlines.patience(), now + silence);
        deadlines.hear(now + after(3));
        assert_eq!(deadlines.patience(), now + after(3) + silence);
        deadlines.reads(now + after(5));
        assert_eq!(deadlines.patience(), now + after(5) + silence);
        deadlines.hear(now + after(4));
        assert_eq!(deadlines.patience(), now + after(5) + silence, "either is a sign of life");
    }

    #[test]
    fn the_hello_is_waited_for_from_when_it_is_missed() {
        let (mut deadlines, now) = deadlines();
        deadlines.settle(true, || now);
        deadlines.settle(false, || now + after(100));
        deadlines.settle(false, || now + after(101));
        deadlines.hear(now + after(200));
        deadlines.pinged(now + after(200));
        assert_eq!(deadlines.first(), (now + after(100) + options().hello_deadline, Due::NoHello));
    }
}
