//! CreatePermission (RFC 8656 section 9).

use ::stun::attributes::*;

use super::support::*;
use crate::turn::*;

const OTHER: &str = "198.51.100.8:1";
const DENIED: &str = "198.51.100.66:1";

fn with_allocation() -> (Lab, Client, std::net::SocketAddr) {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let relayed = lab.allocate(&client);
    (lab, client, relayed)
}

#[test]
fn it_opens_every_port_of_each_address_both_ways() {
    let (mut lab, client, relayed) = with_allocation();
    assert_eq!(lab.sends(&client, &send(PEER, b"early")), None);
    assert_eq!(lab.peer(PEER, relayed, b"early"), None);
    assert_eq!(lab.code(&client, permit(&[PEER, "198.51.100.8:0", PEER])), 0);
    for peer in [PEER, OTHER, "198.51.100.7:1", "198.51.100.8:65535"] {
        assert_eq!(lab.sends(&client, &send(peer, b"up")), Some((at(peer), b"up".into())));
        assert_eq!(data_indication(&lab.peer(peer, relayed, b"down").unwrap()), (at(peer), b"down".into()));
    }
    assert_eq!(lab.sends(&client, &send("198.51.100.9:7000", b"x")), None);
    assert_eq!(lab.peer("198.51.100.9:7000", relayed, b"x"), None);
    assert_eq!(lab.servers[0].counters().not_permitted, 4);
}

#[test]
fn it_is_all_of_the_addresses_or_none() {
    let (mut lab, client, relayed) = with_allocation();
    for (peers, expected) in [
        (&[PEER, DENIED][..], 403),
        (&[DENIED, PEER], 403),
        (&[PEER, "8.8.8.8:53"], 403),
        (&[PEER, "127.0.0.2:80"], 403),
        (&[PEER, "169.254.169.254:80"], 403),
        (&[PEER, "[2001:db8:9::1]:1"], 443),
        (&[PEER, "[::ffff:169.254.169.254]:80"], 403),
        (&[], 400),
    ] {
        assert_eq!(lab.code(&client, permit(peers)), expected, "{peers:?}");
    }
    assert_eq!(lab.code(&client, permit(&[PEER]).raw(ATTR_XOR_PEER_ADDRESS, &[0, 1, 2])), 400);
    assert_eq!(lab.code(&client, permit(&[PEER]).raw(ATTR_CHANGE_REQUEST, &[])), 420);
    assert_eq!(lab.sends(&client, &send(PEER, b"x")), None);
    assert_eq!(lab.peer(PEER, relayed, b"x"), None);
}

#[test]
fn it_lasts_five_minutes_to_the_nanosecond_both_ways() {
    let (mut lab, client, relayed) = with_allocation();
    assert_eq!(lab.code(&client, permit(&[PEER])), 0);
    lab.advance(PERMISSION_LIFETIME - NS);
    // Traffic does not refresh it (RFC 8656 section 9).
    assert!(lab.sends(&client, &send(PEER, b"x")).is_some() && lab.peer(PEER, relayed, b"x").is_some());
    lab.advance(NS);
    assert_eq!((PERMISSION_LIFETIME, lab.sends(&client, &send(PEER, b"x"))), (secs(300), None));
    assert_eq!(lab.peer(PEER, relayed, b"x"), None);
}

#[test]
fn asking_again_makes_it_last_from_then() {
    let (mut lab, client, relayed) = with_allocation();
    assert_eq!(lab.code(&client, permit(&[PEER, OTHER])), 0);
    lab.advance(secs(200));
    assert_eq!(lab.code(&client, permit(&[PEER])), 0);
    lab.advance(secs(300) - NS);
    lab.expire();
    assert!(lab.peer(PEER, relayed, b"x").is_some());
    assert_eq!(lab.peer(OTHER, relayed, b"x"), None, "the other one was not asked for again");
    lab.advance(NS);
    assert_eq!(lab.peer(PEER, relayed, b"x"), None);
}

#[test]
fn a_mapped_address_is_the_address_inside_it() {
    let (mut lab, client, relayed) = with_allocation();
    assert_eq!(lab.code(&client, permit(&["[::ffff:198.51.100.7]:1"])), 0);
    assert!(lab.peer(PEER, relayed, b"x").is_some());
    assert_eq!(lab.sends(&client, &send("[::ffff:198.51.100.7]:7", b"x")).unwrap().0, at("198.51.100.7:7"));
}

#[test]
fn it_ends_with_the_allocation() {
    let (mut lab, client, relayed) = with_allocation();
    lab.advance(secs(599));
    assert_eq!(lab.code(&client, permit(&[PEER])), 0);
    lab.advance(secs(1) - NS);
    assert!(lab.peer(PEER, relayed, b"x").is_some() && lab.sends(&client, &send(PEER, b"x")).is_some());
    lab.advance(NS);
    assert_eq!((lab.peer(PEER, relayed, b"x"), lab.sends(&client, &send(PEER, b"x"))), (None, None));
    assert_eq!(lab.code(&client, permit(&[PEER])), 437);
}

#[test]
fn a_room_member_reaches_where_members_of_the_room_are_and_no_one_else() {
    let mut lab = Lab::new();
    let anna = lab.member(ANNA, "192.0.2.1:5000");
    lab.member(BEN, "10.0.0.7:6000");
    lab.member(EVE, "10.0.0.8:6000");
    lab.rooms.saw(BEN, at("198.51.100.66:1").ip());
    let relayed = lab.allocate(&anna);
    assert_eq!(lab.code(&anna, permit(&["10.0.0.7:1"])), 0);
    for refused in ["10.0.0.8:1", PEER, "198.51.100.66:1", "127.0.0.2:1"] {
        assert_eq!(lab.code(&anna, permit(&[refused])), 403, "{refused}");
        assert_eq!(lab.code(&anna, bind(0x4000, refused)), 403, "{refused}");
    }
    assert!(lab.peer("10.0.0.7:9", relayed, b"x").is_some());
    assert_eq!(lab.servers[0].counters().peers_denied, 8);
}
