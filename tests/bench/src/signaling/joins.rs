//! Clients that come and go.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::dialect::Dialect;
use super::socket::Door;
use crate::cost::Cost;
use crate::server::Server;

/// Clients at a time.
pub const CLIENTS: usize = 8;

/// What it costs to connect, to join a room that is empty, and to leave.
pub fn measure(dialect: Dialect, server: &Server, window: Duration) -> io::Result<Cost> {
    let door = Door::plain(server.address);
    // Before there are threads to wait for.
    dialect.leave(dialect.join(&door, 0, 0)?)?;
    let (joined, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (door, joined, stop) = (&door, &joined, &stop);
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || come_and_go(dialect, door, client, joined, stop))).collect();
        std::thread::sleep(window / 6);
        let (begin, cpu, count) = (Instant::now(), server.cpu(), joined.load(Ordering::Relaxed));
        std::thread::sleep(window);
        let (wall, cpu, count) = (begin.elapsed(), server.cpu() - cpu, joined.load(Ordering::Relaxed) - count);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("a client has failed")?;
        }
        Ok(Cost { count, cpu, wall, ..Cost::default() })
    })
}

/// So often, one after the other.
pub fn several(dialect: Dialect, door: &Door, count: usize) -> io::Result<()> {
    (0..count).try_for_each(|number| dialect.leave(dialect.join(door, number, number)?))
}

fn come_and_go(dialect: Dialect, door: &Door, client: usize, joined: &AtomicU64, stop: &AtomicBool) -> io::Result<()> {
    // An id may be held for a moment after its client has gone: each is used once.
    let mut number = client;
    while !stop.load(Ordering::Relaxed) {
        dialect.leave(dialect.join(door, number, number)?)?;
        joined.fetch_add(1, Ordering::Relaxed);
        number += CLIENTS;
    }
    Ok(())
}
