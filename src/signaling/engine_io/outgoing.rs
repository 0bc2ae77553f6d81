//! What waits for a client that polls: between the task of its session, which fills it, and the requests that fetch it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;

/// The most packets that wait.
const MAX_WAITING: usize = 64;
/// The most memory that waiting packets may take before no more are added, in bytes.
const MAX_WAITING_BYTES: usize = 64 * 1024;
/// The packet that only ends a poll.
const NOOP: &str = "6";

/// What a poll fetches, or why it does not.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// Packets.
    Packets(Vec<String>),
    /// The session is over.
    Over,
    /// Another poll is under way.
    Overlaps,
}

/// The WebSocket that takes over, and what has yet to be sent over it.
pub(super) type Change<S> = (WebSocketStream<S>, Vec<String>);

/// One client's.
#[derive(Debug)]
pub(super) struct Outgoing<S> {
    state: Mutex<State<S>>,
    news: Notify,
}

#[derive(Debug)]
struct State<S> {
    packets: Vec<String>,
    bytes: usize,
    /// Whether what waits may leave: what is said together is fetched together.
    is_flushed: bool,
    is_polled: bool,
    is_posted: bool,
    is_upgrading: bool,
    is_over: bool,
    upgraded: Option<WebSocketStream<S>>,
    /// What the client did that it may not.
    fault: Option<tungstenite::Error>,
    /// The task of the session.
    task: Option<Waker>,
}

impl<S> Default for Outgoing<S> {
    fn default() -> Self {
        let state = State {
            packets: Vec::new(),
            bytes: 0,
            is_flushed: false,
            is_polled: false,
            is_posted: false,
            is_upgrading: false,
            is_over: false,
            upgraded: None,
            fault: None,
            task: None,
        };
        Self { state: Mutex::new(state), news: Notify::new() }
    }
}

/// The right to poll, post or upgrade, one at a time.
pub(super) struct Turn<S> {
    outgoing: Arc<Outgoing<S>>,
    flag: fn(&mut State<S>) -> &mut bool,
}

impl<S> Drop for Turn<S> {
    fn drop(&mut self) {
        *(self.flag)(&mut self.outgoing.lock()) = false;
    }
}

impl<S> Outgoing<S> {
    /// The right to post, unless somebody has it.
    pub(super) fn turn_to_post(self: &Arc<Self>) -> Option<Turn<S>> {
        self.turn(|state| &mut state.is_posted)
    }

    /// The right to upgrade, unless somebody has it. For as long, polls do not wait: the client waits for them.
    pub(super) fn turn_to_upgrade(self: &Arc<Self>) -> Option<Turn<S>> {
        let turn = self.turn(|state| &mut state.is_upgrading);
        self.news.notify_waiters();
        turn
    }

    fn turn(self: &Arc<Self>, flag: fn(&mut State<S>) -> &mut bool) -> Option<Turn<S>> {
        let is_taken = std::mem::replace(flag(&mut self.lock()), true);
        (!is_taken).then(|| Turn { outgoing: Arc::clone(self), flag })
    }

    /// What there is to fetch, when there is anything.
    pub(super) async fn fetch(self: &Arc<Self>) -> Fetched {
        let Some(_turn) = self.turn(|state| &mut state.is_polled) else {
            return Fetched::Overlaps;
        };
        loop {
            let news = self.news.notified();
            if let Some(fetched) = self.lock().take() {
                return fetched;
            }
            news.await;
        }
    }

    /// Gives the session a WebSocket in place of polls.
    pub(super) fn upgrade(&self, ws: WebSocketStream<S>) {
        let mut state = self.lock();
        state.upgraded = Some(ws);
        state.wake();
    }

    /// The session is to end for what the client did, unless it is to end already.
    pub(super) fn fail(&self, fault: tungstenite::Error) {
        let mut state = self.lock();
        state.fault.get_or_insert(fault);
        state.wake();
    }

    /// The session is over: who polls need not wait.
    pub(super) fn end(&self) {
        self.lock().is_over = true;
        self.news.notify_waiters();
    }

    /// For the session's task: the WebSocket that came, or what is wrong.
    pub(super) fn poll_change(&self, cx: &Context<'_>) -> Poll<Result<Change<S>, tungstenite::Error>> {
        let mut state = self.lock();
        if let Some(fault) = state.fault.take() {
            return Poll::Ready(Err(fault));
        }
        match state.upgraded.take() {
            Some(ws) => Poll::Ready(Ok((ws, state.take_packets()))),
            None => state.wait(cx),
        }
    }

    /// For the session's task: whether there is room for another packet.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.packets.len() < MAX_WAITING && state.bytes < MAX_WAITING_BYTES {
            return Poll::Ready(());
        }
        state.is_flushed = true;
        self.news.notify_waiters();
        state.wait(cx)
    }

    /// For the session's task: whether all was fetched.
    pub(super) fn poll_fetched(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.packets.is_empty() { Poll::Ready(()) } else { state.wait(cx) }
    }

    /// Adds a packet.
    pub(super) fn push(&self, packet: String) {
        let mut state = self.lock();
        state.bytes += packet.len();
        state.packets.push(packet);
    }

    /// Lets what waits leave.
    pub(super) fn flush(&self) {
        let mut state = self.lock();
        if !state.packets.is_empty() {
            state.is_flushed = true;
            self.news.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> State<S> {
    fn take(&mut self) -> Option<Fetched> {
        if self.is_flushed {
            self.wake();
            return Some(Fetched::Packets(self.take_packets()));
        }
        if self.is_over {
            return Some(Fetched::Over);
        }
        self.is_upgrading.then(|| Fetched::Packets(vec![NOOP.to_owned()]))
    }

    fn take_packets(&mut self) -> Vec<String> {
        (self.bytes, self.is_flushed) = (0, false);
        std::mem::take(&mut self.packets)
    }

    fn wake(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        self.task = Some(cx.waker().clone());
        Poll::Pending
    }
}
