//! ICMP errors for datagrams to peers (RFC 8656 section 11.5).

use std::net::SocketAddr;

use super::support::*;
use crate::stun::Icmp;
use crate::turn::*;

const CLOSED: (bool, u8, u8, u32) = (false, 3, 3, 0);

/// An error for a datagram from a relayed address to a peer: who is told, and what.
fn error(
    lab: &mut Lab,
    relayed: SocketAddr,
    peer: &str,
    (is_v6, kind, code, mtu): (bool, u8, u8, u32),
) -> Option<Told> {
    let (shard, id) = lab.sockets[&relayed];
    let mut reply = b"before".to_vec();
    let icmp = Icmp::new(is_v6, kind, code, mtu).unwrap();
    let to = lab.servers[shard].handle_icmp(id, at(peer), icmp, lab.now.instant, &mut reply);
    assert_eq!(to.is_some(), reply.len() > 6);
    let message = read(reply.get(6..).filter(|told| !told.is_empty())?);
    let mut peer = ::turn::proto::peeraddr::PeerAddress::default();
    peer.get_from(&message).unwrap();
    Some((to?, SocketAddr::new(peer.ip, peer.port), message.get(AttrType(0x8004)).unwrap()))
}

type Told = (FiveTuple, SocketAddr, Vec<u8>);

fn permitted() -> (Lab, Client, SocketAddr) {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let relayed = lab.allocate(&client);
    assert_eq!(lab.code(&client, permit(&[PEER])), 0);
    (lab, client, relayed)
}

#[test]
fn the_client_is_told_of_a_permitted_peer_whatever_its_port() {
    let (mut lab, client, relayed) = permitted();
    for peer in [PEER, "198.51.100.7:1"] {
        let told = error(&mut lab, relayed, peer, CLOSED).unwrap();
        assert_eq!(told, (client.five_tuple, at(peer), vec![0, 0, 6, 3, 0, 0, 0, 0]));
    }
    let told = error(&mut lab, relayed, PEER, (false, 3, 4, 1400)).unwrap();
    assert_eq!(told.2, [0, 0, 6, 4, 0, 0, 5, 120]);
    assert_eq!(lab.servers[0].counters().icmp_told, 3);
}

#[test]
fn nobody_is_told_without_a_permission_nor_after_it() {
    let (mut lab, _, relayed) = permitted();
    assert_eq!(error(&mut lab, relayed, "198.51.100.8:7000", CLOSED), None);
    assert_eq!(error(&mut lab, relayed, "192.168.1.5:7000", CLOSED), None, "nothing is sent there");
    lab.advance(PERMISSION_LIFETIME - NS);
    assert!(error(&mut lab, relayed, PEER, CLOSED).is_some());
    lab.advance(NS);
    assert_eq!(error(&mut lab, relayed, PEER, CLOSED), None);
    assert_eq!((lab.servers[0].counters().icmp_told, lab.servers[0].counters().icmp_dropped), (1, 3));
}

#[test]
fn errors_that_are_made_up_are_told_twenty_a_second() {
    let (mut lab, _, relayed) = permitted();
    let told = |lab: &mut Lab| (0..100).filter(|_| error(lab, relayed, PEER, CLOSED).is_some()).count();
    assert_eq!(told(&mut lab), 20);
    lab.advance(secs(1));
    assert_eq!(told(&mut lab), 20);
}

#[test]
fn what_a_client_is_told_counts_for_its_bandwidth() {
    let mut lab = Lab::with(Setup { user: Limits { bandwidth: 1, ..MANY }, ..Setup::default() });
    let client = lab.client("anna", "192.0.2.1:5000");
    let relayed = lab.allocate(&client);
    assert_eq!(lab.code(&client, permit(&[PEER])), 0);
    let told = (0..20).filter(|_| error(&mut lab, relayed, PEER, CLOSED).is_some()).count();
    assert!((1..20).contains(&told), "{told} of 44 bytes");
}
