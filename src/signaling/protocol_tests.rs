//! The examples of the documentation are messages that the server reads and writes.

use serde_json::Value;

use super::{ClientMessage, ErrorId, ServerMessage};

const PAGE: &str = include_str!("../../docs/protocol.md");

fn examples(direction: &str) -> Vec<&'static str> {
    let fence = format!("```json {direction}\n");
    PAGE.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

#[test]
fn every_example_is_of_a_known_direction() {
    assert_eq!(PAGE.matches("```json").count(), examples("client").len() + examples("server").len());
}

#[test]
fn client_examples_are_read_and_cover_every_type() {
    let mut types = Vec::new();
    for example in examples("client") {
        ClientMessage::parse(example).unwrap_or_else(|refusal| panic!("{refusal}: {example}"));
        types.push(serde_json::from_str::<Value>(example).unwrap()["type"].as_str().unwrap().to_owned());
    }
    types.dedup();
    let all = [
        "join",
        "resume",
        "ready",
        "ack",
        "signal",
        "broadcast",
        "rename",
        "lock",
        "pin",
        "kick",
        "invite",
        "leave",
        "ping",
    ];
    assert_eq!(types, all);
}

#[test]
fn server_examples_are_written_just_so_and_cover_every_type() {
    let mut types = Vec::new();
    for example in examples("server") {
        let message = ServerMessage::parse(example).unwrap_or_else(|error| panic!("{error}: {example}"));
        let number = serde_json::from_str::<Value>(example).unwrap()["n"].as_u64();
        assert_eq!(number.is_some(), message.is_event(), "{example}");
        let written: Value = serde_json::from_str(&message.print(number)).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(example).unwrap());
        types.push(written["type"].as_str().unwrap().to_owned());
    }
    types.dedup();
    let all = [
        "joined",
        "resumed",
        "peer-joined",
        "peer-renamed",
        "peer-away",
        "peer-back",
        "peer-restarted",
        "peer-left",
        "room",
        "signal",
        "broadcast",
        "ice-servers",
        "invite",
        "pong",
        "error",
    ];
    assert_eq!(types, all);
}

#[test]
fn the_table_of_errors_is_the_servers() {
    for id in ErrorId::ALL {
        let row = PAGE.lines().find(|line| line.starts_with(&format!("| `{}` |", id.id())));
        let row = row.unwrap_or_else(|| panic!("no row for {}", id.id()));
        let before_upgrade = matches!(id, ErrorId::BadOrigin | ErrorId::BadHost);
        match id.close_code() {
            Some(code) if !before_upgrade => assert!(row.ends_with(&format!("close {code} |")), "{row}"),
            Some(_) => assert!(row.contains("before the upgrade"), "{row}"),
            None => assert!(row.contains("goes on"), "{row}"),
        }
    }
}
