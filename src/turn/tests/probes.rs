//! What is noted of those who test their way, and of nobody else.

use ::stun::attributes::ATTR_SOFTWARE;

use super::support::*;
use crate::credentials::*;
use crate::limit::SourcePrefix;
use crate::sightings::{MAX_SIGHTINGS, Outcome as Noted, ProbeId, Sighting};

const PROBE: ProbeId = ProbeId(0x1234);

fn begin(lab: &Lab) {
    lab.shared.sightings.begin(PROBE, source(), lab.start).unwrap();
}

fn source() -> SourcePrefix {
    at("192.0.2.1:1").ip().into()
}

fn marked(asked: Asked) -> Asked {
    asked.text(ATTR_SOFTWARE, &PROBE.software())
}

fn noted(lab: &Lab) -> Vec<Sighting> {
    let all = lab.shared.sightings.of(PROBE, source(), lab.now.instant).unwrap();
    all.into_iter().map(|(sighting, _)| sighting).collect()
}

/// The method and the reason of the last refusal.
fn refusal(lab: &Lab) -> (&'static str, &'static str, Option<String>) {
    let Some(Sighting { method, outcome: Noted::Refused { reason, rule, .. }, .. }) = noted(lab).pop() else {
        panic!("{:?}", noted(lab))
    };
    (method, reason, rule)
}

#[test]
fn whoever_shows_a_probe_is_noted_with_what_became_of_it() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    begin(&lab);
    assert_eq!(code(&lab.exchange(&client, &marked(allocate()).0.raw).reply()), 401);
    assert_eq!(lab.code(&client, marked(allocate())), 0);
    assert_eq!(lab.code(&client, marked(permit(&[PEER]))), 0);
    let seen: Vec<_> = noted(&lab).into_iter().map(|seen| (seen.transport, seen.method, seen.outcome)).collect();
    assert_eq!(
        seen,
        [
            ("udp", "allocate", Noted::Challenged),
            ("udp", "allocate", Noted::Answered),
            ("udp", "create-permission", Noted::Answered)
        ]
    );
    assert_eq!(noted(&lab)[0].client, at("192.0.2.1:5000"));
}

#[test]
fn each_reason_is_told_from_the_others() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    let old = mint(&Secret::new(SECRETS[0]), "anna", UNIX - 100, 60).unwrap();
    let left = mint_for_member(&Secret::new(SECRETS[0]), ANNA, UNIX, 60);
    begin(&lab);
    for (username, password, reason) in [
        ("nobody", "guess", "wrong-credential"),
        (&client.username, "guess", "wrong-credential"),
        (&left.username, &left.password, "wrong-credential"),
        (&old.username, &old.password, "expired"),
    ] {
        let wrong = Client { username: username.into(), password: password.into(), ..client.clone() };
        assert_eq!(lab.code(&wrong, marked(allocate())), 401);
        assert_eq!(refusal(&lab), ("allocate", reason, None), "{username}");
    }
    let realm = marked(allocate()).text(ATTR_USERNAME, &client.username).text(ATTR_REALM, "other");
    lab.exchange(&client, &realm.text(ATTR_NONCE, &client.nonce).with(client.key()).0.raw);
    assert_eq!(refusal(&lab).1, "wrong-realm");
    lab.allocate(&client);
    for (peer, reason, rule) in [
        ("198.51.100.66:1", "rule", Some("198.51.100.66/32".to_owned())),
        ("8.8.8.8:1", "not-allowed", None),
        ("169.254.169.254:1", "never", None),
    ] {
        assert_eq!(lab.code(&client, marked(permit(&[peer]))), 403);
        assert_eq!(refusal(&lab), ("create-permission", reason, rule), "{peer}");
    }
    assert_eq!(lab.code(&client, marked(bind(0x4000, "192.168.1.5:1"))), 403);
    assert_eq!(refusal(&lab), ("channel-bind", "not-relayed", None));
}

#[test]
fn a_page_is_known_by_its_username() {
    let mut lab = Lab::new();
    let page = mint_for_page(&Secret::new(SECRETS[0]), PROBE.0, UNIX, 60);
    let page = lab.holder(&page.username, &page.password, "192.0.2.1:5000").over(crate::turn::Transport::Tls);
    let page = Client { nonce: lab.challenge(&page), ..page };
    begin(&lab);
    lab.allocate(&page);
    assert_eq!(noted(&lab).iter().map(|seen| seen.transport).collect::<Vec<_>>(), ["tls"]);
}

#[test]
fn nobody_else_is_noted_and_bindings_never() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    begin(&lab);
    lab.allocate(&client);
    let other = allocate().text(ATTR_SOFTWARE, &ProbeId(7).software());
    assert_eq!(lab.code(&client, other), 437);
    lab.exchange(&client, &marked(Asked::request(METHOD_BINDING)).0.raw).reply();
    lab.exchange(&client, &marked(Asked::request(METHOD_BINDING)).raw(AttrType(0x7777), b"").0.raw).reply();
    assert_eq!(noted(&lab), []);
}

#[test]
fn what_is_noted_of_one_probe_is_bounded_and_the_rest_counted() {
    let mut lab = Lab::new();
    begin(&lab);
    let client = lab.client("anna", "192.0.2.1:5000");
    for port in 0..MAX_SIGHTINGS as u16 + 7 {
        let mut other = client.clone();
        other.five_tuple.client.set_port(6000 + port);
        lab.exchange(&other, &marked(allocate()).0.raw).reply();
    }
    assert_eq!(noted(&lab).len(), MAX_SIGHTINGS);
    assert_eq!(lab.servers[0].counters().sightings_dropped, 7);
}
