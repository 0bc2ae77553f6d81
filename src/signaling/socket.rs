//! The loop that drives one connection, whatever the dialect in its frames: pings and silence, how fast a client may talk
//! and how slowly it may read, the deadline of its hello, and a clean end.

use std::pin::pin;
use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use super::deadlines::{Deadlines, Due};
use super::dialect::{Dialect, Stop};
use super::error::{ErrorId, Refusal};
use super::message::{LeaveReason, ServerMessage};
use super::outbox::Next;
use super::session::Session;
use super::wire::Wire;

/// How long the last words may take to be written, and then to be read.
const PARTING: Duration = Duration::from_secs(1);
/// The close code of a server that stops (RFC 6455 section 7.4.1).
const GOING_AWAY: u16 = 1001;
/// The close code of a client that does what it may not (RFC 6455 section 7.4.1).
const POLICY: u16 = 1008;
/// The most messages that are sent before the client is heard again.
const MAX_IN_A_ROW: u32 = 32;
/// How much is put together until it is flushed or written for its size. A trip through the kernel for each message costs
/// more than all else that the message needs.
const WRITE_TOGETHER: usize = 16 << 10;
/// After so many events a client that may resume is asked, by a ping, whether it has them.
const ACK_EVERY: u64 = 64;

/// How a WebSocket is to be set up, for messages of at most `message_bytes`.
pub fn websocket_config(message_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(2048)
        .write_buffer_size(WRITE_TOGETHER)
        .max_message_size(Some(message_bytes))
        .max_frame_size(Some(message_bytes))
}

/// Drives one connection to its end. The membership ends with it, and with this future.
pub(super) async fn drive<W: Wire, D: Dialect>(wire: W, session: Session, dialect: D) {
    let closing = session.hub().closing();
    let moves = session.hub().moves();
    let deadlines = Deadlines::new(session.hub().options(), D::BEAT, Instant::now());
    let connection = Connection { wire, dialect, session, closing, moves, deadlines, frames: Vec::new(), asked: 0 };
    // The tasks that this is part of are moved several times before they run.
    Box::pin(connection.run()).await;
}

struct Connection<W, D> {
    wire: W,
    /// What it holds in the rooms is given back before the session ends.
    dialect: D,
    session: Session,
    closing: watch::Receiver<bool>,
    moves: watch::Receiver<()>,
    deadlines: Deadlines,
    /// What the client is to be sent next.
    frames: Vec<String>,
    /// The last event that the client was asked about.
    asked: u64,
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
    Moved,
    Shutdown,
}

impl<W: Wire, D: Dialect> Connection<W, D> {
    async fn run(mut self) {
        let end = self.talk().await;
        // A client that says goodbye, or was told to go, does not come back; one that fell silent may.
        match end {
            End::Gone => {
                let Self { wire, dialect, session, .. } = self;
                drop((wire, dialect));
                session.linger().await;
            }
            End::Closed => {
                let (mut wire, _session) = self.leave();
                // Whether the client hears the last words is up to it.
                let _ = timeout(PARTING, wire.close()).await;
            }
            End::Close(code) => {
                self.print_queued();
                self.part(code).await;
            }
            End::Said(code) => self.part(code).await,
            End::Told(why) => {
                self.frames.clear();
                let why_not = (None, ServerMessage::refusal(why.into(), true));
                self.dialect.print(&mut self.session, why_not, &mut self.frames);
                let code = self.dialect.close_code(&self.session, why).unwrap_or(POLICY);
                self.part(code).await;
            }
        }
    }

    async fn talk(&mut self) -> End {
        self.frames = self.dialect.open();
        if let Some(end) = self.send().await {
            return end;
        }
        let mut closing = self.closing.clone();
        let mut closed = pin!(is_true(&mut closing));
        // One alarm for all that is due some time, since most of it is put off with each message.
        let mut alarm = pin!(sleep_until(self.deadlines.first().0));
        loop {
            let (due_at, due) = self.deadlines.first();
            if alarm.deadline() != due_at {
                alarm.as_mut().reset(due_at);
            }
            let event = tokio::select! {
                frame = self.wire.next() => Event::Heard(frame),
                next = self.session.next() => Event::Next(next),
                () = &mut alarm => Event::Due(due),
                // Fails only when the hub is gone, which the session keeps alive.
                _ = self.moves.changed() => Event::Moved,
                () = &mut closed => Event::Shutdown,
            };
            let end = match event {
                Event::Heard(frame) => self.hear(frame).await,
                Event::Next(next) => self.say(next).await,
                Event::Due(due) => self.act(due).await,
                Event::Moved => self.grant(true),
                Event::Shutdown => Some(End::Close(GOING_AWAY)),
            };
            if let Some(end) = end {
                return end;
            }
            if !self.session.is_member() {
                self.deadlines.ungranted();
            }
            self.deadlines.settle(self.dialect.is_settled(&self.session), Instant::now);
        }
    }

    async fn act(&mut self, due: Due) -> Option<End> {
        match due {
            Due::Ping => self.ask().await,
            Due::Beat => self.beat().await,
            Due::Refresh => self.grant(false),
            Due::Silence => {
                // While it was written to, it may have been heard.
                if let Some(frame) = self.wire.next().now_or_never() {
                    return self.hear(frame).await;
                }
                metrics::counter!("lanturn_signaling_refused_total", "reason" => "silence").increment(1);
                Some(End::Gone)
            }
            Due::NoHello => self.close_for(ErrorId::HelloTimeout),
        }
    }

    fn grant(&mut self, restart: bool) -> Option<End> {
        self.deadlines.ungranted();
        let ttl = self.session.refresh(restart)?;
        self.deadlines.granted(ttl, Instant::now());
        None
    }

    /// Sends what is queued, but not so much that what the client says would have to wait, and then flushes once.
    async fn say(&mut self, first: Next) -> Option<End> {
        let mut next = Some(first);
        for taken in 1..=MAX_IN_A_ROW {
            let Some(what) = next else { break };
            let message = match what {
                Next::Say(message) => message,
                Next::End(why) => return Some(self.end(why)),
            };
            self.note(&message.1);
            let code = self.dialect.print(&mut self.session, message, &mut self.frames);
            if let Some(end) = self.write().await {
                return Some(end);
            }
            if let Some(code) = code {
                return Some(End::Said(code));
            }
            // What is taken has to be sent, so the last turn takes nothing.
            next = if taken < MAX_IN_A_ROW { self.session.try_next() } else { None };
        }
        if let Some(end) = self.flush().await {
            return Some(end);
        }
        let is_due = self.session.can_resume() && self.session.last_sent() >= self.asked + ACK_EVERY;
        if is_due { self.ask().await } else { None }
    }

    async fn ask(&mut self) -> Option<End> {
        self.deadlines.pinged(Instant::now());
        self.asked = self.session.last_sent();
        let ping = self.dialect.ping(self.asked)?;
        match self.feed(ping).await {
            None => self.flush().await,
            end => end,
        }
    }

    async fn beat(&mut self) -> Option<End> {
        self.deadlines.beaten(Instant::now());
        match self.dialect.beat(&self.session) {
            Ok(beat) => {
                self.frames.extend(beat);
                self.send().await
            }
            Err(stop) => self.stop(stop),
        }
    }

    /// Writes what is to be sent, and sees to it that it leaves.
    async fn send(&mut self) -> Option<End> {
        if self.frames.is_empty() {
            return None;
        }
        match self.write().await {
            None => self.flush().await,
            end => end,
        }
    }

    async fn write(&mut self) -> Option<End> {
        let mut frames = std::mem::take(&mut self.frames);
        for text in frames.drain(..) {
            if let Some(end) = self.feed(Message::text(text)).await {
                return Some(end);
            }
        }
        self.frames = frames;
        None
    }

    async fn feed(&mut self, message: Message) -> Option<End> {
        let Self { wire, session, closing, deadlines, .. } = self;
        let written = patiently(wire.feed(message), session, closing, deadlines).await;
        written.unwrap_or_else(|why| Some(self.end(why)))
    }

    async fn flush(&mut self) -> Option<End> {
        let Self { wire, session, closing, deadlines, .. } = self;
        let written = patiently(wire.flush(), session, closing, deadlines).await;
        written.unwrap_or_else(|why| Some(self.end(why)))
    }

    /// What a message on its way out means for this connection.
    fn note(&mut self, message: &ServerMessage) {
        if let Some(ttl) = message.ttl() {
            // Who is not listed was given no credential.
            self.deadlines.granted(ttl, Instant::now());
            self.asked = self.session.last_sent();
        }
    }

    async fn hear(&mut self, frame: Option<Result<Message, tungstenite::Error>>) -> Option<End> {
        self.deadlines.hear(Instant::now());
        let message = match frame {
            Some(Ok(message)) => message,
            Some(Err(tungstenite::Error::Capacity(_))) => return self.close_for(ErrorId::TooLarge),
            Some(Err(tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)))
                if self.session.is_ended_by_client() =>
            {
                return Some(End::Closed);
            }
            Some(Err(_)) | None => return Some(End::Gone),
        };
        let number = || if let Message::Text(text) = &message { self.dialect.number(text) } else { None };
        if let Err(code) = self.session.pace(number) {
            return code.map(End::Close);
        }
        match self.handle(message) {
            Ok(None) => self.send().await,
            Ok(end) => end,
            Err(stop) => self.stop(stop),
        }
    }

    fn handle(&mut self, message: Message) -> Result<Option<End>, Stop> {
        match message {
            Message::Text(text) => self.dialect.hear(&mut self.session, &text, &mut self.frames)?,
            Message::Binary(_) => return Err(Refusal::bad_message("a binary frame: send JSON in text frames").into()),
            Message::Pong(number) => {
                if let Ok(number) = <[u8; 8]>::try_from(&*number) {
                    self.session.ack(u64::from_be_bytes(number));
                }
            }
            Message::Ping(_) | Message::Frame(_) => {}
            // A page that is loaded again, whose tab is closed, or that crashes.
            Message::Close(Some(frame)) if frame.code == CloseCode::Away && self.session.may_come_back() => {
                return Ok(Some(End::Gone));
            }
            Message::Close(_) => return Ok(Some(End::Closed)),
        }
        Ok(None)
    }

    fn stop(&mut self, stop: Stop) -> Option<End> {
        match stop {
            Stop::Refused(refusal) => {
                let code = self.dialect.close_code(&self.session, refusal.id);
                self.session.refuse_with(refusal, code).map(End::Close)
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

    fn print_queued(&mut self) {
        while let Some(Next::Say(message)) = self.session.try_next() {
            self.dialect.print(&mut self.session, message, &mut self.frames);
        }
    }

    /// The last words, then the close frame. The membership is over before they are written.
    async fn part(mut self, code: u16) {
        let frames = std::mem::take(&mut self.frames);
        let (mut wire, _session) = self.leave();
        let said = async {
            for text in frames {
                wire.send(Message::text(text)).await?;
            }
            let frame = CloseFrame { code: code.into(), reason: Default::default() };
            wire.send(Message::Close(Some(frame))).await
        };
        // Whether the client hears them is up to it.
        let _ = timeout(PARTING, said).await;
        let _ = timeout(PARTING, wire.drain()).await;
    }

    /// Ends the membership, and before it what the dialect holds: nobody is to be put together with who has left. Until
    /// the session ends, the connection has its place.
    fn leave(self) -> (W, Session) {
        let Self { wire, dialect, mut session, .. } = self;
        drop(dialect);
        session.leave(LeaveReason::Disconnected);
        (wire, session)
    }
}

/// Waits for a write. A client that neither says nor reads anything for as long as a silence may last does not read. `Err`
/// says why it is to be told to go.
async fn patiently(
    writing: impl Future<Output = Result<(), tungstenite::Error>>,
    session: &Session,
    closing: &mut watch::Receiver<bool>,
    deadlines: &mut Deadlines,
) -> Result<Option<End>, ErrorId> {
    let mut writing = pin!(writing);
    // Most take no time, and then need no timer.
    if let Some(written) = writing.as_mut().now_or_never() {
        return Ok(written.err().map(|_| End::Gone));
    }
    tokio::select! {
        biased;
        written = timeout_at(deadlines.patience(), writing) => match written {
            Ok(Ok(())) => {
                deadlines.reads(Instant::now());
                Ok(None)
            }
            Ok(Err(_)) => Ok(Some(End::Gone)),
            // On a network that stands still, nobody reads.
            Err(_) if session.can_resume() => Ok(Some(End::Gone)),
            Err(_) => Err(ErrorId::SlowReader),
        },
        why = session.ended() => Err(why),
        () = is_true(closing) => Ok(Some(End::Close(GOING_AWAY))),
    }
}

/// Returns once the flag is up. Its owner is the hub, which the session keeps alive.
async fn is_true(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|up| *up).await;
}
