//! The packets of Socket.IO (protocols 4 and 5; its clients 1 to 4), as far as a server needs them that has one namespace,
//! asks for no acknowledgements and takes no binary.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::json;
use serde_json::value::RawValue;

use crate::signaling::engine_io::payload::Version;

/// The client is sent away. It does not come back from that.
pub(super) const DISCONNECT: &str = "41";

/// What a client sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// It enters the namespace.
    Connect,
    /// It asks for a namespace that there is not.
    ConnectElsewhere(&'a str),
    /// It leaves the namespace.
    Disconnect,
    /// It says an event: a JSON array, or what ought to be one.
    Event(&'a str),
    /// Nothing that needs an answer here: an acknowledgement, or anything in another namespace.
    Nothing,
}

impl<'a> Packet<'a> {
    /// Reads a packet. `None` when it is none, or a binary one.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (kind, rest) = text.split_at_checked(1)?;
        let (namespace, data) = match rest.split_once(',') {
            Some((namespace, data)) if rest.starts_with('/') => (namespace, data),
            None if rest.starts_with('/') => (rest, ""),
            Some(_) | None => ("/", rest),
        };
        // Protocol 4 may have a query there.
        let is_ours = namespace == "/" || namespace.starts_with("/?");
        Some(match kind {
            "0" if is_ours => Self::Connect,
            "0" => Self::ConnectElsewhere(namespace),
            "1" if is_ours => Self::Disconnect,
            // With the number of an acknowledgement that the client would like, and does not get.
            "2" if is_ours => Self::Event(data.trim_start_matches(|digit: char| digit.is_ascii_digit())),
            "1" | "2" | "3" | "4" => Self::Nothing,
            _ => return None,
        })
    }
}

/// An event, taken apart as far as its first argument. No other means anything here.
#[derive(Debug)]
pub(super) struct Event<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) argument: Option<&'a RawValue>,
}

impl<'a> Event<'a> {
    /// Reads an array. `None` when it is none that begins with a name.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Event<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;

        #[derive(serde::Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        impl<'de> Visitor<'de> for Parts {
            type Value = Event<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array that begins with a name")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
                let Name(name) = parts.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let argument = parts.next_element()?;
                while parts.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Event { name, argument })
            }
        }

        deserializer.deserialize_seq(Parts)
    }
}

/// Puts an event of ours, with arguments in JSON, into a packet of Engine.IO.
pub(super) fn event(name: &str, arguments: &[&str]) -> String {
    let length = arguments.iter().map(|argument| argument.len() + 1).sum::<usize>();
    let mut packet = String::with_capacity("42[\"\"]".len() + name.len() + length);
    packet.push_str("42[\"");
    packet.push_str(name);
    packet.push('"');
    for argument in arguments {
        packet.push(',');
        packet.push_str(argument);
    }
    packet.push(']');
    packet
}

/// The client is in the namespace, by the name `id`, which has only letters and digits.
pub(super) fn connected(version: Version, id: &str) -> String {
    match version {
        Version::V3 => "40".to_owned(),
        Version::V4 => format!("40{{\"sid\":\"{id}\"}}"),
    }
}

/// There is no such namespace.
pub(super) fn not_connected(version: Version, namespace: &str) -> String {
    let namespace = namespace.split('?').next().unwrap_or_default();
    match version {
        Version::V3 => format!("44{namespace},{}", json!("Invalid namespace")),
        Version::V4 => format!("44{namespace},{}", json!({ "message": "Invalid namespace" })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_both_protocols_are_told_apart() {
        for (text, packet) in [
            ("0", Packet::Connect),
            ("0{\"token\":\"a,b\"}", Packet::Connect),
            ("0/,{}", Packet::Connect),
            ("0/?token=1", Packet::Connect),
            ("0/admin", Packet::ConnectElsewhere("/admin")),
            ("0/admin,{\"a\":1}", Packet::ConnectElsewhere("/admin")),
            ("1", Packet::Disconnect),
            ("1/admin,", Packet::Nothing),
            ("2[\"a\",1]", Packet::Event("[\"a\",1]")),
            ("213[\"a\",1]", Packet::Event("[\"a\",1]")),
            ("2/admin,[\"a\",1]", Packet::Nothing),
            ("3[]", Packet::Nothing),
        ] {
            assert_eq!(Packet::parse(text), Some(packet), "{text}");
        }
        for text in ["", "51-[\"a\",{\"_placeholder\":true,\"num\":0}]", "61-[]", "7", "é"] {
            assert_eq!(Packet::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_event_has_a_name_first() {
        let event = Event::parse(r#"["message", {"a": [1]}, 2, null]"#).unwrap();
        assert_eq!((event.name.as_ref(), event.argument.map(RawValue::get)), ("message", Some(r#"{"a": [1]}"#)));
        let event = Event::parse(r#"["b\u0079e"]"#).unwrap();
        assert_eq!((event.name.as_ref(), event.argument.map(RawValue::get)), ("bye", None));
        for text in ["", "[]", "[1]", "{}", r#"{"0":"message"}"#, r#"["a""#, r#"["a"] x"#, r#""a""#] {
            assert!(Event::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_said_is_read_by_clients() {
        assert_eq!(event("ready", &[]), r#"42["ready"]"#);
        assert_eq!(event("created", &["\"Kitchen\"", "\"id\""]), r#"42["created","Kitchen","id"]"#);
        assert_eq!(connected(Version::V4, "id"), r#"40{"sid":"id"}"#);
        assert_eq!(not_connected(Version::V3, "/a?b=1"), r#"44/a,"Invalid namespace""#);
        assert_eq!(not_connected(Version::V4, "/a"), r#"44/a,{"message":"Invalid namespace"}"#);
    }
}
