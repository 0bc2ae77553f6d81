//! What `lanturn probe` makes of the way to the box.

use std::process::Command;

use super::net::{BOX, Mapping, World};
use super::support::probe::Probe;
use super::support::server::Server;

/// Runs it in a namespace, against the box's public address.
fn probe_in(namespace: &str) -> Probe {
    probe_with(namespace, &[])
}

fn probe_with(namespace: &str, arguments: &[&str]) -> Probe {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, env!("CARGO_BIN_EXE_lanturn")]);
    Probe::run_by(
        command.current_dir(std::env::temp_dir()),
        &[&[format!("https://{BOX}:3478").as_str()], arguments].concat(),
    )
}

/// Rules for what a host forwards or takes in.
fn wall(world: &World, host: &str, hook: &str, rule: &str) {
    world.nft(
        host,
        &format!(
            "table ip wall {{
                chain pass {{
                    type filter hook {hook} priority filter; policy accept;
                    {rule}
                }}
            }}"
        ),
    );
}

pub fn names_the_nat() {
    let mut world = World::new();
    let inside = world.public_box();
    let _server = Server::start_within(&inside, super::cases::CONFIG);
    for (number, mapping, kind) in [(1, Mapping::Kept, "the same outer port"), (2, Mapping::Random, "(symmetric)")] {
        let outer = format!("203.0.113.1{number}");
        let (_, client) = world.behind_nat(number, &outer, mapping);
        let probe = probe_in(&client);
        assert_eq!(probe.code, Some(0), "{probe:?}");
        probe.works_over(&["udp", "tcp", "tls"]);
        let seen = probe.step("udp binding").1;
        assert!(seen.contains(&format!("sees this machine at {outer}:")), "{seen}");
        assert_eq!(probe.state("relay ports"), "ok", "{probe:?}");
        let (state, text) = probe.step("nat");
        assert!(state == "ok" && text.contains(kind), "{mapping:?}: {text}");
    }
}

pub fn says_that_udp_is_blocked() {
    let mut world = World::new();
    let inside = world.public_box();
    let _server = Server::start_within(&inside, super::cases::CONFIG);
    let (nat, client) = world.behind_nat(1, "203.0.113.11", Mapping::Random);
    wall(&world, &nat, "forward", "meta l4proto udp drop");
    let probe = probe_in(&client);
    assert_eq!(probe.code, Some(0), "TCP is enough: {probe:?}");
    assert_eq!(
        probe.step("udp binding"),
        ("failed", "UDP never arrived, TCP did: a firewall blocks UDP 3478"),
        "{probe:?}"
    );
    probe.works_over(&["tcp", "tls"]);
    assert_eq!((probe.state("udp relay"), probe.state("relay ports"), probe.state("nat")), ("-", "-", "-"));
}

pub fn says_that_answers_are_blocked() {
    let mut world = World::new();
    let inside = world.public_box();
    let _server = Server::start_within(&inside, super::cases::CONFIG);
    let (nat, client) = world.behind_nat(1, "203.0.113.11", Mapping::Kept);
    wall(&world, &nat, "forward", "udp sport 3478 drop");
    let probe = probe_in(&client);
    let (state, text) = probe.step("udp binding");
    assert_eq!(state, "failed");
    let arrived = text.starts_with("the request arrived over UDP, from 203.0.113.11:");
    assert!(arrived && text.ends_with("but the answer never came back"), "{text}");
}

pub fn says_that_relay_ports_are_closed() {
    let mut world = World::new();
    let inside = world.public_box();
    let _server = Server::start_within(&inside, super::cases::CONFIG);
    wall(&world, &inside, "input", "udp dport 49152-65535 drop");
    let (_, client) = world.behind_nat(1, "203.0.113.11", Mapping::Random);
    let probe = probe_in(&client);
    assert_eq!(probe.code, Some(0), "calls on the page do without: {probe:?}");
    probe.works_over(&["udp", "tcp", "tls"]);
    assert_eq!(probe.step("relay ports"), ("failed", "no packet from outside got to the relayed address"), "{probe:?}");
    assert_eq!(probe.state("nat"), "-");
}

pub fn names_the_rule_that_refuses() {
    let mut world = World::new();
    let inside = world.public_box();
    let config = format!("{}deny = [\"203.0.113.11/32\"]\n", super::cases::CONFIG);
    let server = Server::start_within(&inside, &config);
    let (_, client) = world.behind_nat(1, "203.0.113.11", Mapping::Kept);
    // A member of a room is not told what the rules are.
    let probe = probe_in(&client);
    assert_eq!(probe.code, Some(0), "calls on the page do without: {probe:?}");
    let (_, text) = probe.step("relay ports");
    assert!(text.ends_with(": this credential reaches the members of its room alone"), "{text}");
    let (user, password) = server.credential("anna");
    server.write("password", &password);
    let file = server.path().join("password");
    let probe = probe_with(&client, &["--user", &user, "--password-file", file.to_str().unwrap()]);
    let (state, text) = probe.step("relay ports");
    assert!(state == "-" && text.ends_with(": refused by the rule `203.0.113.11/32` in relay.deny"), "{text}");
}

pub fn says_that_the_box_is_not_there() {
    let mut world = World::new();
    let (_, client) = world.behind_nat(1, "203.0.113.11", Mapping::Random);
    let probe = probe_in(&client);
    assert_eq!((probe.code, probe.state("web")), (Some(3), "failed"), "{probe:?}");
}
