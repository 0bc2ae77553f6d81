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
use super::hub::Session;
use super::message::{ClientMessage, LeaveReason, ServerMessage};

/// How long the last words may take to be written, and then to be read.
const PARTING: Duration = Duration::from_secs(1);
/// How much of what the client was still sending is read while it hears the last words.
const MAX_PARTING_BYTES: usize = 1 << 20;
/// The close code of a server that stops (RFC 6455 section 7.4.1).
const GOING_AWAY: u16 = 1001;

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
    Connection { ws, session, closing }.run().await;
}

struct Connection<S> {
    ws: WebSocketStream<S>,
    session: Session,
    closing: watch::Receiver<bool>,
}

/// Why a connection ends.
enum End {
    /// The client fell silent or broke the protocol below us: nothing is left to say.
    Gone,
    /// The client closed it, and is owed the answer to that.
    Closed,
    /// It is told why in what is queued, and closed with this code.
    Close(u16),
}

enum Event {
    Heard(Option<Result<Message, tungstenite::Error>>),
    /// `None` once a message did not fit.
    Queued(Option<ServerMessage>),
    Ping,
    Silence,
    NoHello,
    Shutdown,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn run(mut self) {
        let end = self.talk().await;
        self.session.leave(LeaveReason::Disconnected);
        // Whether the client hears the last words is up to it.
        match end {
            End::Gone => {}
            End::Closed => {
                let _ = timeout(PARTING, SinkExt::close(&mut self.ws)).await;
            }
            End::Close(code) => {
                let _ = timeout(PARTING, self.part(code)).await;
                let _ = timeout(PARTING, self.drain()).await;
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
            let event = tokio::select! {
                frame = self.ws.next() => Event::Heard(frame),
                queued = next_or_overflow(&mut self.session) => Event::Queued(queued),
                _ = pings.tick() => Event::Ping,
                () = sleep_until(heard + silence) => Event::Silence,
                () = sleep_until(hello_deadline), if roomless_since.is_some() => Event::NoHello,
                () = is_true(&mut self.closing) => Event::Shutdown,
            };
            let end = match event {
                Event::Heard(frame) => {
                    heard = Instant::now();
                    self.hear(frame)
                }
                Event::Queued(Some(message)) => self.write(Message::text(message.print()), silence).await,
                Event::Queued(None) => self.close_for(ErrorId::SlowReader),
                Event::Ping => self.write(Message::Ping(Default::default()), silence).await,
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

    /// A write that takes as long as a silence may last is a reader that does not read.
    async fn write(&mut self, message: Message, patience: Duration) -> Option<End> {
        let written = tokio::select! {
            written = timeout(patience, self.ws.send(message)) => written.ok(),
            () = self.session.inbox().overflow() => None,
            () = is_true(&mut self.closing) => return Some(End::Close(GOING_AWAY)),
        };
        match written {
            Some(Ok(())) => None,
            Some(Err(_)) => Some(End::Gone),
            None => self.close_for(ErrorId::SlowReader),
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
            Message::Text(text) => ClientMessage::parse(&text).and_then(|message| self.obey(message)),
            Message::Binary(_) => Err(Refusal::bad_message("a binary frame: send JSON in text frames")),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
            Message::Close(_) => return Some(End::Closed),
        };
        handled.err().and_then(|refusal| self.session.refuse(refusal)).map(End::Close)
    }

    fn obey(&mut self, message: ClientMessage) -> Result<(), Refusal> {
        match message {
            ClientMessage::Join { room, name } => self.session.join(&room, name)?,
            ClientMessage::Signal { .. } | ClientMessage::Leave | ClientMessage::Ping if !self.session.is_member() => {
                return Err(ErrorId::JoinFirst.into());
            }
            ClientMessage::Signal { to, data } => self.session.signal(to, data)?,
            ClientMessage::Leave => self.session.leave(LeaveReason::Left),
            ClientMessage::Ping => self.session.tell(ServerMessage::Pong),
        }
        Ok(())
    }

    fn close_for(&mut self, id: ErrorId) -> Option<End> {
        Some(self.session.refuse(id.into()).map_or(End::Gone, End::Close))
    }

    /// What is queued, then the close frame. A reader so slow that its queue overflowed is told that alone.
    async fn part(&mut self, code: u16) -> Result<(), tungstenite::Error> {
        if self.session.inbox().overflowed() {
            let slow = ServerMessage::refusal(ErrorId::SlowReader.into(), true);
            self.ws.send(Message::text(slow.print())).await?;
        } else {
            while let Some(message) = self.session.inbox().try_next() {
                self.ws.send(Message::text(message.print())).await?;
            }
        }
        self.ws.close(Some(CloseFrame { code: code.into(), reason: Default::default() })).await
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

/// The next queued message, or `None` once one did not fit.
async fn next_or_overflow(session: &mut Session) -> Option<ServerMessage> {
    let inbox = session.inbox();
    if inbox.overflowed() {
        return None;
    }
    inbox.next().await
}

/// Returns once the flag is up. Its owner is the hub, which the session keeps alive.
async fn is_true(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|up| *up).await;
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
