//! Packets from whoever, without a credential: nothing is relayed, nothing is opened, nothing is kept.

#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use lanturn::stun::{Class, Frame};
use lanturn::turn::{FiveTuple, Now, Step, Transport};
use lanturn_fuzz::{Fixture, START};
use libfuzzer_sys::fuzz_target;

/// The longest answer: a 420 with its list, a challenge and a FINGERPRINT.
const LONGEST_ANSWER: usize = 300;

/// ```text
/// 0        1           2               3        5
/// | client | transport | 10 ms to wait | length | packet
/// ```
fn next(input: &mut &[u8]) -> Option<(FiveTuple, Duration, Vec<u8>)> {
    let (&[client, transport, wait, high, low], rest) = input.split_first_chunk()?;
    let (packet, rest) = rest.split_at(usize::from(u16::from_be_bytes([high, low])).min(rest.len()));
    *input = rest;
    let transport = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls][usize::from(transport % 4)];
    let client = SocketAddr::new([198, 51, 100, client].into(), 5000);
    let from = FiveTuple::new(client, "203.0.113.5:3478".parse().unwrap(), transport);
    Some((from, Duration::from_millis(10) * u32::from(wait), packet.to_vec()))
}

fuzz_target!(|input: &[u8]| {
    let mut world = Fixture::new(1);
    let mut rest = input;
    let mut now = Now { instant: world.start, unix: START };
    while let Some((from, wait, packet)) = next(&mut rest) {
        now.instant += wait;
        let mut reply = Vec::new();
        match world.servers[0].handle_client(from, &packet, now, &mut reply) {
            Step::Done => assert!(reply.is_empty()),
            Step::Decrypt => {
                assert!(reply.is_empty() && from.transport == Transport::Udp);
                assert!((20..=63).contains(&packet[0]));
            }
            Step::Reply | Step::ReplyAs(_) => {
                assert!(reply.len() <= LONGEST_ANSWER.max(packet.len()), "{} bytes for {}", reply.len(), packet.len());
                let (asked, answer) = (Frame::parse(&packet).unwrap(), Frame::parse(&reply).unwrap());
                assert_eq!(asked.class(), Class::Request);
                assert_eq!(answer.class(), Class::Response);
                assert_eq!((answer.method(), answer.transaction_id()), (asked.method(), asked.transaction_id()));
            }
            Step::Forward(forward) => panic!("{from:?} relays: {forward:?}"),
            Step::Open(opening) => panic!("{from:?} allocates: {opening:?}"),
            Step::Connect(dial) => panic!("{from:?} connects: {dial:?}"),
            Step::Bind(connection) => panic!("{from:?} takes a connection: {connection:?}"),
            Step::Move(moving) => panic!("{from:?} moves: {moving:?}"),
            Step::HandOver(shard) | Step::Elsewhere(shard) => panic!("{from:?} is handed on to {shard:?}"),
        }
    }
    assert!(world.servers[0].is_empty() && world.servers[0].next_expiry().is_none());
    assert_eq!(world.shared.quota.allocations(), 0);
});
