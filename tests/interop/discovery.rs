//! NAT behaviour discovery (RFC 5780), with coturn's client. Two addresses of loopback are the two of the box.

use super::run;
use super::support::server::Server;
use super::support::two_ports;

/// What it makes of the way to a box, which listens at one of the four addresses alone.
fn discovers(options: &[&str], expected: &[&str]) {
    let [port, other] = two_ports();
    let server = Server::start(&format!(
        "[listen]\naddresses = ['127.0.0.1:{port}']\nshards = 4\n\
         behavior_discovery = ['127.0.0.1:{port}', '127.0.0.2:{other}']\n"
    ));
    let port = server.address().port().to_string();
    // Each time from another port, and so by another shard.
    for _ in 0..8 {
        let text = run("turnutils_natdiscovery", &[options, &["-p", &port, "127.0.0.1"]].concat());
        for line in expected {
            let line = line.replace("PORT", &port).replace("OTHER", &other.to_string());
            assert!(text.contains(&line), "{options:?}: {line:?} is not in\n{text}");
        }
    }
}

const NO_NAT: [&str; 2] = ["NAT with Endpoint Independent Mapping!", "NAT with Endpoint Independent Filtering!"];

#[test]
fn a_client_finds_no_nat_on_loopback() {
    let from = ["Response origin: : 127.0.0.2:PORT", "Other addr: : 127.0.0.2:OTHER", "No ALG: Mapped == XOR-Mapped"];
    discovers(&["-m", "-f"], &[&NO_NAT[..], &from].concat());
}

#[test]
fn fragments_are_discovered_with_padding() {
    discovers(&["-m", "-f", "-P"], &NO_NAT);
}

#[test]
fn an_answer_at_another_port_is_heard() {
    discovers(&["-t", "-T", "1"], &["RFC 5780 response 2"]);
}

/// Where it is off there is no other address, and whoever asks for it anyway is told that it is not known.
#[test]
fn it_is_off_unless_asked_for() {
    let server = Server::start(super::LOOPBACK);
    let port = server.address().port().to_string();
    let text = run("turnutils_natdiscovery", &["-m", "-f", "-p", &port, "127.0.0.1"]);
    assert!(!text.contains("Other addr") && !text.contains("Independent"), "{text}");
}
