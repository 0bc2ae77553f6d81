//! aioice and aiortc, unmodified from their registry, in programs of their own: `tests/interop/python`. They take what the
//! box tells over HTTPS, and trust its authority as a device does that was told to.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::support::server::{LOOPBACK, Server};

const TRANSPORTS: [&str; 3] = ["udp", "tcp", "tls"];

/// Runs one of the programs with an API key.
fn program(name: &str, server: &Server, key: &str, arguments: &[&str]) -> Output {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/python");
    let mut command = Command::new(dir.join(".venv/bin/python"));
    command.arg("-B").arg(dir.join(name)).arg(format!("https://{}", server.address())).arg(key).args(arguments);
    command.env("SSL_CERT_FILE", server.path().join("certs/ca.pem")).stdin(Stdio::null());
    command.output().unwrap_or_else(|error| panic!("its Python is missing ({error}): make deps-interop"))
}

fn succeeds(name: &str, transport: &str, messages: u32) {
    let server = Server::start(LOOPBACK);
    let output = program(name, &server, &server.key(), &[transport]);
    let [told, complaints] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{name} {transport}:\n{complaints}");
    assert_eq!(told, format!("both heard {messages} over {transport}\n"), "{complaints}");
}

fn fails(name: &str, key: Option<&str>, arguments: &[&str], complaint: &str) {
    let server = Server::start(LOOPBACK);
    let key = key.map_or_else(|| server.key(), str::to_owned);
    let output = program(name, &server, &key, arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains(complaint), "{told}");
}

#[test]
fn connections_of_aioice_relay() {
    TRANSPORTS.iter().for_each(|transport| succeeds("pair_of_aioice.py", transport, 8));
}

#[test]
fn peer_connections_of_aiortc_relay() {
    TRANSPORTS.iter().for_each(|transport| succeeds("pair_of_aiortc.py", transport, 300));
}

#[test]
fn aioice_with_a_wrong_password_has_no_candidate() {
    fails("pair_of_aioice.py", None, &["tcp", "a guess"], "AssertionError: [[], []]");
}

#[test]
fn aiortc_with_a_wrong_key_gets_no_server() {
    fails("pair_of_aiortc.py", Some("a-guess"), &["udp"], "HTTP Error 403");
}
