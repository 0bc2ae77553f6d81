//! Connections that are only there: what memory they take, and how long a join takes among them.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::crowd::Crowd;
use super::joins;
use super::socket::Door;
use super::subject::{Bench, Subject};
use crate::server::Server;

pub const COUNT: usize = 4000;
pub const COUNT_TLS: usize = 2000;
/// Joins before memory is measured, so that what a server takes once is not counted.
const WARM_UP: usize = 300;
/// Connections that a server is to hold, if it may open so many files.
pub const HELD: usize = 20_000;
/// Files that it is left for the joins, and for itself.
const SPARE: usize = 24;
/// Joins while it does.
const JOINS: usize = 20;
/// How long a server is given to come to rest.
const REST: Duration = Duration::from_secs(1);

/// What a full server does.
pub struct Full {
    pub held: usize,
    /// The middle one of the joins, in milliseconds.
    pub middle: f64,
    pub slowest: f64,
}

/// Resident memory for each, in KiB.
pub fn memory(bench: &Bench, subject: Subject) -> io::Result<f64> {
    let server = bench.start(subject);
    growth(subject, &server, &Door::plain(server.address), None, COUNT)
}

pub fn memory_tls(bench: &Bench, subject: Subject) -> io::Result<f64> {
    let (server, ca) = bench.start_tls(subject);
    growth(subject, &server, &Door::tls(server.address, &ca), Some(&ca), COUNT_TLS)
}

/// Joins on a server that has as many connections as it can hold.
pub fn full(bench: &Bench, subject: Subject) -> io::Result<Full> {
    let server = bench.start(subject);
    let held = HELD.min(server.descriptors_left() - SPARE);
    let mut crowd = Crowd::join(subject.dialect, server.address, None, held)?;
    std::thread::sleep(REST);
    let door = Door::plain(server.address);
    let mut times = Vec::new();
    for number in held..held + JOINS {
        let begin = Instant::now();
        let member = subject.dialect.join(&door, number, number)?;
        times.push(begin.elapsed().as_secs_f64() * 1000.0);
        subject.dialect.leave(member)?;
        std::thread::sleep(REST / JOINS as u32);
    }
    assert!(crowd.is_whole(), "a client was sent away while the server was full");
    times.sort_by(f64::total_cmp);
    Ok(Full { held, middle: times[JOINS / 2], slowest: times[JOINS - 1] })
}

fn growth(subject: Subject, server: &Server, door: &Door, ca: Option<&Path>, count: usize) -> io::Result<f64> {
    joins::several(subject.dialect, door, WARM_UP)?;
    std::thread::sleep(REST);
    let before = server.memory();
    let mut crowd = Crowd::join(subject.dialect, server.address, ca, count)?;
    std::thread::sleep(REST);
    let after = server.memory();
    assert!(crowd.is_whole(), "a client was sent away");
    Ok((after as f64 - before as f64) / count as f64)
}
