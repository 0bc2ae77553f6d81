//! The long-term credential mechanism (RFC 8489 section 9.2.4) and how long each kind of credential carries.

use super::support::*;
use crate::credentials::*;
use crate::stun::PasswordAlgorithm;

#[test]
fn without_a_credential_it_is_401_with_realm_and_nonce_and_no_state() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    for method in [METHOD_ALLOCATE, METHOD_REFRESH, METHOD_CREATE_PERMISSION, METHOD_CHANNEL_BIND] {
        let asked = Asked::request(method);
        let answer = lab.exchange(&client, &asked.0.raw).reply();
        assert_eq!((code(&answer), answer.transaction_id, answer.typ.method), (401, asked.id(), method));
        assert_eq!(text(&answer, ATTR_REALM), REALM);
        assert!(text(&answer, ATTR_NONCE).starts_with("obMatJos2"));
        assert!(!answer.contains(ATTR_USERNAME) && !answer.contains(ATTR_MESSAGE_INTEGRITY));
    }
    assert_eq!((lab.servers[0].len(), lab.shared.quota.allocations()), (0, 0));
    assert_eq!(lab.servers[0].next_expiry(), None);
}

#[test]
fn a_credential_with_a_part_missing_is_400() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let parts = [(ATTR_USERNAME, &client.username[..]), (ATTR_REALM, REALM), (ATTR_NONCE, &client.nonce)];
    for missing in 0..3 {
        let rest = parts.iter().enumerate().filter(|(index, _)| *index != missing);
        let asked = rest.fold(allocate(), |asked, (_, (kind, text))| asked.text(*kind, text)).with(client.key());
        let answer = lab.exchange(&client, &asked.0.raw).reply();
        assert_eq!(code(&answer), 400, "{}", parts[missing].0);
        assert!(!answer.contains(ATTR_NONCE) && !answer.contains(ATTR_REALM));
    }
    let bytes = allocate().raw(ATTR_USERNAME, &[0xFF]).text(ATTR_REALM, REALM).text(ATTR_NONCE, &client.nonce);
    assert_eq!(code(&lab.exchange(&client, &bytes.with(client.key()).0.raw).reply()), 400);
}

#[test]
fn a_nonce_that_is_old_forged_or_anothers_is_438_with_one_that_works() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let port = lab.client("anna", "192.0.2.1:5001");
    let host = lab.client("anna", "192.0.2.2:5000");
    let mut forged = client.nonce.clone().into_bytes();
    *forged.last_mut().unwrap() ^= 1;
    for nonce in ["", "nonsense", &port.nonce, &host.nonce, &String::from_utf8(forged).unwrap()] {
        let with = Client { nonce: nonce.into(), ..client.clone() };
        let answer = lab.ask(&with, allocate());
        assert_eq!((code(&answer), text(&answer, ATTR_REALM)), (438, REALM.into()), "{nonce}");
        assert!(lab.sockets.is_empty());
    }
    lab.advance(secs(3599));
    let camera = Client { username: "camera".into(), password: "front door".into(), ..client };
    lab.allocate(&camera);
    lab.advance(secs(1));
    let answer = lab.ask(&camera, refresh(600));
    assert_eq!(code(&answer), 438);
    let fresh = Client { nonce: text(&answer, ATTR_NONCE), ..camera };
    assert_eq!(lab.code(&fresh, refresh(600)), 0, "the nonce of a 438 is good at once");
}

#[test]
fn a_wrong_password_realm_or_user_is_401_with_a_challenge() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let wrong = [
        Client { password: "guess".into(), ..client.clone() },
        Client { username: "nobody".into(), ..client.clone() },
        Client { username: format!("{}:ben", UNIX + 3600), ..client.clone() },
        Client { username: "camera".into(), ..client.clone() },
        Client { username: String::new(), password: String::new(), ..client.clone() },
    ];
    for wrong in wrong {
        let answer = lab.ask(&wrong, allocate());
        assert_eq!((code(&answer), text(&answer, ATTR_REALM)), (401, REALM.into()), "{}", wrong.username);
        assert!(answer.contains(ATTR_NONCE));
    }
    let realm = allocate().text(ATTR_USERNAME, &client.username).text(ATTR_REALM, "other");
    let realm = realm.text(ATTR_NONCE, &client.nonce).with(client.key());
    assert_eq!(code(&lab.exchange(&client, &realm.0.raw).reply()), 401);
    assert_eq!(lab.shared.quota.allocations(), 0);
}

#[test]
fn a_changed_request_does_not_verify() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let mut packet = allocate().lifetime(600).sign(&client);
    packet[MESSAGE_HEADER_SIZE + 8 + 6] ^= 1;
    assert_eq!(code(&lab.exchange(&client, &packet).reply()), 401);
}

#[test]
fn the_second_secret_and_static_users_verify() {
    let mut lab = Lab::new();
    let old = mint(&Secret::new(SECRETS[1]), "anna", UNIX, 3600).unwrap();
    let old = lab.holder(&old.username, &old.password, "192.0.2.1:5000");
    lab.allocate(&old);
    let camera = lab.holder("camera", "front door", "192.0.2.2:5000");
    lab.allocate(&camera);
    let unknown = mint(&Secret::new("another secret of somebody"), "anna", UNIX, 3600).unwrap();
    let unknown = lab.holder(&unknown.username, &unknown.password, "192.0.2.3:5000");
    assert_eq!(lab.code(&unknown, allocate()), 401);
}

#[test]
fn an_expired_username_is_401_from_its_second_on() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let other = lab.client("anna", "192.0.2.1:5001");
    lab.advance(secs(3599));
    lab.allocate(&client);
    lab.advance(secs(1));
    let other = Client { nonce: lab.challenge(&other), ..other };
    assert_eq!(lab.code(&other, allocate()), 401);
}

#[test]
fn a_call_goes_on_longer_than_its_credential_but_no_new_one_begins() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    assert_eq!(lifetime(&lab.ask(&client, allocate().lifetime(3600))), 3600);
    lab.advance(secs(3599));
    assert_eq!(lab.code(&client, refresh(3600)), 0);
    lab.advance(secs(1801));
    let mut client = client;
    client.nonce = text(&lab.exchange(&client, &refresh(600).0.raw).reply(), ATTR_NONCE);
    assert_eq!(lab.code(&client, refresh(600)), 0);
    assert_eq!(lab.code(&client, permit(&[PEER])), 0);
    assert_eq!(lab.code(&client, bind(0x4000, PEER)), 0);
    let guess = Client { password: "guess".into(), ..client.clone() };
    assert_eq!(lab.code(&guess, refresh(0)), 401);
    assert_eq!(lab.code(&client, refresh(0)), 0);
    assert_eq!(lab.code(&client, allocate()), 401);
}

#[test]
fn anothers_allocation_is_441_signed_for_who_asked() {
    let mut lab = Lab::new();
    let anna = lab.client("anna", "192.0.2.1:5000");
    let relayed = lab.allocate(&anna);
    let ben = lab.client("ben", "192.0.2.1:5000");
    for asked in [refresh(0), refresh(600), permit(&[PEER]), bind(0x4000, PEER)] {
        let answer = lab.ask(&ben, asked);
        assert_eq!(code(&answer), 441);
        assert!(answer.contains(ATTR_MESSAGE_INTEGRITY), "lab.ask has checked it with ben's key");
    }
    assert!(lab.sockets.contains_key(&relayed) && lab.servers[0].has_allocation(&anna.five_tuple));
    assert_eq!(lab.peer(PEER, relayed, b"x"), None, "no permission came of it");
}

#[test]
fn a_room_credential_ends_with_the_membership_and_so_do_its_allocations() {
    let mut lab = Lab::with(Setup { shards: 2, ..Setup::default() });
    let anna = lab.member(ANNA, "192.0.2.1:5000");
    let elsewhere = lab.member(ANNA, "192.0.2.1:5001").on_shard(1);
    let ben = lab.member(BEN, "192.0.2.2:5000");
    let (first, second, third) = (lab.allocate(&anna), lab.allocate(&elsewhere), lab.allocate(&ben));
    lab.rooms.leave(ANNA);
    for asked in [allocate(), refresh(600), permit(&["192.0.2.2:1"]), bind(0x4000, "192.0.2.2:1")] {
        assert_eq!(lab.code(&anna, asked), 401, "refused even before the allocation is revoked");
    }
    lab.revoke(ANNA);
    assert!(!lab.sockets.contains_key(&first) && !lab.sockets.contains_key(&second));
    assert!(lab.sockets.contains_key(&third), "the others of the room stay");
    assert_eq!(lab.servers.iter().map(|server| server.len()).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(lab.shared.quota.allocations(), 1);
    assert!(lab.shared.relayed.get(first).is_none() && lab.shared.relayed.get(third).is_some());
    assert_eq!(lab.code(&anna, allocate()), 401);
    assert!(lab.exchange(&anna, &send(PEER, b"late")).is_nothing());
}

/// An Allocate signed with MESSAGE-INTEGRITY-SHA256, by a key of `algorithm`, with what `with` adds.
fn sha256(client: &Client, algorithm: PasswordAlgorithm, with: impl FnOnce(Asked) -> Asked) -> Vec<u8> {
    let key = IntegrityKey::derive(algorithm, &client.username, REALM, &client.password);
    sign_sha256(with(allocate()).text(ATTR_REALM, REALM).text(ATTR_NONCE, &client.nonce), key.bytes(), 32)
}

/// Appends MESSAGE-INTEGRITY-SHA256 of so many bytes.
fn sign_sha256(asked: Asked, key: &[u8], value_bytes: usize) -> Vec<u8> {
    let mut signed = asked.0.raw;
    let length = (signed.len() - MESSAGE_HEADER_SIZE + 4 + value_bytes) as u16;
    signed[2..4].copy_from_slice(&length.to_be_bytes());
    let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key), &signed);
    signed.extend([0, 0x1C, 0, value_bytes as u8]);
    signed.extend(&tag.as_ref()[..value_bytes]);
    signed
}

/// Whether an answer has a right MESSAGE-INTEGRITY-SHA256, and no other.
fn is_signed_sha256(answer: &Message, key: &IntegrityKey) -> bool {
    let start = answer.raw.len() - 36;
    let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.bytes()), &answer.raw[..start]);
    answer.raw[start..] == [&[0, 0x1C, 0, 32], tag.as_ref()].concat() && !answer.contains(ATTR_MESSAGE_INTEGRITY)
}

const USERHASH: AttrType = AttrType(0x001E);
const ONE: AttrType = AttrType(0x001D);
const LIST: AttrType = AttrType(0x8002);
const OFFERED: [u8; 8] = PasswordAlgorithm::OFFERED;

#[test]
fn a_401_offers_the_password_algorithms_and_its_nonce_says_so() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let answer = lab.exchange(&client, &allocate().0.raw).reply();
    assert_eq!(answer.get(LIST).unwrap(), [0, 2, 0, 0, 0, 1, 0, 0]);
    // Bit 0 of 24, in base64 (RFC 8489 sections 9.2 and 18.1).
    assert_eq!(&text(&answer, ATTR_NONCE)[..13], "obMatJos2AAAB");
}

#[test]
fn a_request_with_sha256_is_answered_with_sha256_whichever_the_key() {
    for algorithm in [PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256] {
        let mut lab = Lab::new();
        let client = lab.client("anna", "192.0.2.1:5000");
        let chosen: &[u8] = if algorithm == PasswordAlgorithm::Md5 { &[0, 1, 0, 0] } else { &[0, 2, 0, 0] };
        let named = |asked: Asked| asked.text(ATTR_USERNAME, &client.username).raw(LIST, &OFFERED).raw(ONE, chosen);
        let key = IntegrityKey::derive(algorithm, &client.username, REALM, &client.password);
        let packet = sha256(&client, algorithm, named);
        let answer = lab.exchange(&client, &packet).reply();
        assert!(code(&answer) == 0 && is_signed_sha256(&answer, &key));
        let again = lab.exchange(&client, &sha256(&client, algorithm, named)).reply();
        assert!(code(&again) == 437 && is_signed_sha256(&again, &key), "refusals are signed alike");
        let wrong = Client { password: "guess".into(), ..client.clone() };
        assert_eq!(code(&lab.exchange(&client, &sha256(&wrong, algorithm, named)).reply()), 401);
    }
}

#[test]
fn without_a_named_algorithm_the_key_is_md5() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let named = |asked: Asked| asked.text(ATTR_USERNAME, &client.username);
    assert_eq!(code(&lab.exchange(&client, &sha256(&client, PasswordAlgorithm::Sha256, named)).reply()), 401);
    assert_eq!(code(&lab.exchange(&client, &sha256(&client, PasswordAlgorithm::Md5, named)).reply()), 0);
}

#[test]
fn a_list_that_is_not_the_one_offered_is_400() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let (md5, sha) = ([0, 1, 0, 0], [0, 2, 0, 0]);
    type Value<'a> = Option<&'a [u8]>;
    let tampered: [(Value<'_>, Value<'_>); 6] = [
        (Some(&md5), Some(&md5)),
        (None, Some(&OFFERED)),
        (Some(&sha), None),
        (Some(&[0, 3, 0, 0]), Some(&OFFERED)),
        (Some(&sha), Some(&[0, 1, 0, 0, 0, 2, 0, 0])),
        (Some(&[]), Some(&OFFERED)),
    ];
    for (one, list) in tampered {
        let named = |asked: Asked| {
            let asked =
                list.into_iter().fold(asked.text(ATTR_USERNAME, &client.username), |asked, list| asked.raw(LIST, list));
            one.into_iter().fold(asked, |asked, one| asked.raw(ONE, one))
        };
        assert_eq!(
            code(&lab.exchange(&client, &sha256(&client, PasswordAlgorithm::Md5, named)).reply()),
            400,
            "{one:?} {list:?}"
        );
    }
    assert!(lab.sockets.is_empty());
}

#[test]
fn a_static_user_is_known_by_its_userhash() {
    let mut lab = Lab::new();
    let camera = lab.holder("camera", "front door", "192.0.2.1:5000");
    let hash = ring::digest::digest(&ring::digest::SHA256, b"camera:lanturn");
    let named = |asked: Asked| asked.raw(USERHASH, hash.as_ref()).raw(LIST, &OFFERED).raw(ONE, &[0, 2, 0, 0]);
    assert_eq!(code(&lab.exchange(&camera, &sha256(&camera, PasswordAlgorithm::Sha256, named)).reply()), 0);
    let nobody = ring::digest::digest(&ring::digest::SHA256, b"nobody:lanturn");
    for hash in [nobody.as_ref(), b"", &[0; 32]] {
        let named = |asked: Asked| asked.raw(USERHASH, hash);
        assert_eq!(code(&lab.exchange(&camera, &sha256(&camera, PasswordAlgorithm::Md5, named)).reply()), 401);
    }
}

#[test]
fn sha256_may_be_cut_short_but_not_too_short_and_counts_where_there_are_both() {
    for (length, right) in [(32, true), (28, true), (16, true), (12, false), (18, false), (36, false)] {
        let mut lab = Lab::new();
        let client = lab.client("anna", "192.0.2.1:5000");
        let asked = allocate().named(&client);
        let key = IntegrityKey::derive(PasswordAlgorithm::Md5, &client.username, REALM, &client.password);
        let packet = if length > 32 {
            [sign_sha256(asked, key.bytes(), 32), vec![0; 4]].concat()
        } else {
            sign_sha256(asked, key.bytes(), length)
        };
        let outcome = lab.exchange(&client, &packet);
        assert_eq!(matches!(outcome, Outcome::Reply(_)), right, "{length}");
    }
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let both = allocate().named(&client).with(client.key());
    assert_eq!(code(&lab.exchange(&client, &sign_sha256(both.clone(), b"another", 32)).reply()), 401);
    assert_eq!(code(&lab.exchange(&client, &sign_sha256(both, client.key().0.as_slice(), 32)).reply()), 0);
}
