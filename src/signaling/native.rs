//! The native dialect: one JSON message in each text frame of a WebSocket.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use super::error::{ErrorId, Refusal};
use super::message::{LeaveReason, ServerMessage};
use super::outbox::Next;
use super::request::{ClientMessage, Join};
use super::rooms::Entrant;
use super::session::Session;

/// How long the last words may take to be written, and then to be read.
const PARTING: Duration = Duration::from_secs(1);
/// How much of what the client was still sending is read while it hears the last words.
const MAX_PARTING_BYTES: usize = 1 << 20;
/// The close code of a server that stops (RFC 6455 section 7.4.1).
const GOING_AWAY: u16 = 1001;
/// After so many events the client is asked, by a ping, whether it has them.
const ACK_EVERY: u64 = 64;

/// How a WebSocket for [`serve`] is to be set up, for messages of at most `message_bytes`.
pub fn websocket_config(message_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_message_size(Some(message_bytes))
        .max_frame_size(Some(message_bytes))
}

/// Drives one WebSocket to its end. The membership ends with it, and with this future.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(ws: WebSocketStream<S>, session: Session) {
    let closing = session.hub().closing();
    Connection { ws, session, closing, asked: 0, refresh_at: None }.run().await;
}

struct Connection<S> {
    ws: WebSocketStream<S>,
    session: Session,
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
    /// It is told this alone, and closed.
    Told(ErrorId),
}

enum Event {
    Heard(Option<Result<Message, tungstenite::Error>>),
    Next(Next),
    Ping,
    Refresh,
    Silence,
    NoHello,
    Shutdown,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn run(mut self) {
        let end = self.talk().await;
        // A client that says goodbye, or was told to go, does not come back; one that fell silent may.
        match end {
            End::Gone => {
                let Self { ws, session, .. } = self;
                drop(ws);
                session.linger().await;
            }
            End::Closed => {
                self.session.leave(LeaveReason::Disconnected);
                // Whether the client hears the last words is up to it.
                let _ = timeout(PARTING, SinkExt::close(&mut self.ws)).await;
            }
            End::Close(code) => {
                let last_words = self.take_queued();
                self.part(last_words, code).await;
            }
            End::Told(why) => {
                let last_words = vec![ServerMessage::refusal(why.into(), true).print(None)];
                self.part(last_words, why.close_code().unwrap_or(1008)).await;
            }
        }
    }

    async fn talk(&mut self) -> End {
        let options = self.session.hub().options();
        let (silence, ping_every, hello) = (options.silence, options.ping_every, options.hello_deadline);
        let mut pings = interval_at(Instant::now() + ping_every, ping_every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut roomless_since = Some(Instant::now());
        loop {
            let hello_deadline = roomless_since.map_or(heard + silence, |since| since + hello);
            let refresh_at = self.refresh_at.unwrap_or(hello_deadline);
            let event = tokio::select! {
                frame = self.ws.next() => Event::Heard(frame),
                next = self.session.next() => Event::Next(next),
                _ = pings.tick() => Event::Ping,
                () = sleep_until(refresh_at), if self.refresh_at.is_some() => Event::Refresh,
                () = sleep_until(heard + silence) => Event::Silence,
                () = sleep_until(hello_deadline), if roomless_since.is_some() => Event::NoHello,
                () = is_true(&mut self.closing) => Event::Shutdown,
            };
            let end = match event {
                Event::Heard(frame) => {
                    heard = Instant::now();
                    self.hear(frame)
                }
                Event::Next(next) => self.say(next, silence).await,
                Event::Ping => self.ask(silence).await,
                Event::Refresh => {
                    self.refresh_at = self.session.refresh().map(renewal);
                    None
                }
                Event::Silence => Some(End::Gone),
                Event::NoHello => self.close_for(ErrorId::HelloTimeout),
                Event::Shutdown => Some(End::Close(GOING_AWAY)),
            };
            if let Some(end) = end {
                return end;
            }
            roomless_since =
                if self.session.is_member() { None } else { roomless_since.or_else(|| Some(Instant::now())) };
        }
    }

    /// Sends what is queued, as long as there is more, and then flushes once.
    async fn say(&mut self, first: Next, patience: Duration) -> Option<End> {
        let mut next = Some(first);
        while let Some(what) = next {
            let (number, message) = match what {
                Next::Say(numbered) => numbered,
                Next::End(why) => return Some(self.end(why)),
            };
            self.note(&message);
            if let Some(end) = self.write(Message::text(message.print(number)), patience).await {
                return Some(end);
            }
            next = self.session.try_next();
        }
        if let Some(end) = self.flush(patience).await {
            return Some(end);
        }
        let is_due = self.session.last_sent() >= self.asked + ACK_EVERY;
        if is_due { self.ask(patience).await } else { None }
    }

    /// A ping carries the number of the last event that was sent; the pong that comes back acknowledges it.
    async fn ask(&mut self, patience: Duration) -> Option<End> {
        self.asked = self.session.last_sent();
        let ping = Message::Ping(self.asked.to_be_bytes().to_vec().into());
        match self.write(ping, patience).await {
            None => self.flush(patience).await,
            end => end,
        }
    }

    async fn write(&mut self, message: Message, patience: Duration) -> Option<End> {
        let Self { ws, session, closing, .. } = self;
        let written = patiently(ws.feed(message), session, closing, patience).await;
        written.unwrap_or_else(|why| Some(self.end(why)))
    }

    async fn flush(&mut self, patience: Duration) -> Option<End> {
        let Self { ws, session, closing, .. } = self;
        let written = patiently(ws.flush(), session, closing, patience).await;
        written.unwrap_or_else(|why| Some(self.end(why)))
    }

    /// What a message on its way out means for this connection.
    fn note(&mut self, message: &ServerMessage) {
        if let Some(ttl) = message.ttl() {
            self.refresh_at = Some(renewal(ttl));
            self.asked = self.session.last_sent();
        }
    }

    fn hear(&mut self, frame: Option<Result<Message, tungstenite::Error>>) -> Option<End> {
        let message = match frame {
            Some(Ok(message)) => message,
            Some(Err(tungstenite::Error::Capacity(_))) => return self.close_for(ErrorId::TooLarge),
            Some(Err(_)) | None => return Some(End::Gone),
        };
        if let Err(code) = self.session.pace() {
            return code.map(End::Close);
        }
        let handled = match message {
            Message::Text(text) => ClientMessage::parse(&text).and_then(|message| Ok(self.obey(message)?)),
            Message::Binary(_) => Err(Refusal::bad_message("a binary frame: send JSON in text frames")),
            Message::Pong(number) => {
                if let Ok(number) = <[u8; 8]>::try_from(&*number) {
                    self.session.ack(u64::from_be_bytes(number));
                }
                Ok(())
            }
            Message::Ping(_) | Message::Frame(_) => Ok(()),
            Message::Close(_) => return Some(End::Closed),
        };
        handled.err().and_then(|refusal| self.session.refuse(refusal)).map(End::Close)
    }

    fn obey(&mut self, message: ClientMessage) -> Result<(), ErrorId> {
        let enters = matches!(message, ClientMessage::Join(_) | ClientMessage::Resume { .. });
        if !enters && !self.session.is_member() {
            return Err(ErrorId::JoinFirst);
        }
        let session = &mut self.session;
        match message {
            ClientMessage::Join(join) => self.join(join)?,
            ClientMessage::Resume { token, last, fresh } => {
                session.resume(token, if fresh { None } else { Some(last) })?;
            }
            ClientMessage::Ready => session.hold(false),
            ClientMessage::Ack { n } => session.ack(n),
            ClientMessage::Signal { to, epoch, data } => session.signal(to, epoch, data)?,
            ClientMessage::Broadcast { data } => session.broadcast(&data)?,
            ClientMessage::Rename { name } => session.rename(name)?,
            ClientMessage::Lock { locked } => session.lock(locked)?,
            ClientMessage::SetPin { pin } => session.set_pin(pin)?,
            ClientMessage::Kick { id } => session.kick(id)?,
            ClientMessage::Invite { role, ttl } => session.invite(role, ttl)?,
            ClientMessage::Leave => {
                session.leave(LeaveReason::Left);
                self.refresh_at = None;
            }
            ClientMessage::Ping => session.tell(ServerMessage::Pong),
        }
        Ok(())
    }

    fn join(&mut self, join: Join) -> Result<(), ErrorId> {
        let window = self.session.hub().options().resume_window.as_secs();
        let Join { room, name, role, pin, invite, ready, resume } = join;
        let resume_window = if resume && window > 0 { Some(window) } else { None };
        let entrant = Entrant { name, role, pin, resume_window, ..self.session.entrant() };
        self.session.join(&room, entrant, invite.as_deref())?;
        self.session.hold(!ready);
        Ok(())
    }

    fn close_for(&mut self, id: ErrorId) -> Option<End> {
        Some(self.session.refuse(id.into()).map_or(End::Gone, End::Close))
    }

    fn end(&self, why: ErrorId) -> End {
        metrics::counter!("lanturn_signaling_refused_total", "reason" => why.id()).increment(1);
        End::Told(why)
    }

    fn take_queued(&mut self) -> Vec<String> {
        let mut queued = Vec::new();
        while let Some(Next::Say((number, message))) = self.session.try_next() {
            queued.push(message.print(number));
        }
        queued
    }

    /// The last words, then the close frame. The membership is over before they are written.
    async fn part(&mut self, last_words: Vec<String>, code: u16) {
        self.session.leave(LeaveReason::Disconnected);
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
    tokio::select! {
        biased;
        written = timeout(patience, writing) => match written {
            Ok(Ok(())) => Ok(None),
            Ok(Err(_)) => Ok(Some(End::Gone)),
            Err(_) => Err(ErrorId::SlowReader),
        },
        why = session.ended() => Err(why),
        () = is_true(closing) => Ok(Some(End::Close(GOING_AWAY))),
    }
}

/// When a credential that lasts `ttl` seconds from now is to be replaced: well before its end.
fn renewal(ttl: u64) -> Instant {
    Instant::now() + (Duration::from_secs(ttl) * 3 / 4).max(Duration::from_secs(1))
}

/// Returns once the flag is up. Its owner is the hub, which the session keeps alive.
async fn is_true(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|up| *up).await;
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
