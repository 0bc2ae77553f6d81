//! What coturn's client can ask for besides the usual: each of its options that is about the protocol.

use std::process::{Command, Stdio};

use super::support::server::{LOOPBACK, Server};
use super::{run, transfer_as, with_peer};

/// The keys that coturn's client makes its tokens with (its `kid`s north, union and oldempire), as long as AES takes them.
const TOKEN_KEYS: &str = "north MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n\
    union MTIzNDU2Nzg5MDEyMzQ1Ng==\n\
    oldempire MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=\n";

/// How long an attack goes on.
const ATTACK_SECONDS: &str = "10";

/// On both loopback addresses.
const DUAL: &str = "[listen]\naddresses = [\"[::]:0\"]\nshards = 2\n[relay]\nallow_loopback = true\n";

/// From client to client over relayed addresses.
fn among_themselves(config: &str, options: &[&str]) {
    let server = Server::start(config);
    let secret = server.secret();
    transfer_as(&server, &["-W", &secret, "-u", "anna"], &[&["-y"], options].concat());
}

#[test]
fn pairs_of_an_even_port_and_the_next_are_reserved() {
    // Without -c it asks for the pairs that RTP and RTCP take.
    among_themselves(LOOPBACK, &[]);
    among_themselves(LOOPBACK, &["-t"]);
}

#[test]
fn ipv6_is_relayed_for_clients_over_ipv4() {
    among_themselves(DUAL, &["-x", "-c"]);
}

#[test]
fn both_address_families_are_relayed_at_once() {
    among_themselves(DUAL, &["-Z"]);
}

#[test]
fn channels_with_padding_on_udp_as_pjnath_has_it() {
    with_peer(&["-D"]);
}

#[test]
fn more_requests_than_it_takes() {
    with_peer(&["-G"]);
}

#[test]
fn clients_that_disconnect_at_random() {
    among_themselves(LOOPBACK, &["-B", "-c"]);
}

#[test]
fn requests_that_are_to_be_refused() {
    among_themselves(LOOPBACK, &["-N", "-c"]);
}

#[test]
fn clients_that_change_their_address() {
    among_themselves(LOOPBACK, &["-M", "-c"]);
    among_themselves(LOOPBACK, &["-M", "-t", "-c"]);
}

#[test]
fn datagrams_that_are_not_to_be_fragmented() {
    with_peer(&["-g"]);
    with_peer(&["-g", "-s"]);
}

#[test]
fn access_tokens_of_an_authorization_server() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("token.keys");
    std::fs::write(&keys, TOKEN_KEYS).unwrap();
    let server = Server::start(&format!("{LOOPBACK}[credentials]\ntoken_keys_file = {keys:?}\n"));
    transfer_as(&server, &["-J"], &["-y", "-c"]);
    std::fs::write(&keys, TOKEN_KEYS.replace("MTIz", "MTIx").replace("MDEy", "MDEx")).unwrap();
    let server = Server::start(&format!("{LOOPBACK}[credentials]\ntoken_keys_file = {keys:?}\n"));
    let port = server.address().port().to_string();
    let output = Command::new("turnutils_uclient").args(["-J", "-y", "-c", "-p", &port, "127.0.0.1"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && text.contains("Cannot complete Allocation"), "{text}");
}

#[test]
fn after_attacks_all_is_as_before() {
    let server = Server::start(LOOPBACK);
    let (secret, port) = (server.secret(), server.address().port().to_string());
    for attack in ["-R", "-O"] {
        // What it does is no session, so how it ends says nothing; and some of it waits for what never comes.
        let within =
            [ATTACK_SECONDS, "turnutils_uclient", "-W", &secret, "-u", "eve", "-p", &port, "-m", "4", "-n", "1"];
        let command = [&within[..], &["-y", "-c", attack, "127.0.0.1"]].concat();
        let _ = Command::new("timeout").args(command).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
    transfer_as(&server, &["-W", &secret, "-u", "anna"], &["-y", "-c"]);
    let text = run("turnutils_stunclient", &["-p", &port, "127.0.0.1"]);
    assert!(text.contains("UDP reflexive addr"), "{text}");
}
