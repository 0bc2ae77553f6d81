//! Any text as the body of a poll, and each packet in it as a client of Socket.IO might send it: it is read as it was
//! written, or refused.

#![no_main]

use lanturn::signaling::codelab::socket_io::{Event, Packet, event};
use lanturn::signaling::engine_io::Version;
use lanturn::signaling::engine_io::payload::{decode, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    packet(text);
    for version in [Version::V3, Version::V4] {
        let Some(packets) = decode(version, text) else { continue };
        packets.iter().for_each(|text| packet(text));
        let packets: Vec<_> = packets.into_iter().map(str::to_owned).collect();
        let body = encode(version, &packets);
        // A length may have been said with zeros before it.
        assert!(body.len() <= text.len(), "{text} becomes {body}");
        assert_eq!(decode(version, &body).expect("what is written can be read"), packets);
        if version == Version::V4 {
            assert_eq!(body, text);
        }
    }
});

fn packet(text: &str) {
    match Packet::parse(text) {
        Some(Packet::Event(said)) => {
            let Some(Event { name, argument }) = Event::parse(said) else { return };
            assert!(said.trim_start().starts_with('['), "{said} is no array");
            let Some(argument) = argument else { return };
            assert!(said.contains(argument.get()));
            let told = event("message", &[argument.get()]);
            let again = Packet::parse(&told[1..]);
            let Some(Packet::Event(again)) = again else { panic!("{name}: {told} is {again:?}") };
            let again = Event::parse(again).expect("what is told can be said");
            assert_eq!((&*again.name, again.argument.map(|raw| raw.get())), ("message", Some(argument.get())));
        }
        Some(Packet::ConnectElsewhere(namespace)) => assert!(namespace.starts_with('/') && namespace != "/"),
        Some(Packet::Connect | Packet::Disconnect | Packet::Nothing) | None => {}
    }
}
