//! What an allocation with a channel costs to make, and to hold.

use std::time::Duration;

use super::report::Report;
use super::row::{Reach, Row};
use super::subject::Bench;
use super::turn::{self, Client};
use crate::server::Server;

/// So many are made and held.
const HELD: usize = 4000;
/// Clients that come at a time, where they do.
const TOGETHER: usize = 32;

/// CPU to make one when they come one after another and when many come at a time, in microseconds, and memory to hold
/// one, in KiB.
struct Price {
    cpu: f64,
    cpu_together: f64,
    memory: f64,
}

pub fn report(bench: &Bench, report: &mut Report) {
    let title = format!("What an allocation with a channel costs, of {HELD} that are made and held");
    let mut table = report.table("allocations", &title, bench.names());
    // Each round has fresh servers, so that nothing held before counts.
    let rounds: Vec<[Price; 2]> = (0..bench.rounds).map(|_| bench.servers().each_ref().map(price)).collect();
    let of = |value: fn(&Price) -> f64| [0, 1].map(|side| rounds.iter().map(|round| value(&round[side])).collect());
    table.add(Row::new("CPU to make it, one after another", "µs", of(|price| price.cpu)).reach(Reach::AtMost(0.30)));
    let together = Row::new(format!("CPU to make it, {TOGETHER} at a time"), "µs", of(|price| price.cpu_together));
    table.add(together.reach(Reach::AtMost(0.30)));
    let memory = Row::new("memory to hold it", "KiB", of(|price| price.memory));
    table.add(memory.note("to be reached: 6 KiB"));
}

fn price(server: &Server) -> Price {
    let peer = turn::socket();
    let to = peer.local_addr().unwrap();
    let make = |count: usize| -> Vec<Client> {
        let one = || {
            let mut client = Client::allocate(server.address);
            client.bind_channel(0x4001, to);
            client
        };
        (0..count).map(|_| one()).collect()
    };
    // The first of them brings in what all of them share.
    let _first = make(HELD / 10);
    let (cpu, memory) = (server.cpu(), server.memory());
    let clients = make(HELD);
    let (cpu, memory) = (server.cpu() - cpu, server.memory() - memory);
    let before = server.cpu();
    let more: Vec<Vec<Client>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..TOGETHER).map(|_| scope.spawn(|| make(HELD / TOGETHER))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a client has failed")).collect()
    });
    // What it costs to end them does not count: they are held until here.
    let together = server.cpu() - before;
    let micros = |cpu: Duration, count: usize| cpu.as_secs_f64() * 1e6 / count as f64;
    Price {
        cpu: micros(cpu, clients.len()),
        cpu_together: micros(together, more.iter().map(Vec::len).sum()),
        memory: memory as f64 / clients.len() as f64,
    }
}
