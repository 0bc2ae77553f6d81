//! ChannelBind (RFC 8656 section 12) and ChannelData.

use ::stun::attributes::*;
use ::turn::proto::channum::ChannelNumber;

use super::support::*;
use crate::turn::*;

const OTHER: &str = "198.51.100.8:1";

fn with_channel() -> (Lab, Client, std::net::SocketAddr) {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let relayed = lab.allocate(&client);
    assert_eq!(lab.code(&client, bind(0x4000, PEER)), 0);
    (lab, client, relayed)
}

#[test]
fn it_carries_both_ways_and_permits_the_whole_address() {
    let (mut lab, client, relayed) = with_channel();
    assert_eq!(lab.sends(&client, &channel_data(0x4000, b"up")), Some((at(PEER), b"up".into())));
    assert_eq!(lab.peer(PEER, relayed, b"down").unwrap(), b"\x40\x00\x00\x04down");
    let other_port = lab.peer("198.51.100.7:7001", relayed, b"down").unwrap();
    assert_eq!(data_indication(&other_port), (at("198.51.100.7:7001"), b"down".into()));
    assert!(lab.sends(&client, &send(PEER, b"x")).is_some(), "Send works beside it");
    assert_eq!(lab.peer(OTHER, relayed, b"x"), None);
}

#[test]
fn a_number_is_for_one_peer_and_a_peer_for_one_number() {
    let (mut lab, client, _) = with_channel();
    assert_eq!(lab.code(&client, bind(0x4000, OTHER)), 400);
    assert_eq!(lab.code(&client, bind(0x4001, PEER)), 400);
    assert_eq!(lab.code(&client, bind(0x4000, PEER)), 0, "again is a refresh");
    assert_eq!(lab.code(&client, bind(0x4001, "198.51.100.7:7001")), 0, "another port is another peer");
    assert_eq!(lab.sends(&client, &channel_data(0x4000, b"x")).unwrap().0, at(PEER));
    let ben = lab.client("ben", "192.0.2.2:5000");
    lab.allocate(&ben);
    assert_eq!(lab.code(&ben, bind(0x4000, OTHER)), 0, "numbers are each client's own");
}

#[test]
fn what_is_wrong_is_refused_and_binds_nothing() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let relayed = lab.allocate(&client);
    let request = || Asked::request(METHOD_CHANNEL_BIND);
    for (asked, expected) in [
        (request().peer(PEER), 400),
        (request().with(ChannelNumber(0x4000)), 400),
        (bind(0x4000, PEER).peer(OTHER), 400),
        (bind(0x3FFF, PEER), 400),
        (bind(0x8000, PEER), 400),
        (bind(0xFFFF, PEER), 400),
        (request().raw(ATTR_CHANNEL_NUMBER, &[0x40]).peer(PEER), 400),
        (bind(0x4000, "[2001:db8:9::1]:1"), 443),
        (bind(0x4000, "198.51.100.66:1"), 403),
        (bind(0x4000, "8.8.8.8:53"), 403),
        (bind(0x4000, PEER).raw(ATTR_CHANGE_REQUEST, &[]), 420),
    ] {
        assert_eq!(lab.code(&client, asked), expected);
    }
    assert!(lab.exchange(&client, &channel_data(0x4000, b"x")).is_nothing());
    assert_eq!(lab.peer(PEER, relayed, b"x"), None);
    assert_eq!((lab.code(&client, bind(0x4000, PEER)), lab.code(&client, bind(0x7FFF, OTHER))), (0, 0));
    assert_eq!(lab.sends(&client, &channel_data(0x7FFF, b"x")).unwrap().0, at(OTHER));
}

#[test]
fn it_lasts_ten_minutes_and_its_permission_five() {
    let (mut lab, client, relayed) = with_channel();
    assert_eq!(lab.code(&client, refresh(3600)), 0);
    lab.advance(PERMISSION_LIFETIME - NS);
    assert!(lab.sends(&client, &channel_data(0x4000, b"x")).is_some());
    assert!(lab.peer(PEER, relayed, b"x").is_some());
    lab.advance(NS);
    assert_eq!(lab.sends(&client, &channel_data(0x4000, b"x")), None, "the channel stands, its permission does not");
    assert_eq!(lab.peer(PEER, relayed, b"x"), None);
    assert_eq!(lab.code(&client, permit(&[PEER])), 0);
    assert_eq!(lab.peer(PEER, relayed, b"x").unwrap()[..2], [0x40, 0]);

    lab.advance(secs(300) - NS);
    assert_eq!(lab.code(&client, permit(&[PEER])), 0);
    assert_eq!(CHANNEL_LIFETIME, secs(600));
    assert!(lab.sends(&client, &channel_data(0x4000, b"x")).is_some());
    assert_eq!(lab.code(&client, bind(0x4000, OTHER)), 400, "still bound");
    lab.advance(NS);
    assert_eq!(lab.sends(&client, &channel_data(0x4000, b"x")), None);
    let indication = lab.peer(PEER, relayed, b"x").unwrap();
    assert_eq!(data_indication(&indication).0, at(PEER), "the permission carries what the channel did");
    assert_eq!(lab.code(&client, bind(0x4000, OTHER)), 0, "free for another");
    assert_eq!(lab.code(&client, bind(0x4001, PEER)), 0);
    assert_eq!(lab.sends(&client, &channel_data(0x4000, b"x")).unwrap().0, at(OTHER));
}

#[test]
fn binding_again_refreshes_the_channel_and_the_permission() {
    let (mut lab, client, relayed) = with_channel();
    assert_eq!(lab.code(&client, refresh(3600)), 0);
    for _ in 0..4 {
        lab.advance(secs(299));
        lab.expire();
        assert_eq!(lab.code(&client, bind(0x4000, PEER)), 0);
    }
    assert!(lab.sends(&client, &channel_data(0x4000, b"x")).is_some());
    assert_eq!(lab.peer(PEER, relayed, b"x").unwrap()[..2], [0x40, 0]);
}

#[test]
fn the_length_field_decides_what_is_data() {
    let (mut lab, client, _) = with_channel();
    let padded = [&channel_data(0x4000, b"abc")[..], b"\xEE"].concat();
    assert_eq!(lab.sends(&client, &padded).unwrap().1, b"abc", "padding is not forwarded");
    assert_eq!(lab.sends(&client, &channel_data(0x4000, b"")).unwrap().1, b"");
    let malformed = lab.servers[0].counters().malformed;
    for bad in [&b"\x40\x00\x00"[..], b"\x40\x00\x00\x04abc", b"\x80\x00\x00\x00", b"\x40"] {
        assert!(lab.exchange(&client, bad).is_nothing());
    }
    assert_eq!(lab.servers[0].counters().malformed, malformed + 4);
    assert!(lab.exchange(&client, &channel_data(0x4001, b"x")).is_nothing(), "an unbound number");
    let stranger = lab.client("ben", "192.0.2.9:5000");
    assert!(lab.exchange(&stranger, &channel_data(0x4000, b"x")).is_nothing());
}
