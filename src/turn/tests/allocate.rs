//! Allocate (RFC 8656 section 7).

use ::stun::attributes::*;
use ::stun::uattrs::UnknownAttributes;
use ::turn::proto::Protocol;
use ::turn::proto::reqfamily::*;
use ::turn::proto::reqtrans::RequestedTransport;

use super::support::*;
use crate::turn::*;

#[test]
fn success_says_the_relayed_address_the_lifetime_and_where_the_client_is() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let mut answer = lab.ask(&client, allocate());
    client.key().check(&mut answer).unwrap();
    let address = relayed(&answer);
    assert_eq!((code(&answer), lifetime(&answer), mapped(&answer)), (0, 600, at("192.0.2.1:5000")));
    assert_eq!(address.ip().to_string(), "192.168.1.5");
    assert!((50_000..=50_999).contains(&address.port()));
    assert!(lab.sockets.contains_key(&address));
    assert!(!answer.contains(ATTR_FINGERPRINT));
}

#[test]
fn a_fingerprint_is_answered_with_one() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let signed = allocate().named(&client).with(client.key()).fingerprint();
    for packet in [allocate().fingerprint().0.raw, signed.0.raw] {
        let answer = lab.exchange(&client, &packet).reply();
        ::stun::fingerprint::FINGERPRINT.check(&answer).unwrap();
    }
    assert_eq!(lab.sockets.len(), 1);
}

#[test]
fn unknown_required_attributes_are_420_and_all_listed() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let asked = allocate()
        .raw(AttrType(0x7E00), &[0; 8])
        .raw(AttrType(0x7E01), &[])
        .raw(AttrType(0x7F00), b"x")
        .raw(AttrType(0xC001), b"optional");
    let answer = lab.ask(&client, asked);
    let mut list = UnknownAttributes(Vec::new());
    list.get_from(&answer).unwrap();
    assert_eq!(code(&answer), 420);
    assert_eq!(list.0, [AttrType(0x7E00), AttrType(0x7E01), AttrType(0x7F00)]);
    assert!(answer.contains(ATTR_MESSAGE_INTEGRITY) && lab.sockets.is_empty());
    assert_eq!(lab.code(&client, allocate().raw(AttrType(0xC001), b"optional")), 0);
}

#[test]
fn another_allocate_is_437_and_a_retransmission_is_answered_again() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let asked = allocate().lifetime(1200);
    let first = lab.ask(&client, asked.clone());
    lab.advance(secs(3));
    let again = lab.ask(&client, asked.clone());
    assert_eq!((code(&again), relayed(&again), mapped(&again)), (0, relayed(&first), mapped(&first)));
    assert_eq!((lifetime(&first), lifetime(&again)), (1200, 1197), "what is left of the first");
    assert_eq!(lab.code(&client, allocate()), 437);
    let ben = lab.client("ben", "192.0.2.1:5000");
    assert_eq!(lab.code(&ben, allocate()), 437, "whoever asks");
    assert_eq!(lab.code(&ben, asked), 437, "another user's request is no retransmission");
    assert_eq!((lab.sockets.len(), lab.shared.quota.allocations()), (1, 1));
}

#[test]
fn a_retransmission_right_away_is_answered_with_the_same_bytes() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let packet = allocate().sign(&client);
    let first = lab.exchange(&client, &packet).reply();
    assert_eq!(lab.exchange(&client, &packet).reply().raw, first.raw);
}

#[test]
fn a_five_tuple_is_three_things() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    lab.allocate(&client);
    lab.allocate(&client.clone().over(Transport::Tcp));
    lab.allocate(&client.clone().over(Transport::Tls));
    let five_tuple = FiveTuple { server: at("10.0.0.5:3478"), ..client.five_tuple };
    lab.allocate(&Client { five_tuple, ..client.clone() });
    let mapped = FiveTuple::new(at("[::ffff:192.0.2.1]:5000"), at("[::ffff:192.168.1.5]:3478"), Transport::Udp);
    assert_eq!(lab.code(&Client { five_tuple: mapped, ..client.clone() }, allocate()), 437, "the same, mapped");
    assert_eq!(lab.sockets.len(), 4);
    lab.servers[0].disconnected(client.over(Transport::Tcp).five_tuple);
    lab.close_sockets();
    assert_eq!((lab.sockets.len(), lab.shared.quota.allocations()), (3, 3));
}

#[test]
fn the_relay_transport_is_one_that_is_known() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let transport = |protocol| RequestedTransport { protocol: Protocol(protocol) };
    let asked = || Asked::request(METHOD_ALLOCATE);
    assert_eq!(lab.code(&client, asked()), 400, "required");
    assert_eq!(lab.code(&client, asked().raw(ATTR_REQUESTED_TRANSPORT, &[17])), 400, "cut short");
    assert_eq!(lab.code(&client, asked().with(transport(6))), 400, "for TCP a client comes by TCP");
    assert_eq!(lab.code(&client, asked().with(transport(132))), 442);
    assert_eq!(lab.code(&client, allocate().raw(ATTR_LIFETIME, &[1, 2])), 400);
    assert_eq!(lab.code(&client.clone().over(Transport::Tcp), asked().with(transport(132))), 442);
    assert!(lab.sockets.is_empty());
}

#[test]
fn an_even_port_is_even() {
    let mut lab = Lab::with(Setup { ports: 50_000..=50_019, ..Setup::default() });
    let clients: Vec<_> = (1..=11).map(|port| lab.client("anna", &format!("192.0.2.1:{port}"))).collect();
    assert_eq!(lab.code(&clients[0], allocate().raw(ATTR_EVEN_PORT, &[0, 0])), 400);
    for client in &clients[..10] {
        let answer = lab.ask(client, allocate().raw(ATTR_EVEN_PORT, &[0]));
        assert_eq!((code(&answer), relayed(&answer).port() % 2), (0, 0));
    }
    assert_eq!(lab.code(&clients[10], allocate().raw(ATTR_EVEN_PORT, &[0])), 508, "all the even ones are taken");
    assert_eq!(lab.allocate(&clients[10]).port() % 2, 1);
}

#[test]
fn the_address_family_is_the_one_asked_for_or_440() {
    let mut lab = Lab::new();
    let mut client = |port: u16| lab.client("anna", &format!("192.0.2.1:{port}"));
    let (a, b, c) = (client(1), client(2), client(3));
    assert!(relayed(&lab.ask(&a, allocate().with(REQUESTED_FAMILY_IPV4))).is_ipv4());
    let v6 = relayed(&lab.ask(&b, allocate().with(REQUESTED_FAMILY_IPV6)));
    assert_eq!(v6.ip().to_string(), "2001:db8::5");
    assert_eq!(lab.code(&c, allocate().raw(ATTR_REQUESTED_ADDRESS_FAMILY, &[3, 0, 0, 0])), 440);
    assert!(relayed(&lab.ask(&c, allocate())).is_ipv4(), "IPv4 unless asked otherwise");

    let mut lab = Lab::with(Setup { interfaces: vec!["192.168.1.5"], ..Setup::default() });
    let client = lab.client("anna", "192.0.2.1:5000");
    assert_eq!(lab.code(&client, allocate().with(REQUESTED_FAMILY_IPV6)), 440);
}

#[test]
fn the_lifetime_is_between_ten_minutes_and_an_hour() {
    let mut lab = Lab::new();
    for (port, (asked, granted)) in
        [(0, 600), (1, 600), (599, 600), (601, 601), (3600, 3600), (3601, 3600), (4_294_967_295, 3600)]
            .into_iter()
            .enumerate()
    {
        let client = lab.client("anna", &format!("192.0.2.1:{}", 5000 + port));
        assert_eq!(lifetime(&lab.ask(&client, allocate().lifetime(asked))), granted);
        lab.advance(secs(granted) - NS);
        assert_eq!(lab.code(&client, allocate()), 437);
        lab.advance(NS);
        let client = lab.client("anna", &client.five_tuple.client.to_string());
        assert_eq!(lab.code(&client, refresh(600)), 437, "{asked}");
    }
}

#[test]
fn a_port_that_cannot_be_bound_is_508_and_costs_nothing() {
    let mut lab = Lab::with(Setup { ports: 50_000..=50_001, ..Setup::default() });
    let clients: Vec<_> = (1..=3).map(|n| lab.client("anna", &format!("192.0.2.1:{n}"))).collect();
    let (first, second) = (lab.allocate(&clients[0]), lab.allocate(&clients[1]));
    assert_ne!(first, second);
    let answer = lab.ask(&clients[2], allocate());
    assert!(answer.contains(ATTR_MESSAGE_INTEGRITY));
    assert_eq!((code(&answer), lab.shared.quota.allocations(), lab.servers[0].len()), (508, 2, 2));
    assert_eq!(lab.code(&clients[0], refresh(0)), 0);
    assert_eq!(lab.allocate(&clients[2]), first, "the only free one");
}

#[test]
fn an_expired_allocation_that_nobody_swept_makes_way_for_a_new_one() {
    let one = Limits { allocations: 1, ..MANY };
    let mut lab = Lab::with(Setup { user: one, ..Setup::default() });
    let client = lab.client("anna", "192.0.2.1:5000");
    let old = lab.allocate(&client);
    lab.advance(secs(600));
    let new = lab.allocate(&client);
    assert_eq!((lab.servers[0].len(), lab.sockets.contains_key(&old)), (1, old == new));
    lab.expire();
    assert_eq!(lab.code(&client, refresh(600)), 0, "the end of the old one does not touch the new one");
    assert_eq!(lab.code(&client, permit(&[PEER])), 0);
    assert!(lab.sends(&client, &send(PEER, b"x")).is_some());
}

#[test]
fn peers_see_the_outer_address_of_a_nat() {
    let mut lab = Lab::with(Setup { external: Some(("192.168.1.5", "203.0.113.7")), ..Setup::default() });
    let client = lab.client("anna", "192.0.2.1:5000");
    let address = lab.allocate(&client);
    assert_eq!(address.ip().to_string(), "203.0.113.7");
    assert!(lab.sockets.contains_key(&at(&format!("192.168.1.5:{}", address.port()))));
}

#[test]
fn ports_that_a_router_lets_in_are_taken_first() {
    let mut lab = Lab::with(Setup { open_ports: Some(50_000..=50_003), ..Setup::default() });
    let mut taken: Vec<u16> = (0..6)
        .map(|number| {
            let client = lab.client("anna", &format!("192.0.2.1:{}", 5000 + number));
            lab.allocate(&client).port()
        })
        .collect();
    taken[..4].sort_unstable();
    assert_eq!(taken[..4], [50_000, 50_001, 50_002, 50_003]);
    assert!(taken[4..].iter().all(|port| (50_004..=50_999).contains(port)), "then any other: {taken:?}");
}
