//! What can go wrong in the signaling, under ids that never change.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The stable id of an error. Programs compare it; people read the text beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorId {
    /// Not a JSON object of the documented form.
    BadMessage,
    /// An object whose `type` the server does not know.
    UnknownType,
    /// Something other than `join` came first.
    JoinFirst,
    /// A second `join` without a `leave` between.
    AlreadyJoined,
    /// The room's name is empty, too long or has characters that cannot be seen.
    BadRoom,
    /// The display name is too long or has characters that cannot be seen.
    BadName,
    /// The room has as many members as it may.
    Full,
    /// The server has as many rooms as it may.
    TooManyRooms,
    /// `to` names nobody in this room.
    NoSuchPeer,
    /// The message is over the size limit.
    TooLarge,
    /// More messages a second than allowed. This one was dropped.
    RateLimited,
    /// No `join` came in time.
    HelloTimeout,
    /// The client did not read what was sent to it.
    SlowReader,
    /// The page that connects is of another site. Sent as HTTP 403, before the upgrade.
    BadOrigin,
    /// The request names a host that this server is not. Sent as HTTP 421.
    BadHost,
}

impl ErrorId {
    /// Every error, in the order of the documentation.
    pub const ALL: [Self; 15] = [
        Self::BadMessage,
        Self::UnknownType,
        Self::JoinFirst,
        Self::AlreadyJoined,
        Self::BadRoom,
        Self::BadName,
        Self::Full,
        Self::TooManyRooms,
        Self::NoSuchPeer,
        Self::TooLarge,
        Self::RateLimited,
        Self::HelloTimeout,
        Self::SlowReader,
        Self::BadOrigin,
        Self::BadHost,
    ];

    /// The id as it is on the wire and in metrics.
    pub fn id(self) -> &'static str {
        match self {
            Self::BadMessage => "bad-message",
            Self::UnknownType => "unknown-type",
            Self::JoinFirst => "join-first",
            Self::AlreadyJoined => "already-joined",
            Self::BadRoom => "bad-room",
            Self::BadName => "bad-name",
            Self::Full => "full",
            Self::TooManyRooms => "too-many-rooms",
            Self::NoSuchPeer => "no-such-peer",
            Self::TooLarge => "too-large",
            Self::RateLimited => "rate-limited",
            Self::HelloTimeout => "hello-timeout",
            Self::SlowReader => "slow-reader",
            Self::BadOrigin => "bad-origin",
            Self::BadHost => "bad-host",
        }
    }

    /// What to tell a person.
    pub fn text(self) -> &'static str {
        match self {
            Self::BadMessage => "not a message: one JSON object a text frame, with a `type`",
            Self::UnknownType => "unknown `type`: `join`, `signal`, `leave` or `ping`",
            Self::JoinFirst => "the first message must be `join`",
            Self::AlreadyJoined => "already in a room: `leave` it first",
            Self::BadRoom => "not a room name: 1 to 64 visible characters",
            Self::BadName => "not a display name: at most 64 visible characters",
            Self::Full => "this room is full",
            Self::TooManyRooms => "this server has no place for another room now: try later",
            Self::NoSuchPeer => "nobody in this room has that id",
            Self::TooLarge => "the message is too large: send a smaller one",
            Self::RateLimited => "too many messages: this one was dropped, send fewer a second",
            Self::HelloTimeout => "no `join` came in time: send it right after connecting",
            Self::SlowReader => "messages were not read fast enough: connect again",
            Self::BadOrigin => "this page's origin may not connect: add it to `rooms.origins`",
            Self::BadHost => "this server does not go by that host name: add it to `rooms.hosts` or use its address",
        }
    }

    /// Whether the connection ends with it, always.
    pub fn is_fatal(self) -> bool {
        self.close_code().is_some()
    }

    /// The WebSocket close code (RFC 6455 section 7.4.1) that follows an error which ends the connection.
    pub fn close_code(self) -> Option<u16> {
        match self {
            Self::JoinFirst | Self::HelloTimeout | Self::SlowReader | Self::BadOrigin | Self::BadHost => Some(1008),
            Self::TooLarge => Some(1009),
            Self::Full | Self::TooManyRooms => Some(1013),
            Self::BadMessage
            | Self::UnknownType
            | Self::AlreadyJoined
            | Self::BadRoom
            | Self::BadName
            | Self::NoSuchPeer
            | Self::RateLimited => None,
        }
    }
}

/// One error on its way to a client.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text}")]
pub struct Refusal {
    /// The stable id.
    pub id: ErrorId,
    /// What is wrong and what would be right.
    pub text: Cow<'static, str>,
}

impl Refusal {
    /// A `bad-message` that says which field is wrong.
    pub(crate) fn bad_message(text: impl Into<Cow<'static, str>>) -> Self {
        Self { id: ErrorId::BadMessage, text: text.into() }
    }
}

impl From<ErrorId> for Refusal {
    fn from(id: ErrorId) -> Self {
        Self { id, text: id.text().into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_same_in_messages_and_in_metrics() {
        for id in ErrorId::ALL {
            assert_eq!(serde_json::to_value(id).unwrap(), id.id());
        }
    }
}
