//! What the pages of the WebRTC codelab say to each other, and the same in the native protocol's words.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::signaling::call::{self, Candidate};
use crate::signaling::payload::Payload;

/// What a page says once it has a camera: who makes the offer waits for it.
pub const HAS_MEDIA: &str = "got user media";
/// What a page says when it hangs up.
pub const BYE: &str = "bye";

/// A `message` event's content.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// [`HAS_MEDIA`].
    HasMedia,
    /// [`BYE`].
    Bye,
    /// An offer.
    Offer(Payload),
    /// An answer.
    Answer(Payload),
    /// One ICE candidate.
    Candidate(Payload),
    /// Anything else, which other pages of the same make understand.
    Other(Payload),
}

impl Said {
    /// Reads a page's words, into the native ones.
    pub fn by_page(raw: &RawValue) -> Self {
        if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
            return match text.as_str() {
                HAS_MEDIA => Self::HasMedia,
                BYE => Self::Bye,
                _ => Self::Other(Native::message(raw)),
            };
        }
        let kind = Kind::of(raw);
        match kind.name.as_deref() {
            Some("offer") if kind.has_sdp() => Self::Offer(Native::description(raw)),
            Some("answer") if kind.has_sdp() => Self::Answer(Native::description(raw)),
            Some("candidate") => serde_json::from_str(raw.get())
                .map_or_else(|_| Self::Other(Native::message(raw)), |page| Self::Candidate(Native::candidate(&page))),
            Some(_) | None => Self::Other(Native::message(raw)),
        }
    }
}

/// What somebody else sent, for a page.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// The other one is such a page, too.
    IsPage,
    /// [`HAS_MEDIA`], of another page.
    HasMedia,
    /// An offer.
    Offer(Payload),
    /// An answer, a candidate, or what another page said.
    Other(Payload),
    /// Nothing that a page could understand.
    Nothing,
}

impl Heard {
    /// Reads the native words, into a page's.
    pub fn of(data: &Payload) -> Self {
        let Ok(native) = call::object::<Native<'_>>(data.as_str()) else {
            return Self::Nothing;
        };
        if native.codelab.is_some() {
            return Self::IsPage;
        }
        if let Some(message) = native.message {
            return match serde_json::from_str::<String>(message.get()).as_deref() {
                Ok(HAS_MEDIA) => Self::HasMedia,
                // That the other one is no more is for the server to say.
                Ok(BYE) => Self::Nothing,
                Ok(_) | Err(_) => Self::Other(message.into()),
            };
        }
        if let Some(description) = native.description {
            let kind = Kind::of(description);
            return match kind.name.as_deref() {
                Some("offer") if kind.has_sdp() => Self::Offer(description.into()),
                Some("answer") if kind.has_sdp() => Self::Other(description.into()),
                Some(_) | None => Self::Nothing,
            };
        }
        // The end of candidates, which is null or an empty line, has no word here.
        match native.candidate.and_then(|raw| call::object::<Candidate<'_>>(raw.get()).ok()) {
            Some(candidate) if !candidate.candidate.is_empty() => Self::Other(for_page(&candidate)),
            Some(_) | None => Self::Nothing,
        }
    }
}

/// What tells the forms that have a native counterpart from each other, and from all else. A description's other fields
/// go with it; a candidate has no others.
#[derive(Default, Deserialize)]
struct Kind<'a> {
    #[serde(default, rename = "type")]
    name: Option<String>,
    #[serde(borrow, default)]
    sdp: Option<&'a RawValue>,
}

impl<'a> Kind<'a> {
    fn of(raw: &'a RawValue) -> Self {
        call::object(raw.get()).unwrap_or_default()
    }

    fn has_sdp(&self) -> bool {
        self.sdp.is_some_and(|sdp| sdp.get().starts_with('"'))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageCandidate {
    #[serde(rename = "type")]
    _kind: IgnoredAny,
    label: u16,
    id: String,
    candidate: String,
}

#[derive(Default, Deserialize, Serialize)]
struct Native<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    description: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    candidate: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null", skip_serializing_if = "Option::is_none")]
    message: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    codelab: Option<&'a RawValue>,
}

impl<'a> Native<'a> {
    fn description(raw: &'a RawValue) -> Payload {
        Payload::of(&Self { description: Some(raw), ..Self::default() })
    }

    fn message(raw: &'a RawValue) -> Payload {
        Payload::of(&Self { message: Some(raw), ..Self::default() })
    }

    fn candidate(page: &PageCandidate) -> Payload {
        let candidate = Candidate {
            candidate: page.candidate.as_str().into(),
            sdp_mid: Some(page.id.as_str().into()),
            sdp_m_line_index: Some(page.label),
            username_fragment: None,
        };
        Payload::of(&serde_json::json!({ "candidate": candidate }))
    }
}

fn even_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn for_page(candidate: &Candidate<'_>) -> Payload {
    let (label, id) = candidate.section();
    Payload::of(&serde_json::json!({ "type": "candidate", "label": label, "id": id, "candidate": candidate.candidate }))
}

/// How one page knows another.
pub fn greeting() -> Payload {
    Payload::of(&serde_json::json!({ "codelab": {} }))
}

/// [`HAS_MEDIA`], in the native words.
pub fn has_media() -> Payload {
    Payload::of(&serde_json::json!({ "message": HAS_MEDIA }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn by_page(value: &Value) -> Said {
        Said::by_page(&serde_json::value::to_raw_value(value).unwrap())
    }

    fn payload(said: Said) -> Payload {
        match said {
            Said::Offer(payload) | Said::Answer(payload) | Said::Candidate(payload) | Said::Other(payload) => payload,
            Said::HasMedia | Said::Bye => panic!("{said:?} is not passed on"),
        }
    }

    #[test]
    fn native_clients_read_what_pages_say() {
        let offer = json!({ "type": "offer", "sdp": "v=0\r\n" });
        assert_eq!(by_page(&offer), Said::Offer(Payload::of(&json!({ "description": offer }))));
        let answer = json!({ "type": "answer", "sdp": "v=0\r\n" });
        assert_eq!(by_page(&answer), Said::Answer(Payload::of(&json!({ "description": answer }))));
        let line = "candidate:1 1 udp 2113937151 192.168.1.7 51000 typ host";
        let candidate = json!({ "type": "candidate", "label": 1, "id": "video", "candidate": line });
        let native = json!({ "candidate": { "candidate": line, "sdpMid": "video", "sdpMLineIndex": 1 } });
        assert_eq!(by_page(&candidate), Said::Candidate(Payload::of(&native)));
        assert_eq!((by_page(&json!("got user media")), by_page(&json!("bye"))), (Said::HasMedia, Said::Bye));
    }

    #[test]
    fn pages_read_what_native_clients_say() {
        let heard = |data: Value| Heard::of(&Payload::of(&data));
        let offer = json!({ "type": "offer", "sdp": "v=0\r\n" });
        assert_eq!(heard(json!({ "description": offer })), Heard::Offer(Payload::of(&offer)));
        let page = |label: u16, id: &str| {
            let line = "candidate:1";
            Heard::Other(Payload::of(&json!({ "type": "candidate", "label": label, "id": id, "candidate": line })))
        };
        let native = |init: Value| heard(json!({ "candidate": init }));
        assert_eq!(native(json!({ "candidate": "candidate:1", "sdpMid": "a", "sdpMLineIndex": 2 })), page(2, "a"));
        assert_eq!(native(json!({ "candidate": "candidate:1", "sdpMid": "1" })), page(1, "1"));
        assert_eq!(native(json!({ "candidate": "candidate:1", "sdpMLineIndex": 1 })), page(1, "1"));
        for nothing in [
            json!({ "candidate": null }),
            json!({ "candidate": { "candidate": "" } }),
            json!({ "candidate": ["candidate:1", "0", 0] }),
            json!({ "description": "bye" }),
            json!({ "description": ["offer", "v=0\r\n"] }),
            json!({ "description": { "type": "offer" } }),
            json!({ "description": { "type": "rollback", "sdp": "" } }),
            json!({ "message": "bye" }),
            json!([{ "type": "offer", "sdp": "v=0\r\n" }]),
            json!(7),
            json!({}),
        ] {
            assert_eq!(heard(nothing.clone()), Heard::Nothing, "{nothing}");
        }
    }

    fn any_words() -> impl Strategy<Value = Value> {
        let text = "[a-z \\\\\"\u{1F600}é]{0,12}";
        prop_oneof![
            text.prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_filter("JSON has no infinities", |n| n.is_finite()).prop_map(Value::from),
            Just(Value::Null),
            (text, "offer|answer|rollback").prop_map(|(sdp, kind)| json!({ "type": kind, "sdp": sdp, "more": [1] })),
            (any::<u16>(), text, "candidate:[a-z]{1,9}").prop_map(
                |(label, id, line)| json!({ "type": "candidate", "label": label, "id": id, "candidate": line })
            ),
            (any::<i64>(), text)
                .prop_map(|(label, line)| json!({ "type": "candidate", "label": label, "candidate": line })),
            prop::collection::vec(text.prop_map(Value::from), 0..3).prop_map(Value::from),
        ]
    }

    proptest! {
        #[test]
        fn one_page_hears_what_another_said(words in any_words()) {
            match Heard::of(&payload(by_page(&words))) {
                Heard::Offer(heard) | Heard::Other(heard) => prop_assert_eq!(heard.to_value(), words),
                heard @ (Heard::IsPage | Heard::HasMedia | Heard::Nothing) => prop_assert!(false, "{:?} for {}", heard, words),
            }
        }
    }
}
