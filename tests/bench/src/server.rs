//! The two servers, started in directories of their own and ended with their values.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::turn;

const PATIENCE: Duration = Duration::from_secs(10);
/// The kernel tells processor time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// A running server.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    _dir: Option<TempDir>,
}

/// How long a start took.
#[derive(Clone, Copy, Default)]
pub struct Start {
    /// Until a Binding request was answered.
    pub answer: Duration,
    /// Until it said so itself.
    pub ready: Duration,
}

impl Server {
    pub fn lanturn(program: &Path) -> Self {
        let dir = configured();
        let (mut server, _) = start_lanturn(program, dir.path());
        server._dir = Some(dir);
        server
    }

    pub fn coturn() -> Self {
        start_coturn().0
    }

    /// User and system time of the process so far.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Its name, in parentheses, may have spaces in it. utime and stime are fields 14 and 15.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks: u32 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>().unwrap()).sum();
        TICK * ticks
    }

    /// Resident, in KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first start, which makes certificates and secrets, and the middle one of five later ones.
pub fn lanturn_starts(program: &Path) -> (Start, Start) {
    let dir = configured();
    let first = start_lanturn(program, dir.path()).1;
    (first, middle(|| start_lanturn(program, dir.path()).1))
}

pub fn coturn_starts() -> Start {
    middle(|| start_coturn().1)
}

/// Where coturn is.
pub fn coturn() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|dir| dir.join("turnserver")).filter(|file| file.is_file());
    found.next().expect("turnserver is missing: make deps-interop")
}

fn middle(mut start: impl FnMut() -> Start) -> Start {
    let mut starts = [(); 5].map(|()| start());
    starts.sort_by_key(|start| start.answer);
    starts[2]
}

/// Without the bound on 401s, or there would be nothing to measure.
fn configured() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (user, password) = (turn::USER, turn::PASSWORD);
    let config = format!(
        "[listen]\naddresses = ['127.0.0.1:{}']\n[relay]\nrealm = '{}'\nallow_loopback = true\n\
         [credentials]\nusers = [{{ name = '{user}', password_file = 'password' }}]\n\
         [limits]\nunauthorized_rate = 100000000\n",
        free_port(),
        turn::REALM
    );
    std::fs::write(dir.path().join("config.toml"), config).unwrap();
    std::fs::write(dir.path().join("password"), password).unwrap();
    dir
}

fn start_lanturn(program: &Path, dir: &Path) -> (Server, Start) {
    let program = program.canonicalize().expect("lanturn has been built");
    let config = std::fs::read_to_string(dir.join("config.toml")).unwrap();
    let address = config.split('\'').nth(1).unwrap().parse().unwrap();
    let begin = Instant::now();
    let mut command = Command::new(program);
    command.env("LANTURN_LOG", "error");
    let mut child = command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let server = Server { child, address, _dir: None };
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line == "ready"), "lanturn does not start");
    let ready = begin.elapsed();
    std::thread::spawn(move || lines.count());
    (server, Start { answer: first_answer(address, begin), ready })
}

fn start_coturn() -> (Server, Start) {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let inside = |name: &str| dir.path().join(name).display().to_string();
    let begin = Instant::now();
    let mut command = Command::new(coturn());
    command.args(["-n", "--no-cli", "--no-tls", "--no-dtls", "-L", "127.0.0.1", "-p", &port.to_string(), "-a"]);
    command.args(["-u", &format!("{}:{}", turn::USER, turn::PASSWORD), "-r", turn::REALM, "--allow-loopback-peers"]);
    command.args(["-b", &inside("db"), "--pidfile", &inside("pid"), "-l", &inside("log"), "--simple-log"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.expect("turnserver is missing: make deps-interop");
    let server = Server { child, address: SocketAddr::new([127, 0, 0, 1].into(), port), _dir: Some(dir) };
    let answer = first_answer(server.address, begin);
    (server, Start { answer, ready: answer })
}

fn first_answer(server: SocketAddr, begin: Instant) -> Duration {
    let (request, mut buffer) = (turn::binding(), [0; 1500]);
    while begin.elapsed() < PATIENCE {
        // A socket each, since the refusal of one request may fail the next.
        let socket = turn::socket();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        if socket.send(&request).is_ok() && socket.recv(&mut buffer).is_ok() {
            return begin.elapsed();
        }
    }
    panic!("nothing answers at {server}");
}

fn free_port() -> u16 {
    turn::socket().local_addr().unwrap().port()
}
