//! The native dialect: one JSON message in each text frame of a WebSocket.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;

use super::error::ErrorId;
use super::message::{LeaveReason, ServerMessage};
use super::request::{ClientMessage, Join};
use super::rooms::Entrant;
use super::session::Session;
use super::socket::{Dialect, Stop, drive};

/// Drives one WebSocket to its end. The membership ends with it, and with this future.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(ws: WebSocketStream<S>, session: Session) {
    drive(ws, Native(session)).await;
}

struct Native(Session);

impl Dialect for Native {
    fn session(&self) -> &Session {
        &self.0
    }

    fn session_mut(&mut self) -> &mut Session {
        &mut self.0
    }

    fn into_session(self) -> Session {
        self.0
    }

    fn hear(&mut self, text: &str) -> Result<(), Stop> {
        Ok(self.obey(ClientMessage::parse(text)?)?)
    }

    fn print(&mut self, number: Option<u64>, message: ServerMessage, frames: &mut Vec<String>) -> Option<u16> {
        frames.push(message.print(number));
        None
    }
}

impl Native {
    fn obey(&mut self, message: ClientMessage) -> Result<(), ErrorId> {
        let enters = matches!(message, ClientMessage::Join(_) | ClientMessage::Resume { .. });
        if !enters && !self.0.is_member() {
            return Err(ErrorId::JoinFirst);
        }
        let session = &mut self.0;
        match message {
            ClientMessage::Join(join) => self.join(join)?,
            ClientMessage::Resume { token, last, attempt, fresh, forgets } => {
                session.resume(token, if fresh { None } else { Some(last) }, attempt)?;
                session.forgets = forgets;
            }
            ClientMessage::Ready => session.hold(false),
            ClientMessage::Ack { n } => session.ack(n),
            ClientMessage::Signal { to, epoch, n, data } => session.signal_once(n, to, epoch, data)?,
            ClientMessage::Broadcast { n, data } => session.broadcast_once(n, &data)?,
            ClientMessage::Rename { name } => session.rename(name)?,
            ClientMessage::Lock { locked } => session.lock(locked)?,
            ClientMessage::SetPin { pin } => session.set_pin(pin)?,
            ClientMessage::Kick { id } => session.kick(id)?,
            ClientMessage::Invite { role, ttl } => session.invite(role, ttl)?,
            ClientMessage::Leave => session.leave(LeaveReason::Left),
            ClientMessage::Ping => session.tell(ServerMessage::Pong),
        }
        Ok(())
    }

    fn join(&mut self, join: Join) -> Result<(), ErrorId> {
        let window = self.0.hub().options().resume_window.as_secs();
        let Join { room, name, role, pin, invite, ready, resume, forgets } = join;
        let resume_window = if resume && window > 0 { Some(window) } else { None };
        let entrant = Entrant { name, role, pin, resume_window, ..self.0.entrant() };
        self.0.join(&room, entrant, invite.as_deref())?;
        self.0.hold(!ready);
        self.0.forgets = forgets;
        Ok(())
    }
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
