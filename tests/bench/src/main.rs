//! What lanturn costs, beside coturn and beside the signaling servers of Node.js: all on loopback, in one run, under the
//! same load.
//!
//! A cost is the server's CPU time (utime and stime of its process) over what arrived at the far end. Each load has a
//! bound on what is under way and waits until it is through, so that no server is flooded and what is measured is
//! work, not loss.

mod cost;
mod relay;
mod server;
mod signaling;

use std::path::Path;
use std::time::Duration;

/// Each measurement is made so often, in turns, and added up.
const ROUNDS: usize = 2;
const USAGE: &str = "usage: lanturn-bench LANTURN SECONDS [relay|signaling]...";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [signaling::CROWD, rest @ ..] => signaling::crowd(rest),
        [lanturn, seconds, rows @ ..] => match seconds.parse() {
            Ok(seconds) => report(Path::new(lanturn), Duration::from_secs_f64(seconds), rows),
            Err(_) => fail(USAGE),
        },
        [] | [_] => fail(USAGE),
    }
}

fn report(lanturn: &Path, window: Duration, rows: &[&str]) {
    if let Some(unknown) = rows.iter().find(|row| !["relay", "signaling"].contains(row)) {
        fail(&format!("bench: there are no rows `{unknown}`: relay and signaling are there"));
    }
    let wanted = |name| rows.is_empty() || rows.contains(&name);
    if wanted("relay") {
        relay::report(lanturn, window);
    }
    if wanted("signaling") {
        signaling::report(lanturn, window);
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

fn fail(text: &str) -> ! {
    eprintln!("{text}");
    std::process::exit(2);
}
