//! What lanturn costs, beside coturn and beside the signaling servers of Node.js: all on loopback, in one run, under the
//! same load.
//!
//! A cost is the server's CPU time (utime and stime of its process) over what arrived at the far end. Each load has a
//! bound on what is under way and waits until it is through, so that no server is flooded and what is measured is
//! work, not loss.

mod cost;
mod machine;
mod options;
mod relay;
mod server;
mod signaling;
mod spread;

use std::path::Path;

use options::Options;

/// Each measurement of the signaling rows is made so often, in turns, and added up.
const ROUNDS: usize = 2;
const USAGE: &str = "usage: lanturn-bench LANTURN";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [signaling::CROWD, rest @ ..] => signaling::crowd(rest),
        [lanturn] => match Options::from_env() {
            Ok(options) => report(Path::new(lanturn), &options),
            Err(error) => fail(&format!("bench: {error}")),
        },
        [] | [_, _, ..] => fail(USAGE),
    }
}

fn report(lanturn: &Path, options: &Options) {
    if options.wants("relay") {
        relay::report(lanturn, options);
    }
    if options.wants("signaling") {
        signaling::report(lanturn, options.signaling_window);
    }
}

fn fail(text: &str) -> ! {
    eprintln!("{text}");
    std::process::exit(2);
}
