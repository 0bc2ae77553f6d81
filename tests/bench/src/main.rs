//! What lanturn costs, beside coturn: both on loopback, in one run, under the same load.
//!
//! A packet's cost is the server's CPU time (utime and stime of its process) over the packets that arrived at the far
//! end. Each flow sends a window of packets and waits until they are through, so that neither server is flooded and
//! what is measured is work, not loss.

mod load;
mod server;
mod turn;

use std::path::Path;
use std::time::Duration;

use load::{Cost, Load};
use server::Server;

/// Each measurement is made so often, in turns, and added up.
const ROUNDS: usize = 2;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(lanturn), Some(seconds)) = (arguments.next(), arguments.next().and_then(|text| text.parse().ok())) else {
        eprintln!("usage: lanturn-bench LANTURN SECONDS");
        std::process::exit(2);
    };
    let window = Duration::from_secs_f64(seconds);

    let (first, again) = server::lanturn_starts(Path::new(&lanturn));
    let coturn_starts = server::coturn_starts();
    let servers = [Server::lanturn(Path::new(&lanturn)), Server::coturn()];
    let idle = servers.each_ref().map(Server::memory);

    println!(
        "\nServer CPU, in microseconds for each packet that arrived ({} flows, windows of {} packets of {} bytes;",
        load::FLOWS,
        load::WINDOW,
        load::PAYLOAD
    );
    println!(
        "{} measurements of {} s for each server, in turns; on {} cores, shared with the load):\n",
        ROUNDS,
        seconds,
        cores()
    );
    println!("| what | lanturn | coturn | lanturn / coturn | lanturn packets/s | coturn packets/s | lost |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for load in Load::ALL {
        let mut costs = [Cost::default(), Cost::default()];
        for _ in 0..ROUNDS {
            for (server, cost) in servers.iter().zip(&mut costs) {
                cost.add(load.measure(server, window));
            }
        }
        let [ours, theirs] = &costs;
        println!(
            "| {} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} | {} / {} |",
            load.name(),
            ours.micros(),
            theirs.micros(),
            ours.micros() / theirs.micros(),
            ours.rate(),
            theirs.rate(),
            ours.lost,
            theirs.lost
        );
    }
    let loaded = servers.each_ref().map(Server::memory);

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
    println!(
        "| the program, KiB | {} | {} and its shared libraries |",
        size(Path::new(&lanturn)),
        size(&server::coturn())
    );
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len() / 1024)
}
