//! What Ayame's clients and their server say to each other, and what they say to one another in the words that all
//! dialects share.
//!
//! Pure.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::credentials::IceServer;
use crate::signaling::call::{self, Candidate, Description, Form, Key};
use crate::signaling::error::Refusal;
use crate::signaling::message::PeerId;
use crate::signaling::names::RoomName;
use crate::signaling::payload::Payload;

/// What a client says.
#[derive(Debug, PartialEq)]
pub enum Request {
    /// It wants to be in a room.
    Register(RoomName),
    /// It has heard a `ping`.
    Pong,
    /// In its stand-alone mode, it is about to close.
    Connected,
    /// It hangs up.
    Bye,
    /// Something for the other one, in the words that all dialects share.
    Signal(Payload),
}

/// What the server says of its own.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum Event<'a> {
    /// The client is in the room.
    Accept {
        /// Who it is.
        connection_id: PeerId,
        /// Whether the receiver is to offer, as it is when somebody was there before it.
        is_exist_client: bool,
        /// The same, under its older name.
        is_exist_user: bool,
        /// What it is to relay over.
        ice_servers: &'a [IceServer],
    },
    /// The client is not let in.
    Reject {
        /// The id of the error.
        reason: &'static str,
    },
    /// It wants a `pong`.
    Ping,
    /// The other one is no more.
    Bye,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Incoming<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    room_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sdp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ice: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct SaidCandidate<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    ice: Candidate<'a>,
}

impl Request {
    /// Reads one text frame.
    ///
    /// # Errors
    /// A [`Refusal`] that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let Incoming { kind, room_id, sdp, ice } = call::parse(text)?;
        let form = match kind.as_ref() {
            "register" => return Ok(Self::Register(RoomName::parse(&room_id.ok_or_else(|| missing("roomId"))?)?)),
            "pong" => return Ok(Self::Pong),
            "connected" => return Ok(Self::Connected),
            "bye" => return Ok(Self::Bye),
            "offer" | "answer" => Form::Description(Description { kind, sdp: sdp.ok_or_else(|| missing("sdp"))? }),
            "candidate" => Form::Candidate(call::parse(ice.ok_or_else(|| missing("ice"))?.get())?),
            _ => Form::Own(call::parse(text)?),
        };
        Ok(Self::Signal(form.print(Key::Ayame)))
    }
}

impl Event<'_> {
    /// One text frame.
    pub fn print(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What one of our members says, for a client of Ayame: one text frame. `None` when that has no word for it.
pub fn to_theirs(data: &Payload) -> Option<String> {
    match Form::read(data, Key::Ayame)? {
        Form::Description(description) => serde_json::to_string(&description).ok(),
        Form::Candidate(ice) => serde_json::to_string(&SaidCandidate { kind: "candidate", ice }).ok(),
        Form::Own(own) => {
            let Incoming { kind, .. } = call::parse(own.get()).ok()?;
            if is_own(&kind) { Some(own.get().to_owned()) } else { None }
        }
    }
}

/// Whether a message is between clients alone. What only the server may say, no other client can have it say, and what
/// all dialects share comes in their words.
fn is_own(kind: &str) -> bool {
    let is_servers = matches!(kind, "accept" | "reject" | "ping" | "bye");
    let is_for_servers = matches!(kind, "register" | "pong" | "connected");
    let is_shared = matches!(kind, "offer" | "answer" | "candidate");
    !is_servers && !is_for_servers && !is_shared
}

fn missing(field: &str) -> Refusal {
    Refusal::bad_message(format!("`{field}` is missing"))
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
