//! Two clients that both relay here: inside the process, across shards, and never across rooms.

use std::net::SocketAddr;

use super::support::*;
use crate::credentials::*;
use crate::turn::*;

/// What a packet of `client` becomes: delivered to whom, as what. Carries it over to another shard if it must.
fn passes(lab: &mut Lab, client: &Client, packet: &[u8]) -> Option<(FiveTuple, Vec<u8>)> {
    let Forward { payload, route } = match lab.exchange(client, packet) {
        Outcome::Forward(forward) => forward,
        Outcome::Nothing => return None,
        Outcome::Reply(reply) | Outcome::ReplyAs(reply, _) => panic!("{reply:?}"),
    };
    let data = &packet[payload];
    let delivery = match route {
        Route::Client(delivery) => delivery,
        Route::Shard { shard, hop } => {
            assert_ne!(usize::from(shard.0), client.shard);
            lab.servers[usize::from(shard.0)].handle_hop(hop, data.len(), lab.now.instant)?
        }
        Route::Peer { to, .. } => panic!("left the box for {to}"),
    };
    Some((delivery.to, delivered(&delivery, data)))
}

/// Both permit the other's relayed address.
fn acquaint(lab: &mut Lab, a: (&Client, SocketAddr), b: (&Client, SocketAddr)) {
    assert_eq!(lab.code(a.0, permit(&[&b.1.to_string()])), 0);
    assert_eq!(lab.code(b.0, permit(&[&a.1.to_string()])), 0);
}

fn room(shard: usize) -> (Lab, (Client, SocketAddr), (Client, SocketAddr)) {
    let mut lab = Lab::with(Setup { shards: 2, ..Setup::default() });
    let anna = lab.member(ANNA, "192.0.2.1:5000");
    let ben = lab.member(BEN, "192.0.2.2:5000").on_shard(shard).over(Transport::Tcp);
    let (to_anna, to_ben) = (lab.allocate(&anna), lab.allocate(&ben));
    (lab, (anna, to_anna), (ben, to_ben))
}

#[test]
fn members_of_a_room_meet_on_one_shard_and_across_two() {
    for shard in [0, 1] {
        let (mut lab, (anna, to_anna), (ben, to_ben)) = room(shard);
        acquaint(&mut lab, (&anna, to_anna), (&ben, to_ben));
        let (to, packet) = passes(&mut lab, &anna, &send(&to_ben.to_string(), b"hello")).unwrap();
        assert_eq!((to, data_indication(&packet)), (ben.five_tuple, (to_anna, b"hello".into())));
        assert_eq!(lab.code(&anna, bind(0x4000, &to_ben.to_string())), 0);
        assert_eq!(lab.code(&ben, bind(0x4FFF, &to_anna.to_string())), 0);
        let (to, packet) = passes(&mut lab, &anna, &channel_data(0x4000, b"hello")).unwrap();
        assert_eq!((to, &packet[..]), (ben.five_tuple, &b"\x4F\xFF\x00\x05hello\0\0\0"[..]), "padded for TCP");
        let (to, packet) = passes(&mut lab, &ben, &channel_data(0x4FFF, b"")).unwrap();
        assert_eq!((to, &packet[..]), (anna.five_tuple, &b"\x40\x00\x00\x00"[..]));
        assert_eq!(lab.servers.iter().map(|server| server.counters().hairpins).sum::<u64>(), 3);
    }
}

#[test]
fn both_permissions_are_needed_and_both_end() {
    for shard in [0, 1] {
        let (mut lab, (anna, to_anna), (ben, to_ben)) = room(shard);
        let packet = send(&to_ben.to_string(), b"x");
        assert_eq!(passes(&mut lab, &anna, &packet), None);
        assert_eq!(lab.code(&anna, permit(&[&to_ben.to_string()])), 0);
        assert_eq!(passes(&mut lab, &anna, &packet), None, "ben has not asked for it");
        lab.advance(secs(100));
        assert_eq!(lab.code(&ben, permit(&[&to_anna.to_string()])), 0);
        assert!(passes(&mut lab, &anna, &packet).is_some());
        lab.advance(secs(200));
        assert_eq!(passes(&mut lab, &anna, &packet), None, "anna's has ended");
        assert_eq!(lab.code(&anna, permit(&[&to_ben.to_string()])), 0);
        assert!(passes(&mut lab, &anna, &packet).is_some());
        lab.advance(secs(100));
        assert_eq!(passes(&mut lab, &anna, &packet), None, "ben's has ended");
    }
}

#[test]
fn rooms_and_those_in_none_are_kept_apart() {
    for shard in [0, 1] {
        let mut lab = Lab::with(Setup { shards: 2, ..Setup::default() });
        let clients = [
            lab.member(ANNA, "192.0.2.1:5000"),
            lab.member(EVE, "192.0.2.2:5000").on_shard(shard),
            lab.client("carl", "192.0.2.3:5000").on_shard(shard),
        ];
        let addresses = clients.each_ref().map(|client| lab.allocate(client));
        for (from, client) in clients.iter().enumerate() {
            for to in (0..3).filter(|to| *to != from) {
                let address = addresses[to].to_string();
                assert_eq!(lab.code(client, permit(&[&address])), 0, "a permission names only the box");
                assert_eq!(lab.code(client, bind(0x4000, &address)), 403);
            }
        }
        for (from, client) in clients.iter().enumerate() {
            for to in (0..3).filter(|to| *to != from) {
                let packet = send(&addresses[to].to_string(), b"x");
                assert_eq!(passes(&mut lab, client, &packet), None, "{from} to {to}");
            }
        }
        assert_eq!(lab.servers.iter().map(|server| server.counters().hairpins_refused).sum::<u64>(), 6);
    }
}

#[test]
fn those_in_no_room_meet_and_a_page_reaches_nothing_else() {
    let mut lab = Lab::new();
    let carl = lab.client("carl", "192.0.2.3:5000");
    let page = mint_for_page(&Secret::new(SECRETS[0]), 7, UNIX, 3600);
    let page = lab.holder(&page.username, &page.password, "192.0.2.4:5000");
    let (to_carl, to_page) = (lab.allocate(&carl), lab.allocate(&page));
    acquaint(&mut lab, (&carl, to_carl), (&page, to_page));
    assert!(passes(&mut lab, &page, &send(&to_carl.to_string(), b"x")).is_some());
    assert!(passes(&mut lab, &carl, &send(&to_page.to_string(), b"x")).is_some());
    assert_eq!((lab.code(&page, permit(&[PEER])), lab.code(&page, bind(0x4000, PEER))), (403, 403));
}

#[test]
fn the_box_itself_is_not_reachable() {
    let (mut lab, (anna, to_anna), (ben, to_ben)) = room(0);
    acquaint(&mut lab, (&anna, to_anna), (&ben, to_ben));
    let free = (50_000..).map(|port| SocketAddr::new(to_ben.ip(), port)).find(|at| !lab.sockets.contains_key(at));
    let refused = ["192.168.1.5:22", "192.168.1.5:3478", &free.unwrap().to_string()].map(String::from);
    for peer in &refused {
        assert_eq!(passes(&mut lab, &anna, &send(peer, b"x")), None, "{peer}");
        assert_eq!(lab.code(&anna, bind(0x4000, peer)), 403, "{peer}");
    }
    assert_eq!(lab.servers[0].counters().hairpins_refused, 3);
    let _ = lab.code(&anna, permit(&["127.0.0.1:22"]));
    assert_eq!(passes(&mut lab, &anna, &send("127.0.0.1:22", b"x")), None);
    assert_eq!(passes(&mut lab, &anna, &send("[::ffff:192.168.1.5]:22", b"x")), None);
}

#[test]
fn a_program_on_the_box_does_not_get_in_by_the_relay_socket() {
    let (mut lab, (anna, to_anna), (ben, to_ben)) = room(0);
    acquaint(&mut lab, (&anna, to_anna), (&ben, to_ben));
    for from in ["192.168.1.5:22".into(), to_ben.to_string(), "127.0.0.1:9".into()] {
        assert_eq!(lab.peer(&from, to_anna, b"x"), None, "{from}");
    }
}

#[test]
fn an_address_that_is_used_again_is_not_the_one_that_was() {
    for shard in [0, 1] {
        let mut lab = Lab::with(Setup { shards: 2, ports: 50_000..=50_001, ..Setup::default() });
        let (anna, ben) = (lab.member(ANNA, "192.0.2.1:5000"), lab.member(BEN, "192.0.2.2:5000").on_shard(shard));
        let (to_anna, to_ben) = (lab.allocate(&anna), lab.allocate(&ben));
        acquaint(&mut lab, (&anna, to_anna), (&ben, to_ben));
        assert_eq!(lab.code(&anna, bind(0x4000, &to_ben.to_string())), 0);
        let old = lab.shared.relayed.get(to_ben).unwrap();
        let hop = Hop { from: to_anna, party: Party::Room(ANNA.room), to: old.allocation };
        lab.revoke(BEN);
        assert_eq!(passes(&mut lab, &anna, &channel_data(0x4000, b"x")), None);
        let eve = lab.member(EVE, "192.0.2.3:5000").on_shard(shard);
        assert_eq!(lab.allocate(&eve), to_ben, "the same address again");
        assert_eq!(lab.code(&eve, permit(&[&to_anna.to_string()])), 0);
        assert_eq!(passes(&mut lab, &anna, &channel_data(0x4000, b"x")), None, "another room's now");
        lab.revoke(EVE);
        let carol = RoomMember { member: MemberTag(9), ..ANNA };
        let carol = lab.member(carol, "192.0.2.4:5000").on_shard(shard);
        assert_eq!(lab.allocate(&carol), to_ben);
        assert_eq!(lab.code(&carol, permit(&[&to_anna.to_string()])), 0);
        let late = lab.servers[shard].handle_hop(hop, 1, lab.now.instant);
        assert!(late.is_none(), "a hop on its way when the allocation ended does not reach its successor");
        let (to, _) = passes(&mut lab, &anna, &channel_data(0x4000, b"x")).unwrap();
        assert_eq!(to, carol.five_tuple, "a member of the room who asked for it is reached");
    }
}

#[test]
fn nothing_arrives_at_an_expired_allocation() {
    for shard in [0, 1] {
        let (mut lab, (anna, to_anna), (ben, to_ben)) = room(shard);
        lab.advance(secs(599));
        assert_eq!(lab.code(&anna, refresh(3600)), 0);
        acquaint(&mut lab, (&anna, to_anna), (&ben, to_ben));
        assert!(passes(&mut lab, &anna, &send(&to_ben.to_string(), b"x")).is_some());
        lab.advance(secs(1));
        assert_eq!(passes(&mut lab, &anna, &send(&to_ben.to_string(), b"x")), None);
        lab.expire();
        assert_eq!(passes(&mut lab, &anna, &send(&to_ben.to_string(), b"x")), None);
        assert!(lab.shared.relayed.get(to_ben).is_none());
    }
}

#[test]
fn a_nat_in_front_is_hairpinned_by_its_outer_address() {
    let mut lab = Lab::with(Setup { external: Some(("192.168.1.5", "203.0.113.7")), ..Setup::default() });
    let (anna, ben) = (lab.member(ANNA, "192.0.2.1:5000"), lab.member(BEN, "192.0.2.2:5000"));
    let (to_anna, to_ben) = (lab.allocate(&anna), lab.allocate(&ben));
    acquaint(&mut lab, (&anna, to_anna), (&ben, to_ben));
    let (to, packet) = passes(&mut lab, &anna, &send(&to_ben.to_string(), b"x")).unwrap();
    assert_eq!((to, data_indication(&packet).0), (ben.five_tuple, to_anna));
    assert_eq!(lab.code(&anna, refresh(0)), 0);
    assert!(lab.shared.relayed.get(to_anna).is_none());
    let inner = SocketAddr::new(at(SERVER).ip(), to_anna.port());
    assert!(lab.shared.relayed.get(inner).is_none());
}

#[test]
fn a_test_that_opts_in_reaches_the_box_but_still_no_other_room() {
    let mut lab = Lab::with(Setup { allow_loopback: true, ..Setup::default() });
    let (carl, eve) = (lab.client("carl", "192.0.2.3:5000"), lab.member(EVE, "192.0.2.2:5000"));
    let (to_carl, to_eve) = (lab.allocate(&carl), lab.allocate(&eve));
    acquaint(&mut lab, (&carl, to_carl), (&eve, to_eve));
    assert_eq!(lab.code(&carl, permit(&["127.0.0.1:9"])), 0);
    assert_eq!(lab.sends(&carl, &send("127.0.0.1:9", b"x")), Some((at("127.0.0.1:9"), b"x".into())));
    assert!(lab.peer("127.0.0.1:9", to_carl, b"x").is_some());
    assert_eq!(passes(&mut lab, &carl, &send(&to_eve.to_string(), b"x")), None);
}
