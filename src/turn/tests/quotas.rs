//! Quotas: 486 and 508, and everything given back.

use std::net::SocketAddr;

use ::stun::addr::MappedAddress;
use ::stun::attributes::{ATTR_ALTERNATE_DOMAIN, ATTR_ALTERNATE_SERVER};

use std::time::Duration;

use super::support::*;
use crate::turn::*;

const USER: Limits = Limits { allocations: 2, ..MANY };

#[test]
fn a_user_has_so_many_allocations_then_486() {
    let mut lab = Lab::with(Setup { user: USER, shards: 2, ..Setup::default() });
    let anna: Vec<_> = (1..=3).map(|n| lab.client("anna", &format!("192.0.2.{n}:1"))).collect();
    lab.allocate(&anna[0]);
    lab.allocate(&anna[1].clone().on_shard(1));
    let answer = lab.ask(&anna[2], allocate());
    assert_eq!((code(&answer), lab.sockets.len()), (486, 2), "the shards count together");
    assert!(answer.contains(ATTR_MESSAGE_INTEGRITY));
    let ben = lab.client("ben", "192.0.2.4:1");
    lab.allocate(&ben);
    assert_eq!(lab.code(&anna[0], refresh(0)), 0);
    assert_eq!(lab.code(&anna[2], allocate()), 0);
}

#[test]
fn a_prefix_has_so_many_then_486_and_the_box_so_many_then_508() {
    let (prefix, total) = (Limits { allocations: 2, ..MANY }, Limits { allocations: 3, ..MANY });
    let mut lab = Lab::with(Setup { prefix, total, ..Setup::default() });
    let mut of = |user: &str, address: &str| {
        let client = lab.client(user, address);
        lab.code(&client, allocate())
    };
    assert_eq!((of("anna", "[2001:db8:1::1]:1"), of("ben", "[2001:db8:1::2]:1")), (0, 0));
    assert_eq!(of("carl", "[2001:db8:1:0:ffff::]:1"), 486, "one /64 is one source");
    assert_eq!((of("carl", "[2001:db8:1:1::1]:1"), of("dora", "192.0.2.1:1")), (0, 508));
}

#[test]
fn permissions_run_out_with_508_for_all_of_a_request_and_come_back_as_they_expire() {
    let user = Limits { permissions: 3, ..MANY };
    let mut lab = Lab::with(Setup { user, ..Setup::default() });
    let client = lab.client("anna", "192.0.2.1:1");
    let relayed = lab.allocate(&client);
    assert_eq!(lab.code(&client, permit(&["198.51.100.1:1", "198.51.100.2:1", "198.51.100.1:9"])), 0);
    assert_eq!(lab.code(&client, permit(&["198.51.100.3:1", "198.51.100.4:1"])), 508);
    assert_eq!(lab.peer("198.51.100.3:1", relayed, b"x"), None, "none of them");
    assert_eq!(lab.code(&client, permit(&["198.51.100.1:1", "198.51.100.2:1"])), 0, "a refresh takes none");
    lab.advance(secs(1));
    assert_eq!(lab.code(&client, permit(&["198.51.100.3:1"])), 0);
    assert_eq!(lab.code(&client, bind(0x4000, "198.51.100.4:1")), 508, "a channel needs a permission");
    assert!(lab.exchange(&client, &channel_data(0x4000, b"x")).is_nothing());
    lab.advance(secs(299));
    assert_eq!(lab.code(&client, permit(&["198.51.100.4:1", "198.51.100.5:1"])), 0, "exactly when two have expired");
    assert_eq!(lab.code(&client, permit(&["198.51.100.6:1"])), 508);
}

#[test]
fn a_client_that_refreshes_often_cannot_keep_what_has_expired() {
    let total = Limits { permissions: 1, ..MANY };
    let mut lab = Lab::with(Setup { total, ..Setup::default() });
    let (anna, ben) = (lab.client("anna", "192.0.2.1:1"), lab.client("ben", "192.0.2.2:1"));
    lab.allocate(&anna);
    lab.allocate(&ben);
    assert_eq!(lab.code(&anna, permit(&[PEER])), 0);
    assert_eq!(lab.code(&ben, permit(&[PEER])), 508);
    for _ in 0..12 {
        lab.advance(secs(30));
        lab.expire();
        assert_eq!(lab.code(&anna, refresh(600)), 0);
    }
    assert_eq!(lab.code(&ben, permit(&[PEER])), 0, "at most a minute after it has expired");
}

#[test]
fn channels_run_out_with_508_and_come_back_as_they_expire() {
    let user = Limits { channels: 1, ..MANY };
    let mut lab = Lab::with(Setup { user, ..Setup::default() });
    let client = lab.client("anna", "192.0.2.1:1");
    assert_eq!(lifetime(&lab.ask(&client, allocate().lifetime(3600))), 3600);
    assert_eq!(lab.code(&client, bind(0x4000, "198.51.100.1:1")), 0);
    assert_eq!(lab.code(&client, bind(0x4001, "198.51.100.2:1")), 508);
    assert!(lab.exchange(&client, &send("198.51.100.2:1", b"x")).is_nothing(), "nor its permission");
    assert_eq!(lab.code(&client, bind(0x4000, "198.51.100.1:1")), 0, "a refresh takes none");
    lab.advance(secs(600) - NS);
    assert_eq!(lab.code(&client, bind(0x4001, "198.51.100.2:1")), 508);
    lab.advance(NS);
    assert_eq!(lab.code(&client, bind(0x4001, "198.51.100.2:1")), 0);
}

#[test]
fn all_of_it_is_returned_however_an_allocation_ends() {
    let limits = Limits { allocations: 2, permissions: 2, channels: 1, bandwidth: 0 };
    let mut lab = Lab::with(Setup { user: limits, prefix: limits, total: limits, ..Setup::default() });
    for end in 0..5 {
        let client = lab.member(ANNA, "192.0.2.1:1");
        lab.rooms.saw(ANNA, at(PEER).ip());
        let address = lab.allocate(&client);
        assert_eq!(lab.code(&client, bind(0x4000, PEER)), 0, "{end}");
        assert_eq!(lab.code(&client, permit(&["192.0.2.1:1"])), 0, "{end}");
        assert_eq!(lab.code(&client, permit(&["192.168.1.5:1"])), 508, "{end}");
        assert_eq!(lab.shared.quota.allocations(), 1);
        match end {
            0 => assert_eq!(lab.code(&client, refresh(0)), 0),
            1 => lab.servers[0].disconnected(client.five_tuple),
            2 => lab.revoke(ANNA),
            3 => lab.advance(secs(600)),
            _ => lab.advance(secs(86_400)),
        }
        lab.expire();
        assert_eq!((lab.shared.quota.allocations(), lab.servers[0].len(), lab.sockets.len()), (0, 0, 0), "{end}");
        assert!(lab.shared.relayed.get(address).is_none());
        assert_eq!(lab.servers[0].next_expiry(), None);
    }
}

#[test]
fn bandwidth_drops_what_is_over_each_way() {
    let user = Limits { bandwidth: 800, ..MANY };
    let mut lab = Lab::with(Setup { user, ..Setup::default() });
    let client = lab.client("anna", "192.0.2.1:1");
    let relayed = lab.allocate(&client);
    assert_eq!(lab.code(&client, permit(&[PEER])), 0);
    let (packet, mut up, mut down) = (send(PEER, &[0; 1000]), 0, 0);
    // 100 packets of 1,000 bytes a second are allowed, 400 are offered, for two seconds.
    for _ in 0..800 {
        lab.advance(std::time::Duration::from_micros(2500));
        up += u32::from(lab.sends(&client, &packet).is_some());
        down += u32::from(lab.peer(PEER, relayed, &[0; 1000]).is_some());
    }
    assert!((200..=230).contains(&up) && (200..=230).contains(&down), "{up} {down}");
    assert_eq!(lab.servers[0].counters().over_bandwidth, u64::from(1600 - up - down));
}

#[test]
fn while_the_box_is_full_clients_are_sent_to_another_of_their_family() {
    let alternate = vec![at("203.0.113.9:3478"), at("[2001:db8::9]:3478")];
    let one = Limits { allocations: 1, ..MANY };
    let mut lab = Lab::with(Setup { total: one, alternate: alternate.clone(), ..Setup::default() });
    let first = lab.client("anna", "192.0.2.1:5000");
    lab.allocate(&first);
    for (from, to) in [("192.0.2.2:5000", alternate[0]), ("[2001:db8:7::1]:5000", alternate[1])] {
        let client = lab.client("ben", from);
        let answer = lab.ask(&client, allocate());
        let mut server = MappedAddress::default();
        server.get_from_as(&answer, ATTR_ALTERNATE_SERVER).unwrap();
        assert_eq!((code(&answer), SocketAddr::new(server.ip, server.port)), (300, to));
        assert_eq!(answer.get(ATTR_ALTERNATE_DOMAIN).unwrap(), b"turn2.example.org");
        assert!(answer.contains(ATTR_MESSAGE_INTEGRITY), "whoever is sent away knows by whom");
    }
    assert_eq!(lab.code(&first, refresh(0)), 0);
    let ben = lab.client("ben", "192.0.2.2:5001");
    lab.allocate(&ben);
    let mut ports = Lab::with(Setup { ports: 50_000..=50_000, alternate, ..Setup::default() });
    let clients = [1, 2].map(|port| ports.client("anna", &format!("192.0.2.1:{port}")));
    ports.allocate(&clients[0]);
    let answer = ports.ask(&clients[1], allocate());
    assert!(code(&answer) == 300 && answer.contains(ATTR_ALTERNATE_SERVER), "when the ports run out, too");
    let mut own = Lab::with(Setup { user: one, alternate: vec![at("203.0.113.9:3478")], ..Setup::default() });
    let clients = [1, 2].map(|port| own.client("anna", &format!("192.0.2.1:{port}")));
    own.allocate(&clients[0]);
    assert_eq!(own.code(&clients[1], allocate()), 486, "a user's own limit is the same there");
}

#[test]
fn a_port_that_was_just_closed_is_not_the_next_ones() {
    let mut lab = Lab::with(Setup { ports: 50_000..=50_019, ..Setup::default() });
    let mut last = None;
    for round in 0..19 {
        let client = lab.client("anna", &format!("192.0.2.1:{}", 5000 + round));
        let relayed = lab.allocate(&client);
        assert_ne!(Some(relayed), last);
        assert_eq!(lab.code(&client, refresh(0)), 0);
        last = Some(relayed);
    }
    let clients: Vec<_> = (0..20).map(|n| lab.client("ben", &format!("192.0.2.2:{}", 5000 + n))).collect();
    clients.iter().for_each(|client| {
        lab.allocate(client);
    });
}

#[test]
fn refusals_are_counted_with_the_rule_that_refused() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    lab.allocate(&client);
    for peer in ["198.51.100.66:1", "198.51.100.66:2", "169.254.1.1:1", "203.0.113.9:1"] {
        assert_eq!(lab.code(&client, permit(&[peer])), 403);
    }
    assert_eq!(lab.code(&client, allocate()), 437);
    let refused: Vec<_> = lab.servers[0].refused().collect();
    let count = |reason: &str, rule: &str| refused.iter().find(|one| (one.0, one.1) == (reason, rule)).map(|one| one.2);
    assert_eq!(count("rule", "198.51.100.66/32"), Some(2), "{refused:?}");
    assert_eq!(count("allocation-mismatch", ""), Some(1));
    assert_eq!(count("no-credential", ""), Some(1));
}

#[test]
fn a_user_has_one_account_however_many_credentials() {
    let one = Limits { allocations: 1, ..MANY };
    let mut lab = Lab::with(Setup { user: one, ..Setup::default() });
    let first = lab.client("anna", "192.0.2.1:5000");
    lab.allocate(&first);
    lab.advance(Duration::from_secs(1));
    let second = lab.client("anna", "192.0.2.2:5000");
    assert_ne!(first.username, second.username);
    assert_eq!(lab.code(&second, allocate()), 486);
    let other = lab.client("ben", "192.0.2.2:5000");
    lab.allocate(&other);
}
