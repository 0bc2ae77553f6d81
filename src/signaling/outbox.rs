//! A member's mailbox, between those who fill it and the one connection that empties it. Nobody waits for a slow reader.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::budget::Purse;
use super::error::ErrorId;
use super::mailbox::{Mailbox, NotKept, Numbered, weigh};
use super::message::ServerMessage;

/// Clones are of the same mailbox.
#[derive(Clone, Debug)]
pub(super) struct Outbox(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    mailbox: Mailbox,
    purse: Purse,
    /// Why its connection is to end.
    ended: Option<ErrorId>,
    /// Counts the connections that it has had.
    holder: u64,
    /// The number of the last message that its member said, as the client numbers them.
    received: u64,
    /// The number of the last attempt to take it over, as the client numbers them.
    attempt: u64,
    /// The task of the connection that holds it, while it waits.
    waiting: Option<Waker>,
}

/// What a connection is to do next.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Send this, with its number if it has one.
    Say(Numbered),
    /// Say this, and close.
    End(ErrorId),
}

impl Outbox {
    /// For messages of at most `message_bytes` as JSON, held by the first connection.
    pub(super) fn new(message_bytes: usize, purse: Purse) -> Self {
        let mailbox = Mailbox::new(message_bytes);
        let state = State { mailbox, purse, ended: None, holder: 0, received: 0, attempt: 0, waiting: None };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Queues a message. One that does not fit ends the connection.
    pub(super) fn push(&self, message: ServerMessage) {
        let mut state = self.lock();
        state.push(message);
        wake(state);
    }

    /// Queues what concerns the connection with this hold, if it still has it.
    pub(super) fn tell(&self, holder: u64, message: ServerMessage) {
        let mut state = self.lock();
        if state.holder == holder {
            state.push(message);
        }
        wake(state);
    }

    /// Ends the connection that holds it, or the next one.
    pub(super) fn end(&self, why: ErrorId) {
        let mut state = self.lock();
        state.ended.get_or_insert(why);
        wake(state);
    }

    /// Whether a signal may be queued. For one who is away or not ready it must fit; one who is there and does not read
    /// is not spared.
    pub(super) fn accepts(&self, signal: &ServerMessage) -> bool {
        let state = self.lock();
        !state.mailbox.is_held() || state.mailbox.fits(signal) && state.purse.has_room_for(weigh(signal))
    }

    /// Has events kept until they are acknowledged.
    pub(super) fn keep(&self) {
        self.lock().mailbox.keep();
    }

    /// The member has left, and its connection may join again.
    pub(super) fn renew(&self) {
        let mut state = self.lock();
        state.mailbox.renew();
        (state.received, state.attempt) = (0, 0);
        state.pay();
    }

    /// Holds events back, or no longer, for the connection with this hold.
    pub(super) fn hold(&self, holder: u64, is_held: bool) {
        let mut state = self.lock();
        if state.holder == holder {
            state.mailbox.hold(is_held);
        }
        wake(state);
    }

    /// The connection with this hold has every event up to `number`, if it still has it.
    pub(super) fn ack(&self, holder: u64, number: u64) {
        let mut state = self.lock();
        if state.holder == holder {
            state.mailbox.ack(number);
            state.pay();
        }
    }

    /// Whether the connection with this hold says something new. One that numbers what it says may say it again, when it
    /// does not know whether it arrived.
    pub(super) fn is_new(&self, holder: u64, number: Option<u64>) -> Result<bool, ErrorId> {
        let mut state = self.lock();
        if state.holder != holder {
            return Err(ErrorId::Replaced);
        }
        let Some(number) = number else { return Ok(true) };
        let is_new = number > state.received;
        state.received = state.received.max(number);
        Ok(is_new)
    }

    /// The number of the last message that the member said.
    pub(super) fn received(&self) -> u64 {
        self.lock().received
    }

    /// The number of the last event that was sent.
    pub(super) fn last_sent(&self) -> u64 {
        self.lock().mailbox.last_sent()
    }

    /// Another connection takes over, which has every event up to `last`, or none at all and starts anew. Returns the
    /// number of its hold.
    ///
    /// # Errors
    /// [`NotKept`] when what it has missed is no longer there. It has not taken over then.
    pub(super) fn take_over(&self, last: Option<u64>) -> Result<u64, NotKept> {
        let mut state = self.lock();
        if state.ended.is_some() {
            return Err(NotKept);
        }
        match last {
            Some(last) => state.mailbox.rewind(last)?,
            None => {
                state.mailbox.restart();
                state.received = 0;
            }
        }
        state.mailbox.hold(false);
        state.pay();
        state.holder += 1;
        let holder = state.holder;
        wake(state);
        Ok(holder)
    }

    /// Whether an attempt to take it over is newer than all before: one that its client has long given up may still come.
    /// A client that begins anew and does not number that has forgotten its numbers, too.
    pub(super) fn is_newer(&self, attempt: Option<u64>, is_anew: bool) -> bool {
        let mut state = self.lock();
        let Some(attempt) = attempt else {
            if is_anew {
                state.attempt = 0;
            }
            return true;
        };
        let is_newer = attempt > state.attempt;
        state.attempt = state.attempt.max(attempt);
        is_newer
    }

    /// Whether the connection with this hold still has it.
    pub(super) fn is_held_by(&self, holder: u64) -> bool {
        self.lock().holder == holder
    }

    /// What the connection with this hold is to do next, if there is anything.
    pub(super) fn try_next(&self, holder: u64) -> Option<Next> {
        self.lock().next(holder)
    }

    /// What the connection with this hold is to do next, when there is anything. One task may wait at a time.
    pub(super) async fn next(&self, holder: u64) -> Next {
        poll_fn(|cx| {
            let mut state = self.lock();
            let next = state.next(holder);
            state.or_wait(next, cx)
        })
        .await
    }

    /// Returns once the connection with this hold is to end, and why. One task may wait at a time.
    pub(super) async fn ended(&self, holder: u64) -> ErrorId {
        poll_fn(|cx| {
            let mut state = self.lock();
            let why = if state.holder == holder { state.ended } else { Some(ErrorId::Replaced) };
            state.or_wait(why, cx)
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the connection look again.
fn wake(mut state: MutexGuard<'_, State>) {
    let waiting = state.waiting.take();
    drop(state);
    if let Some(waiting) = waiting {
        waiting.wake();
    }
}

impl State {
    fn next(&mut self, holder: u64) -> Option<Next> {
        if self.holder != holder {
            return Some(Next::End(ErrorId::Replaced));
        }
        let next = self.ended.map(Next::End).or_else(|| self.mailbox.next().map(Next::Say));
        // What is sent may be needed again, but never at the cost of what has yet to be sent.
        self.pay();
        if !self.purse.may_keep() {
            self.forget_kept();
        }
        self.count_forgotten();
        next
    }

    fn or_wait<T>(&mut self, ready: Option<T>, cx: &Context<'_>) -> Poll<T> {
        if ready.is_none() {
            match &mut self.waiting {
                Some(waiting) => waiting.clone_from(cx.waker()),
                None => self.waiting = Some(cx.waker().clone()),
            }
        }
        ready.map_or(Poll::Pending, Poll::Ready)
    }

    fn push(&mut self, message: ServerMessage) {
        if self.ended.is_some() {
            return;
        }
        let fits = self.mailbox.push(message).is_ok();
        // What it has and only might need again goes first.
        let is_paid = self.pay() || {
            self.forget_kept();
            self.pay() || self.mailbox.is_single()
        };
        self.count_forgotten();
        if !fits || !is_paid {
            self.ended = Some(ErrorId::SlowReader);
        }
    }

    fn forget_kept(&mut self) {
        self.mailbox.forget_kept();
        self.pay();
    }

    fn count_forgotten(&mut self) {
        let forgotten = self.mailbox.take_forgotten();
        if forgotten > 0 {
            metrics::counter!("lanturn_events_forgotten_total").increment(forgotten);
        }
    }

    /// Says whether the mailbox may hold what it holds.
    fn pay(&mut self) -> bool {
        self.purse.hold(self.mailbox.bytes())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use std::net::Ipv4Addr;

    use super::super::budget::{ALWAYS, Budget, WaitingLimits};
    use super::super::mailbox::{MAX_KEPT, MAX_WAITING};
    use super::super::{Payload, PeerId};
    use super::*;
    use crate::credentials::MemberTag;
    use crate::metrics::testing::Counts;

    fn outbox_within(all: usize) -> Outbox {
        let mut budget = Budget::new(WaitingLimits { all, per_prefix: all });
        Outbox::new(1024, budget.purse(std::net::IpAddr::from(Ipv4Addr::LOCALHOST).into(), 1))
    }

    #[test]
    fn when_memory_is_short_what_was_sent_goes_first() {
        let outbox = outbox_within(2 * ALWAYS);
        outbox.keep();
        let data = Payload::of(&"x".repeat(ALWAYS / 2));
        let signal = || ServerMessage::Signal { from: PeerId(MemberTag(1)), epoch: 1, seq: 1, data: data.clone() };
        for _ in 0..10 {
            outbox.push(signal());
            assert!(matches!(outbox.try_next(0), Some(Next::Say(_))), "a reader is not closed for what it might need");
        }
        outbox.hold(0, true);
        let waiting = (0..10)
            .take_while(|_| {
                outbox.accepts(&signal()) && {
                    outbox.push(signal());
                    true
                }
            })
            .count();
        assert_eq!(waiting, 3, "one who is away gets no more than fits");
        outbox.hold(0, false);
        (0..10).for_each(|_| outbox.push(signal()));
        assert_eq!(outbox.try_next(0), Some(Next::End(ErrorId::SlowReader)));
    }

    #[test]
    fn what_is_forgotten_is_counted() {
        let (counts, outbox) = (Counts::new(), outbox_within(1 << 20));
        outbox.keep();
        let forgotten = || counts.of("lanturn_events_forgotten_total");
        let told = || {
            outbox.push(ServerMessage::PeerAway { id: PeerId(MemberTag(1)) });
            assert!(matches!(outbox.try_next(0), Some(Next::Say(_))));
        };
        (0..MAX_KEPT).for_each(|_| told());
        assert_eq!(forgotten(), 0);
        told();
        assert_eq!(forgotten(), 1, "one more than is kept");
        outbox.ack(0, 1 + MAX_KEPT as u64);
        told();
        assert_eq!(forgotten(), 1, "what it has is none of these");
    }

    #[test]
    fn who_does_not_read_is_told_so_instead_of_the_rest() {
        let outbox = outbox_within(1 << 20);
        (0..MAX_WAITING).for_each(|_| outbox.push(ServerMessage::Pong));
        assert!(outbox.ended(0).now_or_never().is_none());
        outbox.push(ServerMessage::Pong);
        assert_eq!(outbox.ended(0).now_or_never(), Some(ErrorId::SlowReader));
        assert_eq!(outbox.try_next(0), Some(Next::End(ErrorId::SlowReader)));
    }

    #[test]
    fn only_the_last_connection_hears_anything() {
        let outbox = outbox_within(1 << 20);
        assert_eq!(outbox.next(0).now_or_never(), None);
        assert_eq!(outbox.take_over(Some(0)), Ok(1));
        outbox.push(ServerMessage::Pong);
        assert_eq!(outbox.next(0).now_or_never(), Some(Next::End(ErrorId::Replaced)));
        assert_eq!(outbox.next(1).now_or_never(), Some(Next::Say((None, ServerMessage::Pong))));
        assert!(outbox.is_held_by(1) && !outbox.is_held_by(0));
    }
}
