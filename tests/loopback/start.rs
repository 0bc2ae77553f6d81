//! What a first run makes, what a second keeps, and what keeps either from starting.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;

use super::support::server::{LOOPBACK, Server, refusal};

const MADE: [&str; 6] =
    ["certs/ca.pem", "certs/ca.key", "certs/leaf.pem", "certs/leaf.key", "certs/credentials.secret", "certs/api.keys"];

fn stop(server: Server) {
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn a_first_run_makes_all_and_says_what_to_open() {
    let server = Server::start(LOOPBACK);
    let mode = |file: &str| std::fs::metadata(server.path().join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("certs"), 0o700);
    for secret in ["certs/ca.key", "certs/leaf.key", "certs/credentials.secret", "certs/api.keys"] {
        assert_eq!(mode(secret), 0o600, "{secret}");
    }
    let log = server.log();
    let address = server.address();
    for line in [
        format!("Open in a browser:\n  https://{address}/\n"),
        format!("  http://{address}/trust\n"),
        "API key for other programs: in certs/api.keys\n".into(),
    ] {
        assert!(log.contains(&line), "{line:?} is missing:\n{log}");
    }
    let fingerprint = log.split_once("SHA-256 fingerprint of the authority:\n  ").unwrap().1.lines().next().unwrap();
    let der = rustls::pki_types::pem::PemObject::from_pem_slice(server.read("certs/ca.pem").as_bytes()).unwrap();
    let der: rustls::pki_types::CertificateDer<'_> = der;
    let digest = ring::digest::digest(&ring::digest::SHA256, &der);
    let expected: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(fingerprint, expected.join(":"));
    for secret in [server.key(), server.secret()] {
        assert!(!log.contains(&secret), "a secret was printed");
    }
}

#[test]
fn a_second_run_uses_what_the_first_made() {
    let server = Server::start(LOOPBACK);
    let dir = server.dir();
    let first = MADE.map(|file| server.read(file));
    stop(server);
    let server = Server::start_in(std::sync::Arc::clone(&dir));
    assert_eq!(MADE.map(|file| server.read(file)), first);
    server.write("config.toml", &format!("{LOOPBACK}[tls]\nnames = ['calls.local']\n"));
    stop(server);
    let server = Server::start_in(dir);
    let third = MADE.map(|file| server.read(file));
    assert_eq!((&third[..2], &third[4..]), (&first[..2], &first[4..]), "the authority and the secrets stay");
    assert_ne!(third[2], first[2], "the certificate has another name now");
}

#[test]
fn a_name_that_the_authority_may_not_sign_for_is_told_once_and_left_out() {
    let server = Server::start(LOOPBACK);
    let (dir, leaf) = (server.dir(), server.read("certs/leaf.pem"));
    server.write("config.toml", &format!("{LOOPBACK}[tls]\nnames = ['calls.example', 'calls.example.org']\n"));
    stop(server);
    let server = Server::start_in(dir);
    assert_eq!(server.read("certs/leaf.pem"), leaf);
    let log = server.log();
    let told = "certs/ca.pem: was made when this box had other names and addresses, and may not sign for calls.example, \
                calls.example.org, so browsers refuse those: remove ca.pem and ca.key, and a new authority is made";
    assert_eq!(log.matches(told).count(), 1, "{log}");
    for file in ["certs/ca.pem", "certs/ca.key"] {
        std::fs::remove_file(server.path().join(file)).unwrap();
    }
    let dir = server.dir();
    stop(server);
    let server = Server::start_in(dir);
    assert!(!server.log().contains("may not sign for"), "{}", server.log());
    assert_ne!(server.read("certs/leaf.pem"), leaf);
}

#[test]
fn a_busy_port_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    for (address, transport) in [(udp.local_addr().unwrap(), "UDP"), (tcp.local_addr().unwrap(), "TCP")] {
        std::fs::write(dir.path().join("config.toml"), format!("listen.addresses = ['{address}']\n")).unwrap();
        let complaint = refusal(dir.path());
        let expected = format!(
            "lanturn: config.toml: listen.addresses: {address} is in use by another program ({transport}): another \
             port, or stop that program\n"
        );
        assert!(complaint.ends_with(&expected), "{complaint}");
    }
    let running = Server::start(LOOPBACK);
    let config = format!("listen.addresses = ['{}']\n", running.address());
    std::fs::write(dir.path().join("config.toml"), config).unwrap();
    assert!(refusal(dir.path()).contains("is in use by another program"), "a second lanturn does not share the port");
}

#[test]
fn what_is_wrong_with_a_configuration_is_said_with_what_would_be_right() {
    let dir = tempfile::tempdir().unwrap();
    for (config, complaint) in [
        ("[rooms]\ncapcity = 4\n", "lanturn: config.toml: rooms.capcity: unknown key: did you mean capacity?"),
        ("[relay]\nports = '9-1'\n", "lanturn: config.toml: relay.ports: `9-1` ends before it begins: 1-9\n"),
        ("listen = \n", "config.toml"),
    ] {
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        let said = refusal(dir.path());
        assert!(said.contains(complaint), "{said}");
    }
    std::fs::write(dir.path().join("config.toml"), "listen.addresses = ['127.0.0.1:0']\n").unwrap();
    std::fs::create_dir_all(dir.path().join("certs/credentials.secret")).unwrap();
    let said = refusal(dir.path());
    assert!(said.contains("certs/credentials.secret: cannot be read"), "{said}");
    assert!(said.contains("a text file that lanturn may read"), "{said}");
}
