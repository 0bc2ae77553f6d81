//! Refresh (RFC 8656 section 8) and the end of an allocation.

use ::stun::attributes::*;
use ::turn::proto::reqfamily::*;

use super::support::*;

#[test]
fn it_sets_the_lifetime_from_now_on() {
    let mut lab = Lab::new();
    let client = lab.client("camera", "192.0.2.1:5000");
    lab.allocate(&client);
    lab.advance(secs(599));
    for (asked, granted) in [(1, 600), (700, 700), (9999, 3600)] {
        let answer = lab.ask(&client, refresh(asked));
        assert_eq!((code(&answer), lifetime(&answer)), (0, granted));
    }
    assert_eq!(
        lifetime(&lab.ask(&client, Asked::request(METHOD_REFRESH))),
        600,
        "the default, and shorter than before"
    );
    lab.advance(secs(600) - NS);
    lab.expire();
    assert_eq!(lab.servers[0].len(), 1);
    lab.advance(NS);
    lab.expire();
    assert_eq!((lab.servers[0].len(), lab.sockets.len(), lab.shared.quota.allocations()), (0, 0, 0));
}

#[test]
fn zero_ends_the_allocation_and_a_second_copy_is_answered_alike() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let address = lab.allocate(&client);
    assert_eq!(lab.code(&client, permit(&[PEER])), 0);
    let asked = refresh(0);
    for _ in 0..2 {
        let answer = lab.ask(&client, asked.clone());
        assert_eq!((code(&answer), lifetime(&answer)), (0, 0));
    }
    assert_eq!((lab.servers[0].len(), lab.sockets.len(), lab.shared.quota.allocations()), (0, 0, 0));
    assert!(lab.shared.relayed.get(address).is_none());
    assert_eq!(lab.servers[0].next_expiry(), None);
    assert!(lab.exchange(&client, &send(PEER, b"late")).is_nothing());
    assert_eq!(lab.code(&client, refresh(600)), 437);
    lab.allocate(&client);
    assert!(lab.exchange(&client, &send(PEER, b"late")).is_nothing(), "permissions do not come back");
}

#[test]
fn zero_behind_the_integrity_is_not_honoured() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    lab.allocate(&client);
    let asked = Asked::request(METHOD_REFRESH).named(&client).with(client.key()).lifetime(0);
    for packet in [asked.clone().0.raw, asked.fingerprint().0.raw] {
        let answer = lab.exchange(&client, &packet).reply();
        assert_eq!((code(&answer), lifetime(&answer)), (0, 600));
        assert_eq!(lab.servers[0].len(), 1);
    }
}

#[test]
fn without_an_allocation_it_is_437() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    for asked in [refresh(600), permit(&[PEER]), bind(0x4000, PEER)] {
        let answer = lab.ask(&client, asked);
        assert_eq!(code(&answer), 437);
        assert!(answer.contains(ATTR_MESSAGE_INTEGRITY));
    }
}

#[test]
fn another_family_than_the_relayed_address_has_is_443() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    lab.allocate(&client);
    assert_eq!(lab.code(&client, refresh(0).with(REQUESTED_FAMILY_IPV6)), 443);
    assert_eq!(lab.code(&client, refresh(0).raw(ATTR_REQUESTED_ADDRESS_FAMILY, &[3, 0, 0, 0])), 443);
    assert_eq!(lab.servers[0].len(), 1);
    assert_eq!(lab.code(&client, refresh(0).with(REQUESTED_FAMILY_IPV4)), 0);
    assert_eq!(lab.servers[0].len(), 0);
}

#[test]
fn bad_and_unknown_attributes_change_nothing() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    lab.allocate(&client);
    assert_eq!(lab.code(&client, Asked::request(METHOD_REFRESH).raw(ATTR_LIFETIME, &[0, 0, 0])), 400);
    assert_eq!(lab.code(&client, refresh(0).raw(ATTR_CHANGE_REQUEST, &[])), 420);
    assert_eq!(lab.servers[0].len(), 1);
}

#[test]
fn the_next_expiry_is_never_late() {
    let mut lab = Lab::new();
    let ends = |seconds: u64| secs(seconds);
    for (n, seconds) in [600, 630, 655].into_iter().enumerate() {
        let client = lab.client("anna", &format!("192.0.2.1:{}", 5000 + n));
        assert_eq!(lifetime(&lab.ask(&client, allocate().lifetime(seconds))), seconds);
    }
    let mut left = Vec::new();
    while let Some(due) = lab.servers[0].next_expiry() {
        assert!(due > lab.now.instant, "it always moves on");
        let by = due - lab.now.instant;
        lab.advance(by - NS);
        let before = lab.servers[0].len();
        lab.expire();
        assert_eq!(lab.servers[0].len(), before, "nothing ends early");
        lab.advance(NS);
        lab.expire();
        if lab.servers[0].len() < before {
            left.push(lab.now.instant - lab.start);
        }
    }
    assert_eq!(left, [ends(600), ends(630), ends(655)]);
    assert!(lab.sockets.is_empty());
}
