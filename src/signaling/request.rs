//! What a client says in the native protocol, version 1: parsed, nothing else.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::error::{ErrorId, Refusal};
use super::message::{PeerId, ResumeToken, Role, VERSION};
use super::names::{DisplayName, Pin, RoomName};
use super::payload::{MAX_DEPTH, Payload, is_too_deep};

/// The longest invite that is looked at, in bytes.
const MAX_INVITE_BYTES: usize = 256;
/// How long an invite lasts unless the client says, and the longest that it may.
const INVITE_TTL: (Duration, Duration) = (Duration::from_secs(24 * 3600), Duration::from_secs(30 * 24 * 3600));

/// What a client says.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// Enters a room, making it if need be.
    Join(Join),
    /// Goes on with a membership whose connection dropped.
    Resume {
        /// Which membership, and the proof of it. `None` when it cannot be any.
        token: Option<ResumeToken>,
        /// The number of the last event that the client has. 0 before the first.
        last: u64,
        /// The client's own number for it, rising: one that is not higher than all before came late, and is refused.
        attempt: Option<u64>,
        /// The client forgot all it knew, and wants to start anew.
        fresh: bool,
        /// As in [`Join::forgets`].
        forgets: bool,
    },
    /// Ends the holding back that `"ready": false` asked for.
    Ready,
    /// The client has every event up to this number.
    Ack {
        /// Which.
        n: u64,
    },
    /// Something for one other member.
    Signal {
        /// Who it is for.
        to: PeerId,
        /// The epoch of `to` that it is meant for. Any, if the client does not say.
        epoch: Option<u32>,
        /// The client's own number for it, if it may have to say it again.
        n: Option<u64>,
        /// Any JSON. The server reads it only to find ICE candidates.
        data: Payload,
    },
    /// Something for everybody else in the room.
    Broadcast {
        /// As for `signal`.
        n: Option<u64>,
        /// Any JSON.
        data: Payload,
    },
    /// Takes another display name, or none.
    Rename {
        /// Which.
        name: Option<DisplayName>,
    },
    /// Lets nobody more in, or does again.
    Lock {
        /// Which of the two.
        locked: bool,
    },
    /// Gives the room a PIN, or takes it away.
    SetPin {
        /// Which.
        pin: Option<Pin>,
    },
    /// Sends somebody away.
    Kick {
        /// Whom.
        id: PeerId,
    },
    /// Asks for an invite.
    Invite {
        /// As what the invited one is to join.
        role: Role,
        /// How long the invite is to last: 1 s to 30 days.
        ttl: Duration,
    },
    /// Leaves the room, and keeps the connection.
    Leave,
    /// Asks for a `pong`.
    Ping,
}

/// How a client wants to be in a room.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// Which one.
    pub room: RoomName,
    /// What others will see.
    pub name: Option<DisplayName>,
    /// As what. An invite says it instead.
    pub role: Role,
    /// The PIN of the room or, when this makes it, the one that it is to have.
    pub pin: Option<Pin>,
    /// What an `invite` message carried.
    pub invite: Option<String>,
    /// Whether events may come at once.
    pub ready: bool,
    /// Whether it may want to go on after its connection dropped.
    pub resume: bool,
    /// Whether the token ends with the client's page: who closes as a page that goes away does will not come back.
    pub forgets: bool,
}

/// All that any message has, each still as it came. Fields that the server does not know are passed over, so that newer
/// clients can talk to older servers.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    v: Option<&'a RawValue>,
    #[serde(borrow)]
    room: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    pin: Option<&'a RawValue>,
    #[serde(borrow)]
    invite: Option<&'a RawValue>,
    #[serde(borrow)]
    ready: Option<&'a RawValue>,
    #[serde(borrow)]
    resume: Option<&'a RawValue>,
    #[serde(borrow)]
    forgets: Option<&'a RawValue>,
    #[serde(borrow)]
    token: Option<&'a RawValue>,
    #[serde(borrow)]
    last: Option<&'a RawValue>,
    #[serde(borrow)]
    attempt: Option<&'a RawValue>,
    #[serde(borrow)]
    fresh: Option<&'a RawValue>,
    #[serde(borrow)]
    n: Option<&'a RawValue>,
    #[serde(borrow)]
    to: Option<&'a RawValue>,
    #[serde(borrow)]
    epoch: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    locked: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    ttl: Option<&'a RawValue>,
}

/// What tells how a client numbered something.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    n: u64,
}

impl ClientMessage {
    /// The client's own number for what one text frame says, if it says something that has one.
    pub fn number(text: &str) -> Option<u64> {
        let said: Said<'_> = serde_json::from_str(text).ok()?;
        matches!(&*said.kind, "signal" | "broadcast").then_some(said.n)
    }

    /// Reads one text frame.
    ///
    /// # Errors
    /// A [`Refusal`] that names the field that is wrong.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if is_too_deep(text) {
            return Err(Refusal::bad_message(format!("nested deeper than {MAX_DEPTH}: send a flatter message")));
        }
        if !text.trim_start().starts_with('{') {
            return Err(Refusal::bad_message("not a JSON object: send one with a `type`"));
        }
        let fields: Fields<'_> = serde_json::from_str(text)
            .map_err(|error| Refusal::bad_message(format!("not JSON: {error}: send one JSON object a text frame")))?;
        match required::<String>(fields.kind, "type", TEXT)?.as_str() {
            "join" => fields.join().map(Self::Join),
            "resume" => Ok(Self::Resume {
                token: ResumeToken::parse(&required::<String>(fields.token, "token", TEXT)?),
                last: optional(fields.last, "last", NUMBER)?.unwrap_or_default(),
                attempt: optional(fields.attempt, "attempt", NUMBER)?,
                fresh: optional(fields.fresh, "fresh", FLAG)?.unwrap_or_default(),
                forgets: optional(fields.forgets, "forgets", FLAG)?.unwrap_or_default(),
            }),
            "ready" => Ok(Self::Ready),
            "ack" => Ok(Self::Ack { n: required(fields.n, "n", NUMBER)? }),
            "signal" => Ok(Self::Signal {
                to: peer(fields.to, "to")?,
                epoch: optional(fields.epoch, "epoch", NUMBER)?,
                n: optional(fields.n, "n", NUMBER)?,
                data: fields.data()?,
            }),
            "broadcast" => Ok(Self::Broadcast { n: optional(fields.n, "n", NUMBER)?, data: fields.data()? }),
            "rename" => Ok(Self::Rename { name: fields.display_name()? }),
            "lock" => Ok(Self::Lock { locked: required(fields.locked, "locked", FLAG)? }),
            "pin" => Ok(Self::SetPin { pin: fields.pin()? }),
            "kick" => Ok(Self::Kick { id: peer(fields.id, "id")? }),
            "invite" => fields.invite(),
            "leave" => Ok(Self::Leave),
            "ping" => Ok(Self::Ping),
            _ => Err(ErrorId::UnknownType.into()),
        }
    }
}

impl Fields<'_> {
    fn join(&self) -> Result<Join, Refusal> {
        if optional::<u32>(self.v, "v", NUMBER)?.is_some_and(|version| version != VERSION) {
            return Err(Refusal::bad_message(format!("this server speaks version {VERSION}: send `\"v\":1`")));
        }
        let invite: Option<String> = optional(self.invite, "invite", TEXT)?;
        if invite.as_ref().is_some_and(|invite| invite.len() > MAX_INVITE_BYTES) {
            return Err(ErrorId::BadInvite.into());
        }
        Ok(Join {
            room: RoomName::parse(&required::<String>(self.room, "room", TEXT)?)?,
            name: self.display_name()?,
            role: optional(self.role, "role", ROLE)?.unwrap_or_default(),
            pin: self.pin()?,
            invite,
            ready: optional(self.ready, "ready", FLAG)?.unwrap_or(true),
            resume: optional(self.resume, "resume", FLAG)?.unwrap_or_default(),
            forgets: optional(self.forgets, "forgets", FLAG)?.unwrap_or_default(),
        })
    }

    fn invite(&self) -> Result<ClientMessage, Refusal> {
        let (usual, most) = INVITE_TTL;
        let ttl = optional(self.ttl, "ttl", NUMBER)?.map_or(usual, Duration::from_secs);
        if ttl < Duration::from_secs(1) || ttl > most {
            return Err(Refusal::bad_message(format!("`ttl` must be 1 to {} seconds", most.as_secs())));
        }
        Ok(ClientMessage::Invite { role: optional(self.role, "role", ROLE)?.unwrap_or_default(), ttl })
    }

    fn display_name(&self) -> Result<Option<DisplayName>, Refusal> {
        let name: Option<String> = optional(self.name, "name", TEXT)?;
        Ok(DisplayName::parse(&name.unwrap_or_default())?)
    }

    fn pin(&self) -> Result<Option<Pin>, Refusal> {
        let pin: Option<String> = optional(self.pin, "pin", TEXT)?;
        Ok(pin.map(|pin| Pin::parse(&pin)).transpose()?)
    }

    fn data(&self) -> Result<Payload, Refusal> {
        self.data.map(Payload::from).ok_or_else(|| missing("data"))
    }
}

/// `null` is something to say, too.
fn even_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

const TEXT: &str = "a string";
const NUMBER: &str = "a whole number, 0 or more";
const FLAG: &str = "true or false";
const ROLE: &str = "`presenter`, `member` or `viewer`";

fn optional<'a, T: Deserialize<'a>>(
    field: Option<&'a RawValue>,
    key: &'static str,
    what: &'static str,
) -> Result<Option<T>, Refusal> {
    let wrong = |_| Refusal::bad_message(format!("`{key}` must be {what}"));
    field.map(|raw| serde_json::from_str(raw.get()).map_err(wrong)).transpose()
}

fn required<'a, T: Deserialize<'a>>(
    field: Option<&'a RawValue>,
    key: &'static str,
    what: &'static str,
) -> Result<T, Refusal> {
    optional(field, key, what)?.ok_or_else(|| missing(key))
}

fn missing(key: &str) -> Refusal {
    Refusal::bad_message(format!("`{key}` is missing"))
}

fn peer(field: Option<&RawValue>, key: &'static str) -> Result<PeerId, Refusal> {
    let text: String = required(field, key, TEXT)?;
    Ok(PeerId::parse(&text).ok_or(ErrorId::NoSuchPeer)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::credentials::MemberTag;

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
        assert_eq!(refused(&json!({ "type": "join", "room": "a", "name": [] })), ErrorId::BadMessage);
        assert_eq!(refused(&json!({ "type": "join", "room": "a", "role": "king" })), ErrorId::BadMessage);
        assert_eq!(refused(&json!({ "type": "join", "room": "a", "pin": "" })), ErrorId::BadPin);
        assert_eq!(refused(&json!({ "type": "join", "room": "a", "invite": "x".repeat(300) })), ErrorId::BadInvite);
        assert_eq!(refused(&json!({ "type": "join", "room": "a", "v": 2 })), ErrorId::BadMessage);
        assert_eq!(refused(&json!({ "type": "join", "room": " " })), ErrorId::BadRoom);
        assert_eq!(refused(&json!({ "type": "join", "room": "a", "name": "\u{7}" })), ErrorId::BadName);
        assert_eq!(refused(&json!({ "type": "signal", "to": "me", "data": 1 })), ErrorId::NoSuchPeer);
        assert_eq!(refused(&json!({ "type": "signal", "to": "0123456789abcdef" })), ErrorId::BadMessage);
        assert_eq!(refused(&json!({ "type": "ack", "n": -1 })), ErrorId::BadMessage);
        assert_eq!(refused(&json!({ "type": "lock" })), ErrorId::BadMessage);
        assert_eq!(refused(&json!({ "type": "invite", "ttl": 0 })), ErrorId::BadMessage);
        assert_eq!(refused(&json!({ "type": "kick", "id": "me" })), ErrorId::NoSuchPeer);
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
        let Ok(ClientMessage::Join(join)) = ClientMessage::parse(text) else { panic!("no join") };
        assert_eq!((join.room.as_str(), join.name, join.role), ("küche", name, Role::Member));
        assert!(join.ready && !join.resume && !join.forgets);
    }

    #[test]
    fn only_what_is_said_to_others_is_numbered_by_the_client() {
        assert_eq!(ClientMessage::number(r#"{"type":"signal","to":7,"n":12,"data":[[]]}"#), Some(12));
        assert_eq!(ClientMessage::number(r#"{"n":13,"type":"broadcast"}"#), Some(13));
        for text in ["", "[12]", r#"{"type":"ack","n":12}"#, r#"{"type":"signal"}"#, r#"{"type":"signal","n":-1}"#] {
            assert_eq!(ClientMessage::number(text), None, "{text}");
        }
    }

    #[test]
    fn null_is_nothing_but_in_data() {
        let parse = |text| ClientMessage::parse(text).unwrap();
        assert_eq!(parse(r#"{"type":"pin","pin":null}"#), ClientMessage::SetPin { pin: None });
        assert_eq!(
            parse(r#"{"type":"broadcast","data":null}"#),
            ClientMessage::Broadcast { n: None, data: Payload::of(&()) }
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
        fn no_text_panics(text in ".{0,200}", value in any_json(), kind in "join|resume|signal|broadcast|rename|lock|pin|kick|invite|ack|leave|ping") {
            let _ = ClientMessage::parse(&text);
            let _ = ClientMessage::parse(&value.to_string());
            if let Value::Object(mut fields) = value {
                fields.insert("type".into(), kind.into());
                let _ = ClientMessage::parse(&Value::Object(fields).to_string());
            }
        }

        #[test]
        fn data_is_read_as_it_was_sent(to in any::<u64>(), data in any_json()) {
            let to = PeerId(MemberTag(to));
            let sent = json!({ "type": "signal", "to": to, "data": &data }).to_string();
            prop_assert_eq!(ClientMessage::parse(&sent), Ok(ClientMessage::Signal { to, epoch: None, n: None, data: Payload::of(&data) }));
        }
    }
}
