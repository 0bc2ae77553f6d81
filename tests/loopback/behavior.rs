//! NAT behaviour discovery (RFC 5780): answers that come from where they were not asked for.

use std::net::{SocketAddr, UdpSocket};

use super::support::server::{Server, refusal};
use super::support::{PATIENCE, two_ports};

#[test]
fn an_answer_comes_from_the_address_and_port_that_are_asked_for_on_every_shard() {
    let [port, other] = two_ports();
    let _server = Server::start(&format!(
        "[listen]\naddresses = ['127.0.0.1:{port}']\nshards = 3\n\
         behavior_discovery = ['127.0.0.1:{port}', '127.0.0.2:{other}']\n"
    ));
    let (here, there) = ([127, 0, 0, 1], [127, 0, 0, 2]);
    for _ in 0..4 {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        for (ip, at) in [(here, port), (here, other), (there, port), (there, other)] {
            for flags in [0, 2, 4, 6] {
                let mut request = [0; 28];
                request[..8].copy_from_slice(&[0, 1, 0, 8, 0x21, 0x12, 0xA4, 0x42]);
                request[20..].copy_from_slice(&[0, 3, 0, 4, 0, 0, 0, flags]);
                client.send_to(&request, SocketAddr::from((ip, at))).unwrap();
                let mut answer = [0; 200];
                let (_, from) = client.recv_from(&mut answer).unwrap();
                assert_eq!(answer[..2], [1, 1]);
                let ip = if (ip == here) == (flags & 4 == 0) { here } else { there };
                let at = if (at == port) == (flags & 2 == 0) { port } else { other };
                assert_eq!(from, SocketAddr::from((ip, at)), "{flags}");
            }
            // No more than twenty a second are answered so.
            std::thread::sleep(std::time::Duration::from_millis(250));
        }
    }
}

#[test]
fn an_address_that_cannot_be_had_stops_the_start() {
    let taken = UdpSocket::bind("127.0.0.2:0").unwrap();
    let (dir, taken_at) = (tempfile::tempdir().unwrap(), taken.local_addr().unwrap());
    let [port, _] = two_ports();
    let config =
        format!("[listen]\naddresses = ['127.0.0.1:0']\nbehavior_discovery = ['127.0.0.1:{port}', '{taken_at}']\n");
    std::fs::write(dir.path().join("config.toml"), config).unwrap();
    let said = refusal(dir.path());
    let expected = format!("config.toml: listen.behavior_discovery: {taken_at} is in use by another program (UDP): ");
    assert!(said.contains(&expected), "{said}");
}
