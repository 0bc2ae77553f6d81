//! Those who have no credential: what they get, how often, and that nothing is kept of them.

use std::time::Duration;

use ::stun::attributes::*;
use ::stun::uattrs::UnknownAttributes;

use super::support::*;
use crate::turn::*;

fn stranger(lab: &mut Lab) -> Client {
    lab.holder("", "", "192.0.2.1:5000")
}

#[test]
fn binding_says_where_the_client_is() {
    let mut lab = Lab::new();
    let client = stranger(&mut lab);
    for address in ["192.0.2.1:5000", "[2001:db8::9]:65535"] {
        let from = Client { five_tuple: FiveTuple { client: at(address), ..client.five_tuple }, ..client.clone() };
        let asked = Asked::request(METHOD_BINDING);
        let answer = lab.exchange(&from, &asked.0.raw).reply();
        assert_eq!((code(&answer), mapped(&answer), answer.transaction_id), (0, at(address), asked.id()));
        assert!(!answer.contains(ATTR_FINGERPRINT));
    }
    let mapped_v4 = FiveTuple::new(at("[::ffff:192.0.2.1]:7"), at(SERVER), Transport::Udp);
    let from = Client { five_tuple: mapped_v4, ..client.clone() };
    assert_eq!(mapped(&lab.exchange(&from, &Asked::request(METHOD_BINDING).0.raw).reply()), at("192.0.2.1:7"));
    let keep_alive = Asked::new(METHOD_BINDING, CLASS_INDICATION);
    assert!(lab.exchange(&client, &keep_alive.0.raw).is_nothing());
    let odd = Asked::request(METHOD_BINDING).raw(AttrType(0x7F00), b"");
    let answer = lab.exchange(&client, &odd.0.raw).reply();
    let mut list = UnknownAttributes(Vec::new());
    list.get_from(&answer).unwrap();
    assert_eq!((code(&answer), list.0), (420, vec![AttrType(0x7F00)]));
}

#[test]
fn any_number_of_them_leaves_no_state() {
    let mut lab = Lab::with(Setup { unauthorized_rate: 10, ..Setup::default() });
    let server = &mut lab.servers[0];
    let (allocate, binding) = (allocate().0.raw, Asked::request(METHOD_BINDING).0.raw);
    let (send, channel) = (send(PEER, b"x"), channel_data(0x4000, b"x"));
    let mut reply = Vec::new();
    let mut answered = 0;
    for n in 0..1_000_000u32 {
        reply.clear();
        let client = std::net::SocketAddr::new(std::net::Ipv4Addr::from(n.wrapping_mul(2_654_435_761)).into(), 9);
        let packet = [&allocate, &binding, &send, &channel][n as usize % 4];
        let step =
            server.handle_client(FiveTuple::new(client, at(SERVER), Transport::Udp), packet, lab.now, &mut reply);
        answered += u32::from(matches!(step, Step::Reply));
    }
    assert!(answered >= 250_000, "every Binding at the least: {answered}");
    assert_eq!((server.len(), server.next_expiry(), server.take_closed()), (0, None, None));
    assert_eq!(lab.shared.quota.allocations(), 0);
    assert_eq!(server.room_for(), 0, "not even room was made for them");
}

#[test]
fn errors_for_one_prefix_are_so_many_a_second_and_others_still_get_theirs() {
    let mut lab = Lab::with(Setup { unauthorized_rate: 10, ..Setup::default() });
    let client = stranger(&mut lab);
    let odd = Asked::request(METHOD_BINDING).raw(AttrType(0x7F00), b"").0.raw;
    let wrong = |lab: &mut Lab| {
        let forged = Client { nonce: "forged".into(), username: "camera".into(), ..client.clone() };
        lab.exchange(&forged, &allocate().sign(&forged))
    };
    let mut answered = 1;
    for n in 0..50 {
        let outcome = match n % 3 {
            0 => lab.exchange(&client, &odd),
            1 => lab.exchange(&client, &allocate().0.raw),
            _ => wrong(&mut lab),
        };
        answered += u32::from(!outcome.is_nothing());
    }
    let counters = *lab.servers[0].counters();
    assert_eq!((answered, counters.rejects, counters.rejects_limited), (10, 10, 41));
    let binding = Asked::request(METHOD_BINDING).0.raw;
    assert_eq!(code(&lab.exchange(&client, &binding).reply()), 0, "Binding is not an error");
    lab.advance(Duration::from_millis(99));
    assert!(wrong(&mut lab).is_nothing());
    lab.advance(Duration::from_millis(1));
    assert_eq!(code(&wrong(&mut lab).reply()), 401, "whose nonce it is comes last");
    let other = lab.holder("camera", "front door", "198.51.100.1:5000");
    lab.allocate(&other);
    for _ in 0..50 {
        assert_eq!(lab.code(&other, allocate()), 437, "who has a credential is told every time");
    }
}

#[test]
fn a_datagram_of_dtls_is_to_be_decrypted_and_nothing_else_is() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let mut is_to_be = |transport, first: u8| {
        let (from, now) = (client.clone().over(transport).five_tuple, lab.now);
        matches!(lab.servers[0].handle_client(from, &[first, 3, 1], now, &mut Vec::new()), Step::Decrypt)
    };
    let to_be: Vec<u8> = (0..=255).filter(|&first| is_to_be(Transport::Udp, first)).collect();
    assert_eq!(to_be, (20..=63).collect::<Vec<_>>(), "RFC 7983");
    for transport in [Transport::Tcp, Transport::Tls, Transport::Dtls] {
        assert!((0..=255).all(|first| !is_to_be(transport, first)), "{transport:?}");
    }
}

#[test]
fn what_is_malformed_or_unknown_is_never_answered() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let whole = allocate().sign(&client);
    let fingerprinted = allocate().fingerprint().0.raw;
    let changed = |at: usize, to: u8| {
        let mut packet = whole.clone();
        packet[at] = to;
        packet
    };
    let mut bad_fingerprint = fingerprinted.clone();
    *bad_fingerprint.last_mut().unwrap() ^= 1;
    let short_integrity = allocate().named(&client).raw(ATTR_MESSAGE_INTEGRITY, &[0; 19]).0.raw;
    let late = allocate().fingerprint().text(ATTR_SOFTWARE, "late").0.raw;
    let packets = [
        vec![],
        vec![0],
        whole[..19].to_vec(),
        whole[..whole.len() - 4].to_vec(),
        [&whole[..], &[0; 4]].concat(),
        changed(0, 0x80),
        changed(4, 0),
        changed(3, whole[3] + 1),
        changed(23, 0xFF),
        bad_fingerprint,
        short_integrity,
        late,
        vec![19; 40],
        vec![128; 40],
        Asked::request(Method::default()).0.raw,
        Asked::request(METHOD_CONNECTION_ATTEMPT).sign(&client),
        Asked::request(METHOD_DATA).sign(&client),
    ];
    for (index, packet) in packets.iter().enumerate() {
        assert!(lab.exchange(&client, packet).is_nothing(), "{index}");
    }
    assert_eq!(lab.servers[0].counters().malformed, packets.len() as u64);
    let mut response = allocate();
    response.0.set_type(MessageType::new(METHOD_ALLOCATE, CLASS_SUCCESS_RESPONSE));
    assert!(lab.exchange(&client, &response.0.raw).is_nothing());
    assert!(lab.sockets.is_empty());
    assert_eq!(code(&lab.exchange(&client, &whole).reply()), 0, "the whole one is fine");
}

#[test]
fn an_answer_to_a_stranger_is_short() {
    let mut lab = Lab::new();
    let client = stranger(&mut lab);
    let flood: Vec<_> = (0x1000..0x4000).map(AttrType).collect();
    let asked = |method| flood.iter().fold(Asked::request(method), |asked, kind| asked.raw(*kind, b""));
    for packet in [asked(METHOD_BINDING), asked(METHOD_ALLOCATE), allocate()] {
        let answer = lab.exchange(&client, &packet.0.raw).reply();
        assert!(answer.raw.len() <= 160, "{} bytes", answer.raw.len());
    }
}
