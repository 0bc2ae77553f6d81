//! Any packet: the codec reads it or refuses it, and what it writes it can read.

#![no_main]

use lanturn::stun::{
    ATTRIBUTE_HEADER_BYTES, ChannelData, Class, Frame, HEADER_BYTES, Refusal, Request, binding_success, padded, refusal,
};
use libfuzzer_sys::fuzz_target;
use stun::attributes::{
    ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256, ATTR_XOR_PEER_ADDRESS, ATTR_XORMAPPED_ADDRESS,
};

fuzz_target!(|packet: &[u8]| {
    if let Some(ChannelData { channel, data }) = ChannelData::parse(packet) {
        assert!((0x4000..=0x7FFF).contains(&channel.get()));
        assert!(data.start == 4 && data.end <= packet.len());
    }
    let Ok(frame) = Frame::parse(packet) else { return };
    let mut at = HEADER_BYTES;
    let mut signatures = 0;
    for attribute in frame.attributes() {
        assert_eq!(attribute.offset, at + ATTRIBUTE_HEADER_BYTES);
        assert_eq!(&packet[attribute.offset..][..attribute.value.len()], attribute.value);
        assert_eq!(signatures, 0, "nothing behind the signature is seen");
        let signs = [ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256].contains(&attribute.kind);
        signatures += usize::from(signs);
        at = attribute.offset + padded(attribute.value.len());
    }
    assert_eq!(at, frame.bytes().len());
    assert_eq!(signatures == 1, frame.is_signed());
    let unknown = frame.unknown_attributes();
    assert!(unknown.len() <= 16 && unknown.iter().all(|kind| kind.required()));
    let _ = frame.xor_address(ATTR_XOR_PEER_ADDRESS);

    let request = Request::new(frame);
    assert!(!request.is_signed_with(b"a key that nobody has"));
    let _ = (request.lifetime(), request.requested_transport(), request.requested_address_family());
    let _ = (request.even_port(), request.channel_number(), request.peer_addresses());
    let _ = (request.password_algorithm(), request.reservation_token(), frame.connection_id());
    let _ = request.additional_address_family();

    // Only requests are answered.
    if frame.class() != Class::Request {
        return;
    }
    let mapped = "[2001:db8::7]:4000".parse().unwrap();
    let mut answer = Vec::new();
    binding_success(&frame, mapped, &mut answer);
    let read = Frame::parse(&answer).unwrap();
    assert_eq!((read.class(), read.transaction_id()), (Class::Response, frame.transaction_id()));
    assert_eq!(read.xor_address(ATTR_XORMAPPED_ADDRESS), Some(mapped));
    answer.clear();
    let says = Refusal {
        code: 420,
        reason: "Unknown Attribute",
        challenge: Some(("home", "nonce")),
        unknown: &unknown,
        takes_tokens: true,
    };
    refusal(&frame, says, &mut answer);
    assert_eq!(Frame::parse(&answer).unwrap().method(), frame.method());
});
