//! What waits for a client that polls: between the task of its session, which fills it, and the requests that fetch it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;

/// The most packets that wait.
const MAX_WAITING: usize = 64;
/// The most memory that waiting packets may take before no more are added, in bytes. What waits before them is paid for in
/// the session's mailbox.
const MAX_WAITING_BYTES: usize = 16 * 1024;
/// By how much these grow while the client changes over and does not poll.
const WHILE_CHANGING: usize = 8;
/// The packet that only ends a poll.
const NOOP: &str = "6";

/// What a poll fetches, or why it does not.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// Packets.
    Packets(Vec<String>),
    /// The session is over, or goes on over a WebSocket.
    Over,
    /// Another poll is under way.
    Overlaps,
}

/// What a client did that ends its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It sent a packet or a body that is too long.
    TooLong,
    /// It gave up a request, or made one that no client makes.
    Gone,
}

/// How the packets travel. It only ever goes on, but for a WebSocket that comes to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Polling,
    /// There is a WebSocket, over which the client has said nothing yet.
    Opened,
    /// The client has tried the WebSocket. It ends its poll, and makes no other.
    Probed,
    WebSocket,
}

/// The WebSocket that takes over, and what has yet to be sent over it.
pub(super) type Change<S> = (WebSocketStream<S>, Vec<String>);

/// What waits for one client.
#[derive(Debug)]
pub(super) struct Outgoing<S> {
    state: Mutex<State<S>>,
    news: Notify,
}

#[derive(Debug)]
struct State<S> {
    way: Way,
    packets: Vec<String>,
    bytes: usize,
    /// Whether what waits may leave: what is said together is fetched together.
    is_flushed: bool,
    /// Since when it may.
    since: Option<Instant>,
    is_polled: bool,
    is_posted: bool,
    is_over: bool,
    upgraded: Option<WebSocketStream<S>>,
    fault: Option<Fault>,
    /// The task of the session.
    task: Option<Waker>,
}

impl<S> Default for Outgoing<S> {
    fn default() -> Self {
        let state = State {
            way: Way::Polling,
            packets: Vec::new(),
            bytes: 0,
            is_flushed: false,
            since: None,
            is_polled: false,
            is_posted: false,
            is_over: false,
            upgraded: None,
            fault: None,
            task: None,
        };
        Self { state: Mutex::new(state), news: Notify::new() }
    }
}

/// The right to poll or to post, which one request has at a time. One that is given up ends the session: what it was to
/// bring or to fetch is lost.
pub(super) struct Turn<S> {
    outgoing: Arc<Outgoing<S>>,
    flag: fn(&mut State<S>) -> &mut bool,
    is_done: bool,
}

impl<S> Turn<S> {
    pub(super) fn done(mut self) {
        self.is_done = true;
    }
}

impl<S> Drop for Turn<S> {
    fn drop(&mut self) {
        *(self.flag)(&mut self.outgoing.lock()) = false;
        if !self.is_done {
            self.outgoing.fail(Fault::Gone);
        }
    }
}

/// The right to change over to a WebSocket, which one has at a time, and none after it.
pub(super) struct Upgrade<S>(Arc<Outgoing<S>>);

impl<S> Upgrade<S> {
    /// The client tries it: polls do not wait any more.
    pub(super) fn probed(&self) {
        self.0.lock().way = Way::Probed;
        self.0.news.notify_waiters();
    }

    /// The session goes on over the WebSocket.
    pub(super) fn complete(self, ws: WebSocketStream<S>) {
        let mut state = self.0.lock();
        state.way = Way::WebSocket;
        state.upgraded = Some(ws);
        state.wake();
        drop(state);
        self.0.news.notify_waiters();
    }
}

impl<S> Drop for Upgrade<S> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        match state.way {
            Way::Opened => state.way = Way::Polling,
            // The client has stopped polling, and does not begin again.
            Way::Probed => {
                drop(state);
                self.0.fail(Fault::Gone);
            }
            Way::Polling | Way::WebSocket => {}
        }
    }
}

impl<S> Outgoing<S> {
    /// The right to post, unless somebody has it.
    pub(super) fn turn_to_post(self: &Arc<Self>) -> Option<Turn<S>> {
        self.turn(|state| &mut state.is_posted)
    }

    fn turn(self: &Arc<Self>, flag: fn(&mut State<S>) -> &mut bool) -> Option<Turn<S>> {
        let is_taken = std::mem::replace(flag(&mut self.lock()), true);
        (!is_taken).then(|| Turn { outgoing: Arc::clone(self), flag, is_done: false })
    }

    /// The right to change over, unless somebody has or had it.
    pub(super) fn upgrade(self: &Arc<Self>) -> Option<Upgrade<S>> {
        let mut state = self.lock();
        let is_free = state.way == Way::Polling;
        if is_free {
            state.way = Way::Opened;
        }
        drop(state);
        is_free.then(|| Upgrade(Arc::clone(self)))
    }

    /// What there is to fetch, when there is anything.
    pub(super) async fn fetch(self: &Arc<Self>) -> Fetched {
        let Some(turn) = self.turn(|state| &mut state.is_polled) else {
            return Fetched::Overlaps;
        };
        loop {
            // It hears of what comes from here on, also while nobody waits for it.
            let news = self.news.notified();
            let fetched = self.lock().take();
            if let Some(fetched) = fetched {
                turn.done();
                return fetched;
            }
            news.await;
        }
    }

    /// The session is to end for what the client did, unless it is to end already.
    pub(super) fn fail(&self, fault: Fault) {
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
    pub(super) fn poll_change(&self, cx: &Context<'_>) -> Poll<Result<Change<S>, Fault>> {
        let mut state = self.lock();
        if let Some(fault) = state.fault {
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
        let more = if state.way == Way::Probed { WHILE_CHANGING } else { 1 };
        if state.packets.len() < more * MAX_WAITING && state.bytes < more * MAX_WAITING_BYTES {
            return Poll::Ready(());
        }
        let pending = state.wait(cx);
        drop(state);
        self.flush();
        pending
    }

    /// For the session's task: lets what waits leave, and says whether it has.
    pub(super) fn poll_fetched(&self, cx: &Context<'_>) -> Poll<()> {
        self.flush();
        let mut state = self.lock();
        if state.packets.is_empty() { Poll::Ready(()) } else { state.wait(cx) }
    }

    /// Lets what waits leave.
    pub(super) fn flush(&self) {
        let mut state = self.lock();
        if !state.packets.is_empty() {
            state.is_flushed = true;
            state.since.get_or_insert_with(Instant::now);
            drop(state);
            self.news.notify_waiters();
        }
    }

    /// Since when something waits to be fetched.
    pub(super) fn since(&self) -> Option<Instant> {
        self.lock().since
    }

    /// Adds a packet.
    pub(super) fn push(&self, packet: String) {
        let mut state = self.lock();
        state.bytes += packet.len();
        state.packets.push(packet);
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> State<S> {
    fn take(&mut self) -> Option<Fetched> {
        if self.way == Way::WebSocket {
            return Some(Fetched::Over);
        }
        if self.is_flushed {
            self.wake();
            return Some(Fetched::Packets(self.take_packets()));
        }
        if self.is_over {
            return Some(Fetched::Over);
        }
        (self.way == Way::Probed).then(|| Fetched::Packets(vec![NOOP.to_owned()]))
    }

    fn take_packets(&mut self) -> Vec<String> {
        (self.bytes, self.is_flushed, self.since) = (0, false, None);
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
