//! The messages of the native protocol, version 1: parsed and printed, nothing else.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::error::{ErrorId, Refusal};
use super::names::{DisplayName, RoomName};
use crate::credentials::{IceServer, MemberTag};

/// The version of the protocol that this server speaks.
pub const VERSION: u32 = 1;
/// The deepest nesting of arrays and objects in a message. A browser's signals need four.
pub const MAX_DEPTH: usize = 32;

/// Names a member for as long as it is in the room: 16 lowercase hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerId(pub MemberTag);

/// What a client says.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// Enters a room, making it if need be.
    Join {
        /// Which one.
        room: RoomName,
        /// What others will see.
        name: Option<DisplayName>,
    },
    /// Something for one other member.
    Signal {
        /// Who it is for.
        to: PeerId,
        /// Any JSON. The server reads it only to find ICE candidates.
        data: Value,
    },
    /// Leaves the room, and keeps the connection.
    Leave,
    /// Asks for a [`ServerMessage::Pong`].
    Ping,
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum ServerMessage {
    /// The answer to `join`: all that a call needs to start, in one message.
    Joined {
        /// [`VERSION`].
        v: u32,
        /// The room's name, normalised.
        room: RoomName,
        /// The member that the receiver now is.
        #[serde(rename = "self")]
        myself: Myself,
        /// Who was there before, oldest first.
        peers: Vec<PeerEntry>,
        /// How many members the room may have, this one included.
        capacity: u32,
        /// How to reach the box's relay, with a credential that ends with this membership.
        ice_servers: Vec<IceServer>,
        /// How long that credential lasts, in seconds.
        ttl: u64,
    },
    /// Someone came.
    PeerJoined {
        /// Who.
        peer: PeerEntry,
    },
    /// Something from one other member.
    Signal {
        /// Who sent it, as the server knows it.
        from: PeerId,
        /// Counts the signals from that member to this one, from 1 and without gaps.
        seq: u64,
        /// What was sent.
        data: Value,
    },
    /// Someone is gone.
    PeerLeft {
        /// Who.
        id: PeerId,
        /// How.
        reason: LeaveReason,
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
    },
}

/// The receiver of a `joined` message, as the others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Myself {
    /// Its id.
    pub id: PeerId,
    /// Its display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<DisplayName>,
}

/// Another member, as the receiver is to see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerEntry {
    /// Its id.
    pub id: PeerId,
    /// Its display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<DisplayName>,
    /// Whether the receiver is the polite one of the two, in the sense of perfect negotiation (W3C WebRTC
    /// section 10.7): it gives way when offers cross. One of each pair is: the one who came later.
    pub polite: bool,
}

/// How a member went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaveReason {
    /// It said `leave`.
    Left,
    /// Its connection ended.
    Disconnected,
}

impl ClientMessage {
    /// Reads one text frame. Fields that the server does not know are passed over, so that newer clients can talk to
    /// older servers.
    ///
    /// # Errors
    /// A [`Refusal`] that names the field that is wrong.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| Refusal::bad_message(format!("not JSON: {error}: send one JSON object a text frame")))?;
        if depth(&value) > MAX_DEPTH {
            return Err(Refusal::bad_message(format!("nested deeper than {MAX_DEPTH}: send a flatter message")));
        }
        let Value::Object(mut fields) = value else {
            return Err(Refusal::bad_message("not a JSON object: send one with a `type`"));
        };
        match text_field(&fields, "type")?.ok_or_else(|| missing("type"))? {
            "join" => parse_join(&fields),
            "signal" => {
                let to = text_field(&fields, "to")?.ok_or_else(|| missing("to"))?;
                let to = PeerId::parse(to).ok_or(ErrorId::NoSuchPeer)?;
                let data = fields.remove("data").ok_or_else(|| missing("data"))?;
                Ok(Self::Signal { to, data })
            }
            "leave" => Ok(Self::Leave),
            "ping" => Ok(Self::Ping),
            _ => Err(ErrorId::UnknownType.into()),
        }
    }
}

fn parse_join(fields: &Map<String, Value>) -> Result<ClientMessage, Refusal> {
    match fields.get("v") {
        None => {}
        Some(version) if version.as_u64() == Some(u64::from(VERSION)) => {}
        Some(_) => return Err(Refusal::bad_message(format!("this server speaks version {VERSION}: send `\"v\":1`"))),
    }
    let room = RoomName::parse(text_field(fields, "room")?.ok_or_else(|| missing("room"))?)?;
    let name = DisplayName::parse(text_field(fields, "name")?.unwrap_or_default())?;
    Ok(ClientMessage::Join { room, name })
}

fn text_field<'a>(fields: &'a Map<String, Value>, key: &'static str) -> Result<Option<&'a str>, Refusal> {
    match fields.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(Refusal::bad_message(format!("`{key}` must be a string")))
        }
    }
}

fn missing(key: &str) -> Refusal {
    Refusal::bad_message(format!("`{key}` is missing"))
}

/// The parser has already stopped at 128, so this recursion is bounded.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

impl ServerMessage {
    /// Reads what [`print`](Self::print) printed.
    ///
    /// # Errors
    /// The parser's own error, when the text is not a message of this version.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// One text frame.
    pub fn print(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// An error message.
    pub fn refusal(refusal: Refusal, fatal: bool) -> Self {
        Self::Error { id: refusal.id, text: refusal.text.into_owned(), fatal }
    }
}

impl PeerId {
    /// Reads what `Display` prints.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if plain { u64::from_str_radix(text, 16).ok().map(|tag| Self(MemberTag(tag))) } else { None }
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0.0)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn refused(value: &Value) -> ErrorId {
        ClientMessage::parse(&value.to_string()).unwrap_err().id
    }

    #[test]
    fn each_mistake_has_its_own_id() {
        assert_eq!(ClientMessage::parse("{").unwrap_err().id, ErrorId::BadMessage);
        assert_eq!(refused(&json!([])), ErrorId::BadMessage);
        assert_eq!(refused(&json!({ "room": "a" })), ErrorId::BadMessage);
        assert_eq!(refused(&json!({ "type": 1 })), ErrorId::BadMessage);
        assert_eq!(refused(&json!({ "type": "shout" })), ErrorId::UnknownType);
        assert_eq!(refused(&json!({ "type": "join" })), ErrorId::BadMessage);
        assert_eq!(refused(&json!({ "type": "join", "room": 1 })), ErrorId::BadMessage);
        assert_eq!(refused(&json!({ "type": "join", "room": "a", "name": null })), ErrorId::BadMessage);
        assert_eq!(refused(&json!({ "type": "join", "room": "a", "v": 2 })), ErrorId::BadMessage);
        assert_eq!(refused(&json!({ "type": "join", "room": " " })), ErrorId::BadRoom);
        assert_eq!(refused(&json!({ "type": "join", "room": "a", "name": "\u{7}" })), ErrorId::BadName);
        assert_eq!(refused(&json!({ "type": "signal", "to": "me", "data": 1 })), ErrorId::NoSuchPeer);
        assert_eq!(refused(&json!({ "type": "signal", "to": "0123456789abcdef" })), ErrorId::BadMessage);
    }

    #[test]
    fn the_text_names_the_field() {
        let refusal = ClientMessage::parse(r#"{"type":"join","room":7}"#).unwrap_err();
        assert_eq!(refusal.to_string(), "`room` must be a string");
    }

    #[test]
    fn fields_of_a_newer_client_are_passed_over() {
        let text = r#"{"type":"join","v":1,"room":"Küche","name":"Anna","colour":{"r":1}}"#;
        let name = DisplayName::parse("Anna").unwrap();
        assert_eq!(
            ClientMessage::parse(text),
            Ok(ClientMessage::Join { room: RoomName::parse("küche").unwrap(), name })
        );
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| {
            let data = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            ClientMessage::parse(&format!(r#"{{"type":"signal","to":"0123456789abcdef","data":{data}}}"#))
        };
        assert!(nested(MAX_DEPTH - 1).is_ok());
        assert_eq!(nested(MAX_DEPTH).unwrap_err().id, ErrorId::BadMessage);
        assert_eq!(nested(30_000).unwrap_err().id, ErrorId::BadMessage);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter("JSON has no infinities", |n| n.is_finite()).prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            let key = prop_oneof![
                Just("type".to_owned()),
                Just("room".into()),
                Just("to".into()),
                Just("data".into()),
                ".{0,4}".prop_map(String::from)
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(key, inner, 0..6).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}", value in any_json(), kind in "join|signal|leave|ping") {
            let _ = ClientMessage::parse(&text);
            let _ = ClientMessage::parse(&value.to_string());
            if let Value::Object(mut fields) = value {
                fields.insert("type".into(), kind.into());
                let _ = ClientMessage::parse(&Value::Object(fields).to_string());
            }
        }

        #[test]
        fn signals_arrive_as_they_were_sent(from in any::<u64>(), seq in any::<u64>(), data in any_json()) {
            let message = ServerMessage::Signal { from: PeerId(MemberTag(from)), seq, data: data.clone() };
            prop_assert_eq!(&ServerMessage::parse(&message.print()).unwrap(), &message);
            let to = PeerId(MemberTag(from));
            let sent = json!({ "type": "signal", "to": to, "data": &data }).to_string();
            prop_assert_eq!(ClientMessage::parse(&sent), Ok(ClientMessage::Signal { to, data }));
        }

        #[test]
        fn presence_reads_back(id in any::<u64>(), typed in "\\PC{0,70}", polite in any::<bool>()) {
            let name = DisplayName::parse(&typed).unwrap_or_default();
            let id = PeerId(MemberTag(id));
            let joined = ServerMessage::PeerJoined { peer: PeerEntry { id, name, polite } };
            prop_assert_eq!(&ServerMessage::parse(&joined.print()).unwrap(), &joined);
        }
    }
}
