//! The dialect of the WebRTC codelab's pages, over Socket.IO: `create or join`, `message`, `bye`.
//!
//! Such a page keeps flags of its own, which decide whether a call comes up: whether it is the initiator, told by
//! `created` and not by `joined`; whether the other is there, told by `join` or `joined`; and whether it has its camera,
//! which it announces as the message "got user media". It makes an offer only when all three are up, looks at them only
//! when a camera or a message comes, and fails on an offer that comes before its own camera. Here the order does not
//! matter: whoever is to offer is told all of it, and what would come too early waits.

mod kept;
mod page;
pub mod socket_io;
pub mod words;

use tokio_tungstenite::tungstenite::Message;

use self::page::{Page, Talk};
use self::socket_io::{DISCONNECT, Event, Packet, connected, not_connected};
use super::dialect::{Dialect, Stop};
use super::engine_io::{Version, random_id};
use super::error::{ErrorId, Refusal};
use super::mailbox::Numbered;
use super::message::{LeaveReason, ServerMessage};
use super::payload::{MAX_DEPTH, is_too_deep};
use super::session::Session;

/// The close code of a client that leaves.
const NORMAL: u16 = 1000;
/// The close code of one that says what is no packet (RFC 6455 section 7.4.1).
const PROTOCOL_ERROR: u16 = 1002;

/// A session of Engine.IO, and in it the page, while it is in the namespace.
pub(super) struct Codelab {
    version: Version,
    /// Of the session.
    id: String,
    hello: String,
    page: Option<Page>,
}

impl Codelab {
    /// The session `id`, whose first packet is `hello`.
    pub(super) fn new(version: Version, id: String, hello: String) -> Self {
        Self { version, id, hello, page: None }
    }
}

impl Dialect for Codelab {
    fn open(&mut self) -> Vec<String> {
        let mut packets = vec![std::mem::take(&mut self.hello)];
        if self.version == Version::V3 {
            packets.push(self.connect());
        }
        packets
    }

    fn hear(&mut self, session: &mut Session, text: &str, packets: &mut Vec<String>) -> Result<(), Stop> {
        match text.split_at_checked(1) {
            Some(("4", packet)) => self.hear_packet(packet, &mut Talk { session, packets }),
            Some(("2", probe)) => {
                packets.push(format!("3{probe}"));
                Ok(())
            }
            // A pong, and what only ends a poll or an upgrade.
            Some(("3" | "5" | "6", _)) => Ok(()),
            Some(("1", _)) => Err(Stop::Close(NORMAL)),
            Some(_) | None => Err(Refusal::bad_message("not a packet of Engine.IO: send one").into()),
        }
    }

    fn print(&mut self, session: &mut Session, (_, message): Numbered, packets: &mut Vec<String>) -> Option<u16> {
        let page = self.page.as_mut()?;
        let end = if let ServerMessage::Error { id, fatal: true, .. } = &message { Some(*id) } else { None };
        let talk = &mut Talk { session, packets };
        if end.is_some() {
            page.end_call(talk);
        }
        page.tell(message, talk);
        if end.is_some_and(is_final) {
            packets.push(DISCONNECT.to_owned());
        }
        None
    }

    fn close_code(&self, _: &Session, id: ErrorId) -> Option<u16> {
        id.close_code().or(Some(PROTOCOL_ERROR))
    }

    fn is_settled(&self, _: &Session) -> bool {
        self.page.is_some()
    }

    fn ping(&self, _: u64) -> Option<Message> {
        match self.version {
            Version::V3 => None,
            Version::V4 => Some(Message::text("2")),
        }
    }
}

impl Codelab {
    fn hear_packet(&mut self, packet: &str, talk: &mut Talk<'_>) -> Result<(), Stop> {
        let wrong = || Refusal::bad_message("not a packet of Socket.IO without attachments: send one");
        match Packet::parse(packet).ok_or_else(wrong)? {
            Packet::Connect if self.page.is_none() => {
                let connected = self.connect();
                talk.packets.push(connected);
            }
            Packet::ConnectElsewhere(namespace) => talk.packets.push(not_connected(self.version, namespace)),
            Packet::Disconnect => {
                if let Some(mut page) = self.page.take() {
                    page.leave(LeaveReason::Left, talk);
                }
            }
            Packet::Event(event) => return self.hear_event(event, talk),
            Packet::Connect | Packet::Nothing => {}
        }
        Ok(())
    }

    fn hear_event(&mut self, text: &str, talk: &mut Talk<'_>) -> Result<(), Stop> {
        // It may have been under way when the page left.
        let Some(page) = &mut self.page else {
            return Ok(());
        };
        if is_too_deep(text) {
            let text = format!("an event that is nested deeper than {MAX_DEPTH}: send a flatter one");
            talk.session.refuse_with(Refusal::bad_message(text), None);
            return Ok(());
        }
        let wrong = || Refusal::bad_message("not an event of Socket.IO: send an array that begins with its name");
        page.hear(&Event::parse(text).ok_or_else(wrong)?, talk);
        Ok(())
    }

    /// Puts the page into the namespace. Clients of protocol 3 go by the id of their session there.
    fn connect(&mut self) -> String {
        let id = match self.version {
            Version::V3 => self.id.clone(),
            Version::V4 => random_id(),
        };
        let connected = connected(self.version, &id);
        self.page = Some(Page::new(id));
        connected
    }
}

/// Whether an error is to keep the client from coming back. Clients of Socket.IO connect again to a server that only ends
/// the connection.
fn is_final(id: ErrorId) -> bool {
    matches!(id, ErrorId::Kicked | ErrorId::RateLimited)
}
