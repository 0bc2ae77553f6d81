//! A WebSocket that carries text frames, whatever the dialect in them: pings and silence, how fast a client may talk and
//! how slowly it may read, the deadline of its hello, and a clean end.

use std::pin::pin;
use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use super::error::{ErrorId, Refusal};
use super::message::{LeaveReason, ServerMessage};
use super::outbox::Next;
use super::session::Session;

/// How long the last words may take to be written, and then to be read.
const PARTING: Duration = Duration::from_secs(1);
/// How much of what the client was still sending is read while it hears the last words.
const MAX_PARTING_BYTES: usize = 1 << 20;
/// The close code of a server that stops (RFC 6455 section 7.4.1).
const GOING_AWAY: u16 = 1001;
/// The most messages that are sent before the client is heard again.
const MAX_IN_A_ROW: u32 = 32;
/// How much is put together until it is flushed or written for its size. A trip through the kernel for each message costs
/// more than all else that the message needs.
const WRITE_TOGETHER: usize = 16 << 10;
/// After so many events the client is asked, by a ping, whether it has them.
const ACK_EVERY: u64 = 64;

/// How a WebSocket is to be set up, for messages of at most `message_bytes`.
pub fn websocket_config(message_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(2048)
        .write_buffer_size(WRITE_TOGETHER)
        .max_message_size(Some(message_bytes))
        .max_frame_size(Some(message_bytes))
}

/// What is said in the frames.
pub(super) trait Dialect {
    /// How often [`beat`](Self::beat) is called, if it is. The pings of WebSocket itself need nothing of a dialect.
    const BEAT: Option<Duration> = None;

    /// The connection's part in the rooms.
    fn session(&self) -> &Session;

    /// The same, to change it.
    fn session_mut(&mut self) -> &mut Session;

    /// The same, when nothing else is left.
    fn into_session(self) -> Session;

    /// Does what a text frame says.
    ///
    /// # Errors
    /// What is wrong with it, or that the connection is to end.
    fn hear(&mut self, text: &str) -> Result<(), Stop>;

    /// Puts what the rooms say, an event with its number, into the client's words: frame by frame into `frames`. A close
    /// code ends the connection after them.
    fn print(&mut self, number: Option<u64>, message: ServerMessage, frames: &mut Vec<String>) -> Option<u16>;

    /// The close code that follows an error, if one does.
    fn close_code(&self, id: ErrorId) -> Option<u16> {
        id.close_code()
    }

    /// Whether the client has said what it came for: until then the hello deadline runs.
    fn is_settled(&self) -> bool {
        self.session().is_member()
    }

    /// The frame that is sent every [`BEAT`](Self::BEAT), if one is.
    ///
    /// # Errors
    /// As [`hear`](Self::hear), when those before went unanswered for too long.
    fn beat(&mut self) -> Result<Option<String>, Stop> {
        Ok(None)
    }
}

/// Why a dialect does not go on as before.
pub(super) enum Stop {
    /// The client is told what is wrong. Some errors end the connection.
    Refused(Refusal),
    /// The connection ends with this close code, after what is queued.
    Close(u16),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ErrorId> for Stop {
    fn from(id: ErrorId) -> Self {
        Self::Refused(id.into())
    }
}

/// Drives one WebSocket to its end. The membership ends with it, and with this future.
pub(super) async fn drive<S, D>(ws: WebSocketStream<S>, dialect: D)
where
    S: AsyncRead + AsyncWrite + Unpin,
    D: Dialect,
{
    let closing = dialect.session().hub().closing();
    Connection { ws, dialect, closing, asked: 0, refresh_at: None }.run().await;
}

struct Connection<S, D> {
    ws: WebSocketStream<S>,
    dialect: D,
    closing: watch::Receiver<bool>,
    /// The last event that the client was asked about.
    asked: u64,
    /// When its credential is to be replaced.
    refresh_at: Option<Instant>,
}

/// Why a connection ends.
enum End {
    /// The client fell silent or broke the protocol below us: nothing is left to say.
    Gone,
    /// The client closed it, and is owed the answer to that.
    Closed,
    /// It is told why in what is queued, and closed with this code.
    Close(u16),
    /// It has heard all that there is to say, and is closed with this code.
    Said(u16),
    /// It is told this alone, and closed.
    Told(ErrorId),
}

enum Event {
    Heard(Option<Result<Message, tungstenite::Error>>),
    Next(Next),
    Due(Due),
    Shutdown,
}

/// What is to be done at a time.
#[derive(Clone, Copy)]
enum Due {
    Silence,
    NoHello,
    Refresh,
    Beat,
    Ping,
}

impl<S: AsyncRead + AsyncWrite + Unpin, D: Dialect> Connection<S, D> {
    async fn run(mut self) {
        let end = self.talk().await;
        // A client that says goodbye, or was told to go, does not come back; one that fell silent may.
        match end {
            End::Gone => {
                let Self { ws, dialect, .. } = self;
                drop(ws);
                dialect.into_session().linger().await;
            }
            End::Closed => {
                self.dialect.session_mut().leave(LeaveReason::Disconnected);
                // Whether the client hears the last words is up to it.
                let _ = timeout(PARTING, SinkExt::close(&mut self.ws)).await;
            }
            End::Close(code) => {
                let last_words = self.take_queued();
                self.part(last_words, code).await;
            }
            End::Said(code) => self.part(Vec::new(), code).await,
            End::Told(why) => {
                let mut last_words = Vec::new();
                self.dialect.print(None, ServerMessage::refusal(why.into(), true), &mut last_words);
                self.part(last_words, self.dialect.close_code(why).unwrap_or(1008)).await;
            }
        }
    }

    async fn talk(&mut self) -> End {
        let options = self.dialect.session().hub().options();
        let (silence, ping_every, hello) = (options.silence, options.ping_every, options.hello_deadline);
        let mut closing = self.closing.clone();
        let mut closed = pin!(is_true(&mut closing));
        let mut heard = Instant::now();
        let (mut ping_at, mut beat_at) = (heard + ping_every, D::BEAT.map(|beat| heard + beat));
        let mut unsettled_since = Some(heard);
        // One alarm for all that is due some time, since most of it is put off with each message.
        let mut alarm = pin!(sleep_until(ping_at));
        loop {
            let (due_at, due) = first(&[
                (Some(heard + silence), Due::Silence),
                (unsettled_since.map(|since| since + hello), Due::NoHello),
                (self.refresh_at, Due::Refresh),
                (beat_at, Due::Beat),
                (Some(ping_at), Due::Ping),
            ]);
            if alarm.deadline() != due_at {
                alarm.as_mut().reset(due_at);
            }
            let event = tokio::select! {
                frame = self.ws.next() => Event::Heard(frame),
                next = self.dialect.session().next() => Event::Next(next),
                () = &mut alarm => Event::Due(due),
                () = &mut closed => Event::Shutdown,
            };
            let end = match event {
                Event::Heard(frame) => {
                    heard = Instant::now();
                    self.hear(frame)
                }
                Event::Next(next) => self.say(next, silence).await,
                Event::Due(Due::Ping) => {
                    ping_at = Instant::now() + ping_every;
                    self.ask(silence).await
                }
                Event::Due(Due::Beat) => {
                    beat_at = D::BEAT.map(|beat| Instant::now() + beat);
                    self.beat(silence).await
                }
                Event::Due(Due::Refresh) => {
                    self.refresh_at = self.dialect.session().refresh().map(renewal);
                    None
                }
                Event::Due(Due::Silence) => {
                    metrics::counter!("lanturn_signaling_refused_total", "reason" => "silence").increment(1);
                    Some(End::Gone)
                }
                Event::Due(Due::NoHello) => self.close_for(ErrorId::HelloTimeout),
                Event::Shutdown => Some(End::Close(GOING_AWAY)),
            };
            if let Some(end) = end {
                return end;
            }
            if !self.dialect.session().is_member() {
                self.refresh_at = None;
            }
            unsettled_since =
                if self.dialect.is_settled() { None } else { unsettled_since.or_else(|| Some(Instant::now())) };
        }
    }

    /// Sends what is queued, but not so much that what the client says would have to wait, and then flushes once.
    async fn say(&mut self, first: Next, patience: Duration) -> Option<End> {
        let mut next = Some(first);
        let mut frames = Vec::new();
        for taken in 1..=MAX_IN_A_ROW {
            let Some(what) = next else { break };
            let (number, message) = match what {
                Next::Say(numbered) => numbered,
                Next::End(why) => return Some(self.end(why)),
            };
            self.note(&message);
            let code = self.dialect.print(number, message, &mut frames);
            for text in frames.drain(..) {
                if let Some(end) = self.write(Message::text(text), patience).await {
                    return Some(end);
                }
            }
            if let Some(code) = code {
                return Some(End::Said(code));
            }
            // What is taken has to be sent, so the last turn takes nothing.
            next = if taken < MAX_IN_A_ROW { self.dialect.session().try_next() } else { None };
        }
        if let Some(end) = self.flush(patience).await {
            return Some(end);
        }
        let is_due = self.dialect.session().last_sent() >= self.asked + ACK_EVERY;
        if is_due { self.ask(patience).await } else { None }
    }

    /// A ping carries the number of the last event that was sent; the pong that comes back acknowledges it.
    async fn ask(&mut self, patience: Duration) -> Option<End> {
        self.asked = self.dialect.session().last_sent();
        let ping = Message::Ping(self.asked.to_be_bytes().to_vec().into());
        self.send(ping, patience).await
    }

    async fn beat(&mut self, patience: Duration) -> Option<End> {
        match self.dialect.beat() {
            Ok(Some(text)) => self.send(Message::text(text), patience).await,
            Ok(None) => None,
            Err(stop) => self.stop(stop),
        }
    }

    async fn send(&mut self, message: Message, patience: Duration) -> Option<End> {
        match self.write(message, patience).await {
            None => self.flush(patience).await,
            end => end,
        }
    }

    async fn write(&mut self, message: Message, patience: Duration) -> Option<End> {
        let Self { ws, dialect, closing, .. } = self;
        let written = patiently(ws.feed(message), dialect.session(), closing, patience).await;
        written.unwrap_or_else(|why| Some(self.end(why)))
    }

    async fn flush(&mut self, patience: Duration) -> Option<End> {
        let Self { ws, dialect, closing, .. } = self;
        let written = patiently(ws.flush(), dialect.session(), closing, patience).await;
        written.unwrap_or_else(|why| Some(self.end(why)))
    }

    /// What a message on its way out means for this connection.
    fn note(&mut self, message: &ServerMessage) {
        if let Some(ttl) = message.ttl() {
            // Who is not listed was given no credential.
            self.refresh_at = Some(ttl).filter(|ttl| *ttl > 0).map(renewal);
            self.asked = self.dialect.session().last_sent();
        }
    }

    fn hear(&mut self, frame: Option<Result<Message, tungstenite::Error>>) -> Option<End> {
        let message = match frame {
            Some(Ok(message)) => message,
            Some(Err(tungstenite::Error::Capacity(_))) => return self.close_for(ErrorId::TooLarge),
            Some(Err(tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)))
                if self.dialect.session().is_ended_by_client() =>
            {
                return Some(End::Closed);
            }
            Some(Err(_)) | None => return Some(End::Gone),
        };
        if let Err(code) = self.dialect.session_mut().pace() {
            return code.map(End::Close);
        }
        let handled = match message {
            Message::Text(text) => self.dialect.hear(&text),
            Message::Binary(_) => Err(Refusal::bad_message("a binary frame: send JSON in text frames").into()),
            Message::Pong(number) => {
                if let Ok(number) = <[u8; 8]>::try_from(&*number) {
                    self.dialect.session().ack(u64::from_be_bytes(number));
                }
                Ok(())
            }
            Message::Ping(_) | Message::Frame(_) => Ok(()),
            // A page that is loaded again, whose tab is closed, or that crashes.
            Message::Close(Some(frame)) if frame.code == CloseCode::Away && self.dialect.session().may_come_back() => {
                return Some(End::Gone);
            }
            Message::Close(_) => return Some(End::Closed),
        };
        handled.err().and_then(|stop| self.stop(stop))
    }

    fn stop(&mut self, stop: Stop) -> Option<End> {
        match stop {
            Stop::Refused(refusal) => {
                let code = self.dialect.close_code(refusal.id);
                self.dialect.session().refuse_with(refusal, code).map(End::Close)
            }
            Stop::Close(code) => Some(End::Close(code)),
        }
    }

    fn close_for(&mut self, id: ErrorId) -> Option<End> {
        Some(self.stop(id.into()).unwrap_or(End::Gone))
    }

    fn end(&self, why: ErrorId) -> End {
        metrics::counter!("lanturn_signaling_refused_total", "reason" => why.id()).increment(1);
        End::Told(why)
    }

    fn take_queued(&mut self) -> Vec<String> {
        let mut queued = Vec::new();
        while let Some(Next::Say((number, message))) = self.dialect.session().try_next() {
            self.dialect.print(number, message, &mut queued);
        }
        queued
    }

    /// The last words, then the close frame. The membership is over before they are written.
    async fn part(&mut self, last_words: Vec<String>, code: u16) {
        self.dialect.session_mut().leave(LeaveReason::Disconnected);
        let said = async {
            for text in last_words {
                self.ws.send(Message::text(text)).await?;
            }
            self.ws.close(Some(CloseFrame { code: code.into(), reason: Default::default() })).await
        };
        // Whether the client hears them is up to it.
        let _ = timeout(PARTING, said).await;
        let _ = timeout(PARTING, self.drain()).await;
    }

    /// Closing a socket with unread bytes in it resets it, and the last words would be lost. So what the client was
    /// still sending is read, up to its own close frame, or to its end where frames cannot be told any more.
    async fn drain(&mut self) {
        loop {
            match self.ws.next().await {
                Some(Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed)) | None => return,
                Some(Ok(_)) => {}
                Some(Err(_)) => break,
            }
        }
        let mut waste = [0; 1024];
        let mut left = MAX_PARTING_BYTES;
        while let Ok(read @ 1..) = self.ws.get_mut().read(&mut waste).await {
            match left.checked_sub(read) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }
}

/// Waits for a write. One that takes as long as a silence may last is of a reader that does not read. `Err` says why the
/// client is to be told to go.
async fn patiently(
    writing: impl Future<Output = Result<(), tungstenite::Error>>,
    session: &Session,
    closing: &mut watch::Receiver<bool>,
    patience: Duration,
) -> Result<Option<End>, ErrorId> {
    let mut writing = pin!(writing);
    // Most take no time, and then need no timer.
    if let Some(written) = writing.as_mut().now_or_never() {
        return Ok(written.err().map(|_| End::Gone));
    }
    tokio::select! {
        biased;
        written = timeout(patience, writing) => match written {
            Ok(Ok(())) => Ok(None),
            Ok(Err(_)) => Ok(Some(End::Gone)),
            // On a network that stands still, nobody reads.
            Err(_) if session.can_resume() => Ok(Some(End::Gone)),
            Err(_) => Err(ErrorId::SlowReader),
        },
        why = session.ended() => Err(why),
        () = is_true(closing) => Ok(Some(End::Close(GOING_AWAY))),
    }
}

/// What is due first, and when. Silence is always due some time.
fn first(times: &[(Option<Instant>, Due); 5]) -> (Instant, Due) {
    let due = times.iter().filter_map(|(at, due)| at.map(|at| (at, *due)));
    due.min_by_key(|(at, _)| *at).unwrap_or_else(|| (Instant::now(), Due::Silence))
}

/// When a credential that lasts `ttl` seconds from now is to be replaced: well before its end.
fn renewal(ttl: u64) -> Instant {
    Instant::now() + (Duration::from_secs(ttl) * 3 / 4).max(Duration::from_secs(1))
}

/// Returns once the flag is up. Its owner is the hub, which the session keeps alive.
async fn is_true(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|up| *up).await;
}
