//! A client that was written from the RFCs alone, turn-client-proto, unmodified from its registry, in a program of its own:
//! `tests/interop/turn-proto`. It goes through all that it can do, and believes no answer without a proof.

use std::net::SocketAddr;

use super::support::server::Server;
use super::{program, run};

const BOTH: &str = "listen.addresses = ['127.0.0.1:0', '[::1]:0']\nlisten.shards = 2\nrelay.allow_loopback = true\n";
const SHA1: &str = "answered: MESSAGE-INTEGRITY\n\
    asked: USERNAME, PASSWORD-ALGORITHMS, PASSWORD-ALGORITHM MD5, MESSAGE-INTEGRITY\n";
const SHA256: &str = "answered: MESSAGE-INTEGRITY-SHA256\n\
    asked: USERNAME, PASSWORD-ALGORITHMS, PASSWORD-ALGORITHM SHA256, MESSAGE-INTEGRITY-SHA256\n";
const V4: &str = "relayed: 127.0.0.1\n";
const V6: &str = "relayed: ::1\n";

/// What the program tells, for one that signs and wants families as said.
fn client(address: SocketAddr, transport: &str, asks: [&str; 2], (username, password): &(String, String)) -> String {
    let [integrity, families] = asks;
    let program = program::build("turn-proto");
    run(program.to_str().unwrap(), &[&address.to_string(), transport, integrity, families, username, password])
}

fn goes_through(transports: &[&str], asks: [&str; 2], told: &[&str]) {
    let server = Server::start(BOTH);
    let anna = server.credential("anna");
    for transport in transports {
        for address in &server.addresses {
            assert_eq!(client(*address, transport, asks, &anna), told.concat(), "{address} {transport}");
        }
    }
}

#[test]
fn sha256_is_taken_by_who_knows_both_and_both_families_are_relayed() {
    goes_through(&["udp", "tcp"], ["either", "46"], &[V4, V6, SHA256]);
}

#[test]
fn sha256_is_enough() {
    goes_through(&["udp", "tcp"], ["sha256", "6"], &[V6, SHA256]);
}

#[test]
fn sha1_will_do() {
    goes_through(&["udp", "tcp"], ["sha1", "4"], &[V4, SHA1]);
}

#[test]
fn peers_are_connected_to() {
    goes_through(&["streams"], ["either", "4"], &[V4, SHA256]);
    goes_through(&["streams"], ["sha1", "6"], &[V6, SHA1]);
}

#[test]
fn a_wrong_password_is_refused_however_it_signs() {
    let server = Server::start(BOTH);
    let (username, password) = server.credential("anna");
    for (transport, integrity) in [("udp", "sha1"), ("udp", "sha256"), ("tcp", "sha1"), ("tcp", "sha256")] {
        for guess in [(username.clone(), "a guess".to_owned()), (format!("{username}a"), password.clone())] {
            let told = client(server.address(), transport, [integrity, "4"], &guess);
            assert_eq!(told, "refused: 401 401\n", "{transport} {integrity} {guess:?}");
        }
    }
}
