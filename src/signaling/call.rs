//! What two clients of a call say to each other, in the forms that all dialects share: `{"description": {type, sdp}}`
//! and `{"candidate": RTCIceCandidateInit}`. A dialect's own messages travel under a key of its own.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::Refusal;
use super::payload::{MAX_DEPTH, Payload, is_too_deep};

/// What an offer or an answer is, as W3C WebRTC has it (`RTCSessionDescriptionInit`).
#[derive(Deserialize, Serialize)]
pub(super) struct Description<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) sdp: Cow<'a, str>,
}

/// One of the sender's addresses, as W3C WebRTC has it (`RTCIceCandidateInit`). An empty `candidate` ends them.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    #[serde(borrow)]
    pub(super) candidate: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) sdp_mid: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sdp_m_line_index: Option<u16>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) username_fragment: Option<Cow<'a, str>>,
}

impl Candidate<'_> {
    /// The index and the name of its media section, for clients that want both. The sender need only have said one.
    pub(super) fn section(&self) -> (u16, Cow<'_, str>) {
        let mid = self.sdp_mid.as_deref();
        let index = self.sdp_m_line_index.or_else(|| mid?.parse().ok()).unwrap_or(0);
        (index, mid.map_or_else(|| index.to_string().into(), Cow::Borrowed))
    }
}

/// What a signal is.
pub(super) enum Form<'a> {
    /// An offer or an answer.
    Description(Description<'a>),
    /// An address.
    Candidate(Candidate<'a>),
    /// A message of the dialect's own.
    Own(&'a RawValue),
}

/// A signal as it may come from anybody.
#[derive(Deserialize)]
struct Signal<'a> {
    #[serde(borrow)]
    description: Option<&'a RawValue>,
    #[serde(borrow)]
    candidate: Option<&'a RawValue>,
    #[serde(borrow)]
    ayame: Option<&'a RawValue>,
    #[serde(borrow)]
    apprtc: Option<&'a RawValue>,
}

/// Whose own messages are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Ayame,
    AppRtc,
}

impl<'a> Form<'a> {
    /// Reads a signal that a client of the dialect `key` can be told. `None` for everything else: another dialect's own
    /// messages, what is no offer and no answer, and the end of candidates, which these dialects have no word for.
    pub(super) fn read(data: &'a Payload, key: Key) -> Option<Self> {
        let signal: Signal<'a> = object(data.as_str()).ok()?;
        if let Some(description) = signal.description {
            let description: Description<'a> = object(description.get()).ok()?;
            let is_known = matches!(description.kind.as_ref(), "offer" | "answer");
            return Some(Self::Description(description)).filter(|_| is_known);
        }
        if let Some(candidate) = signal.candidate {
            let candidate: Candidate<'a> = object(candidate.get()).ok()?;
            let is_end = candidate.candidate.is_empty();
            return Some(Self::Candidate(candidate)).filter(|_| !is_end);
        }
        let own = match key {
            Key::Ayame => signal.ayame,
            Key::AppRtc => signal.apprtc,
        };
        own.map(Self::Own)
    }

    /// The signal for everybody else.
    pub(super) fn print(&self, key: Key) -> Payload {
        #[derive(Default, Serialize)]
        struct Signal<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            description: Option<&'a Description<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            candidate: Option<&'a Candidate<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            ayame: Option<&'a RawValue>,
            #[serde(skip_serializing_if = "Option::is_none")]
            apprtc: Option<&'a RawValue>,
        }
        let signal = match (self, key) {
            (Self::Description(description), _) => Signal { description: Some(description), ..Signal::default() },
            (Self::Candidate(candidate), _) => Signal { candidate: Some(candidate), ..Signal::default() },
            (Self::Own(own), Key::Ayame) => Signal { ayame: Some(own), ..Signal::default() },
            (Self::Own(own), Key::AppRtc) => Signal { apprtc: Some(own), ..Signal::default() },
        };
        Payload::of(&signal)
    }
}

/// Reads a JSON object.
///
/// # Errors
/// `bad-message`, with what is wrong.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refusal> {
    if is_too_deep(text) {
        return Err(Refusal::bad_message(format!("nested deeper than {MAX_DEPTH}: send a flatter message")));
    }
    object(text).map_err(|error| Refusal::bad_message(format!("not such a message: {error}")))
}

/// Reads a JSON object. An array would be taken for the fields of one, in their order.
///
/// # Errors
/// The parser's own, which says what is wrong.
pub(super) fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, serde_json::Error> {
    if !json.trim_start().starts_with('{') {
        return Err(serde_json::Error::custom("no JSON object"));
    }
    serde_json::from_str(json)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(data: &Value, key: Key) -> Option<Value> {
        let payload = Payload::of(data);
        Form::read(&payload, key).map(|form| form.print(key).to_value())
    }

    #[test]
    fn what_all_dialects_share_reads_back() {
        let candidate = json!({ "candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMid": "0",
                                "sdpMLineIndex": 0, "usernameFragment": "ab" });
        for data in [
            json!({ "description": { "type": "offer", "sdp": "v=0\r\n\"\u{e9}" } }),
            json!({ "description": { "type": "answer", "sdp": "v=0\r\n" } }),
            json!({ "candidate": candidate }),
        ] {
            assert_eq!(read(&data, Key::Ayame).as_ref(), Some(&data));
            assert_eq!(read(&data, Key::AppRtc).as_ref(), Some(&data));
        }
    }

    #[test]
    fn a_dialects_own_messages_are_for_its_own_clients() {
        let data = json!({ "ayame": { "type": "x", "deep": [1.5, {}] } });
        assert_eq!(read(&data, Key::Ayame).as_ref(), Some(&data));
        assert_eq!(read(&data, Key::AppRtc), None);
        let data = json!({ "apprtc": { "type": "x" } });
        assert_eq!(read(&data, Key::AppRtc).as_ref(), Some(&data));
        assert_eq!(read(&data, Key::Ayame), None);
    }

    #[test]
    fn what_these_clients_have_no_word_for_is_nothing() {
        for data in [
            json!({ "candidate": null }),
            json!({ "candidate": { "candidate": "" } }),
            json!({ "candidate": "candidate:1" }),
            json!({ "description": { "type": "rollback", "sdp": "" } }),
            json!({ "description": { "type": "bye" } }),
            json!({ "chat": "hello" }),
            json!([1]),
            json!(null),
        ] {
            assert_eq!(read(&data, Key::Ayame), None, "{data}");
        }
    }
}
