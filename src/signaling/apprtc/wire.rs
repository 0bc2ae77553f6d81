//! What AppRTC's clients say to the collider and to one another, and the latter in the words that all dialects share.
//!
//! Pure.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::signaling::call::{self, Candidate, Description, Form, Key};
use crate::signaling::error::Refusal;
use crate::signaling::payload::Payload;

/// What is told when the other one is no more.
pub(super) const BYE: &str = r#"{"type":"bye"}"#;

/// What a client says over the collider's WebSocket.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "cmd", rename_all = "lowercase")]
pub enum Command<'a> {
    /// Whose WebSocket it is.
    Register {
        /// The room.
        #[serde(borrow)]
        roomid: Cow<'a, str>,
        /// What it proves by that it is this client.
        #[serde(borrow)]
        clientid: Cow<'a, str>,
    },
    /// Something for the other one.
    Send {
        /// A [`Message`].
        #[serde(borrow)]
        msg: Cow<'a, str>,
    },
}

/// What the server says over it: what the other one said, or what is wrong.
#[derive(Serialize)]
pub struct Said<'a> {
    /// What [`to_theirs`] made of it.
    pub msg: &'a str,
    /// The end of the call, unless it is empty.
    pub error: &'a str,
}

/// What a client says to the other one, in the words that all dialects share.
#[derive(Debug, PartialEq)]
pub enum Message {
    /// An offer.
    Offer(Payload),
    /// An answer.
    Answer(Payload),
    /// A candidate, or a message of the dialect's own.
    Other(Payload),
    /// It hangs up.
    Bye,
}

#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    sdp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    candidate: Option<Cow<'a, str>>,
    /// The media section's index.
    label: Option<u16>,
    /// The media section's name.
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct SaidCandidate<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    label: u16,
    id: &'a str,
    candidate: &'a str,
}

impl<'a> Command<'a> {
    /// Reads one text frame.
    ///
    /// # Errors
    /// A [`Refusal`] that says what is wrong.
    pub fn parse(text: &'a str) -> Result<Self, Refusal> {
        call::parse(text)
    }
}

impl Said<'_> {
    /// One text frame.
    pub fn print(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Message {
    /// Reads the body of a POST, or what came with [`Command::Send`].
    ///
    /// # Errors
    /// A [`Refusal`] that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let missing = |field| Refusal::bad_message(format!("`{field}` is missing"));
        let Incoming { kind, sdp, candidate, label, id } = call::parse(text)?;
        let description = |kind: &str| {
            let sdp = sdp.ok_or_else(|| missing("sdp"))?;
            Ok(Form::Description(Description { kind: kind.into(), sdp }).print(Key::AppRtc))
        };
        match kind.as_ref() {
            "bye" => Ok(Self::Bye),
            "offer" => description("offer").map(Self::Offer),
            "answer" => description("answer").map(Self::Answer),
            "candidate" => {
                let candidate = Candidate {
                    candidate: candidate.ok_or_else(|| missing("candidate"))?,
                    sdp_mid: id,
                    sdp_m_line_index: label,
                    username_fragment: None,
                };
                Ok(Self::Other(Form::Candidate(candidate).print(Key::AppRtc)))
            }
            _ => Ok(Self::Other(Form::Own(call::parse::<&RawValue>(text)?).print(Key::AppRtc))),
        }
    }
}

/// What one of our members says, for a client of AppRTC: a [`Message`]. `None` when that has no word for it.
pub fn to_theirs(data: &Payload) -> Option<String> {
    match Form::read(data, Key::AppRtc)? {
        Form::Description(description) => serde_json::to_string(&description).ok(),
        Form::Candidate(candidate) => {
            let (label, id) = candidate.section();
            let said = SaidCandidate { kind: "candidate", label, id: &id, candidate: &candidate.candidate };
            serde_json::to_string(&said).ok()
        }
        Form::Own(own) => {
            let Incoming { kind, .. } = call::parse(own.get()).ok()?;
            // What all dialects share comes in their words, and that somebody is no more is for the server to say.
            let is_own = !matches!(kind.as_ref(), "offer" | "answer" | "candidate" | "bye");
            if is_own { Some(own.get().to_owned()) } else { None }
        }
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
