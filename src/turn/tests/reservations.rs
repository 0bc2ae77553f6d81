//! EVEN-PORT and RESERVATION-TOKEN (RFC 8656 sections 7.2, 18.6 and 18.9).

use ::stun::attributes::{ATTR_EVEN_PORT, ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_RESERVATION_TOKEN};

use super::support::*;
use crate::turn::*;

fn pair() -> Asked {
    allocate().raw(ATTR_EVEN_PORT, &[0x80])
}

fn reserved(token: &[u8]) -> Asked {
    allocate().raw(ATTR_RESERVATION_TOKEN, token)
}

fn token(answer: &Message) -> Vec<u8> {
    answer.get(ATTR_RESERVATION_TOKEN).unwrap()
}

#[test]
fn the_port_beside_an_even_one_is_held_back_for_whoever_shows_the_token() {
    let mut lab = Lab::with(Setup { shards: 2, ..Setup::default() });
    let rtp = lab.client("anna", "192.0.2.1:5000");
    let rtcp = lab.client("anna", "192.0.2.1:5001").on_shard(1);
    let answer = lab.ask(&rtp, pair());
    let (even, token) = (relayed(&answer), token(&answer));
    assert_eq!((code(&answer), even.port() % 2, token.len()), (0, 0, 8));
    let odd = lab.ask(&rtcp, reserved(&token));
    assert_eq!((code(&odd), relayed(&odd).ip(), relayed(&odd).port()), (0, even.ip(), even.port() + 1));
    assert!(!odd.contains(ATTR_RESERVATION_TOKEN) && lab.shared.reservations.is_empty());
    assert_eq!((lab.shared.quota.allocations(), lab.spares.len()), (2, 0));
    assert_eq!(lab.code(&rtcp, permit(&[PEER])), 0);
    assert_eq!(lab.peer(PEER, relayed(&odd), b"x").map(|packet| data_indication(&packet).1), Some(b"x".to_vec()));
}

#[test]
fn a_retransmission_is_told_the_same_token() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let packet = pair().sign(&client);
    let first = lab.exchange(&client, &packet).reply();
    assert_eq!(lab.exchange(&client, &packet).reply().raw, first.raw);
    assert_eq!((lab.shared.reservations.len(), lab.spares.len()), (1, 1));
}

#[test]
fn a_token_is_good_for_its_user_once_and_for_30_s() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let held = token(&lab.ask(&client, pair()));
    let eve = lab.client("eve", "192.0.2.2:5000");
    assert_eq!(lab.code(&eve, reserved(&held)), 508, "another's");
    let second = lab.client("anna", "192.0.2.1:5001");
    assert_eq!(lab.code(&second, reserved(&[7; 8])), 508, "a guess");
    lab.advance(RESERVATION_LIFETIME - NS);
    lab.expire();
    assert_eq!(lab.code(&second, reserved(&held)), 0);
    let third = lab.client("anna", "192.0.2.1:5002");
    assert_eq!(lab.code(&third, reserved(&held)), 508, "used up");

    let late = token(&lab.ask(&third, pair()));
    lab.advance(RESERVATION_LIFETIME);
    let fourth = lab.client("anna", "192.0.2.1:5003");
    assert_eq!(lab.code(&fourth, reserved(&late)), 508);
    assert_eq!(lab.shared.quota.allocations(), 4);
    lab.expire();
    assert_eq!(
        (lab.shared.quota.allocations(), lab.spares.len()),
        (3, 0),
        "the socket is closed, and the quota has it back"
    );
}

#[test]
fn what_does_not_go_together_is_400() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let asked = [
        reserved(&[7; 8]).raw(ATTR_EVEN_PORT, &[0]),
        reserved(&[7; 8]).raw(ATTR_REQUESTED_ADDRESS_FAMILY, &[1, 0, 0, 0]),
        reserved(&[7; 8]).raw(crate::stun::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]),
        pair().raw(crate::stun::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]),
        reserved(&[7; 7]),
        reserved(&[]),
    ];
    for asked in asked {
        assert_eq!(lab.code(&client, asked), 400);
    }
    assert_eq!((lab.shared.quota.allocations(), lab.sockets.len()), (0, 0));
}

#[test]
fn what_is_held_back_counts_as_an_allocation() {
    let two = Limits { allocations: 2, ..MANY };
    let mut lab = Lab::with(Setup { user: two, ..Setup::default() });
    let (first, second) = (lab.client("anna", "192.0.2.1:5000"), lab.client("anna", "192.0.2.1:5001"));
    let held = token(&lab.ask(&first, pair()));
    assert_eq!(lab.code(&second, allocate()), 486);
    assert_eq!(lab.code(&second, reserved(&held)), 0);
    assert_eq!(lab.code(&second, refresh(0)), 0);
    assert_eq!(lab.code(&second, pair()), 486, "there is room for one, not for two");
    assert_eq!(lab.shared.quota.allocations(), 1, "and what was taken for the first is given back");
}

#[test]
fn no_pair_of_ports_is_leaked_and_without_one_it_is_508() {
    let mut lab = Lab::with(Setup { ports: 50_000..=50_009, ..Setup::default() });
    for round in 0..20 {
        let clients: Vec<_> =
            (0..6).map(|n| lab.client("anna", &format!("192.0.2.1:{}", 5000 + 10 * round + n))).collect();
        for client in &clients[..5] {
            assert_eq!(lab.code(client, pair()), 0);
        }
        assert_eq!(lab.code(&clients[5], pair()), 508);
        for client in &clients[..5] {
            assert_eq!(lab.code(client, refresh(0)), 0);
        }
        lab.advance(RESERVATION_LIFETIME);
        lab.expire();
        assert_eq!((lab.shared.quota.allocations(), lab.sockets.len(), lab.spares.len()), (0, 0, 0));
    }
    let client = lab.client("anna", "192.0.2.9:1");
    let last = Setup { ports: 50_001..=50_001, ..Setup::default() };
    assert_eq!(lab.code(&client, pair()), 0);
    let mut odd = Lab::with(last);
    let client = odd.client("anna", "192.0.2.9:1");
    assert_eq!(odd.code(&client, pair()), 508);
}

#[test]
fn a_port_that_is_held_back_is_one_of_those_that_are_relayed_from() {
    let of_router = Some(50_000..=50_010);
    for (ports, open_ports, pairs) in
        [(50_000..=50_010, None, 5), (50_000..=50_000, None, 0), (50_000..=50_010, of_router, 5)]
    {
        let mut lab = Lab::with(Setup { ports: ports.clone(), open_ports, ..Setup::default() });
        let clients: Vec<_> = (0..=pairs).map(|n| lab.client("anna", &format!("192.0.2.1:{}", 5000 + n))).collect();
        let codes: Vec<_> = clients.iter().map(|client| lab.code(client, pair())).collect();
        assert_eq!(codes.iter().filter(|code| **code == 0).count(), pairs, "{codes:?}");
        assert!(codes.ends_with(&[508]) && lab.spares.iter().all(|spare| ports.contains(&spare.port())));
    }
}
