//! The relay beside coturn: what a packet costs, memory, and the time to start.

mod allocations;
mod datagrams;
mod flow;
mod held;
mod latency;
mod link;
mod load;
mod plot;
mod report;
mod row;
mod shards;
mod sparse;
mod starts;
mod subject;
pub mod turn;

use std::path::Path;

use self::link::Transport;
use self::load::Load;
use self::report::Report;
use self::row::{Reach, Row};
use self::subject::Bench;
use crate::machine;
use crate::options::Options;
use crate::server::Server;

/// The rows in groups, which can be asked for one by one.
pub const GROUPS: [&str; 8] = ["bursts", "streams", "sparse", "latency", "allocations", "held", "shards", "starts"];

pub fn report(lanturn: &Path, options: &Options) {
    machine::leave_server_core();
    let bench = Bench::new(lanturn, options);
    let mut report = Report::new(machine::describe(lanturn), options.rounds, options.relay_window.as_secs_f64());
    let groups: [fn(&Bench, &mut Report); GROUPS.len()] = [
        bursts,
        streams,
        sparse::report,
        latency::report,
        allocations::report,
        held::report,
        shards::report,
        starts::report,
    ];
    for (name, run) in GROUPS.into_iter().zip(groups) {
        if options.wants_group(name) {
            run(&bench, &mut report);
        }
    }
    report.write(&options.relay_results());
}

fn bursts(bench: &Bench, report: &mut Report) {
    let loads = [
        Load::ClientToPeer(Transport::Udp),
        Load::PeerToClient(Transport::Udp),
        Load::ClientToClient,
        Load::SendIndication,
        Load::DataIndication,
        Load::Joined(Transport::Udp),
        Load::Binding,
        Load::Unauthorized,
    ];
    report_loads(bench, report, "bursts", &mut bench.servers(), &loads);
}

fn streams(bench: &Bench, report: &mut Report) {
    let mut servers = bench.servers();
    let tls = bench.tls(&servers);
    let loads = [
        Load::ClientToPeer(Transport::Tcp),
        Load::PeerToClient(Transport::Tcp),
        Load::Joined(Transport::Tcp),
        Load::ClientToPeer(tls.clone()),
        Load::PeerToClient(tls.clone()),
        Load::Joined(tls),
    ];
    report_loads(bench, report, "streams", &mut servers, &loads);
}

fn report_loads(bench: &Bench, report: &mut Report, group: &str, servers: &mut [Server; 2], loads: &[Load]) {
    let title = format!(
        "Server CPU for each packet that arrived ({} flows, windows of {} packets of {} bytes, over TCP and TLS of {})",
        load::FLOWS,
        flow::WINDOW,
        load::PAYLOAD,
        flow::STREAM_WINDOW
    );
    let mut table = report.table(group, &title, bench.names());
    for load in loads {
        let costs = bench.in_turns(servers, |server| load.measure(server, bench.window));
        table.add(Row::of_costs(load.name(), costs, load.reach().map(Reach::AtMost)));
    }
    table.add(Row::new(
        "resident memory after all that",
        "KiB",
        servers.each_ref().map(|server| vec![server.memory() as f64]),
    ));
}
