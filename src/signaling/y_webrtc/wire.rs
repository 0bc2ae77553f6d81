//! What y-webrtc's clients and their server say to each other.
//!
//! Pure.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::signaling::call;
use crate::signaling::error::{ErrorId, Refusal};
use crate::signaling::names::RoomName;
use crate::signaling::payload::Payload;

/// The longest topic, in bytes.
const MAX_TOPIC_BYTES: usize = 1024;

/// What a client says.
#[derive(Debug, PartialEq)]
pub enum Request {
    /// It wants to hear what is published in these topics.
    Subscribe(Vec<String>),
    /// It does not any more.
    Unsubscribe(Vec<String>),
    /// Something for everybody who has subscribed to a topic, itself included.
    Publish {
        /// The topic.
        topic: String,
        /// Any JSON.
        data: Payload,
    },
    /// It wants a `pong`.
    Ping,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Subscribe,
    Unsubscribe,
    Publish,
    Ping,
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    topics: Option<Vec<String>>,
    topic: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Published<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    topic: &'a str,
    data: &'a Payload,
    clients: usize,
}

impl Request {
    /// Reads one text frame.
    ///
    /// # Errors
    /// A [`Refusal`] that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let Incoming { kind, topics, topic, data } = call::parse(text)?;
        match kind {
            Kind::Subscribe => Ok(Self::Subscribe(topics.unwrap_or_default())),
            Kind::Unsubscribe => Ok(Self::Unsubscribe(topics.unwrap_or_default())),
            Kind::Publish => {
                let topic = topic.ok_or_else(|| Refusal::bad_message("`topic` is missing"))?;
                Ok(Self::Publish { topic, data: data.map_or_else(|| Payload::of(&()), Payload::from) })
            }
            Kind::Ping => Ok(Self::Ping),
            Kind::Unknown => Err(ErrorId::UnknownType.into()),
        }
    }
}

/// The room of a topic: the one of that name, if that is how its name is written, so that clients of other kinds meet
/// there. Any other text has a room of its own, `y-webrtc ` and the first 32 hexadecimal digits of its SHA-256: topics
/// that differ in their case are two documents, and must not meet.
///
/// # Errors
/// [`ErrorId::BadRoom`] when it is longer than 1024 bytes.
pub fn room_of(topic: &str) -> Result<RoomName, ErrorId> {
    if topic.len() > MAX_TOPIC_BYTES {
        return Err(ErrorId::BadRoom);
    }
    if let Some(room) = RoomName::parse(topic).ok().filter(|room| room.as_str() == topic) {
        return Ok(room);
    }
    let mut name = String::from("y-webrtc ");
    for byte in &digest(&SHA256, topic.as_bytes()).as_ref()[..16] {
        // Writing to a string does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    RoomName::parse(&name)
}

/// What a subscriber is sent, as one of `clients`.
pub fn published(topic: &str, data: &Payload, clients: usize) -> Payload {
    Payload::of(&Published { kind: "publish", topic, data, clients })
}

/// The answer to `ping`.
pub const PONG: &str = r#"{"type":"pong"}"#;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn room(topic: &str) -> String {
        room_of(topic).unwrap().to_string()
    }

    #[test]
    fn each_message_is_read() {
        let parse = |text| Request::parse(text).unwrap();
        let topics = vec!["a".to_owned(), "b".into()];
        assert_eq!(parse(r#"{"type":"subscribe","topics":["a","b"]}"#), Request::Subscribe(topics.clone()));
        assert_eq!(parse(r#"{"type":"unsubscribe","topics":["a","b"]}"#), Request::Unsubscribe(topics));
        assert_eq!(parse(r#"{"type":"subscribe"}"#), Request::Subscribe(vec![]));
        let data = Payload::of(&json!({ "from": 1 }));
        let publish = Request::Publish { topic: "a".into(), data };
        assert_eq!(parse(r#"{"type":"publish","topic":"a","data":{"from":1}}"#), publish);
        assert_eq!(parse(r#"{"type":"ping"}"#), Request::Ping);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let id = |text: &str| Request::parse(text).unwrap_err().id;
        let topics = r#"{"type":"subscribe","topics":[1]}"#;
        let in_order = r#"["publish",null,"a",1]"#;
        for bad in ["", "null", "[]", in_order, "{}", topics, r#"{"type":"publish","data":1}"#] {
            assert_eq!(id(bad), ErrorId::BadMessage, "{bad}");
        }
        assert_eq!(id(r#"{"type":"shout"}"#), ErrorId::UnknownType);
        let nested = format!(r#"{{"type":"publish","topic":"a","data":{}{}}}"#, "[".repeat(40), "]".repeat(40));
        assert_eq!(id(&nested), ErrorId::BadMessage);
    }

    #[test]
    fn a_topic_has_the_room_of_its_name_or_one_of_its_own() {
        assert_eq!(room("my-document"), "my-document");
        assert_eq!(room("My-Document"), "y-webrtc f37df5366c94f998c3fad5350d636724");
        assert_eq!(room_of(&"x".repeat(1025)), Err(ErrorId::BadRoom));
        let all = ["a", "A", " a", "a  b", "a b", "", "\u{7}", "ﬁ", "fi", &"x".repeat(65), &"x".repeat(64)];
        let rooms: std::collections::HashSet<_> = all.iter().map(|topic| room(topic)).collect();
        assert_eq!(rooms.len(), all.len(), "each has another");
    }

    #[test]
    fn what_is_published_says_to_how_many() {
        let text = published("a\"b", &Payload::of(&json!([1])), 3);
        assert_eq!(text.to_value(), json!({ "type": "publish", "topic": "a\"b", "data": [1], "clients": 3 }));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,120}", kind in "subscribe|publish|unsubscribe") {
            let _ = Request::parse(&text);
            let _ = Request::parse(&format!(r#"{{"type":"{kind}",{text}}}"#));
            let _ = room_of(&text);
        }
    }
}
