//! The binary against what others wrote: clients (coturn's, matchbox's, aiortc's and turn-client-proto's); nginx before
//! it; and an authority, Pebble.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod acme;
mod discovery;
mod matchbox;
mod nginx;
mod program;
mod python;
#[path = "../support/mod.rs"]
mod support;
mod turn_options;
mod turn_proto;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use support::server::{LOOPBACK, Server};

const MESSAGES: u32 = 100;
const CLIENTS: u32 = 4;

/// coturn's echo, which ends with this value.
struct Peer(Child);

impl Peer {
    fn start() -> Self {
        let mut command = Command::new("turnutils_peer");
        let child = command.args(["-L", "127.0.0.1"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(child.expect("turnutils_peer is missing: make deps-interop"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program} does not run ({error}): make deps-interop"));
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{program} {arguments:?}:\n{text}");
    text
}

/// It exits with 0 whatever comes of it, so what it prints is held to what it should be.
fn transfer(server: &Server, options: &[&str]) {
    let secret = server.secret();
    transfer_as(server, &["-W", &secret, "-u", "anna", "-e", "127.0.0.1"], &[options, &["-c"]].concat());
}

/// As whom the options say.
fn transfer_as(server: &Server, who: &[&str], options: &[&str]) {
    transfer_of(server, who, options, CLIENTS * MESSAGES, "0 (0.000000%)");
}

fn transfer_of(server: &Server, who: &[&str], options: &[&str], received: u32, lost: &str) {
    let port = server.address().port().to_string();
    let (clients, messages) = (CLIENTS.to_string(), MESSAGES.to_string());
    let common = ["-p", &port, "-m", &clients, "-n", &messages];
    let text = run("turnutils_uclient", &[who, &common, options, &["127.0.0.1"]].concat());
    let all = CLIENTS * MESSAGES;
    assert!(text.contains(&format!("tot_send_msgs={all}, tot_recv_msgs={received}\n")), "{options:?}:\n{text}");
    assert!(text.contains(&format!("Total lost packets {lost}")), "{options:?}:\n{text}");
    assert!(!text.contains("FAIL") && !text.contains("bind error"), "{options:?}:\n{text}");
}

fn with_peer(options: &[&str]) {
    // One peer serves all tests: its port is fixed.
    static PEER: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = PEER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let _peer = Peer::start();
    transfer(&Server::start(LOOPBACK), options);
}

#[test]
fn channels_over_udp() {
    with_peer(&[]);
}

#[test]
fn channels_over_tcp() {
    with_peer(&["-t"]);
}

#[test]
fn channels_over_tls() {
    with_peer(&["-t", "-S"]);
}

#[test]
fn channels_over_dtls() {
    with_peer(&["-S"]);
}

#[test]
fn send_indications_over_udp() {
    with_peer(&["-s"]);
}

#[test]
fn send_indications_over_dtls() {
    with_peer(&["-S", "-s"]);
}

#[test]
fn send_indications_over_tcp() {
    with_peer(&["-t", "-s"]);
}

#[test]
fn from_client_to_client_over_udp() {
    transfer(&Server::start(LOOPBACK), &["-y"]);
}

#[test]
fn from_client_to_client_over_dtls() {
    transfer(&Server::start(LOOPBACK), &["-y", "-S"]);
}

#[test]
fn from_client_to_client_over_tls() {
    transfer(&Server::start(LOOPBACK), &["-y", "-t", "-S"]);
}

/// One client connects to the relayed address of the other, and both bind their ends (RFC 6062).
#[test]
fn tcp_allocations_from_client_to_client() {
    transfer(&Server::start(LOOPBACK), &["-T"]);
}

#[test]
fn tcp_allocations_from_client_to_client_over_tls() {
    transfer(&Server::start(LOOPBACK), &["-T", "-S"]);
}

/// Peers without an allocation connect to the relayed addresses. They count what they send and not what they hear, so all
/// that clients hear is half of it: no more comes through coturn's own server.
#[test]
fn tcp_allocations_with_peers_that_connect() {
    let server = Server::start(LOOPBACK);
    let who = ["-W", &server.secret(), "-u", "anna", "-e", "127.0.0.1"];
    transfer_of(&server, &who, &["-P", "-c"], CLIENTS * MESSAGES / 2, "200 (50.000000%)");
}

#[test]
fn a_binding_names_the_client() {
    let server = Server::start(LOOPBACK);
    let port = server.address().port().to_string();
    let text = run("turnutils_stunclient", &["-p", &port, "127.0.0.1"]);
    let (_, mapped) = text.split_once("UDP reflexive addr: ").unwrap_or_else(|| panic!("{text}"));
    let mapped: SocketAddr = mapped.lines().next().unwrap().trim().parse().unwrap();
    assert!(mapped.ip().is_loopback() && mapped.port() != 0);
}

#[test]
fn a_wrong_secret_transfers_nothing() {
    let server = Server::start(LOOPBACK);
    let port = server.address().port().to_string();
    let guess = ["-W", "0123456789abcdef0123456789abcdef", "-u", "eve", "-y", "-c", "-p", &port, "127.0.0.1"];
    let output = Command::new("turnutils_uclient").args(guess).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && text.contains("Cannot complete Allocation"), "{text}");
}
