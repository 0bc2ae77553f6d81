//! What PeerJS clients and their server say to each other.
//!
//! Pure. What one client says to another passes as the text that it came in.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::signaling::call;
use crate::signaling::error::{ErrorId, Refusal};
use crate::signaling::names::RoomName;
use crate::signaling::payload::Payload;

/// The longest id and token, in bytes. Those that are made for a client have 36, and under 16.
const MAX_ID_BYTES: usize = 64;

/// What a client says of itself in the query of its WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The room that its key names.
    pub room: RoomName,
    /// The id that it goes by.
    pub id: String,
    /// What proves that it is the same client when it comes again.
    pub token: String,
}

/// Why a client is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwelcome {
    /// A part of the query is missing or wrong.
    Query(&'static str),
    /// The key names no room.
    Key,
    /// Somebody else goes by that id.
    IdTaken,
    /// The room does not let it in.
    Room(ErrorId),
}

/// What a client says.
#[derive(Debug)]
pub enum Request {
    /// That it is still there.
    Heartbeat,
    /// Something for another client.
    Pass {
        /// The id of that client.
        to: String,
        /// The message as that client is to get it, with the sender in it.
        data: Payload,
        /// Whether it may wait for that client to come.
        can_wait: bool,
    },
    /// That it goes.
    Leave,
}

#[derive(Deserialize)]
struct Query {
    key: Option<String>,
    id: Option<String>,
    token: Option<String>,
}

/// The kinds of message that clients exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    Heartbeat,
    Offer,
    Answer,
    Candidate,
    Leave,
    Expire,
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    dst: Option<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Passed<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    src: &'a str,
    dst: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Told<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Message<'a>>,
}

#[derive(Serialize)]
struct Message<'a> {
    msg: &'a str,
}

impl Hello {
    /// Reads the query of `…/peerjs?key=…&id=…&token=…`.
    ///
    /// # Errors
    /// What the client is to be told.
    pub fn parse(query: &str) -> Result<Self, Unwelcome> {
        let wrong = |_| Unwelcome::Query("the query cannot be read: send `key`, `id` and `token`, once each");
        let Query { key, id, token } = serde_urlencoded::from_str(query).map_err(wrong)?;
        let (Some(key), Some(id), Some(token)) = (key, id, token) else {
            return Err(Unwelcome::Query("`key`, `id` or `token` is missing"));
        };
        let fits = |text: &str| (1..=MAX_ID_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        if !fits(&id) || !fits(&token) {
            return Err(Unwelcome::Query("`id` and `token` must be 1 to 64 visible bytes"));
        }
        Ok(Self { room: RoomName::parse(&key).map_err(|_| Unwelcome::Key)?, id, token })
    }
}

impl Unwelcome {
    /// The one frame that the client is sent.
    pub fn print(self) -> String {
        match self {
            Self::Query(text) => error(text),
            Self::Key => tell("INVALID-KEY", Some("the key is no room name: 1 to 64 visible characters")),
            Self::IdTaken => tell("ID-TAKEN", Some("ID is taken")),
            Self::Room(why) => error(why.text()),
        }
    }

    /// The reason in the metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Query(_) => "bad-query",
            Self::Key => "bad-room",
            Self::IdTaken => "id-taken",
            Self::Room(why) => why.id(),
        }
    }
}

impl Request {
    /// Reads one text frame of the client that goes by `src`.
    ///
    /// # Errors
    /// A [`Refusal`] that says what is wrong.
    pub fn parse(text: &str, src: &str) -> Result<Self, Refusal> {
        let Incoming { kind, dst, payload } = call::parse(text)?;
        match (kind, dst) {
            (Kind::Heartbeat, _) => Ok(Self::Heartbeat),
            (Kind::Unknown, _) => Err(ErrorId::UnknownType.into()),
            (Kind::Leave, None) => Ok(Self::Leave),
            (Kind::Offer | Kind::Answer | Kind::Candidate | Kind::Leave | Kind::Expire, Some(to)) => {
                let data = Payload::of(&Passed { kind, src, dst: &to, payload });
                Ok(Self::Pass { to, data, can_wait: !matches!(kind, Kind::Leave | Kind::Expire) })
            }
            (Kind::Offer | Kind::Answer | Kind::Candidate | Kind::Expire, None) => {
                Err(Refusal::bad_message("`dst` is missing: send the id of who it is for"))
            }
        }
    }
}

/// The client is in.
pub fn open() -> String {
    tell("OPEN", None)
}

/// The client is not in any more. It takes this for the end of its connection.
pub fn error(text: &str) -> String {
    tell("ERROR", Some(text))
}

/// Nobody came to go by the id `missed` in time, which the client that goes by `caller` had called.
pub fn expire(missed: &str, caller: &str) -> Payload {
    Payload::of(&Passed { kind: Kind::Expire, src: missed, dst: caller, payload: None })
}

fn tell(kind: &'static str, text: Option<&str>) -> String {
    serde_json::to_string(&Told { kind, payload: text.map(|msg| Message { msg }) }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn passed(text: &str) -> (String, Value, bool) {
        match Request::parse(text, "anna").unwrap() {
            Request::Pass { to, data, can_wait } => (to, data.to_value(), can_wait),
            Request::Heartbeat | Request::Leave => panic!("nothing passes: {text}"),
        }
    }

    #[test]
    fn a_query_says_who_comes() {
        let hello = Hello::parse("key=PeerJS&id=anna%20b&token=x7&version=1.5.5").unwrap();
        assert_eq!((hello.room.as_str(), &*hello.id, &*hello.token), ("peerjs", "anna b", "x7"));
        assert_eq!(Hello::parse("key=%E2%80%8B&id=a&token=b"), Err(Unwelcome::Key));
        let long = format!("key=k&id={}&token=b", "x".repeat(65));
        for wrong in ["", "key=k&id=a", "key=k&id=&token=b", "key=k&id=a%07&token=b", "key=k&id=a&id=a&token=b", &long]
        {
            assert!(matches!(Hello::parse(wrong), Err(Unwelcome::Query(_))), "{wrong}");
        }
    }

    #[test]
    fn the_sender_is_who_the_server_knows_it_to_be() {
        let text = json!({ "type": "OFFER", "src": "forged", "dst": "ben", "payload": { "sdp": "v=0" } }).to_string();
        let expected = json!({ "type": "OFFER", "src": "anna", "dst": "ben", "payload": { "sdp": "v=0" } });
        assert_eq!(passed(&text), ("ben".into(), expected, true));
        let (_, leave, can_wait) = passed(r#"{"type":"LEAVE","dst":"ben"}"#);
        assert_eq!((leave, can_wait), (json!({ "type": "LEAVE", "src": "anna", "dst": "ben" }), false));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let id = |text: &str| Request::parse(text, "anna").unwrap_err().id;
        let in_order = r#"["OFFER","ben",{}]"#;
        for bad in [
            "",
            "{",
            "null",
            "[]",
            in_order,
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"OFFER"}"#,
            r#"{"type":"OFFER","dst":[]}"#,
        ] {
            assert_eq!(id(bad), ErrorId::BadMessage, "{bad}");
        }
        assert_eq!(id(r#"{"type":"SHOUT","dst":"ben"}"#), ErrorId::UnknownType);
        let nested = format!(r#"{{"type":"OFFER","dst":"b","payload":{}{}}}"#, "[".repeat(40), "]".repeat(40));
        assert_eq!(id(&nested), ErrorId::BadMessage);
        assert!(matches!(Request::parse(r#"{"type":"LEAVE"}"#, "anna"), Ok(Request::Leave)));
        assert!(matches!(Request::parse(r#"{"type":"HEARTBEAT"}"#, "anna"), Ok(Request::Heartbeat)));
    }

    #[test]
    fn what_the_server_says_is_what_clients_know() {
        let said = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        assert_eq!(said(open()), json!({ "type": "OPEN" }));
        assert_eq!(
            said(Unwelcome::IdTaken.print()),
            json!({ "type": "ID-TAKEN", "payload": { "msg": "ID is taken" } })
        );
        assert_eq!(said(error("no \"key\"")), json!({ "type": "ERROR", "payload": { "msg": "no \"key\"" } }));
        assert_eq!(expire("ben", "anna").to_value(), json!({ "type": "EXPIRE", "src": "ben", "dst": "anna" }));
    }

    proptest! {
        #[test]
        fn a_payload_arrives_as_it_was_sent(sdp in "\\PC{0,80}", to in "\\PC{0,20}") {
            let payload = json!({ "sdp": { "type": "offer", "sdp": sdp }, "connectionId": 1.5 });
            let text = json!({ "type": "ANSWER", "dst": to, "payload": payload }).to_string();
            let expected = json!({ "type": "ANSWER", "src": "anna", "dst": to, "payload": payload });
            prop_assert_eq!(passed(&text), (to, expected, true));
        }

        #[test]
        fn no_text_panics(text in ".{0,120}", kind in "OFFER|LEAVE|HEARTBEAT|EXPIRE|X") {
            let _ = Request::parse(&text, "anna");
            let _ = Request::parse(&format!(r#"{{"type":"{kind}",{text}}}"#), "anna");
            let _ = Hello::parse(&text);
        }
    }
}
