//! Across NATs, in network namespaces.
//!
//! Each test lays its own wires: an internet, a box, and clients behind NATs, each in a namespace of its own. What a
//! client does there is done by this program again, started inside and told what to do ([`role`]). That is why it has
//! a `main` of its own.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, unreachable_pub, reason = "a test may")]
#![allow(clippy::wildcard_enum_match_arm, reason = "any answer but the one asked for is a failure")]

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod client;
mod discovery;
mod matrix;
mod named;
mod net;
mod networks;
mod outside;
mod probes;
mod program;
mod role;
mod visitor;
mod watch;
mod wire;

use std::panic::catch_unwind;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == client::ROLE) {
        role::play();
        return ExitCode::SUCCESS;
    }
    if let Err(lacking) = prepare() {
        eprintln!("the NAT tests cannot run here: {lacking}");
        return ExitCode::FAILURE;
    }
    net::clear_leftovers();
    run(arguments.iter().find(|argument| !argument.starts_with('-')).map(String::as_str))
}

/// Runs the tests whose name has the given text in it.
fn run(filter: Option<&str>) -> ExitCode {
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, case) in cases::ALL.iter().filter(|(name, _)| filter.is_none_or(|text| name.contains(text))) {
        let start = Instant::now();
        let verdict = if catch_unwind(case).is_ok() { "ok" } else { "FAILED" };
        println!("test {name} ... {verdict} ({:.1} s)", start.elapsed().as_secs_f64());
        if verdict == "ok" { passed += 1 } else { failed.push(*name) }
    }
    for name in &failed {
        println!("failed: {name}");
    }
    println!("\n{passed} passed, {} failed", failed.len());
    if failed.is_empty() && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the tests need of the machine.
fn prepare() -> Result<(), String> {
    for tool in [
        "ip",
        "nft",
        "unshare",
        "turnutils_natdiscovery",
        "node",
        "avahi-daemon",
        "avahi-resolve",
        "dbus-daemon",
        "miniupnpd",
    ] {
        let found = Command::new(tool).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.map_err(|error| format!("{tool} does not start ({error}): make deps-nat"))?;
    }
    if let Some(lacking) = visitor::Visitor::lacking() {
        return Err(lacking);
    }
    let name = net::unique("probe");
    let output = Command::new("ip").args(["netns", "add", &name]).output().map_err(|error| error.to_string())?;
    let _ = Command::new("ip").args(["netns", "del", &name]).stderr(Stdio::null()).status();
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("no network namespace can be made ({}): run as root, with CAP_SYS_ADMIN", text.trim()))
}
