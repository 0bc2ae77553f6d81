//! The native dialect: one JSON message in each text frame of a WebSocket.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;

use super::dialect::{Dialect, Stop};
use super::error::{ErrorId, Refusal};
use super::mailbox::Numbered;
use super::message::{LeaveReason, ServerMessage};
use super::payload::Payload;
use super::request::{ClientMessage, Join};
use super::rooms::Entrant;
use super::session::Session;
use super::socket::drive;

/// Drives one WebSocket to its end. The membership ends with it, and with this future.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(ws: WebSocketStream<S>, session: Session) {
    drive(ws, session, Native).await;
}

struct Native;

impl Dialect for Native {
    fn hear(&mut self, session: &mut Session, text: &str, _: &mut Vec<String>) -> Result<(), Stop> {
        Ok(obey(session, ClientMessage::parse(text)?)?)
    }

    fn number(&self, text: &str) -> Option<u64> {
        ClientMessage::number(text)
    }

    fn print(&mut self, _: &mut Session, (number, message): Numbered, frames: &mut Vec<String>) -> Option<u16> {
        frames.push(message.print(number));
        None
    }
}

fn obey(session: &mut Session, message: ClientMessage) -> Result<(), Refusal> {
    let enters = matches!(message, ClientMessage::Join(_) | ClientMessage::Resume { .. });
    if !enters && !session.is_member() {
        return Err(ErrorId::JoinFirst.into());
    }
    match message {
        ClientMessage::Join(asked) => join(session, asked)?,
        ClientMessage::Resume { token, last, attempt, fresh, forgets } => {
            session.resume(token, if fresh { None } else { Some(last) }, attempt)?;
            session.forgets = forgets;
        }
        ClientMessage::Ready => session.hold(false),
        ClientMessage::Ack { n } => session.ack(n),
        ClientMessage::Signal { to, epoch, n, data } => {
            session.signal_once(n, to, epoch, data).map_err(|id| Refusal::from(id).of(n))?;
        }
        ClientMessage::Broadcast { n, data } => broadcast(session, n, &data).map_err(|refusal| refusal.of(n))?,
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

fn broadcast(session: &mut Session, number: Option<u64>, data: &Payload) -> Result<(), Refusal> {
    let missed = session.broadcast_once(number, data)?;
    if missed.is_empty() { Ok(()) } else { Err(Refusal::missed_by(missed)) }
}

fn join(session: &mut Session, asked: Join) -> Result<(), ErrorId> {
    let window = session.hub().options().resume_window.as_secs();
    let Join { room, name, role, pin, invite, ready, resume, forgets } = asked;
    let resume_window = if resume && window > 0 { Some(window) } else { None };
    let entrant = Entrant { name, role, pin, resume_window, ..session.entrant() };
    session.join(&room, entrant, invite.as_deref())?;
    session.hold(!ready);
    session.forgets = forgets;
    Ok(())
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
