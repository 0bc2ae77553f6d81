//! Application data: Send and Data (RFC 8656 section 11), ChannelData (section 12), on datagrams and on streams.

use ::stun::attributes::*;
use ::turn::proto::data::Data;
use ::turn::proto::reqfamily::*;

use super::support::*;
use crate::turn::*;

/// The most that a UDP datagram carries over IPv4.
const LARGEST: usize = 65_507;

fn pair(transport: Transport) -> (Lab, Client, std::net::SocketAddr) {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000").over(transport);
    let relayed = lab.allocate(&client);
    assert_eq!(lab.code(&client, permit(&[PEER])), 0);
    (lab, client, relayed)
}

#[test]
fn every_size_passes_both_ways_over_every_transport() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls] {
        let (mut lab, client, relayed) = pair(transport);
        for size in [0, 1, 2, 3, 4, 5, 1200, 1499, 1500, 1501, 1600, 9000, LARGEST] {
            let data: Vec<u8> = (0..size).map(|n| n as u8).collect();
            assert_eq!(lab.sends(&client, &send(PEER, &data)).unwrap(), (at(PEER), data.clone()), "{size}");
            let packet = lab.peer(PEER, relayed, &data).unwrap();
            assert_eq!(packet.len() % 4, 0);
            assert_eq!(data_indication(&packet), (at(PEER), data), "{size}");
        }
    }
}

#[test]
fn channel_data_is_padded_on_streams_and_only_there() {
    for (transport, padding) in [(Transport::Udp, 0), (Transport::Tcp, 3), (Transport::Tls, 3), (Transport::Dtls, 0)] {
        let (mut lab, client, relayed) = pair(transport);
        assert_eq!(lab.code(&client, bind(0x4001, PEER)), 0);
        let expected = [&b"\x40\x01\x00\x05hello"[..], &[0; 3][..padding]].concat();
        assert_eq!(lab.peer(PEER, relayed, b"hello").unwrap(), expected, "{transport:?}");
        assert_eq!(lab.peer(PEER, relayed, b"").unwrap(), b"\x40\x01\x00\x00");
        let sent = [channel_data(0x4001, b"hello"), vec![0; padding]].concat();
        assert_eq!(lab.sends(&client, &sent).unwrap().1, b"hello");
        for size in [1501, LARGEST] {
            let data = vec![7; size];
            assert_eq!(lab.sends(&client, &channel_data(0x4001, &data)).unwrap().1, data);
            assert_eq!(lab.peer(PEER, relayed, &data).unwrap()[4..4 + size], data);
        }
    }
}

#[test]
fn a_delivery_goes_to_the_five_tuple_of_its_client() {
    let (mut lab, client, relayed) = pair(Transport::Tls);
    let id = lab.id(relayed);
    let delivery = lab.servers[0].handle_peer(id, at(PEER), 1, lab.now.instant).unwrap();
    assert_eq!(delivery.to, client.five_tuple);
    let Outcome::Forward(forward) = lab.exchange(&client, &send(PEER, b"x")) else { panic!() };
    let Route::Peer { allocation, to } = forward.route else { panic!() };
    assert_eq!((allocation, to), (id, at(PEER)), "and a packet leaves from its own relay socket");
}

#[test]
fn ipv6_relays_to_ipv6_only() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "[2001:db8:1::1]:5000");
    let answer = lab.ask(&client, allocate().with(REQUESTED_FAMILY_IPV6));
    let (relayed, peer) = (relayed(&answer), "[2001:db8:9::1]:7000");
    assert_eq!(mapped(&answer), at("[2001:db8:1::1]:5000"));
    assert_eq!(lab.code(&client, permit(&[PEER])), 443);
    assert_eq!(lab.code(&client, permit(&["[2001:db8:8::1]:1"])), 403);
    assert_eq!(lab.code(&client, permit(&[peer])), 0);
    assert_eq!(lab.sends(&client, &send(peer, b"up")), Some((at(peer), b"up".into())));
    assert_eq!(lab.sends(&client, &send(PEER, b"up")), None);
    assert_eq!(data_indication(&lab.peer(peer, relayed, b"down").unwrap()), (at(peer), b"down".into()));
    assert_eq!(lab.code(&client, bind(0x4000, peer)), 0);
    assert_eq!(lab.peer(peer, relayed, b"x").unwrap(), b"\x40\x00\x00\x01x");
    assert_eq!(lab.sends(&client, &channel_data(0x4000, b"x")).unwrap().0, at(peer));
}

#[test]
fn a_send_that_is_wrong_is_dropped_without_a_word() {
    let (mut lab, client, _) = pair(Transport::Udp);
    let indication = || Asked::new(METHOD_SEND, CLASS_INDICATION);
    for bad in [
        indication().peer(PEER),
        indication().with(Data(b"x".into())),
        indication().raw(ATTR_XOR_PEER_ADDRESS, &[0, 1]).with(Data(b"x".into())),
        indication().peer(PEER).raw(ATTR_DONT_FRAGMENT, &[]).with(Data(b"x".into())),
        indication().peer("198.51.100.7:0").with(Data(b"x".into())),
        Asked::new(METHOD_DATA, CLASS_INDICATION).peer(PEER).with(Data(b"x".into())),
        Asked::new(METHOD_SEND, CLASS_SUCCESS_RESPONSE).peer(PEER).with(Data(b"x".into())),
        Asked::request(METHOD_SEND).peer(PEER).with(Data(b"x".into())),
    ] {
        assert!(lab.exchange(&client, &bad.0.raw).is_nothing());
    }
    assert_eq!(lab.servers[0].counters().packets_up, 0);
    assert!(lab.sends(&client, &send(PEER, b"x")).is_some());
    let optional = indication().peer(PEER).with(Data(b"x".into())).text(ATTR_SOFTWARE, "browser").fingerprint();
    assert!(lab.sends(&client, &optional.0.raw).is_some());
}

#[test]
fn what_stands_behind_the_integrity_of_a_send_is_not_sent() {
    let (mut lab, client, _) = pair(Transport::Udp);
    let asked = Asked::new(METHOD_SEND, CLASS_INDICATION).peer(PEER).with(client.key()).with(Data(b"x".into()));
    assert!(lab.exchange(&client, &asked.0.raw).is_nothing());
}

#[test]
fn packets_and_bytes_are_counted_when_they_pass() {
    let (mut lab, client, relayed) = pair(Transport::Udp);
    lab.sends(&client, &send(PEER, b"four"));
    lab.peer(PEER, relayed, b"three");
    lab.sends(&client, &send("198.51.100.9:1", b"dropped"));
    lab.sends(&client, &send("192.168.1.5:1", b"dropped"));
    let counters = lab.servers[0].counters();
    assert_eq!((counters.packets_up, counters.bytes_up), (1, 4));
    assert_eq!((counters.packets_down, counters.bytes_down, counters.not_permitted), (1, 5, 2));
}
