use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::signaling::error::ErrorId;
use crate::signaling::payload::MAX_DEPTH;
use crate::signaling::testing::{LINE, any_json, any_text, is_clear, nested};

fn parse(message: &Value) -> Result<Request, Refusal> {
    Request::parse(&message.to_string())
}

/// What the others are told.
fn signal(message: &Value) -> Payload {
    match parse(message) {
        Ok(Request::Signal(data)) => data,
        other => panic!("{message}: {other:?}"),
    }
}

fn heard(data: &Value) -> Option<Value> {
    to_theirs(&Payload::of(data)).map(|text| serde_json::from_str(&text).unwrap())
}

fn any_candidate() -> impl Strategy<Value = Value> {
    let text = || prop::option::of(any_text());
    ("candidate:\\PC{1,40}", text(), prop::option::of(any::<u16>()), text()).prop_map(|(line, mid, index, fragment)| {
        let mut ice = json!({ "candidate": line });
        let rest = [("sdpMid", json!(mid)), ("sdpMLineIndex", json!(index)), ("usernameFragment", json!(fragment))];
        for (key, value) in rest.into_iter().filter(|(_, value)| !value.is_null()) {
            ice[key] = value;
        }
        ice
    })
}

/// What one client says to the other, in all its forms.
fn any_message() -> impl Strategy<Value = Value> {
    prop_oneof![
        ("offer|answer", any_text()).prop_map(|(kind, sdp)| json!({ "type": kind, "sdp": sdp })),
        any_candidate().prop_map(|ice| json!({ "type": "candidate", "ice": ice })),
        ("own-[a-z]{0,8}", any_json()).prop_map(|(kind, value)| json!({ "type": kind, "value": value })),
    ]
}

#[test]
fn each_message_is_read() {
    let register = json!({ "type": "register", "roomId": " Kitchen", "clientId": "c", "signalingKey": 1 });
    assert_eq!(parse(&register), Ok(Request::Register(RoomName::parse("kitchen").unwrap())));
    for (kind, request) in [("pong", Request::Pong), ("connected", Request::Connected), ("bye", Request::Bye)] {
        assert_eq!(parse(&json!({ "type": kind })), Ok(request));
    }
    let offer = json!({ "type": "offer", "sdp": "v=0\r\n" });
    assert_eq!(signal(&offer).to_value(), json!({ "description": offer }));
    let ice = json!({ "candidate": LINE, "sdpMid": "0", "sdpMLineIndex": 0 });
    assert_eq!(signal(&json!({ "type": "candidate", "ice": ice })).to_value(), json!({ "candidate": ice }));
    assert_eq!(signal(&json!({ "type": "x", "of": 1 })).to_value(), json!({ "ayame": { "type": "x", "of": 1 } }));
}

#[test]
fn what_is_missing_is_named() {
    for (message, field) in [
        (json!({}), "`type`"),
        (json!({ "type": "register" }), "`roomId`"),
        (json!({ "type": "register", "roomId": null }), "`roomId`"),
        (json!({ "type": "offer" }), "`sdp`"),
        (json!({ "type": "answer", "sdp": null }), "`sdp`"),
        (json!({ "type": "candidate" }), "`ice`"),
        (json!({ "type": "candidate", "ice": null }), "`ice`"),
        (json!({ "type": "candidate", "ice": {} }), "`candidate`"),
    ] {
        let refusal = parse(&message).unwrap_err();
        assert!(refusal.id == ErrorId::BadMessage && refusal.text.contains(field), "{message}: {refusal}");
    }
    assert_eq!(parse(&json!({ "type": "register", "roomId": "\u{200b}" })), Err(ErrorId::BadRoom.into()));
}

#[test]
fn no_other_member_speaks_for_the_server_or_in_broken_words() {
    let kinds = ["accept", "reject", "ping", "bye", "register", "pong", "connected", "offer", "answer", "candidate"];
    for kind in kinds {
        let own = json!({ "type": kind, "sdp": "v=0", "roomId": "attic", "reason": "full" });
        assert_eq!(heard(&json!({ "ayame": own })), None, "{own}");
    }
    for data in [
        json!({ "ayame": ["x"] }),
        json!({ "ayame": ["x", null, null, null] }),
        json!({ "ayame": { "type": 7 } }),
        json!({ "ayame": {} }),
        json!({ "description": ["offer", "v=0"] }),
        json!({ "candidate": [LINE, "0", 0, null] }),
        json!([{ "type": "offer", "sdp": "v=0" }, null, null, null]),
    ] {
        assert_eq!(heard(&data), None, "{data}");
    }
}

#[test]
fn nesting_has_a_bound() {
    let message = |levels| format!(r#"{{"type":"x","value":{}}}"#, nested(levels));
    assert!(matches!(Request::parse(&message(MAX_DEPTH - 1)), Ok(Request::Signal(_))));
    assert_eq!(Request::parse(&message(MAX_DEPTH)).unwrap_err().id, ErrorId::BadMessage);
}

proptest! {
    #[test]
    fn what_one_client_says_the_other_hears(message in any_message()) {
        let data = signal(&message);
        let told = to_theirs(&data).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Value>(&told).unwrap(), &message);
        let again = Request::parse(&told);
        prop_assert!(matches!(&again, Ok(Request::Signal(same)) if same.as_str() == data.as_str()), "{:?}", again);
    }

    #[test]
    fn what_all_share_is_heard_whoever_says_it(kind in "offer|answer", sdp in any_text(), ice in any_candidate()) {
        let description = json!({ "type": kind, "sdp": sdp, "more": [1] });
        let expected = json!({ "type": kind, "sdp": sdp });
        prop_assert_eq!(heard(&json!({ "description": description, "more": {} })), Some(expected));
        prop_assert_eq!(heard(&json!({ "candidate": ice })), Some(json!({ "type": "candidate", "ice": ice })));
    }

    #[test]
    fn unknown_fields_change_nothing(message in any_message(), key in "x-[a-z]{0,8}", value in any_json()) {
        let kind = message["type"].as_str().unwrap();
        prop_assume!(!kind.starts_with("own-"));
        let mut longer = message.clone();
        longer[&key] = value.clone();
        if let Some(ice) = longer.get_mut("ice") {
            ice[&key] = value;
        }
        prop_assert_eq!(signal(&longer).as_str().to_owned(), signal(&message).as_str().to_owned());
    }

    #[test]
    fn a_field_of_another_shape_is_refused(wrong in any_json(), what in 0..7_usize) {
        let (message, right): (Value, fn(&Value) -> bool) = match what {
            0 => (wrong.clone(), |_| false),
            1 => (json!({ "type": wrong }), Value::is_string),
            2 => (json!({ "type": "register", "roomId": wrong }), Value::is_string),
            3 => (json!({ "type": "offer", "sdp": wrong }), Value::is_string),
            4 => (json!({ "type": "candidate", "ice": wrong }), |_| false),
            5 => (json!({ "type": "candidate", "ice": { "candidate": LINE, "sdpMid": wrong } }),
                  |mid| mid.is_string() || mid.is_null()),
            _ => (json!({ "type": "candidate", "ice": { "candidate": LINE, "sdpMLineIndex": wrong } }),
                  |index| index.is_null() || index.as_u64().is_some_and(|index| index <= 0xFFFF)),
        };
        prop_assume!(!right(&wrong));
        let refusal = parse(&message).unwrap_err();
        prop_assert!(is_clear(&refusal), "{:?}", refusal);
    }

    #[test]
    fn no_text_panics(text in ".{0,120}", kind in "register|offer|candidate|x") {
        let _ = Request::parse(&text);
        let _ = Request::parse(&format!(r#"{{"type":"{kind}",{text}}}"#));
        let _ = to_theirs(&Payload::of(&json!({ "ayame": text })));
    }
}
