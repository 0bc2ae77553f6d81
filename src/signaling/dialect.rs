//! What one connection's frames say, in the words of its client.

use std::time::Duration;

use tokio_tungstenite::tungstenite::Message;

use super::error::{ErrorId, Refusal};
use super::mailbox::Numbered;
use super::session::Session;

/// What is said in the frames. The connection's part in the rooms is lent to it.
pub(super) trait Dialect {
    /// How often [`beat`](Self::beat) is called, if it is. What keeps the connection itself alive is
    /// [`ping`](Self::ping).
    const BEAT: Option<Duration> = None;

    /// The frames that come before the client has said anything.
    fn open(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Does what a text frame says. What the client is told at once, without the rooms, goes into `frames`.
    ///
    /// # Errors
    /// What is wrong with it, or that the connection is to end.
    fn hear(&mut self, session: &mut Session, text: &str, frames: &mut Vec<String>) -> Result<(), Stop>;

    /// The client's own number for what a text frame says, if it has one. The frame is not heard.
    fn number(&self, _: &str) -> Option<u64> {
        None
    }

    /// Puts what the rooms say, an event with its number, into the client's words: frame by frame into `frames`. A close
    /// code ends the connection after them.
    fn print(&mut self, session: &mut Session, message: Numbered, frames: &mut Vec<String>) -> Option<u16>;

    /// The close code that follows an error, if one does.
    fn close_code(&self, _: &Session, id: ErrorId) -> Option<u16> {
        id.close_code()
    }

    /// Whether the client has said what it came for: until then the hello deadline runs.
    fn is_settled(&self, session: &Session) -> bool {
        session.is_member()
    }

    /// The frame that is sent every [`BEAT`](Self::BEAT), if one is.
    ///
    /// # Errors
    /// As [`hear`](Self::hear), when those before went unanswered for too long.
    fn beat(&mut self, _: &Session) -> Result<Option<String>, Stop> {
        Ok(None)
    }

    /// What asks the client whether it is there. A pong that comes back with the number acknowledges the event that has it.
    /// `None` for a client that says so without being asked.
    fn ping(&self, number: u64) -> Option<Message> {
        Some(Message::Ping(number.to_be_bytes().to_vec().into()))
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
