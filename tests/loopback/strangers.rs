//! A million packets of strangers leave nothing behind.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::support::server::{LOOPBACK, Server};

/// From so many addresses, each a source prefix of its own.
const STRANGERS: u8 = 100;
/// How many each sends before it waits until what it sent has been looked at.
const AT_ONCE: usize = 100;
/// Rounds before memory is looked at first: buffers and tables are as large as they get by then.
const WARM_UP: usize = 5;
const ROUNDS: usize = 1_000_000 / (STRANGERS as usize * AT_ONCE);
/// In KiB: what allocators, not strangers, make of it. A byte a packet would be as much.
const MOST_GROWTH: u64 = 1024;

const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

/// Every kind of packet that anybody can send without a credential, or with a made-up one.
fn packet(number: usize) -> Vec<u8> {
    let id = [&number.to_be_bytes()[..], &[7; 4]].concat();
    let message = |kind: u16, attributes: &[u8]| {
        [&kind.to_be_bytes()[..], &(attributes.len() as u16).to_be_bytes(), &COOKIE, &id, attributes].concat()
    };
    let udp = [0, 0x19, 0, 4, 17, 0, 0, 0];
    let made_up = [
        &udp[..],
        &[0, 6, 0, 4],
        b"anna",
        &[0, 0x14, 0, 7],
        b"lanturn\0",
        &[0, 0x15, 0, 4],
        b"none",
        &[0, 8, 0, 20],
        &[9; 20],
    ];
    match number % 8 {
        0 => message(0x0001, &[]),
        1 => message(0x0003, &udp),
        2 => message(0x0003, &made_up.concat()),
        3 => message(0x0004, &[0x80, 0x30, 0, 4, 1, 2, 3, 4]),
        4 => message(0x0016, &[0, 0x12, 0, 8, 0, 1, 0x21, 0x13, 0xE1, 0xBA, 0xA5, 0x43, 0, 0x13, 0, 4, 1, 2, 3, 4]),
        5 => [&[0x40, 0, 0, 4][..], &id[..4]].concat(),
        6 => [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12][..], &id].concat(),
        _ => id,
    }
}

struct Stranger(UdpSocket);

impl Stranger {
    fn new(number: u8, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind(SocketAddr::from(([127, 1, 0, 1 + number], 0))).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        Self(socket)
    }

    /// Sends a round, and waits for the answer to a Binding that went after it.
    fn send(&self, round: usize) {
        for number in 0..AT_ONCE {
            self.0.send(&packet(round * AT_ONCE + number)).unwrap();
        }
        let last = [&[0, 1, 0, 0][..], &COOKIE, b"the last one"].concat();
        let mut answer = [0; 1500];
        for _ in 0..60 {
            self.0.send(&last).unwrap();
            while let Ok(length) = self.0.recv(&mut answer) {
                if length >= 20 && answer[8..20] == *b"the last one" {
                    return;
                }
            }
        }
        panic!("the box does not answer any more");
    }
}

#[test]
fn a_million_strangers_cost_no_memory() {
    let server = Server::start(LOOPBACK);
    let strangers: Vec<_> = (0..STRANGERS).map(|number| Stranger::new(number, server.address())).collect();
    let rounds = |from: usize, to: usize| {
        for round in from..to {
            strangers.iter().for_each(|stranger| stranger.send(round));
        }
    };
    rounds(0, WARM_UP);
    let before = server.memory();
    rounds(WARM_UP, WARM_UP + ROUNDS);
    let after = server.memory();
    assert!(after <= before + MOST_GROWTH, "{before} KiB before, {after} KiB after");
}
