//! What can go wrong in the signaling, under ids that never change.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::message::PeerId;

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
    /// The room's host has locked it.
    Locked,
    /// The room has a PIN, and this is not it.
    BadPin,
    /// The invite is not for this room, has expired, or was made under another PIN.
    BadInvite,
    /// Only the room's host, or somebody in another role, may do that.
    NotAllowed,
    /// The room's host sent this member away.
    Kicked,
    /// There is no such membership to resume, or not all that it missed is still there.
    Gone,
    /// The membership goes on over another connection.
    Replaced,
    /// `to` names nobody in this room.
    NoSuchPeer,
    /// The signal was meant for `to` as it was before it started anew. It was dropped.
    Stale,
    /// `to` is away or not ready, and too much waits for it. The signal was dropped.
    PeerBusy,
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
    pub const ALL: [Self; 24] = [
        Self::BadMessage,
        Self::UnknownType,
        Self::JoinFirst,
        Self::AlreadyJoined,
        Self::BadRoom,
        Self::BadName,
        Self::Full,
        Self::TooManyRooms,
        Self::Locked,
        Self::BadPin,
        Self::BadInvite,
        Self::NotAllowed,
        Self::Kicked,
        Self::Gone,
        Self::Replaced,
        Self::NoSuchPeer,
        Self::Stale,
        Self::PeerBusy,
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
            Self::Locked => "locked",
            Self::BadPin => "bad-pin",
            Self::BadInvite => "bad-invite",
            Self::NotAllowed => "not-allowed",
            Self::Kicked => "kicked",
            Self::Gone => "gone",
            Self::Replaced => "replaced",
            Self::NoSuchPeer => "no-such-peer",
            Self::Stale => "stale",
            Self::PeerBusy => "peer-busy",
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
            Self::UnknownType => "unknown `type`: see docs/protocol.md",
            Self::JoinFirst => "the first message must be `join` or `resume`",
            Self::AlreadyJoined => "already in a room: `leave` it first",
            Self::BadRoom => "not a room name: 1 to 64 visible characters",
            Self::BadName => "not a display name: at most 64 visible characters",
            Self::Full => "this room is full",
            Self::TooManyRooms => "this server has no place for another room now: try later",
            Self::Locked => "this room is locked: ask its host to unlock it",
            Self::BadPin => "not the PIN of this room, or no PIN at all: 1 to 64 visible characters",
            Self::BadInvite => "this invite is not for this room now: ask for a new one",
            Self::NotAllowed => "your role in this room does not allow that",
            Self::Kicked => "the host of the room sent you away",
            Self::Gone => "this membership is over: join again",
            Self::Replaced => "you are in this room over a newer connection",
            Self::NoSuchPeer => "nobody in this room has that id",
            Self::Stale => "that peer has started anew since: this signal was dropped",
            Self::PeerBusy => "too much waits for that peer already: this signal was dropped, try again later",
            Self::TooLarge => "the message is too large: send a smaller one",
            Self::RateLimited => "too much at once: this was dropped, send less a second",
            Self::HelloTimeout => "no `join` came in time: send it right after connecting",
            Self::SlowReader => "messages were not read fast enough: connect again",
            Self::BadOrigin => "this page's origin may not connect: add it to `rooms.origins`",
            Self::BadHost => "this server does not go by that host name: add it to `rooms.hosts` or use its address",
        }
    }

    /// The WebSocket close code (RFC 6455 section 7.4.1) that follows an error which ends the connection.
    pub fn close_code(self) -> Option<u16> {
        match self {
            Self::JoinFirst
            | Self::Kicked
            | Self::Replaced
            | Self::HelloTimeout
            | Self::SlowReader
            | Self::BadOrigin
            | Self::BadHost => Some(1008),
            Self::TooLarge => Some(1009),
            Self::Full | Self::TooManyRooms => Some(1013),
            Self::BadMessage
            | Self::UnknownType
            | Self::AlreadyJoined
            | Self::BadRoom
            | Self::BadName
            | Self::Locked
            | Self::BadPin
            | Self::BadInvite
            | Self::NotAllowed
            | Self::Gone
            | Self::NoSuchPeer
            | Self::Stale
            | Self::PeerBusy
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
    /// The client's own number for what it said, if that has one and was heard.
    pub said: Option<u64>,
    /// Who alone did not get what was for everybody.
    pub peers: Vec<PeerId>,
}

impl Refusal {
    /// In other words than those that the id comes with.
    pub(crate) fn new(id: ErrorId, text: impl Into<Cow<'static, str>>) -> Self {
        Self { id, text: text.into(), said: None, peers: Vec::new() }
    }

    /// A `bad-message` that says which field is wrong.
    pub(crate) fn bad_message(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorId::BadMessage, text)
    }

    /// Of a broadcast that everybody got but these.
    pub(crate) fn missed_by(peers: Vec<PeerId>) -> Self {
        let text = "too much waits for some peers already: they did not get this, try again later";
        Self { peers, ..Self::new(ErrorId::PeerBusy, text) }
    }

    /// What it is about had that number.
    pub(crate) fn of(self, said: Option<u64>) -> Self {
        Self { said, ..self }
    }
}

impl From<ErrorId> for Refusal {
    fn from(id: ErrorId) -> Self {
        Self::new(id, id.text())
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
