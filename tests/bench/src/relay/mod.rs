//! The relay beside coturn: what a packet costs, memory, and the time to start.

mod allocations;
mod latency;
mod load;
mod sparse;
pub mod turn;

use std::path::Path;
use std::time::Duration;

use self::load::Load;
use crate::cost::Cost;
use crate::server::{self, Server};
use crate::{ROUNDS, cores};

pub fn report(lanturn: &Path, window: Duration) {
    let (first, again) = server::lanturn_starts(lanturn);
    let coturn_starts = server::coturn_starts();
    let servers = [Server::lanturn(lanturn), Server::coturn()];
    let idle = servers.each_ref().map(Server::memory);

    println!(
        "\nServer CPU, in microseconds for each packet that arrived ({} flows, windows of {} packets of {} bytes;",
        load::FLOWS,
        load::WINDOW,
        load::PAYLOAD
    );
    println!(
        "{ROUNDS} measurements of {} s for each server, in turns; on one of {} cores, shared with the load):\n",
        window.as_secs_f64(),
        cores()
    );
    println!("| what | lanturn | coturn | lanturn / coturn | lanturn packets/s | coturn packets/s | lost |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for load in Load::ALL {
        print_row(load.name(), &servers, |server| load.measure(server, window));
    }
    let calls = format!("{} flows, {} bytes each way every 20 ms", sparse::FLOWS, sparse::PAYLOAD);
    print_row(&calls, &servers, |server| sparse::measure(server, window));
    print_latency(&servers, window);
    let loaded = servers.each_ref().map(Server::memory);

    let [ours, theirs] = allocations::prices(lanturn);
    println!("\n| an allocation with a channel | lanturn | coturn | lanturn / coturn |\n|---|---:|---:|---:|");
    println!("| CPU to make it, us | {:.0} | {:.0} | {:.2} |", ours.cpu, theirs.cpu, ours.cpu / theirs.cpu);
    println!(
        "| memory to hold it, KiB | {:.1} | {:.1} | {:.2} |",
        ours.memory,
        theirs.memory,
        ours.memory / theirs.memory
    );

    println!("\n| what | lanturn | coturn |\n|---|---:|---:|");
    println!("| resident memory when started, KiB | {} | {} |", idle[0], idle[1]);
    println!("| resident memory after all that, KiB | {} | {} |", loaded[0], loaded[1]);
    println!(
        "| from start to the first answer, ms | {:.0} (first run: {:.0}) | {:.0} |",
        millis(again.answer),
        millis(first.answer),
        millis(coturn_starts.answer)
    );
    println!("| from start to `ready`, ms | {:.0} (first run: {:.0}) | |", millis(again.ready), millis(first.ready));
    println!("| the program, KiB | {} | {} and its shared libraries |", size(lanturn), size(&server::coturn()));
}

/// One kind of load on both servers, in turns.
fn print_row(name: &str, servers: &[Server; 2], measure: impl Fn(&Server) -> Cost) {
    let mut costs = [Cost::default(), Cost::default()];
    for _ in 0..ROUNDS {
        for (server, cost) in servers.iter().zip(&mut costs) {
            cost.add(measure(server));
        }
    }
    let [ours, theirs] = &costs;
    println!(
        "| {name} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} | {} / {} |",
        ours.micros(),
        theirs.micros(),
        ours.micros() / theirs.micros(),
        ours.rate(),
        theirs.rate(),
        ours.lost,
        theirs.lost
    );
}

fn print_latency(servers: &[Server; 2], window: Duration) {
    let direct = latency::direct(window);
    let [ours, theirs] = servers.each_ref().map(|server| latency::relayed(server, window).over(direct));
    println!("\n| added latency at {} packets/s, us | lanturn | coturn | lanturn / coturn |", latency::RATE);
    println!("|---|---:|---:|---:|");
    for (name, ours, theirs) in [("p50", ours.p50, theirs.p50), ("p99", ours.p99, theirs.p99)] {
        println!("| {name} | {ours:.0} | {theirs:.0} | {:.2} |", ours / theirs);
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len() / 1024)
}
