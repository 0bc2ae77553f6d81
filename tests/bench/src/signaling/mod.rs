//! The rooms beside the signaling servers of Node.js: what a message, a join and an idle connection cost, and how long a
//! join takes when the server is full.

mod crowd;
mod dialect;
mod idle;
mod joins;
mod pairs;
mod socket;
mod subject;

use std::io;
use std::path::Path;
use std::time::Duration;

use self::subject::{Bench, SUBJECTS};
use crate::cost::Cost;
use crate::fail;
use crate::machine::cores;

/// The command by which the bench starts itself to be a crowd.
pub const CROWD: &str = crowd::COMMAND;

/// What was measured, of each of the [`SUBJECTS`].
type Measured<T> = Vec<T>;

pub fn report(lanturn: &Path, window: Duration) {
    let there = cores();
    let bench = Bench::new(lanturn, window);
    println!("\nSignaling: {} pairs, each with {} messages under way,", pairs::PAIRS, pairs::WINDOW);
    println!(
        "an offer of {} bytes in each; joins by {} clients at a time, who connect, join a room and leave;",
        dialect::OFFER,
        joins::CLIENTS
    );
    println!("idle connections, {} over plain HTTP and {} over TLS, in rooms of two.", idle::COUNT, idle::COUNT_TLS);
    match bench.core {
        Some(_) => println!("Each server has one core, the load another one ({there} are there).\n"),
        None => println!("The servers share one core with the load.\n"),
    }
    println!("| what | lanturn | reach | beside it | lanturn / that |");
    println!("|---|---:|---:|---:|---:|");
    let measured = rows(&bench);
    drop(bench);
    if let Err(error) = measured {
        fail(&format!("bench: {error}"));
    }
}

fn rows(bench: &Bench) -> io::Result<()> {
    let micros = |costs: Measured<Cost>| costs.iter().map(Cost::micros).collect::<Vec<_>>();
    print("server CPU for a message, µs", &[8.0, 10.0, 10.0], &micros(bench.in_turns(pairs::measure)?));
    print("server CPU for a join, µs", &[120.0; 3], &micros(bench.in_turns(joins::measure)?));
    print("memory of an idle connection, KiB", &[12.0; 3], &bench.each(|subject| idle::memory(bench, subject))?);
    print("the same over TLS, KiB", &[40.0; 3], &bench.each(|subject| idle::memory_tls(bench, subject))?);
    let full = bench.each(|subject| idle::full(bench, subject))?;
    let of = |value: fn(&idle::Full) -> f64| full.iter().map(value).collect::<Vec<_>>();
    let held = format!("connections held, {} if a process may open so many files", idle::HELD);
    print(&held, &[], &of(|full| full.held as f64));
    print("a join with those there, middle of 20, ms", &[50.0; 3], &of(|full| full.middle));
    print("the same, slowest of 20, ms", &[50.0; 3], &of(|full| full.slowest));
    Ok(())
}

/// Is a crowd until its standard input ends.
pub fn crowd(arguments: &[&str]) {
    if let Err(error) = crowd::main(arguments) {
        fail(&format!("bench: a crowd has failed: {error}"));
    }
}

/// A row for each dialect of lanturn, with what is to be reached in it.
fn print(what: &str, reach: &[f64], measured: &[f64]) {
    for (number, (subject, ours)) in SUBJECTS.iter().zip(measured).enumerate() {
        let Some(beside) = subject.beside() else { continue };
        let name = format!("{what}: {}", subject.dialect.name());
        let reach = reach.get(number).map_or(String::new(), |reach| format!("≤ {reach}"));
        let (program, theirs) = (SUBJECTS[beside].name(), measured[beside]);
        println!("| {name} | {} | {reach} | {program}: {} | {:.2} |", short(*ours), short(theirs), ours / theirs);
    }
}

fn short(number: f64) -> String {
    if number < 100.0 { format!("{number:.1}") } else { format!("{number:.0}") }
}
