use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::signaling::error::ErrorId;
use crate::signaling::payload::MAX_DEPTH;
use crate::signaling::testing::{LINE, any_json, any_text, is_clear, nested};

fn parse(message: &Value) -> Result<Message, Refusal> {
    Message::parse(&message.to_string())
}

/// What the others are told.
fn signal(message: &Value) -> Payload {
    match parse(message) {
        Ok(Message::Offer(data) | Message::Answer(data) | Message::Other(data)) => data,
        other => panic!("{message}: {other:?}"),
    }
}

fn heard(data: &Value) -> Option<Value> {
    to_theirs(&Payload::of(data)).map(|text| serde_json::from_str(&text).unwrap())
}

/// What one client says to the other, in all its forms.
fn any_message() -> impl Strategy<Value = Value> {
    prop_oneof![
        ("offer|answer", any_text()).prop_map(|(kind, sdp)| json!({ "type": kind, "sdp": sdp })),
        (any::<u16>(), any_text(), "candidate:\\PC{1,40}")
            .prop_map(|(label, id, line)| json!({ "type": "candidate", "label": label, "id": id, "candidate": line })),
        ("own-[a-z]{0,8}", any_json()).prop_map(|(kind, value)| json!({ "type": kind, "value": value })),
    ]
}

#[test]
fn each_message_is_read() {
    let description = |kind| json!({ "type": kind, "sdp": "v=0\r\n" });
    let native = |kind| Payload::of(&json!({ "description": description(kind) }));
    assert_eq!(parse(&description("offer")), Ok(Message::Offer(native("offer"))));
    assert_eq!(parse(&description("answer")), Ok(Message::Answer(native("answer"))));
    let candidate = json!({ "type": "candidate", "label": 1, "id": "video", "candidate": LINE });
    let native = json!({ "candidate": { "candidate": LINE, "sdpMid": "video", "sdpMLineIndex": 1 } });
    assert_eq!(parse(&candidate), Ok(Message::Other(Payload::of(&native))));
    let own = json!({ "type": "remove-candidates", "candidates": [] });
    assert_eq!(parse(&own), Ok(Message::Other(Payload::of(&json!({ "apprtc": own })))));
    assert_eq!(parse(&json!({ "type": "bye", "more": 1 })), Ok(Message::Bye));
    assert_eq!(Message::parse(BYE), Ok(Message::Bye));
}

#[test]
fn what_is_missing_is_named() {
    for (message, field) in [
        (json!({}), "`type`"),
        (json!({ "type": "offer" }), "`sdp`"),
        (json!({ "type": "answer", "sdp": null }), "`sdp`"),
        (json!({ "type": "candidate", "label": 0, "id": "0" }), "`candidate`"),
    ] {
        let refusal = parse(&message).unwrap_err();
        assert!(refusal.id == ErrorId::BadMessage && refusal.text.contains(field), "{message}: {refusal}");
    }
    for (command, field) in [
        (json!({}), "`cmd`"),
        (json!({ "cmd": "shout" }), "`register`"),
        (json!({ "cmd": "register", "clientid": "c" }), "`roomid`"),
        (json!({ "cmd": "register", "roomid": "r" }), "`clientid`"),
        (json!({ "cmd": "send" }), "`msg`"),
    ] {
        let text = command.to_string();
        let refusal = Command::parse(&text).unwrap_err();
        assert!(refusal.id == ErrorId::BadMessage && refusal.text.contains(field), "{command}: {refusal}");
    }
}

#[test]
fn no_other_member_speaks_for_the_server_or_in_broken_words() {
    for kind in ["bye", "offer", "answer", "candidate"] {
        assert_eq!(heard(&json!({ "apprtc": { "type": kind, "sdp": "v=0", "candidate": LINE } })), None, "{kind}");
    }
    for data in [
        json!({ "apprtc": ["x"] }),
        json!({ "apprtc": ["x", null, null, null, null] }),
        json!({ "apprtc": { "type": 7 } }),
        json!({ "description": ["offer", "v=0"] }),
        json!({ "candidate": [LINE, "0", 0, null] }),
        json!([{ "type": "offer", "sdp": "v=0" }, null, null, null]),
    ] {
        assert_eq!(heard(&data), None, "{data}");
    }
}

#[test]
fn a_candidate_is_of_the_media_section_that_its_sender_says() {
    let said = |label: u16, id: &str| Some(json!({ "type": "candidate", "label": label, "id": id, "candidate": LINE }));
    let native = |rest: Value| {
        let mut candidate = rest;
        candidate["candidate"] = LINE.into();
        heard(&json!({ "candidate": candidate }))
    };
    assert_eq!(native(json!({ "sdpMid": "a", "sdpMLineIndex": 2 })), said(2, "a"));
    assert_eq!(native(json!({ "sdpMid": "1" })), said(1, "1"));
    assert_eq!(native(json!({ "sdpMLineIndex": 1 })), said(1, "1"));
    assert_eq!(native(json!({})), said(0, "0"));
}

#[test]
fn nesting_has_a_bound() {
    let message = |levels| format!(r#"{{"type":"x","value":{}}}"#, nested(levels));
    assert!(matches!(Message::parse(&message(MAX_DEPTH - 1)), Ok(Message::Other(_))));
    assert_eq!(Message::parse(&message(MAX_DEPTH)).unwrap_err().id, ErrorId::BadMessage);
    let command = format!(r#"{{"cmd":"send","msg":"","more":{}}}"#, nested(MAX_DEPTH));
    assert_eq!(Command::parse(&command).unwrap_err().id, ErrorId::BadMessage);
}

proptest! {
    #[test]
    fn what_one_client_says_the_other_hears(message in any_message()) {
        let data = signal(&message);
        let told = to_theirs(&data).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Value>(&told).unwrap(), &message);
        prop_assert_eq!(signal(&serde_json::from_str(&told).unwrap()), data);
    }

    #[test]
    fn the_collider_passes_it_on_as_it_is(message in any_message()) {
        let msg = message.to_string();
        let text = json!({ "cmd": "send", "msg": msg, "more": 1 }).to_string();
        prop_assert_eq!(Command::parse(&text), Ok(Command::Send { msg: msg.as_str().into() }));
        let said: Value = serde_json::from_str(&Said { msg: &msg, error: "" }.print()).unwrap();
        prop_assert_eq!(said, json!({ "msg": msg, "error": "" }));
    }

    #[test]
    fn who_registers_is_read_as_typed(room in any_text(), client in any_text()) {
        let text = json!({ "cmd": "register", "roomid": room, "clientid": client, "more": {} }).to_string();
        let expected = Command::Register { roomid: room.as_str().into(), clientid: client.as_str().into() };
        prop_assert_eq!(Command::parse(&text), Ok(expected));
    }

    #[test]
    fn unknown_fields_change_nothing(message in any_message(), key in "x-[a-z]{0,8}", value in any_json()) {
        prop_assume!(!message["type"].as_str().unwrap().starts_with("own-"));
        let mut longer = message.clone();
        longer[&key] = value;
        prop_assert_eq!(parse(&longer), parse(&message));
    }

    #[test]
    fn a_field_of_another_shape_is_refused(wrong in any_json(), what in 0..6_usize) {
        let (message, right): (Value, fn(&Value) -> bool) = match what {
            0 => (wrong.clone(), |_| false),
            1 => (json!({ "type": wrong }), Value::is_string),
            2 => (json!({ "type": "offer", "sdp": wrong }), Value::is_string),
            3 => (json!({ "type": "candidate", "candidate": wrong }), Value::is_string),
            4 => (json!({ "type": "candidate", "candidate": LINE, "id": wrong }), |id| id.is_string() || id.is_null()),
            _ => (json!({ "type": "candidate", "candidate": LINE, "label": wrong }),
                  |label| label.is_null() || label.as_u64().is_some_and(|label| label <= 0xFFFF)),
        };
        prop_assume!(!right(&wrong));
        let refusal = parse(&message).unwrap_err();
        prop_assert!(is_clear(&refusal), "{:?}", refusal);
    }

    #[test]
    fn a_command_of_another_shape_is_refused(wrong in any_json(), what in 0..4_usize) {
        let command = match what {
            0 => wrong.clone(),
            1 => json!({ "cmd": wrong }),
            2 => json!({ "cmd": "register", "roomid": wrong, "clientid": "c" }),
            _ => json!({ "cmd": "send", "msg": wrong }),
        };
        prop_assume!(what < 2 || !wrong.is_string());
        let text = command.to_string();
        let refusal = Command::parse(&text).unwrap_err();
        prop_assert!(is_clear(&refusal), "{:?}", refusal);
    }

    #[test]
    fn no_text_panics(text in ".{0,120}", kind in "bye|offer|candidate|x") {
        let _ = Message::parse(&text);
        let _ = Message::parse(&format!(r#"{{"type":"{kind}",{text}}}"#));
        let _ = Command::parse(&text);
        let _ = to_theirs(&Payload::of(&json!({ "apprtc": text })));
    }
}
