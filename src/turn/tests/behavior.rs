//! NAT behaviour discovery (RFC 5780).

use std::net::SocketAddr;

use ::stun::addr::MappedAddress;
use ::stun::attributes::*;
use ::stun::fingerprint::FINGERPRINT;

use super::support::*;
use crate::turn::*;

const ADDRESSES: [&str; 2] = ["192.168.1.5:3478", "192.168.1.6:3479"];
const CLIENT: &str = "192.0.2.1:5000";

fn lab() -> Lab {
    Lab::with(Setup { behavior: Some(ADDRESSES), ..Setup::default() })
}

fn binding() -> Asked {
    Asked::request(METHOD_BINDING)
}

/// One that came in at an address of the box.
fn ask_at(lab: &mut Lab, server: &str, asked: Asked) -> Outcome {
    let client = Client {
        shard: 0,
        five_tuple: FiveTuple::new(at(CLIENT), at(server), Transport::Udp),
        username: String::new(),
        password: String::new(),
        nonce: String::new(),
    };
    lab.exchange(&client, &asked.0.raw)
}

fn address(message: &Message, kind: AttrType) -> SocketAddr {
    let mut address = MappedAddress::default();
    address.get_from_as(message, kind).unwrap();
    SocketAddr::new(address.ip, address.port)
}

#[test]
fn each_address_answers_for_another() {
    let mut lab = lab();
    for (n, at_first, at_second) in [(0, "192.168.1.5", "192.168.1.6"), (1, "192.168.1.6", "192.168.1.5")] {
        for (port, other_port) in [(3478, 3479), (3479, 3478)] {
            for (flags, from, from_port) in
                [(0, at_first, port), (2, at_first, other_port), (4, at_second, port), (6, at_second, other_port)]
            {
                lab.advance(secs(1));
                let asked = binding().raw(ATTR_CHANGE_REQUEST, &[0, 0, 0, flags]);
                let outcome = ask_at(&mut lab, &format!("{at_first}:{port}"), asked);
                let Outcome::ReplyAs(answer, between) = outcome else { panic!("{n} {outcome:?}") };
                let (origin, other) = (at(&format!("{from}:{from_port}")), at(&format!("{at_second}:{other_port}")));
                assert_eq!((between.client, between.server), (at(CLIENT), origin), "{flags}");
                assert_eq!(code(&answer), 0);
                assert_eq!((mapped(&answer), address(&answer, ATTR_MAPPED_ADDRESS)), (at(CLIENT), at(CLIENT)));
                assert_eq!(address(&answer, ATTR_RESPONSE_ORIGIN), origin);
                assert_eq!(address(&answer, ATTR_OTHER_ADDRESS), other);
                assert!(!answer.contains(ATTR_PADDING));
            }
        }
    }
}

#[test]
fn a_plain_binding_is_told_of_the_other_address_and_elsewhere_of_none() {
    let mut lab = lab();
    let Outcome::ReplyAs(answer, _) = ask_at(&mut lab, ADDRESSES[0], binding()) else { panic!() };
    assert_eq!(address(&answer, ATTR_OTHER_ADDRESS), at(ADDRESSES[1]));
    let change = || binding().raw(ATTR_CHANGE_REQUEST, &[0, 0, 0, 6]);
    for server in ["192.168.1.7:3478", "192.168.1.5:443"] {
        let answer = ask_at(&mut lab, server, binding()).reply();
        assert!(!answer.contains(ATTR_OTHER_ADDRESS) && !answer.contains(ATTR_RESPONSE_ORIGIN));
        assert_eq!(code(&ask_at(&mut lab, server, change()).reply()), 420);
    }
    let client = lab.client("anna", CLIENT).over(Transport::Tcp);
    assert_eq!(code(&lab.exchange(&client, &change().0.raw).reply()), 420, "a stream has no other end");
}

#[test]
fn where_it_is_off_its_attributes_are_unknown_and_so_they_are_in_other_requests() {
    let mut off = Lab::new();
    for kind in [ATTR_CHANGE_REQUEST, ATTR_RESPONSE_PORT, ATTR_PADDING] {
        assert_eq!(code(&ask_at(&mut off, ADDRESSES[0], binding().raw(kind, &[0; 4])).reply()), 420);
        let mut lab = lab();
        let client = lab.client("anna", CLIENT);
        assert_eq!(lab.code(&client, allocate().raw(kind, &[0; 4])), 420);
        let odd = binding().raw(kind, &[4, 1, 0, 0]).raw(AttrType(0x7777), &[]);
        assert_eq!(code(&ask_at(&mut lab, ADDRESSES[0], odd).reply()), 420);
    }
}

#[test]
fn the_answer_goes_to_the_port_that_is_asked_for_but_to_no_service() {
    let mut lab = lab();
    for port in [1024u16, 6000, 65_535] {
        let asked = binding().raw(ATTR_RESPONSE_PORT, &[&port.to_be_bytes()[..], &[0; 2]].concat());
        let Outcome::ReplyAs(answer, between) = ask_at(&mut lab, ADDRESSES[0], asked) else { panic!() };
        assert_eq!(between.client, SocketAddr::new(at(CLIENT).ip(), port));
        assert_eq!((mapped(&answer), between.server), (at(CLIENT), at(ADDRESSES[0])));
    }
    for wrong in [&[0, 53, 0, 0][..], &[0, 0], &[4], &[]] {
        let answer = ask_at(&mut lab, ADDRESSES[0], binding().raw(ATTR_RESPONSE_PORT, wrong)).reply();
        assert_eq!(code(&answer), 400, "{wrong:?}");
    }
    let both = binding().raw(ATTR_RESPONSE_PORT, &[23, 112, 0, 0]).raw(ATTR_PADDING, &[0; 100]);
    assert_eq!(code(&ask_at(&mut lab, ADDRESSES[0], both).reply()), 400);
    assert_eq!(code(&ask_at(&mut lab, ADDRESSES[0], binding().raw(ATTR_CHANGE_REQUEST, &[6])).reply()), 400);
}

#[test]
fn a_padded_answer_is_no_longer_than_the_request() {
    let mut lab = lab();
    for fingerprinted in [false, true] {
        for length in [0, 4, 40, 41, 100, 1500, 9000, 60_000] {
            lab.advance(secs(1));
            let mut asked = binding().raw(ATTR_PADDING, &vec![0; length]);
            if fingerprinted {
                asked = asked.fingerprint();
            }
            let asked_bytes = asked.0.raw.len();
            let Outcome::ReplyAs(answer, _) = ask_at(&mut lab, ADDRESSES[0], asked) else { panic!() };
            assert!(answer.contains(ATTR_PADDING));
            let bare = 20 + 12 * 4 + 4 + if fingerprinted { 8 } else { 0 };
            assert!(answer.raw.len() <= asked_bytes.max(bare), "{length}: {}", answer.raw.len());
            assert!(answer.raw.len() + 4 > asked_bytes, "{length}: as long as it may be: {}", answer.raw.len());
            assert_eq!(FINGERPRINT.check(&answer).is_ok(), fingerprinted);
        }
    }
}

#[test]
fn whoever_asks_too_often_gets_what_others_do_and_no_more() {
    let mut lab = lab();
    let asked = |lab: &mut Lab, asked: Asked| ask_at(lab, ADDRESSES[0], asked);
    let full = (0..30).filter(|_| matches!(asked(&mut lab, binding()), Outcome::ReplyAs(..))).count();
    assert_eq!(full, 20);
    let plain = asked(&mut lab, binding()).reply();
    assert!(!plain.contains(ATTR_OTHER_ADDRESS) && mapped(&plain) == at(CLIENT));
    assert!(asked(&mut lab, binding().raw(ATTR_CHANGE_REQUEST, &[0, 0, 0, 6])).is_nothing());
    assert!(asked(&mut lab, binding().raw(ATTR_PADDING, &[0; 1500])).is_nothing());
    lab.advance(secs(1));
    assert!(matches!(asked(&mut lab, binding()), Outcome::ReplyAs(..)));
}

#[test]
fn behind_a_nat_the_outer_addresses_are_told() {
    let external = Some(("192.168.1.6", "203.0.113.6"));
    let mut lab = Lab::with(Setup { behavior: Some(ADDRESSES), external, ..Setup::default() });
    let change = binding().raw(ATTR_CHANGE_REQUEST, &[0, 0, 0, 4]);
    let Outcome::ReplyAs(answer, between) = ask_at(&mut lab, ADDRESSES[0], change) else { panic!() };
    assert_eq!(between.server, at("192.168.1.6:3478"));
    assert_eq!(address(&answer, ATTR_RESPONSE_ORIGIN), at("203.0.113.6:3478"));
    assert_eq!(address(&answer, ATTR_OTHER_ADDRESS), at("203.0.113.6:3479"));
}
