//! An allocation of both address families on one five-tuple: ADDITIONAL-ADDRESS-FAMILY (RFC 8656 section 7.2).

use std::net::SocketAddr;

use ::stun::attributes::{ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_XOR_RELAYED_ADDRESS};
use ::stun::xoraddr::XorMappedAddress;
use ::turn::proto::reqfamily::{REQUESTED_FAMILY_IPV4, REQUESTED_FAMILY_IPV6};

use super::support::*;
use crate::stun::{ADDITIONAL_ADDRESS_FAMILY, ADDRESS_ERROR_CODE};
use crate::turn::*;

const PEER_V6: &str = "[2001:db8:9::7]:7000";

fn both() -> Asked {
    allocate().raw(ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0])
}

fn all_relayed(answer: &Message) -> Vec<SocketAddr> {
    let values = answer.attributes.0.iter().filter(|attribute| attribute.typ == ATTR_XOR_RELAYED_ADDRESS);
    let read = |value: &[u8]| {
        let mut one = Asked::request(METHOD_BINDING);
        one.0.transaction_id = answer.transaction_id;
        let one = one.raw(ATTR_XOR_RELAYED_ADDRESS, value).0;
        let mut address = XorMappedAddress::default();
        address.get_from_as(&one, ATTR_XOR_RELAYED_ADDRESS).unwrap();
        SocketAddr::new(address.ip, address.port)
    };
    values.map(|attribute| read(&attribute.value)).collect()
}

/// A client with both, and its relayed addresses, IPv4 first.
fn dual(lab: &mut Lab) -> (Client, SocketAddr, SocketAddr) {
    let client = lab.client("anna", "192.0.2.1:5000");
    let answer = lab.ask(&client, both());
    assert!(code(&answer) == 0 && !answer.contains(ADDRESS_ERROR_CODE));
    let [v4, v6] = all_relayed(&answer)[..] else { panic!("{answer}") };
    assert!(v4.is_ipv4() && v6.is_ipv6());
    (client, v4, v6)
}

#[test]
fn both_families_are_relayed_each_by_its_own_address() {
    let mut lab = Lab::new();
    let (client, v4, v6) = dual(&mut lab);
    assert_eq!(lab.code(&client, permit(&[PEER, PEER_V6])), 0);
    for (peer, relayed) in [(PEER, v4), (PEER_V6, v6)] {
        assert_eq!(lab.sends(&client, &send(peer, b"out")), Some((at(peer), b"out".to_vec())));
        assert_eq!(data_indication(&lab.peer(peer, relayed, b"in").unwrap()), (at(peer), b"in".to_vec()));
    }
    assert_eq!(lab.peer(PEER, v6, b"x"), None, "no peer of one family comes in by the other's address");
    assert_eq!((lab.servers[0].len(), lab.shared.quota.allocations()), (2, 2));
}

#[test]
fn the_number_that_the_draft_had_is_understood_as_well() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let asked = allocate().raw(crate::stun::DRAFT_ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);
    assert_eq!(all_relayed(&lab.ask(&client, asked)).len(), 2);
}

#[test]
fn channels_of_both_share_their_numbers() {
    let mut lab = Lab::new();
    let (client, v4, v6) = dual(&mut lab);
    assert_eq!(lab.code(&client, bind(0x4000, PEER)), 0);
    assert_eq!(lab.code(&client, bind(0x4000, PEER_V6)), 400, "taken by the other family");
    assert_eq!(lab.code(&client, bind(0x4001, PEER_V6)), 0);
    assert_eq!(lab.code(&client, bind(0x4001, PEER)), 400);
    for (channel, peer, relayed) in [(0x4000, PEER, v4), (0x4001, PEER_V6, v6)] {
        assert_eq!(lab.sends(&client, &channel_data(channel, b"out")), Some((at(peer), b"out".to_vec())));
        assert_eq!(lab.peer(peer, relayed, b"in"), Some(channel_data(channel, b"in")));
    }
}

#[test]
fn a_refresh_is_for_both_or_for_the_one_it_names() {
    let mut lab = Lab::new();
    let (client, v4, v6) = dual(&mut lab);
    assert_eq!(lab.code(&client, permit(&[PEER, PEER_V6])), 0);
    assert_eq!(lab.code(&client, refresh(0).with(REQUESTED_FAMILY_IPV4)), 0);
    assert!(!lab.sockets.contains_key(&v4) && lab.sockets.contains_key(&v6));
    assert_eq!(lab.code(&client, permit(&[PEER])), 443);
    assert_eq!(lab.sends(&client, &send(PEER, b"x")), None);
    assert!(lab.sends(&client, &send(PEER_V6, b"x")).is_some());
    assert_eq!(lab.code(&client, refresh(600).with(REQUESTED_FAMILY_IPV4)), 443);
    assert_eq!(lab.code(&client, allocate()), 437, "there is one still");
    assert_eq!(lab.code(&client, refresh(0)), 0);
    assert!(lab.sockets.is_empty() && lab.servers[0].is_empty());
    assert_eq!(lab.shared.quota.allocations(), 0);
}

#[test]
fn each_lives_as_long_as_it_is_refreshed() {
    let mut lab = Lab::new();
    let (client, v4, v6) = dual(&mut lab);
    assert_eq!(lab.code(&client, refresh(1200).with(REQUESTED_FAMILY_IPV6)), 0);
    lab.advance(secs(600));
    assert_eq!(lab.code(&client, permit(&[PEER_V6])), 0, "even if the other is not swept out yet");
    assert_eq!(lab.code(&client, permit(&[PEER])), 443);
    lab.expire();
    assert!(!lab.sockets.contains_key(&v4) && lab.sockets.contains_key(&v6));
    assert!(lab.sends(&client, &send(PEER_V6, b"x")).is_some());
    lab.servers[0].disconnected(client.five_tuple);
    lab.close_sockets();
    assert_eq!((lab.sockets.len(), lab.shared.quota.allocations()), (0, 0));
}

#[test]
fn a_family_that_is_not_to_be_had_is_named_with_its_code() {
    for (interfaces, there, lacking, number) in
        [(vec!["192.168.1.5"], "192.168.1.5", 2, 40), (vec!["2001:db8::5"], "2001:db8::5", 1, 40)]
    {
        let mut lab = Lab::with(Setup { interfaces, ..Setup::default() });
        let client = lab.client("anna", "192.0.2.1:5000");
        let client = Client { five_tuple: FiveTuple { server: at("[::1]:3478"), ..client.five_tuple }, ..client };
        let asked = both();
        let answer = lab.ask(&client, asked.clone());
        let relayed = all_relayed(&answer);
        assert_eq!((code(&answer), relayed.len(), relayed[0].ip().to_string()), (0, 1, there.into()));
        let error = answer.get(ADDRESS_ERROR_CODE).unwrap();
        assert_eq!(error[..4], [lacking, 0, 4, number]);
        assert_eq!(&error[4..], b"Address Family not Supported");
        assert_eq!(lab.ask(&client, asked).get(ADDRESS_ERROR_CODE).unwrap(), error, "a retransmission is told so, too");
    }
    let mut lab = Lab::with(Setup { user: Limits { allocations: 1, ..MANY }, ..Setup::default() });
    let client = lab.client("anna", "192.0.2.1:5000");
    let answer = lab.ask(&client, both());
    assert_eq!((code(&answer), all_relayed(&answer).len()), (0, 1));
    assert_eq!(answer.get(ADDRESS_ERROR_CODE).unwrap()[..4], [2, 0, 5, 8]);
    let other = lab.client("anna", "192.0.2.1:5001");
    assert_eq!(lab.code(&other, both()), 486);
}

#[test]
fn what_does_not_go_together_is_400() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let asked = [
        both().with(REQUESTED_FAMILY_IPV6),
        both().raw(ATTR_REQUESTED_ADDRESS_FAMILY, &[1, 0, 0, 0]),
        allocate().raw(ADDITIONAL_ADDRESS_FAMILY, &[1, 0, 0, 0]),
        allocate().raw(ADDITIONAL_ADDRESS_FAMILY, &[2]),
    ];
    for asked in asked {
        assert_eq!(lab.code(&client, asked), 400);
    }
    assert!(lab.sockets.is_empty());
}

#[test]
fn permissions_of_both_families_are_given_together_or_not_at_all() {
    let mut lab = Lab::with(Setup { user: Limits { permissions: 2, ..MANY }, ..Setup::default() });
    let (client, v4, _) = dual(&mut lab);
    assert_eq!(lab.code(&client, permit(&[PEER, PEER_V6, "[2001:db8:9::8]:1"])), 508);
    assert_eq!(lab.peer(PEER, v4, b"x"), None, "nor that of the family that had room");
    assert_eq!(lab.code(&client, permit(&[PEER, PEER_V6])), 0);
    assert!(lab.peer(PEER, v4, b"x").is_some());
}

#[test]
fn a_member_who_leaves_loses_both() {
    let mut lab = Lab::new();
    let anna = lab.member(ANNA, "192.0.2.1:5000");
    assert_eq!(all_relayed(&lab.ask(&anna, both())).len(), 2);
    lab.revoke(ANNA);
    assert_eq!((lab.sockets.len(), lab.servers[0].len(), lab.shared.quota.allocations()), (0, 0, 0));
}
