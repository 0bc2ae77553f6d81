//! How long it takes to start, and what it takes to be there.

use std::time::Duration;

use super::report::Report;
use super::row::Row;
use super::subject::Bench;

pub fn report(bench: &Bench, report: &mut Report) {
    let mut table = report.table("starts", "To start and to be there", bench.names());
    let (first, both) = bench.starts();
    let answers = both.map(|start| vec![millis(start)]);
    let note = format!("lanturn's first start: {:.0} ms", millis(first));
    table.add(Row::new("from start to the first answer, the middle of 5", "ms", answers).note(note));
    let idle = bench.servers().each_ref().map(|server| vec![server.memory() as f64]);
    table.add(Row::new("resident memory when started", "KiB", idle));
    let sizes =
        bench.programs().map(|program| vec![std::fs::metadata(program).map_or(0.0, |file| file.len() as f64 / 1024.0)]);
    table.add(Row::new("the program", "KiB", sizes).note("coturn has shared libraries besides"));
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
