//! DONT-FRAGMENT (RFC 8656 sections 7.2, 11.2, 13 and 14).

use ::stun::attributes::{ATTR_DATA, ATTR_DONT_FRAGMENT};

use super::support::*;
use crate::turn::*;

const PEER_V6: &str = "[2001:db8:9::1]:7000";

/// A Send indication with DONT-FRAGMENT, in any place.
fn whole(peer: &str, first: bool) -> Vec<u8> {
    let mut asked = Asked::new(METHOD_SEND, CLASS_INDICATION);
    if first {
        asked = asked.raw(ATTR_DONT_FRAGMENT, b"");
    }
    asked = asked.peer(peer).raw(ATTR_DATA, b"whole");
    if !first {
        asked = asked.raw(ATTR_DONT_FRAGMENT, b"");
    }
    asked.0.raw
}

/// Whether what it sends to the peer must not be fragmented.
fn leaves_whole(lab: &mut Lab, client: &Client, packet: &[u8]) -> bool {
    let Outcome::Forward(forward) = lab.exchange(client, packet) else { panic!("dropped") };
    let Route::Peer { dont_fragment, .. } = forward.route else { panic!("{forward:?}") };
    dont_fragment
}

#[test]
fn an_allocate_may_ask_whether_it_is_known() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    assert_eq!(lab.code(&client, allocate().raw(ATTR_DONT_FRAGMENT, b"")), 0);
}

#[test]
fn only_what_is_sent_with_it_leaves_whole() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let mut lab = Lab::new();
        let client = lab.client("anna", "192.0.2.1:5000").over(transport);
        lab.allocate(&client);
        assert_eq!(lab.code(&client, bind(0x4001, PEER)), 0);
        assert!(leaves_whole(&mut lab, &client, &whole(PEER, true)));
        assert!(leaves_whole(&mut lab, &client, &whole(PEER, false)));
        assert!(!leaves_whole(&mut lab, &client, &send(PEER, b"any")));
        assert!(!leaves_whole(&mut lab, &client, &channel_data(0x4001, b"any")));
    }
}

#[test]
fn between_ip_versions_and_on_ipv6_it_is_ignored_where_datagrams_came_in() {
    for (from, peer, transport, heeded) in [
        ("192.0.2.1:5000", PEER_V6, Transport::Udp, false),
        ("[2001:db8:1::1]:5000", PEER, Transport::Udp, false),
        ("[2001:db8:1::1]:5000", PEER_V6, Transport::Udp, false),
        ("[2001:db8:1::1]:5000", PEER_V6, Transport::Tcp, true),
        ("[2001:db8:1::1]:5000", PEER, Transport::Tls, true),
    ] {
        let mut lab = Lab::new();
        let client = lab.client("anna", from).over(transport);
        let family = if peer == PEER { [1, 0, 0, 0] } else { [2, 0, 0, 0] };
        let asked = allocate().raw(AttrType(0x0017), &family);
        assert_eq!(lab.code(&client, asked), 0);
        assert_eq!(lab.code(&client, permit(&[peer])), 0);
        assert_eq!(leaves_whole(&mut lab, &client, &whole(peer, true)), heeded, "{from} {peer} {transport:?}");
    }
}

#[test]
fn what_is_not_understood_drops_a_send_wherever_it_stands() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    lab.allocate(&client);
    assert_eq!(lab.code(&client, permit(&[PEER])), 0);
    let send = || Asked::new(METHOD_SEND, CLASS_INDICATION);
    let odd = AttrType(0x7777);
    for asked in [
        send().raw(odd, b"").peer(PEER).raw(ATTR_DATA, b"x"),
        send().peer(PEER).raw(ATTR_DATA, b"x").raw(odd, b""),
        send().peer(PEER),
        send().raw(ATTR_DATA, b"x"),
    ] {
        let before = lab.servers[0].counters().malformed;
        assert!(lab.exchange(&client, &asked.0.raw).is_nothing());
        assert_eq!(lab.servers[0].counters().malformed, before + 1);
    }
    let twice = send().peer(PEER).raw(ATTR_DATA, b"first").peer("198.51.100.8:1").raw(ATTR_DATA, b"second");
    assert_eq!(lab.sends(&client, &twice.raw(AttrType(0xC777), b"").0.raw), Some((at(PEER), b"first".into())));
}
