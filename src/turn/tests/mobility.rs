//! Mobility (RFC 8016).

use ::turn::proto::reqfamily::REQUESTED_FAMILY_IPV4;

use super::support::*;
use crate::stun::{ADDITIONAL_ADDRESS_FAMILY, MOBILITY_TICKET};
use crate::turn::*;

fn mobile() -> Asked {
    allocate().raw(MOBILITY_TICKET, &[])
}

fn ticket(answer: &Message) -> Vec<u8> {
    answer.get(MOBILITY_TICKET).unwrap()
}

fn show(ticket: &[u8]) -> Asked {
    refresh(600).raw(MOBILITY_TICKET, ticket)
}

/// The same user somewhere else, on a shard.
fn elsewhere(lab: &mut Lab, client: &Client, address: &str, shard: usize) -> Client {
    lab.holder(&client.username, &client.password, address).on_shard(shard)
}

#[test]
fn an_allocation_follows_its_client_with_all_it_has() {
    for shard in [0, 1] {
        let mut lab = Lab::with(Setup { shards: 2, ..Setup::default() });
        let wifi = lab.client("anna", "192.0.2.1:5000");
        let answer = lab.ask(&wifi, mobile());
        let (relayed, shown) = (relayed(&answer), ticket(&answer));
        assert_eq!(lab.code(&wifi, bind(0x4000, PEER)), 0);
        let cable = elsewhere(&mut lab, &wifi, "198.51.100.9:6000", shard);
        let answer = lab.ask(&cable, show(&shown));
        assert_eq!((code(&answer), lifetime(&answer)), (0, 600));
        assert_ne!(ticket(&answer), shown);
        assert_eq!(lab.sends(&cable, &channel_data(0x4000, b"out")), Some((at(PEER), b"out".to_vec())));
        assert_eq!(lab.peer(PEER, relayed, b"in"), Some(channel_data(0x4000, b"in")));
        assert_eq!(lab.sends(&wifi, &channel_data(0x4000, b"x")), None, "the old address is nobody's");
        assert_eq!(lab.code(&wifi, refresh(600)), 437);
        assert_eq!((lab.servers[shard].len(), lab.servers[1 - shard].len(), lab.sockets.len()), (1, 0, 1));
        assert_eq!(lab.shared.relayed.get(relayed).unwrap().shard, ShardId(shard as u16));
        assert_eq!(lab.code(&cable, refresh(0)), 0);
        assert_eq!((lab.shared.quota.allocations(), lab.sockets.len()), (0, 0));
    }
}

#[test]
fn it_may_move_again_and_a_lost_answer_is_asked_for_again() {
    let mut lab = Lab::with(Setup { shards: 2, ..Setup::default() });
    let first = lab.client("anna", "192.0.2.1:5000");
    let old = ticket(&lab.ask(&first, mobile()));
    let second = elsewhere(&mut lab, &first, "192.0.2.2:5000", 1);
    let moved = lab.ask(&second, show(&old));
    let again = lab.ask(&second, show(&old));
    assert_eq!((code(&again), ticket(&again)), (0, ticket(&moved)), "it is there already");
    let third = elsewhere(&mut lab, &first, "192.0.2.3:5000", 0);
    assert_eq!(lab.code(&third, show(&old)), 437, "used up");
    assert_eq!(lab.code(&third, show(&ticket(&moved))), 0);
    assert_eq!(lab.servers[0].counters().moves + lab.servers[1].counters().moves, 2);
}

#[test]
fn a_ticket_is_of_no_use_to_others_nor_after_the_end() {
    let mut lab = Lab::new();
    let anna = lab.client("anna", "192.0.2.1:5000");
    let answer = lab.ask(&anna, mobile());
    let (relayed, shown) = (relayed(&answer), ticket(&answer));
    let eve = lab.client("eve", "192.0.2.9:5000");
    assert_eq!(lab.code(&eve, show(&shown)), 441);
    let guess = Client { password: "guess".into(), ..elsewhere(&mut lab, &anna, "192.0.2.9:5001", 0) };
    assert_eq!(lab.code(&guess, show(&shown)), 401);
    let there = elsewhere(&mut lab, &anna, "192.0.2.2:5000", 0);
    for bit in 0..shown.len() * 8 {
        let mut forged = shown.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(lab.code(&there, show(&forged)), 437);
    }
    assert_eq!(lab.code(&there, show(&shown[1..])), 437);
    assert_eq!(lab.code(&there, refresh(0).raw(MOBILITY_TICKET, &shown)), 400, "it is not ended from elsewhere");
    assert!(lab.sockets.contains_key(&relayed) && lab.servers[0].has_allocation(&anna.five_tuple));
    assert_eq!(lab.code(&anna, refresh(0)), 0);
    assert_eq!(lab.code(&there, show(&shown)), 437);
}

#[test]
fn whoever_shows_a_ticket_of_before_a_restart_is_told_to_allocate_anew() {
    let (mut before, mut after) = (Lab::new(), Lab::new());
    let anna = before.client("anna", "192.0.2.1:5000");
    let shown = ticket(&before.ask(&anna, mobile()));
    let there = Client { nonce: anna.nonce.clone(), ..elsewhere(&mut after, &anna, "192.0.2.2:5000", 0) };
    let mut forged = shown.clone();
    forged[0] ^= 1;
    let answer = after.exchange(&there, &show(&forged).sign(&there)).reply();
    assert_eq!(code(&answer), 438, "a nonce first");
    let there = Client { nonce: text(&answer, ATTR_NONCE), ..there };
    assert_eq!(after.code(&there, show(&forged)), 437);
    after.allocate(&there);
}

#[test]
fn without_asking_for_one_there_is_no_ticket() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    assert!(!lab.ask(&client, allocate()).contains(MOBILITY_TICKET));
    assert!(!lab.ask(&client, refresh(600).raw(MOBILITY_TICKET, &[])).contains(MOBILITY_TICKET));
    let other = lab.client("anna", "192.0.2.1:5001");
    assert_eq!(lab.code(&other, allocate().raw(MOBILITY_TICKET, b"made up")), 400);
}

#[test]
fn it_counts_where_the_client_is_and_stays_where_there_is_no_room() {
    let one = Limits { allocations: 1, permissions: 1, ..MANY };
    let mut lab =
        Lab::with(Setup { user: one, prefix: one, total: Limits { allocations: 2, ..MANY }, ..Setup::default() });
    let anna = lab.client("anna", "192.0.2.1:5000");
    let shown = ticket(&lab.ask(&anna, mobile()));
    assert_eq!(lab.code(&anna, permit(&[PEER])), 0);
    let ben = lab.client("ben", "192.0.2.2:5000");
    lab.allocate(&ben);
    let full = elsewhere(&mut lab, &anna, "192.0.2.2:5001", 0);
    assert_eq!(lab.code(&full, show(&shown)), 486);
    assert!(lab.sends(&anna, &send(PEER, b"x")).is_some(), "it stays where it was");
    let free = elsewhere(&mut lab, &anna, "192.0.2.3:5001", 0);
    assert_eq!(lab.code(&free, show(&shown)), 0, "what the user and the box have of it is counted once");
    assert_eq!(lab.code(&free, permit(&[PEER])), 0);
    assert_eq!(lab.code(&free, permit(&["198.51.100.8:1"])), 508);
    assert_eq!(lab.code(&ben, refresh(0)), 0);
    let next = lab.client("carl", "192.0.2.1:5002");
    lab.allocate(&next);
}

#[test]
fn both_address_families_move_together() {
    let mut lab = Lab::with(Setup { shards: 2, ..Setup::default() });
    let anna = lab.client("anna", "192.0.2.1:5000");
    let shown = ticket(&lab.ask(&anna, mobile().raw(ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0])));
    assert_eq!(lab.code(&anna, permit(&[PEER, "[2001:db8:9::7]:7000"])), 0);
    let there = elsewhere(&mut lab, &anna, "192.0.2.2:5000", 1);
    assert_eq!(lab.code(&there, show(&shown)), 0);
    assert!(lab.sends(&there, &send(PEER, b"x")).is_some());
    assert!(lab.sends(&there, &send("[2001:db8:9::7]:7000", b"x")).is_some());
    assert_eq!((lab.servers[0].len(), lab.servers[1].len()), (0, 2));
    assert_eq!(lab.code(&there, refresh(0).with(REQUESTED_FAMILY_IPV4)), 0);
    let answer = lab.ask(&there, refresh(600).raw(MOBILITY_TICKET, &[]));
    let back = elsewhere(&mut lab, &anna, "192.0.2.3:5000", 0);
    assert_eq!(lab.code(&back, show(&ticket(&answer))), 0, "the one that is left may still move");
    let there = back;
    assert_eq!(lab.code(&there, refresh(0)), 0);
    assert_eq!((lab.sockets.len(), lab.shared.quota.allocations()), (0, 0));
}

#[test]
fn whoever_has_left_moves_nothing() {
    let mut lab = Lab::with(Setup { shards: 2, ..Setup::default() });
    let anna = lab.member(ANNA, "192.0.2.1:5000");
    let shown = ticket(&lab.ask(&anna, mobile()));
    let there = elsewhere(&mut lab, &anna, "192.0.2.2:5000", 1);
    lab.rooms.leave(ANNA);
    assert_eq!(lab.code(&there, show(&shown)), 401);
    lab.revoke(ANNA);
    assert!(lab.sockets.is_empty());
}

#[test]
fn a_call_that_is_longer_than_its_credential_may_move() {
    let mut lab = Lab::with(Setup { shards: 2, ..Setup::default() });
    let anna = lab.client("anna", "192.0.2.1:5000");
    let shown = ticket(&lab.ask(&anna, mobile().lifetime(3600)));
    lab.advance(secs(3599));
    assert_eq!(lab.code(&anna, refresh(3600)), 0);
    lab.advance(secs(100));
    let there = elsewhere(&mut lab, &anna, "192.0.2.2:5000", 1);
    assert_eq!(lab.code(&there, show(&shown)), 0);
}

#[test]
fn a_sibling_that_has_expired_stays_behind() {
    let mut lab = Lab::with(Setup { shards: 2, ..Setup::default() });
    let anna = lab.client("anna", "192.0.2.1:5000");
    let shown = ticket(&lab.ask(&anna, mobile().raw(ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0])));
    assert_eq!(lab.code(&anna, refresh(1200).with(REQUESTED_FAMILY_IPV4)), 0);
    lab.advance(secs(600));
    let there = elsewhere(&mut lab, &anna, "192.0.2.2:5000", 1);
    assert_eq!(lab.code(&there, show(&shown)), 0);
    assert_eq!(lab.servers[1].len(), 1);
    lab.expire();
    assert_eq!((lab.servers[0].len(), lab.sockets.len(), lab.shared.quota.allocations()), (0, 1, 1));
}
