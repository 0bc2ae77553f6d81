//! How much later a packet arrives for going through the relay.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::report::Report;
use super::row::{Reach, Row};
use super::subject::Bench;
use super::turn::{self, Client};
use crate::server::Server;
use crate::spread::Spread;

/// Packets a second.
const RATE: u32 = 20_000;
/// Packets that are sent at a time.
const BURST: u32 = 10;
const CHANNEL: u16 = 0x4001;
const PAYLOAD: usize = 1200;

/// Times from sending to receiving, in microseconds.
#[derive(Clone, Copy)]
struct Latency {
    p50: f64,
    p99: f64,
}

pub fn report(bench: &Bench, report: &mut Report) {
    let title = format!("Added latency at {RATE} packets/s of {PAYLOAD} bytes, in bursts of {BURST}");
    let mut table = report.table("latency", &title, bench.names());
    let direct: Vec<Latency> = (0..bench.rounds).map(|_| direct(bench.window)).collect();
    let relayed = bench.in_turns(&mut bench.servers(), |server| relayed(server, bench.window));
    for (name, of) in [("p50", (|latency| latency.p50) as fn(&Latency) -> f64), ("p99", |latency| latency.p99)] {
        let without = Spread::of(direct.iter().map(of));
        let added = relayed.each_ref().map(|all| all.iter().map(|latency| of(latency) - without.median).collect());
        let note = format!("without a relay it is {}", without.text(0));
        table.add(Row::new(name, "µs", added).reach(Reach::AtMost(0.80)).note(note));
    }
}

/// From one socket to another, without a relay.
fn direct(window: Duration) -> Latency {
    let (from, to) = (turn::socket(), turn::socket());
    from.connect(to.local_addr().unwrap()).unwrap();
    measure(&from, &to, 0, window)
}

/// From a client to a peer.
fn relayed(server: &Server, window: Duration) -> Latency {
    let (mut client, peer) = (Client::allocate(server.address), turn::socket());
    client.bind_channel(CHANNEL, peer.local_addr().unwrap());
    measure(client.socket(), &peer, 4, window)
}

/// `header` is what a relay takes off the front of a packet, in bytes.
fn measure(from: &UdpSocket, to: &UdpSocket, header: usize, window: Duration) -> Latency {
    to.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let start = Instant::now();
    let mut times = std::thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(to, start));
        let mut packet = turn::channel_data(CHANNEL, &[0; PAYLOAD])[4 - header..].to_vec();
        let mut sent = 0;
        while start.elapsed() < window {
            for _ in 0..BURST {
                packet[header..header + 8].copy_from_slice(&nanos(start).to_be_bytes());
                from.send(&packet).expect("loopback takes it");
            }
            sent += BURST;
            if let Some(left) = (Duration::from_secs(1) * sent / RATE).checked_sub(start.elapsed()) {
                std::thread::sleep(left);
            }
        }
        receiver.join().expect("the receiver has failed")
    });
    times.sort_unstable();
    let at = |hundredths: usize| times[times.len() * hundredths / 100] as f64 / 1000.0;
    Latency { p50: at(50), p99: at(99) }
}

/// Until nothing comes any more.
fn receive(to: &UdpSocket, start: Instant) -> Vec<u64> {
    let (mut times, mut buffer) = (Vec::new(), [0; 2048]);
    while to.recv(&mut buffer).is_ok() {
        let sent = u64::from_be_bytes(*buffer.first_chunk().expect("the buffer is longer"));
        times.push(nanos(start) - sent);
    }
    times
}

fn nanos(start: Instant) -> u64 {
    start.elapsed().as_nanos() as u64
}
