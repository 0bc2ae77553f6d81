//! What the server says in the native protocol, version 1, and the words that both sides use.

use std::fmt;
use std::io::Write as _;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{ErrorId, Refusal};
use super::names::{DisplayName, RoomName};
use super::payload::Payload;
use crate::credentials::{IceServer, MemberTag};

/// The version of the protocol that this server speaks.
pub const VERSION: u32 = 1;

/// Names a member for as long as it is in the room: 16 lowercase hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerId(pub MemberTag);

/// What a member is in the room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Shows something to everybody.
    Presenter,
    /// Takes part.
    #[default]
    Member,
    /// Watches: exchanges no signals with other viewers.
    Viewer,
}

impl Role {
    /// Every role, from the one that may most.
    pub const ALL: [Self; 3] = [Self::Presenter, Self::Member, Self::Viewer];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Presenter => "presenter",
            Self::Member => "member",
            Self::Viewer => "viewer",
        }
    }

    /// Reads [`name`](Self::name).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether somebody in this role may invite to the other one.
    pub fn may_invite(self, to: Self) -> bool {
        let rank = |role| Self::ALL.iter().position(|each| *each == role);
        rank(self) <= rank(to)
    }
}

/// How many members a room may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// In all, at least 1.
    #[serde(rename = "capacity")]
    pub all: u32,
    /// In each role.
    pub roles: Places,
}

/// How many members a room may have in each role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Presenters.
    pub presenter: u32,
    /// Members.
    pub member: u32,
    /// Viewers.
    pub viewer: u32,
}

impl Capacity {
    /// For `all` members, whatever their roles.
    pub fn any(all: u32) -> Self {
        Self { all, roles: Places { presenter: all, member: all, viewer: all } }
    }

    /// The most in one role.
    pub fn of(&self, role: Role) -> u32 {
        match role {
            Role::Presenter => self.roles.presenter,
            Role::Member => self.roles.member,
            Role::Viewer => self.roles.viewer,
        }
    }
}

/// What the server says. Those that say what happened in the room are numbered, from 1 and without gaps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum ServerMessage {
    /// The answer to `join`.
    Joined(Box<Joined>),
    /// The answer to `resume`. What was missed follows.
    Resumed {
        /// The number of the last `signal` or `broadcast` of the receiver that came, as it numbered them. 0 if none did.
        received: u64,
        /// As in `joined`, for the address that the new connection came in on.
        ice_servers: Vec<IceServer>,
        /// How long that credential lasts, in seconds.
        ttl: u64,
    },
    /// Someone came.
    PeerJoined {
        /// Who.
        peer: PeerEntry,
    },
    /// Someone goes by another name.
    PeerRenamed {
        /// Who; perhaps the receiver.
        id: PeerId,
        /// The new name, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<DisplayName>,
    },
    /// Someone's connection dropped, and may come back.
    PeerAway {
        /// Who.
        id: PeerId,
    },
    /// Someone who was away is back.
    PeerBack {
        /// Who.
        id: PeerId,
    },
    /// Someone forgot all it knew, and starts anew under the same id.
    PeerRestarted {
        /// Who.
        id: PeerId,
        /// Counts its beginnings.
        epoch: u32,
    },
    /// Someone is gone.
    PeerLeft {
        /// Who.
        id: PeerId,
        /// How.
        reason: LeaveReason,
    },
    /// The room has another host, was locked or unlocked, or has another PIN.
    Room {
        /// How it stands now.
        #[serde(flatten)]
        state: RoomState,
    },
    /// Something from one other member.
    Signal {
        /// Who sent it, as the server knows it.
        from: PeerId,
        /// The sender's epoch.
        epoch: u32,
        /// Counts what that member sent to this one in their present epochs, from 1 and without gaps.
        seq: u64,
        /// What was sent.
        data: Payload,
    },
    /// Something that one other member sent to everybody.
    Broadcast {
        /// Who sent it.
        from: PeerId,
        /// The sender's epoch.
        epoch: u32,
        /// As in `signal`, in one count with those.
        seq: u64,
        /// What was sent.
        data: Payload,
    },
    /// A new credential, before the last one ends or because the box is to be reached elsewhere.
    IceServers {
        /// As in `joined`.
        ice_servers: Vec<IceServer>,
        /// How long it lasts, in seconds.
        ttl: u64,
        /// Whether the relay's addresses are others now, so that ICE has to restart.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        restart: bool,
    },
    /// The answer to `invite`.
    Invite {
        /// Which room it is for.
        room: RoomName,
        /// As what.
        role: Role,
        /// What the invited one joins with.
        invite: String,
        /// When it ends, in seconds since the Unix epoch.
        expires_at: u64,
    },
    /// The answer to `ping`.
    Pong,
    /// Something went wrong.
    Error {
        /// Its stable id.
        id: ErrorId,
        /// What a person may be told.
        text: String,
        /// Whether the connection closes now.
        fatal: bool,
        /// The client's own number for what was refused. Such an error is an event: it is not lost with a connection.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<u64>,
        /// Who alone did not get what was for everybody.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        peers: Vec<PeerId>,
    },
}

/// All that a call needs to start, in one message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    /// [`VERSION`].
    pub v: u32,
    /// The room's name, normalised.
    pub room: RoomName,
    /// The member that the receiver now is.
    #[serde(rename = "self")]
    pub myself: Myself,
    /// Who was there before, oldest first.
    pub peers: Vec<PeerEntry>,
    /// How the room stands.
    #[serde(flatten)]
    pub state: RoomState,
    /// How many members the room may have.
    #[serde(flatten)]
    pub capacity: Capacity,
    /// How to reach the box's relay, with a credential that ends with this membership.
    pub ice_servers: Vec<IceServer>,
    /// How long that credential lasts, in seconds.
    pub ttl: u64,
    /// How to go on after the connection dropped, for a client that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<ResumeOffer>,
}

/// How a room stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomState {
    /// Who may lock the room, set its PIN and send others away: who made it or, when that one has left, who came next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<PeerId>,
    /// Whether nobody more is let in.
    pub locked: bool,
    /// Whether it has a PIN.
    pub pin: bool,
}

/// How to go on after the connection dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeOffer {
    /// What to show. It is as good as the membership: nobody else may have it.
    pub token: ResumeToken,
    /// How long a dropped connection is waited for, in seconds.
    pub window: u64,
}

/// Proves a membership: whose it is, and a secret of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ResumeToken {
    /// The member.
    pub id: PeerId,
    /// What nobody else can know.
    pub secret: u128,
}

/// The receiver of a `joined` message, as the others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Myself {
    /// Its id.
    pub id: PeerId,
    /// Its display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<DisplayName>,
    /// Its role.
    pub role: Role,
    /// Counts its beginnings: 1, and one more each time that it resumes without what it knew.
    pub epoch: u32,
}

/// Another member, as the receiver is to see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerEntry {
    /// Its id.
    pub id: PeerId,
    /// Its display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<DisplayName>,
    /// Its role.
    pub role: Role,
    /// Counts its beginnings.
    pub epoch: u32,
    /// Whether the receiver is the polite one of the two, in the sense of perfect negotiation (W3C WebRTC
    /// section 10.7): it gives way when offers cross. One of each pair is.
    pub polite: bool,
    /// Whether the receiver makes the first offer. One of each pair does.
    pub initiate: bool,
    /// Whether its connection has dropped, and may come back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub away: bool,
}

/// How a member went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaveReason {
    /// It said `leave`.
    Left,
    /// Its connection ended, and it did not come back in time.
    Disconnected,
    /// The host sent it away.
    Kicked,
}

impl ServerMessage {
    /// Reads what [`print`](Self::print) printed, whatever its number.
    ///
    /// # Errors
    /// The parser's own error, when the text is not a message of this version.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// One text frame. Events carry their number as `n`.
    pub fn print(&self, number: Option<u64>) -> String {
        let data = if let Self::Signal { data, .. } | Self::Broadcast { data, .. } = self { data.as_str() } else { "" };
        let mut text = Vec::with_capacity(256 + data.len());
        let mut printed = serde_json::to_writer(&mut text, self).is_ok();
        if let Some(number) = number {
            text.truncate(text.len().saturating_sub(1));
            printed &= write!(text, ",\"n\":{number}}}").is_ok();
        }
        if printed { String::from_utf8(text).unwrap_or_default() } else { String::new() }
    }

    /// Whether it says what happened in the room, or what became of something numbered. Everything else concerns one
    /// connection.
    pub fn is_event(&self) -> bool {
        match self {
            Self::PeerJoined { .. }
            | Self::PeerRenamed { .. }
            | Self::PeerAway { .. }
            | Self::PeerBack { .. }
            | Self::PeerRestarted { .. }
            | Self::PeerLeft { .. }
            | Self::Room { .. }
            | Self::Signal { .. }
            | Self::Broadcast { .. }
            | Self::Error { said: Some(_), .. } => true,
            Self::Joined(_)
            | Self::Resumed { .. }
            | Self::IceServers { .. }
            | Self::Invite { .. }
            | Self::Pong
            | Self::Error { said: None, .. } => false,
        }
    }

    /// Whether it tells what a member said or did since it came.
    pub(super) fn is_from(&self, id: PeerId) -> bool {
        match self {
            Self::Signal { from, .. } | Self::Broadcast { from, .. } => *from == id,
            Self::PeerRenamed { id: other, .. }
            | Self::PeerAway { id: other }
            | Self::PeerBack { id: other }
            | Self::PeerRestarted { id: other, .. } => *other == id,
            Self::Joined(_)
            | Self::Resumed { .. }
            | Self::PeerJoined { .. }
            | Self::PeerLeft { .. }
            | Self::Room { .. }
            | Self::IceServers { .. }
            | Self::Invite { .. }
            | Self::Pong
            | Self::Error { .. } => false,
        }
    }

    /// How long the credential lasts that a connection begins with, in seconds.
    pub fn ttl(&self) -> Option<u64> {
        if let Self::Joined(joined) = self {
            return Some(joined.ttl);
        }
        if let Self::Resumed { ttl, .. } = self { Some(*ttl) } else { None }
    }

    /// An error message. What ends the connection concerns nothing else.
    pub fn refusal(refusal: Refusal, fatal: bool) -> Self {
        let Refusal { id, text, said, peers } = refusal;
        Self::Error { id, text: text.into_owned(), fatal, said: said.filter(|_| !fatal), peers }
    }
}

impl PeerId {
    /// Reads what `Display` prints.
    pub fn parse(text: &str) -> Option<Self> {
        hexadecimal(text, 16).and_then(|digits| u64::try_from(digits).ok()).map(|tag| Self(MemberTag(tag)))
    }
}

impl ResumeToken {
    /// Reads what `Display` prints.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.split_at_checked(16)?;
        Some(Self { id: PeerId::parse(id)?, secret: hexadecimal(secret, 32)? })
    }
}

fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let is_plain = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if is_plain { u128::from_str_radix(text, 16).ok() } else { None }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0.0)
    }
}

impl fmt::Display for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:032x}", self.id, self.secret)
    }
}

impl fmt::Debug for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResumeToken({}…)", self.id)
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("a peer id is 16 lowercase hexadecimal digits"))
    }
}

impl Serialize for ResumeToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ResumeToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("a resume token is 48 lowercase hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn nobody_invites_to_more_than_they_are() {
        let invited = |from: Role| Role::ALL.into_iter().filter(|to| from.may_invite(*to)).count();
        assert_eq!(Role::ALL.map(invited), [3, 2, 1]);
        assert_eq!(Role::ALL.map(|role| Role::parse(role.name())), Role::ALL.map(Some));
    }

    #[test]
    fn a_token_reads_back_and_does_not_get_into_a_log() {
        let token = ResumeToken { id: PeerId(MemberTag(0xa1)), secret: 7 };
        assert_eq!(ResumeToken::parse(&token.to_string()), Some(token));
        assert_eq!(format!("{token:?}"), "ResumeToken(00000000000000a1…)");
        for bad in ["", "00000000000000a1", "é00000000000000a100000000000000000000000000000007"] {
            assert_eq!(ResumeToken::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn presence_reads_back(id in any::<u64>(), typed in "\\PC{0,70}", polite in any::<bool>(), n in any::<u64>()) {
            let name = DisplayName::parse(&typed).unwrap_or_default();
            let id = PeerId(MemberTag(id));
            let peer = PeerEntry { id, name, role: Role::Viewer, epoch: 3, polite, initiate: !polite, away: polite };
            let joined = ServerMessage::PeerJoined { peer };
            let text = joined.print(Some(n));
            prop_assert_eq!(&ServerMessage::parse(&text).unwrap(), &joined);
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["n"].as_u64(), Some(n));
        }
    }
}
