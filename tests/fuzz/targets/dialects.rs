//! Any text as each dialect's client might say it: it is read or refused, what is read is no deeper and little longer
//! than what was said, and what the others are told of it they could have said themselves.

#![no_main]

use lanturn::signaling::codelab::words::{self, Heard, Said};
use lanturn::signaling::payload::MAX_DEPTH;
use lanturn::signaling::{ErrorId, Payload, Refusal, apprtc, ayame, matchbox, peerjs, y_webrtc};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;

/// By how many bytes the words around a message may grow from one dialect to another.
const FRAMING: usize = 160;
/// How a client of PeerJS is known.
const PEER: &str = "anna \"a\"";

fuzz_target!(|input: &[u8]| {
    // A line is what one client says.
    for line in input.split(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        ayame_says(&text);
        apprtc_says(&text);
        collider_says(&text);
        peerjs_says(&text);
        y_webrtc_says(&text);
        matchbox_says(&text);
        codelab_says(&text);
        native_says(&text);
    }
});

fn ayame_says(text: &str) {
    let Some(ayame::wire::Request::Signal(data)) = heard(text, ayame::wire::Request::parse(text)) else { return };
    check_made(text, &data, 1);
    tell_everybody(&data);
    // The end of candidates is the one thing said that has no word back.
    let Some(told) = ayame::wire::to_theirs(&data) else {
        let is_end = data.to_value()["candidate"]["candidate"] == "";
        let is_servers = ["accept", "reject", "ping"].iter().any(|kind| data.to_value()["ayame"]["type"] == *kind);
        return assert!(is_end || is_servers, "{text} is lost");
    };
    assert!(told.len() <= text.len(), "{text} becomes {told}");
    let again = ayame::wire::Request::parse(&told).expect("what is told can be said");
    assert!(matches!(again, ayame::wire::Request::Signal(again) if again.as_str() == data.as_str()), "{told}");
}

fn apprtc_says(text: &str) {
    use apprtc::wire::Message::{Answer, Bye, Offer, Other};
    let data = match heard(text, apprtc::wire::Message::parse(text)) {
        Some(Offer(data) | Answer(data) | Other(data)) => data,
        Some(Bye) | None => return,
    };
    check_made(text, &data, 1);
    tell_everybody(&data);
    let Some(told) = apprtc::wire::to_theirs(&data) else {
        return assert_eq!(data.to_value()["candidate"]["candidate"], "", "{text} is lost");
    };
    // The label and the id of a candidate are told even if they were not said.
    assert!(told.len() <= text.len() + FRAMING, "{text} becomes {told}");
    assert_eq!(apprtc_again(&told).as_deref(), Some(&*told));
}

/// What others are told once one of them has said what they were told.
fn apprtc_again(told: &str) -> Option<String> {
    use apprtc::wire::Message::{Answer, Bye, Offer, Other};
    match apprtc::wire::Message::parse(told).expect("what is told can be said") {
        Offer(data) | Answer(data) | Other(data) => apprtc::wire::to_theirs(&data),
        Bye => panic!("no member says that another one is no more: {told}"),
    }
}

fn collider_says(text: &str) {
    use apprtc::wire::{Command, Said};
    let Some(Command::Send { msg }) = heard(text, Command::parse(text)) else { return };
    let said = Said { msg: &msg, error: "" }.print();
    assert!(said.len() <= text.len() + FRAMING);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((said["msg"].as_str(), said["error"].as_str()), (Some(&*msg), Some("")));
}

fn peerjs_says(text: &str) {
    use peerjs::wire::{Hello, Request, Unwelcome};
    match Hello::parse(text) {
        Ok(Hello { id, token, .. }) => assert!([id, token].iter().all(|text| (1..=64).contains(&text.len()))),
        Err(why) => check_refused(&why.print(), matches!(why, Unwelcome::Key | Unwelcome::Query(_))),
    }
    let Some(Request::Pass { to, data, can_wait }) = heard(text, Request::parse(text, PEER)) else { return };
    check_made(text, &data, 0);
    let value: Value = serde_json::from_str(data.as_str()).unwrap_or_default();
    assert!(value.is_null() || (value["src"] == PEER && value["dst"] == *to), "{data:?}");
    let Ok(Request::Pass { to: same_to, data: same, can_wait: same_wait }) = Request::parse(data.as_str(), PEER) else {
        panic!("{data:?} cannot be said");
    };
    assert_eq!((same_to, same.as_str(), same_wait), (to, data.as_str(), can_wait));
}

fn check_refused(said: &str, is_known: bool) {
    let said: Value = serde_json::from_str(said).unwrap();
    assert!(is_known && said["payload"]["msg"].as_str().is_some_and(|text| !text.is_empty()), "{said}");
}

fn y_webrtc_says(text: &str) {
    use y_webrtc::wire::{Request, published, room_of};
    match room_of(text) {
        Ok(room) => assert_eq!(room_of(room.as_str()).as_ref(), Ok(&room), "a room's name is a topic of it"),
        Err(id) => assert!(id == ErrorId::BadRoom && text.len() > 1024),
    }
    let Some(Request::Publish { topic, data }) = heard(text, Request::parse(text)) else { return };
    let told = published(&topic, &data, usize::MAX);
    check_made(text, &told, 0);
    let again = Request::parse(told.as_str()).expect("what is told can be said");
    assert!(
        matches!(again, Request::Publish { topic: same, data: raw } if same == topic && raw.as_str() == data.as_str())
    );
}

fn matchbox_says(text: &str) {
    let parsed = matchbox::wire::Request::parse(text);
    check_depth(text, parsed.is_ok());
    match parsed {
        Ok(matchbox::wire::Request::Signal { data, .. }) => {
            check_made(text, &data, 1);
            tell_everybody(&data);
        }
        Ok(matchbox::wire::Request::KeepAlive) => {}
        Err(refusal) => assert!(!refusal.text.is_empty()),
    }
}

fn codelab_says(text: &str) {
    let Ok(raw) = serde_json::from_str::<&RawValue>(text) else { return };
    let data = match Said::by_page(raw) {
        Said::HasMedia => words::has_media(),
        Said::Bye => return,
        Said::Offer(data) | Said::Answer(data) | Said::Candidate(data) | Said::Other(data) => data,
    };
    check_made(text, &data, 1);
    let same = match Heard::of(&data) {
        Heard::HasMedia => return assert_eq!(serde_json::from_str::<Value>(text).unwrap(), words::HAS_MEDIA),
        Heard::Offer(heard) | Heard::Other(heard) => heard.as_str() == raw.get() || heard == Payload::from(raw),
        Heard::Nothing => data.to_value()["candidate"]["candidate"] == "",
        Heard::IsPage => false,
    };
    assert!(same, "{text} is heard as {:?}", Heard::of(&data));
    tell_everybody(&data);
}

fn native_says(text: &str) {
    let Ok(raw) = serde_json::from_str::<&RawValue>(text) else { return };
    if !serde_json::from_str::<Value>(text).is_ok_and(|value| depth(&value) > MAX_DEPTH) {
        tell_everybody(&raw.into());
    }
}

/// What a member of any kind says, to clients of each: words that one of them could have said, and none of the server's.
fn tell_everybody(data: &Payload) {
    if let Some(told) = ayame::wire::to_theirs(data) {
        check_told(data, &told, 1);
        let said = ayame::wire::Request::parse(&told);
        assert!(matches!(said, Ok(ayame::wire::Request::Signal(_))), "{told}: {said:?}");
    }
    if let Some(told) = apprtc::wire::to_theirs(data) {
        check_told(data, &told, 1);
        assert_eq!(apprtc_again(&told).as_deref(), Some(&*told));
    }
    if let Some(told) = matchbox::wire::to_theirs(data) {
        // A candidate becomes JSON in a string.
        check_told(data, told.get(), 2);
        let text = to_somebody(&told);
        if let Ok(matchbox::wire::Request::Signal { data, .. }) = matchbox::wire::Request::parse(&text) {
            let again = matchbox::wire::to_theirs(&data).expect("what is told can be said");
            assert_eq!(matchbox_again(&again).as_deref(), Some(again.get()));
        }
    }
    if let Heard::Offer(told) | Heard::Other(told) = Heard::of(data) {
        check_told(data, told.as_str(), 1);
        let raw: &RawValue = serde_json::from_str(told.as_str()).unwrap();
        assert!(!matches!(Said::by_page(raw), Said::Bye | Said::HasMedia), "{told:?}");
    }
}

/// A client of matchbox says that to another.
fn to_somebody(data: &RawValue) -> String {
    let receiver = "00000000-0000-0001-0000-0000000000a1";
    format!(r#"{{"Signal":{{"receiver":"{receiver}","data":{}}}}}"#, data.get())
}

/// What others are told once one of them has said what they were told.
fn matchbox_again(told: &RawValue) -> Option<String> {
    match matchbox::wire::Request::parse(&to_somebody(told)).ok()? {
        matchbox::wire::Request::Signal { data, .. } => matchbox::wire::to_theirs(&data).map(|data| data.get().into()),
        matchbox::wire::Request::KeepAlive => None,
    }
}

/// A message of a dialect whose messages are JSON objects.
fn heard<T>(text: &str, parsed: Result<T, Refusal>) -> Option<T> {
    check_depth(text, parsed.is_ok());
    match parsed {
        Ok(message) => {
            assert!(text.trim_start().starts_with('{'), "{text} is no object");
            Some(message)
        }
        Err(refusal) => {
            assert!(!refusal.text.is_empty());
            None
        }
    }
}

/// What serde_json gives up on is deeper than anything that it reads, or is no JSON.
fn check_depth(text: &str, is_heard: bool) {
    if is_heard && let Ok(value) = serde_json::from_str::<Value>(text) {
        assert!(depth(&value) <= MAX_DEPTH, "{text} is too deep");
    }
}

/// `more` is by how many levels the words around it may nest it deeper.
fn check_made(text: &str, made: &Payload, more: usize) {
    let made = made.as_str();
    assert!(made.len() <= text.len() + FRAMING, "{text} becomes {made}");
    if let (Ok(said), Ok(made)) = (serde_json::from_str(text), serde_json::from_str(made)) {
        assert!(depth(&made) <= depth(&said).max(MAX_DEPTH) + more, "{text} becomes {made}");
    }
}

/// What one is told is at most so many times as long as what another said.
fn check_told(data: &Payload, told: &str, times: usize) {
    assert!(told.len() <= times * data.as_str().len() + FRAMING, "{data:?} becomes {told}");
    assert!(serde_json::from_str::<&RawValue>(told).is_ok(), "{told} is no JSON");
}

fn depth(value: &Value) -> usize {
    let deepest = |deepest: usize, value| deepest.max(depth(value));
    match value {
        Value::Array(values) => 1 + values.iter().fold(0, deepest),
        Value::Object(fields) => 1 + fields.values().fold(0, deepest),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
