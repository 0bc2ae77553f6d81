//! Access tokens (RFC 7635).

use ::stun::integrity::MessageIntegrity;

use super::support::*;
use crate::credentials::token::seal;
use crate::stun::{ACCESS_TOKEN, MOBILITY_TICKET, THIRD_PARTY_AUTHORIZATION};
use crate::turn::*;

const KEY: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=";
const SOUTH: &str = "MTIzNDU2Nzg5MDEyMzQ1Ng==";
const MAC_KEY: &[u8; 20] = b"a key of twenty byte";

fn lab() -> Lab {
    Lab::with(Setup { tokens: Some(format!("north {KEY}\nsouth {SOUTH}")), ..Setup::default() })
}

/// Somebody with a USERNAME that is the id of a key.
fn holder(lab: &mut Lab, address: &str) -> Client {
    lab.holder("north", "", address)
}

fn token(mac_key: &[u8], lifetime: u32) -> Vec<u8> {
    seal(KEY, mac_key, REALM, UNIX, lifetime)
}

/// Signed with the key that is in the token.
fn signed(client: &Client, asked: Asked, mac_key: &[u8]) -> Vec<u8> {
    asked.named(client).with(MessageIntegrity(mac_key.to_vec())).0.raw
}

fn with_token(client: &Client, asked: Asked, lifetime: u32) -> Vec<u8> {
    signed(client, asked.raw(ACCESS_TOKEN, &token(MAC_KEY, lifetime)), MAC_KEY)
}

#[test]
fn a_401_says_that_tokens_are_taken_only_if_they_are() {
    let mut lab = lab();
    let client = lab.client("anna", "192.0.2.1:5000");
    let answer = lab.exchange(&client, &allocate().0.raw).reply();
    assert_eq!(answer.get(THIRD_PARTY_AUTHORIZATION).unwrap(), REALM.as_bytes());
    let mut without = Lab::new();
    let client = without.client("anna", "192.0.2.1:5000");
    assert!(!without.exchange(&client, &allocate().0.raw).reply().contains(THIRD_PARTY_AUTHORIZATION));
    let token = with_token(&client, allocate(), 3600);
    assert_eq!(code(&without.exchange(&client, &token).reply()), 401);
}

#[test]
fn a_token_allocates_and_its_key_signs_what_follows() {
    let mut lab = lab();
    let client = holder(&mut lab, "192.0.2.1:5000");
    let mut answer = lab.exchange(&client, &with_token(&client, allocate(), 3600)).reply();
    assert_eq!(code(&answer), 0);
    MessageIntegrity(MAC_KEY.to_vec()).check(&mut answer).unwrap();
    for asked in [permit(&[PEER]), bind(0x4000, PEER), refresh(600)] {
        assert_eq!(code(&lab.exchange(&client, &signed(&client, asked, MAC_KEY)).reply()), 0, "without the token");
    }
    assert_eq!(code(&lab.exchange(&client, &signed(&client, refresh(0), b"another key of twenty")).reply()), 401);
    assert!(lab.sends(&client, &channel_data(0x4000, b"x")).is_some());
}

#[test]
fn the_first_16_bytes_of_its_key_sign_as_well() {
    let mut lab = lab();
    let client = holder(&mut lab, "192.0.2.1:5000");
    let asked = allocate().raw(ACCESS_TOKEN, &token(MAC_KEY, 3600));
    let mut answer = lab.exchange(&client, &signed(&client, asked, &MAC_KEY[..16])).reply();
    assert_eq!(code(&answer), 0);
    MessageIntegrity(MAC_KEY[..16].to_vec()).check(&mut answer).unwrap();
}

#[test]
fn a_token_that_is_forged_expired_or_anothers_is_401() {
    let mut lab = lab();
    let client = holder(&mut lab, "192.0.2.1:5000");
    let mut forged = token(MAC_KEY, 3600);
    *forged.last_mut().unwrap() ^= 1;
    let tokens =
        [forged, Vec::new(), seal(KEY, MAC_KEY, "other", UNIX, 3600), seal(KEY, MAC_KEY, REALM, UNIX - 100, 95)];
    for token in tokens {
        let packet = signed(&client, allocate().raw(ACCESS_TOKEN, &token), MAC_KEY);
        assert_eq!(code(&lab.exchange(&client, &packet).reply()), 401);
    }
    let stolen = signed(&client, allocate().raw(ACCESS_TOKEN, &token(MAC_KEY, 3600)), b"a guess at the key!!");
    assert_eq!(code(&lab.exchange(&client, &stolen).reply()), 401, "without its key a token is worth nothing");
    assert_eq!(lab.shared.quota.allocations(), 0);
}

#[test]
fn an_allocation_lasts_no_longer_than_its_token_unless_a_new_one_is_shown() {
    let mut lab = lab();
    let client = holder(&mut lab, "192.0.2.1:5000");
    let answer = lab.exchange(&client, &with_token(&client, allocate().lifetime(3600), 900)).reply();
    assert_eq!(lifetime(&answer), 900);
    lab.advance(secs(300));
    assert_eq!(lifetime(&lab.exchange(&client, &signed(&client, refresh(3600), MAC_KEY)).reply()), 600);
    let newer = b"the key of a newer one";
    let client = Client { username: "south".into(), ..client };
    let packet = signed(&client, refresh(3600).raw(ACCESS_TOKEN, &seal(SOUTH, newer, REALM, UNIX, 2400)), newer);
    assert_eq!(lifetime(&lab.exchange(&client, &packet).reply()), 2100);
    assert_eq!(code(&lab.exchange(&client, &signed(&client, permit(&[PEER]), MAC_KEY)).reply()), 401, "the old key");
    assert_eq!(code(&lab.exchange(&client, &signed(&client, permit(&[PEER]), newer)).reply()), 0);
    lab.advance(secs(2100));
    lab.expire();
    assert!(lab.sockets.is_empty());
}

#[test]
fn each_who_holds_a_token_has_a_quota_of_their_own() {
    let one = Limits { allocations: 1, ..MANY };
    let setup = Setup { tokens: Some(format!("north {KEY}")), user: one, ..Setup::default() };
    let mut lab = Lab::with(setup);
    let clients: Vec<_> = (1..=3).map(|port| holder(&mut lab, &format!("192.0.2.1:{port}"))).collect();
    let other = b"somebody else's key!";
    assert_eq!(code(&lab.exchange(&clients[0], &with_token(&clients[0], allocate(), 3600)).reply()), 0);
    assert_eq!(code(&lab.exchange(&clients[1], &with_token(&clients[1], allocate(), 3600)).reply()), 486);
    let packet = signed(&clients[2], allocate().raw(ACCESS_TOKEN, &token(other, 3600)), other);
    assert_eq!(code(&lab.exchange(&clients[2], &packet).reply()), 0);
}

#[test]
fn a_ticket_is_of_no_use_to_others_who_hold_tokens() {
    let mut lab = lab();
    let client = holder(&mut lab, "192.0.2.1:5000");
    let asked = allocate().raw(MOBILITY_TICKET, &[]);
    let answer = lab.exchange(&client, &with_token(&client, asked, 3600)).reply();
    let shown = answer.get(MOBILITY_TICKET).unwrap();
    let thief = holder(&mut lab, "192.0.2.9:5000");
    let other = b"somebody else's key!";
    let asked = || refresh(600).raw(MOBILITY_TICKET, &shown);
    let packet = signed(&thief, asked().raw(ACCESS_TOKEN, &token(other, 3600)), other);
    assert_eq!(code(&lab.exchange(&thief, &packet).reply()), 441);
    let moved = holder(&mut lab, "192.0.2.2:5000");
    assert_eq!(code(&lab.exchange(&moved, &with_token(&moved, asked(), 3600)).reply()), 0);
}
