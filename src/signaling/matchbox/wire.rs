//! What matchbox clients and their server say to each other, and what they say to one another in our words.
//!
//! Pure. A member is a UUID to them: its epoch in the upper half, its id in the lower one.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::credentials::MemberTag;
use crate::signaling::error::{ErrorId, Refusal};
use crate::signaling::message::PeerId;
use crate::signaling::payload::{MAX_DEPTH, Payload, is_too_deep};

/// A member in one of its beginnings: for a client of matchbox, one that begins anew is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uuid {
    /// Who.
    pub id: PeerId,
    /// Counts its beginnings.
    pub epoch: u32,
}

/// What a client says.
#[derive(Debug, PartialEq)]
pub enum Request {
    /// Something for another member.
    Signal {
        /// Who it is for.
        to: Uuid,
        /// What, in our words.
        data: Payload,
    },
    /// Nothing: it is still there.
    KeepAlive,
}

/// What a client is told.
#[derive(Debug, Serialize)]
pub enum Event<'a> {
    /// Who it is. Comes first.
    IdAssigned(Uuid),
    /// Somebody came, to whom it is to make an offer.
    NewPeer(Uuid),
    /// Somebody is gone.
    PeerLeft(Uuid),
    /// Something from another member.
    Signal {
        /// Who sent it.
        sender: Uuid,
        /// What, in the words of matchbox.
        data: &'a RawValue,
    },
}

#[derive(Deserialize)]
enum Incoming<'a> {
    Signal {
        receiver: String,
        #[serde(borrow)]
        data: &'a RawValue,
    },
    KeepAlive,
}

/// What clients of matchbox say to each other.
#[derive(Deserialize, Serialize)]
enum Theirs<'a> {
    #[serde(borrow)]
    Offer(Cow<'a, str>),
    #[serde(borrow)]
    Answer(Cow<'a, str>),
    /// JSON in a string.
    #[serde(borrow)]
    IceCandidate(Cow<'a, str>),
}

/// The same in our words.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Ours<'a> {
    #[serde(borrow)]
    Description(Description<'a>),
    #[serde(borrow)]
    Candidate(&'a RawValue),
}

#[derive(Deserialize, Serialize)]
struct Description<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(borrow, default)]
    sdp: Cow<'a, str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Offer,
    Answer,
    #[serde(other)]
    Other,
}

impl Request {
    /// Reads one text frame.
    ///
    /// # Errors
    /// A [`Refusal`] that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if is_too_deep(text) {
            return Err(Refusal::bad_message(format!("nested deeper than {MAX_DEPTH}: send a flatter message")));
        }
        let wrong = |error| Refusal::bad_message(format!("not a matchbox message: {error}"));
        match serde_json::from_str(text).map_err(wrong)? {
            Incoming::Signal { receiver, data } => {
                let to = Uuid::parse(&receiver).ok_or(ErrorId::NoSuchPeer)?;
                Ok(Self::Signal { to, data: to_ours(data)? })
            }
            Incoming::KeepAlive => Ok(Self::KeepAlive),
        }
    }
}

impl Event<'_> {
    /// One text frame.
    pub fn print(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Uuid {
    /// Reads what `Serialize` writes, in either case.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let is_dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
        let is_right = bytes.len() == 36
            && bytes.iter().enumerate().all(|(at, b)| if is_dash(at) { *b == b'-' } else { b.is_ascii_hexdigit() });
        let digits: String = text.chars().filter(|letter| *letter != '-').collect();
        let number = u128::from_str_radix(&digits, 16).ok().filter(|_| is_right)?;
        let epoch = u32::try_from(number >> 64).ok()?;
        Some(Self { id: PeerId(MemberTag(number as u64)), epoch })
    }
}

impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { id: PeerId(MemberTag(id)), epoch } = *self;
        let (upper, lower) = (id >> 48, id & 0xFFFF_FFFF_FFFF);
        let (top, middle) = (epoch >> 16, epoch & 0xFFFF);
        serializer.collect_str(&format_args!("00000000-{top:04x}-{middle:04x}-{upper:04x}-{lower:012x}"))
    }
}

/// What one of our members says, for a client of matchbox. `None` when that has no word for it. What is in no words of
/// ours passes as it is.
pub fn to_theirs(data: &Payload) -> Option<Cow<'_, RawValue>> {
    let words = match data.read::<Ours<'_>>() {
        Some(Ours::Description(Description { kind: Kind::Offer, sdp })) => Theirs::Offer(sdp),
        Some(Ours::Description(Description { kind: Kind::Answer, sdp })) => Theirs::Answer(sdp),
        Some(Ours::Description(Description { kind: Kind::Other, .. })) => return None,
        Some(Ours::Candidate(candidate)) => Theirs::IceCandidate(candidate.get().into()),
        None => return data.read::<&RawValue>().map(Cow::Borrowed),
    };
    serde_json::value::to_raw_value(&words).ok().map(Cow::Owned)
}

fn to_ours(data: &RawValue) -> Result<Payload, Refusal> {
    let words = match serde_json::from_str::<Theirs<'_>>(data.get()) {
        Ok(Theirs::Offer(sdp)) => Payload::of(&Ours::Description(Description { kind: Kind::Offer, sdp })),
        Ok(Theirs::Answer(sdp)) => Payload::of(&Ours::Description(Description { kind: Kind::Answer, sdp })),
        Ok(Theirs::IceCandidate(text)) => Payload::of(&Ours::Candidate(candidate(&text)?)),
        Err(_) => Payload::from(data),
    };
    Ok(words)
}

fn candidate(text: &str) -> Result<&RawValue, Refusal> {
    let wrong = || Refusal::bad_message("`IceCandidate` must be an RTCIceCandidateInit or null, as JSON in a string");
    let is_one = !is_too_deep(text) && (text.trim_start().starts_with('{') || text.trim() == "null");
    serde_json::from_str(text).ok().filter(|_| is_one).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const CANDIDATE: &str = r#"{"candidate":"candidate:1 1 udp 1 192.168.1.7 5000 typ host","sdpMid":"0"}"#;

    fn parse(data: Value) -> Result<Payload, ErrorId> {
        let text =
            json!({ "Signal": { "receiver": "00000000-0000-0001-0000-0000000000a1", "data": data } }).to_string();
        match Request::parse(&text).map_err(|refusal| refusal.id)? {
            Request::Signal { to, data } => {
                assert_eq!(to, Uuid { id: PeerId(MemberTag(0xa1)), epoch: 1 });
                Ok(data)
            }
            Request::KeepAlive => panic!("a signal is no keep-alive"),
        }
    }

    #[test]
    fn each_side_hears_the_other_in_its_own_words() {
        let candidate: Value = serde_json::from_str(CANDIDATE).unwrap();
        for (theirs, ours) in [
            (json!({ "Offer": "v=0\r\n" }), json!({ "description": { "type": "offer", "sdp": "v=0\r\n" } })),
            (json!({ "Answer": "v=0" }), json!({ "description": { "type": "answer", "sdp": "v=0" } })),
            (json!({ "IceCandidate": CANDIDATE }), json!({ "candidate": candidate })),
            (json!({ "IceCandidate": "null" }), json!({ "candidate": null })),
            (json!({ "chat": "hi" }), json!({ "chat": "hi" })),
            (json!("hi"), json!("hi")),
        ] {
            let data = parse(theirs.clone()).unwrap();
            assert_eq!(data.to_value(), ours);
            assert_eq!(serde_json::to_value(to_theirs(&data).unwrap()).unwrap(), theirs);
        }
        assert!(to_theirs(&Payload::of(&json!({ "description": { "type": "rollback" } }))).is_none());
    }

    #[test]
    fn events_are_as_clients_read_them() {
        let uuid = Uuid { id: PeerId(MemberTag(0x0123_4567_89ab_cdef)), epoch: 0x1_0002 };
        let text = "00000000-0001-0002-0123-456789abcdef";
        assert_eq!(Event::IdAssigned(uuid).print(), format!(r#"{{"IdAssigned":"{text}"}}"#));
        assert_eq!(Event::NewPeer(uuid).print(), format!(r#"{{"NewPeer":"{text}"}}"#));
        assert_eq!(Event::PeerLeft(uuid).print(), format!(r#"{{"PeerLeft":"{text}"}}"#));
        let signal = Event::Signal { sender: uuid, data: RawValue::TRUE };
        assert_eq!(signal.print(), format!(r#"{{"Signal":{{"sender":"{text}","data":true}}}}"#));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert_eq!(Request::parse("\"KeepAlive\""), Ok(Request::KeepAlive));
        let deep = "[".repeat(40) + &"]".repeat(40);
        for bad in ["", "{", "null", "\"Shout\"", "{\"Signal\":{}}", "{\"Signal\":{\"receiver\":1,\"data\":1}}", &deep]
        {
            assert_eq!(Request::parse(bad).unwrap_err().id, ErrorId::BadMessage, "{bad}");
        }
        for bad in ["{", "[]", "7", &format!("{{\"candidate\":{deep}}}")] {
            assert_eq!(parse(json!({ "IceCandidate": bad })), Err(ErrorId::BadMessage), "{bad}");
        }
        for nobody in ["", "a1", "f0000000-0000-0001-0000-0000000000a1", "00000000-0000-0001-0000+0000000000a1"] {
            let text = json!({ "Signal": { "receiver": nobody, "data": 1 } }).to_string();
            assert_eq!(Request::parse(&text).unwrap_err().id, ErrorId::NoSuchPeer, "{nobody}");
        }
    }

    proptest! {
        #[test]
        fn a_uuid_reads_back(id in any::<u64>(), epoch in any::<u32>()) {
            let uuid = Uuid { id: PeerId(MemberTag(id)), epoch };
            let text = serde_json::to_value(uuid).unwrap();
            prop_assert_eq!(Uuid::parse(text.as_str().unwrap()), Some(uuid));
        }

        #[test]
        fn no_text_panics(text in ".{0,120}") {
            let _ = Request::parse(&text);
            let _ = Uuid::parse(&text);
            let _ = parse(json!({ "IceCandidate": text }));
            let _ = to_theirs(&Payload::of(&json!({ "description": text })));
        }
    }
}
