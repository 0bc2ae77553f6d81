//! Pairs that pass messages to and fro.

use std::io;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::dialect::{self, Dialect, Member};
use super::socket::{Door, Socket};
use crate::cost::Cost;
use crate::server::Server;

pub const PAIRS: usize = 50;
/// Messages that a pair has under way at a time, half of them each way.
pub const WINDOW: usize = 4;
/// Nothing is lost over TCP, so that this long without a message is an end.
const STALLED: Duration = Duration::from_secs(5);

struct Side {
    member: Member,
    /// A message for the other of the pair, framed.
    offer: Vec<u8>,
    /// Whether a message has come, and was looked at in full.
    checked: bool,
}

/// What a message costs. A message that has arrived is answered with another one.
pub fn measure(dialect: Dialect, server: &Server, window: Duration) -> io::Result<Cost> {
    let mut sides = join(dialect, &Door::plain(server.address))?;
    let (arrived, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let load = scope.spawn(|| run(dialect, &mut sides, &arrived, &stop));
        std::thread::sleep(window / 6);
        let (begin, cpu, count) = (Instant::now(), server.cpu(), arrived.load(Ordering::Relaxed));
        std::thread::sleep(window);
        let (wall, cpu, count) = (begin.elapsed(), server.cpu() - cpu, arrived.load(Ordering::Relaxed) - count);
        stop.store(true, Ordering::Relaxed);
        load.join().expect("the load has failed")?;
        if count == 0 {
            return Err(io::Error::other("no message arrives"));
        }
        Ok(Cost { count, cpu, wall, ..Cost::default() })
    })
}

/// Both of a pair, one after the other.
fn join(dialect: Dialect, door: &Door) -> io::Result<Vec<Side>> {
    let mut sides = Vec::new();
    for room in 0..PAIRS {
        let mut one = dialect.join(door, room, 2 * room)?;
        let mut other = dialect.join(door, room, 2 * room + 1)?;
        dialect.meet(&mut one, &mut other)?;
        let offers = [&other.id, &one.id].map(|to| Socket::frame(&dialect.offer(to)));
        for (mut member, offer) in [one, other].into_iter().zip(offers) {
            member.socket.set_nonblocking()?;
            sides.push(Side { member, offer, checked: false });
        }
    }
    Ok(sides)
}

fn run(dialect: Dialect, sides: &mut [Side], arrived: &AtomicU64, stop: &AtomicBool) -> io::Result<()> {
    let expected = dialect::session_description().replace("\r\n", r"\r\n");
    let mut poll = Poll::new()?;
    for (number, side) in sides.iter_mut().enumerate() {
        let socket = side.member.socket.as_raw_fd();
        poll.registry().register(&mut SourceFd(&socket), Token(number), Interest::READABLE)?;
        for _ in 0..WINDOW / 2 {
            side.member.socket.send_frame(&side.offer)?;
        }
    }
    let (mut events, mut buffer) = (Events::with_capacity(2 * PAIRS), vec![0; 16 * 1024]);
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        poll.poll(&mut events, Some(STALLED / 5))?;
        let mut count = 0;
        for event in &events {
            count += sides[event.token().0].turn(dialect, &mut buffer, expected.as_bytes())?;
        }
        arrived.fetch_add(count, Ordering::Relaxed);
        if count > 0 {
            last = Instant::now();
        } else if last.elapsed() > STALLED {
            return Err(io::Error::other("messages do not arrive any more"));
        }
    }
    Ok(())
}

impl Side {
    /// Reads what has come, and sends as many messages back. Says how many came.
    fn turn(&mut self, dialect: Dialect, buffer: &mut [u8], expected: &[u8]) -> io::Result<u64> {
        let (mut count, mut more) = (0, true);
        while more {
            more = match self.member.socket.receive(buffer) {
                Ok(more) => more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            while let Some(text) = self.member.socket.take_text()? {
                let answer = dialect.answer(text);
                if Dialect::is_offer(text) {
                    assert!(self.checked || contains(text, expected), "something else has arrived");
                    self.checked = true;
                    count += 1;
                    self.member.socket.send_frame(&self.offer)?;
                } else if let Some(answer) = answer {
                    self.member.socket.send(answer)?;
                }
            }
        }
        Ok(count)
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
