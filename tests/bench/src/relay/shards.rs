//! Two shards beside one, on all cores.

use std::time::{Duration, Instant};

use super::flow;
use super::link::Transport;
use super::load::Load;
use super::report::Report;
use super::row::{Reach, Row};
use super::subject::Bench;
use crate::cost::Cost;
use crate::machine;
use crate::server::Server;
use crate::spread::Spread;

/// What of all cores must be in use for them to be the limit.
const FULL: f64 = 0.95;
/// What of a shard's time must be in use for it to be the limit.
const BUSY: f64 = 0.90;

/// What one measurement came to.
struct Scaled {
    cost: Cost,
    /// How busy each shard's thread was, of one core.
    shards: Vec<f64>,
}

pub fn report(bench: &Bench, report: &mut Report) {
    let cores = machine::cores();
    if cores < 2 {
        println!("\nNo rows of two shards: there is one core.");
        return;
    }
    machine::use_all_cores();
    let title = format!("Two shards beside one, on {cores} cores that the load shares with them");
    let mut table = report.table("shards", &title, ["two shards", "one shard"]);
    let mut servers = [2, 1].map(|shards| Server::lanturn(&bench.lanturn, shards));
    let load = Load::ClientToPeer(Transport::Udp);
    let measured = bench.in_turns(&mut servers, |server| measure(&load, server, bench.window));
    let of = |value: &dyn Fn(&Scaled) -> f64| measured.each_ref().map(|all| all.iter().map(value).collect::<Vec<_>>());
    let rates = Row::new(format!("packets a second, {}", load.name()), "1/s", of(&|scaled| scaled.cost.rate()));
    let limits = measured.each_ref().map(|all| limit(all, cores)).join("; with one: ");
    table.add(rates.reach(Reach::AtLeast(1.8)).note(format!("with two: {limits}")));
    let each = of(&|scaled| scaled.cost.count as f64 / scaled.cost.cpu.as_secs_f64());
    let row = Row::new("packets for a second of the server's CPU", "", each);
    let ratio = row.ratio().median;
    table.add(row.note(format!("so two cores of its own would carry {:.2} times what one does", 2.0 * ratio)));
    machine::leave_server_core();
}

fn measure(load: &Load, server: &Server, window: Duration) -> Scaled {
    let mut flows = load.flows(server);
    let (start, before) = (Instant::now(), server.cpu_of_threads("shard-"));
    let cost = flow::measure(&mut flows, server, window);
    let wall = start.elapsed().as_secs_f64();
    let after = server.cpu_of_threads("shard-");
    let shards = before.iter().zip(&after).map(|(before, after)| (*after - *before).as_secs_f64() / wall);
    Scaled { cost, shards: shards.collect() }
}

/// What kept it from being more: computed from who used how much of the cores.
fn limit(all: &[Scaled], cores: usize) -> String {
    let median = |value: &dyn Fn(&Scaled) -> f64| Spread::of(all.iter().map(value)).median;
    let generator = median(&|scaled| scaled.cost.generator.as_secs_f64() / scaled.cost.wall.as_secs_f64());
    let server = median(&|scaled| scaled.cost.busy());
    let least = median(&|scaled| scaled.shards.iter().copied().fold(f64::INFINITY, f64::min));
    let most = median(&|scaled| scaled.shards.iter().copied().fold(0.0, f64::max));
    let who = if least >= BUSY {
        "the relay"
    } else if server + generator >= FULL * cores as f64 {
        "the cores, which the load shares"
    } else {
        "the generator"
    };
    format!(
        "{who} (of {cores} cores, the relay had {server:.2} and the load {generator:.2}; shards busy {least:.2}–{most:.2})"
    )
}
