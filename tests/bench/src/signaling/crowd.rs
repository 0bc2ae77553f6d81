//! Many clients that are in rooms and do nothing but stay there, in processes of their own: each has a bound on open
//! files, as the server has.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::dialect::{Dialect, Member};
use super::socket::{Door, Socket};

/// The command that runs one of the processes.
pub const COMMAND: &str = "crowd";
/// Clients of one process.
const PROCESS: usize = 7_000;
/// How often a PeerJS client is heard.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Clients that join between two looks at what the others were sent.
const AT_ONCE: usize = 50;

/// Clients in pairs. They leave when this is dropped.
pub struct Crowd(Vec<Child>);

impl Crowd {
    /// Returns when all have joined. `ca` is a certificate to trust, if the server speaks TLS.
    pub fn join(dialect: Dialect, server: SocketAddr, ca: Option<&Path>, count: usize) -> io::Result<Self> {
        let mut crowd = Self(Vec::new());
        for first in (0..count).step_by(PROCESS) {
            let mut command = Command::new(std::env::current_exe()?);
            command.args([COMMAND, dialect.name(), &server.to_string()]);
            command.args([first, PROCESS.min(count - first)].map(|number| number.to_string())).args(ca);
            crowd.0.push(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        }
        for child in &mut crowd.0 {
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line)?;
            if line != "joined\n" {
                return Err(io::Error::other("not all could join"));
            }
        }
        Ok(crowd)
    }

    /// Whether all are still there.
    pub fn is_whole(&mut self) -> bool {
        self.0.iter_mut().all(|child| matches!(child.try_wait(), Ok(None)))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.0 {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Runs one of the processes until its standard input ends.
pub fn main(arguments: &[&str]) -> io::Result<()> {
    let [dialect, address, first, count, ca @ ..] = arguments else {
        return Err(io::Error::other("this is started by the bench itself"));
    };
    let dialect: Dialect = dialect.parse().map_err(io::Error::other)?;
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let [first, count] = [first, count].map(|number| number.parse::<usize>().expect("a number"));
    let door = ca.first().map_or_else(|| Door::plain(address), |ca| Door::tls(address, Path::new(ca)));
    stay(dialect, &door, first, count)
}

fn stay(dialect: Dialect, door: &Door, first: usize, count: usize) -> io::Result<()> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    let mut members: Vec<Member> = Vec::with_capacity(count);
    for number in first..first + count {
        let mut member = dialect.join(door, number / 2, number)?;
        // What came with the last words of the join is not announced again.
        answer(dialect, &mut member.socket)?;
        member.socket.set_nonblocking()?;
        let socket = member.socket.as_raw_fd();
        poll.registry().register(&mut SourceFd(&socket), Token(members.len()), Interest::READABLE)?;
        members.push(member);
        if number % AT_ONCE == 0 {
            poll.poll(&mut events, Some(Duration::ZERO))?;
            listen(dialect, &mut members, &events)?;
        }
    }
    println!("joined");
    let (over, mut beats) = (wait_for_end(), Beats { next: 0, since: Instant::now() });
    while !over.load(Ordering::Relaxed) {
        poll.poll(&mut events, Some(Duration::from_millis(20)))?;
        listen(dialect, &mut members, &events)?;
        beats.say(dialect, &mut members)?;
    }
    Ok(())
}

fn listen(dialect: Dialect, members: &mut [Member], events: &Events) -> io::Result<()> {
    let mut buffer = [0; 4096];
    for event in events {
        let socket = &mut members[event.token().0].socket;
        let mut more = true;
        while more {
            more = match socket.receive(&mut buffer) {
                Ok(more) => more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
                Err(error) => return Err(error),
            };
            answer(dialect, socket)?;
        }
    }
    Ok(())
}

fn answer(dialect: Dialect, socket: &mut Socket) -> io::Result<()> {
    while let Some(text) = socket.take_text()? {
        if let Some(answer) = dialect.answer(text) {
            socket.send(answer)?;
        }
    }
    Ok(())
}

/// Heartbeats, spread over the time between two of one client.
struct Beats {
    next: usize,
    since: Instant,
}

impl Beats {
    fn say(&mut self, dialect: Dialect, members: &mut [Member]) -> io::Result<()> {
        let Some(heartbeat) = dialect.heartbeat() else { return Ok(()) };
        let due = self.since.elapsed().as_secs_f64() / HEARTBEAT.as_secs_f64() * members.len() as f64;
        let due = (due as usize).min(members.len());
        for member in &mut members[self.next..due] {
            member.socket.send(heartbeat)?;
        }
        self.next = due;
        if due == members.len() {
            *self = Self { next: 0, since: Instant::now() };
        }
        Ok(())
    }
}

/// Up once the standard input has ended.
fn wait_for_end() -> &'static AtomicBool {
    static OVER: AtomicBool = AtomicBool::new(false);
    std::thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        OVER.store(true, Ordering::Relaxed);
    });
    &OVER
}
