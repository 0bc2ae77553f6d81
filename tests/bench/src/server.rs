//! The servers, started in directories of their own and ended with their values.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::relay::turn;

const PATIENCE: Duration = Duration::from_secs(10);
/// The kernel tells processor time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// The servers of Node.js.
const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/node");
/// Those of the relay, the one on 401s among them: with it there would be nothing to measure.
const LIMITS: &str = "[limits]
unauthorized_rate = 100000000
[limits.user]
allocations = 16000
permissions = 16000
channels = 16000
[limits.prefix]
allocations = 16000
permissions = 16000
channels = 16000
[limits.total]
allocations = 16000
";
/// The bounds that a load would meet, out of its way.
const WIDE_OPEN: &str = "[limits]
connections = 100000
connections_per_prefix = 100000
half_open = 100000
half_open_per_prefix = 100000
[rooms]
max_rooms = 100000
max_rooms_per_prefix = 100000
message_rate = 1000000
join_rate = 1000000000
subscribers = 100000
";

/// A running server.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    dir: Option<TempDir>,
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
        server.dir = Some(dir);
        server
    }

    pub fn coturn() -> Self {
        start_coturn().0
    }

    /// lanturn with room for the load of the signaling rows, on one core if told which.
    pub fn rooms(program: &Path, core: Option<usize>) -> Self {
        let (dir, address) = (tempfile::tempdir().unwrap(), free_address());
        let config = format!("[listen]\naddresses = ['{address}']\n{WIDE_OPEN}");
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        let program = program.canonicalize().expect("lanturn has been built");
        let command = pinned(core, &program);
        let mut server = start(command, address, dir.path());
        server.dir = Some(dir);
        server
    }

    /// A server of `tests/bench/node`, with the certificate in that directory if it is to speak TLS.
    pub fn node(script: &str, certificates: Option<&Path>, core: Option<usize>) -> Self {
        let address = free_address();
        let mut command = pinned(core, Path::new("node"));
        command.arg(script).arg(address.port().to_string()).args(certificates);
        start(command, address, Path::new(NODE))
    }

    /// Where lanturn keeps its certificates.
    pub fn certificates(&self) -> PathBuf {
        self.dir.as_ref().expect("it has a directory").path().join("certs")
    }

    /// User and system time of the process so far.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Its name, in parentheses, may have spaces in it. utime and stime are fields 14 and 15.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks: u32 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>().unwrap()).sum();
        TICK * ticks
    }

    /// How many more files it may open, and so how many more connections it can hold.
    pub fn descriptors_left(&self) -> usize {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.child.id())).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let limit = line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX);
        limit - std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
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

fn configured() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (user, password) = (turn::USER, turn::PASSWORD);
    let config = format!(
        "[listen]\naddresses = ['127.0.0.1:{}']\n[relay]\nrealm = '{}'\nallow_loopback = true\n\
         [credentials]\nusers = [{{ name = '{user}', password_file = 'password' }}]\n\
         {LIMITS}",
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
    let server = start(pinned(relay_core(), &program), address, dir);
    let ready = begin.elapsed();
    (server, Start { answer: first_answer(address, begin), ready })
}

/// Starts a server that says `ready` when it is.
fn start(mut command: Command, address: SocketAddr, dir: &Path) -> Server {
    command.current_dir(dir).env("LANTURN_LOG", "error").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let server = Server { child, address, dir: None };
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line == "ready"), "{command:?} does not start");
    std::thread::spawn(move || lines.count());
    server
}

fn pinned(core: Option<usize>, program: &Path) -> Command {
    let Some(core) = core else { return Command::new(program) };
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

/// The core that a relay has for itself and the load, where there are others for the load.
fn relay_core() -> Option<usize> {
    (crate::cores() > 1).then_some(0)
}

fn start_coturn() -> (Server, Start) {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let inside = |name: &str| dir.path().join(name).display().to_string();
    let begin = Instant::now();
    let mut command = pinned(relay_core(), &coturn());
    command.args(["-n", "--no-cli", "--no-tls", "--no-dtls", "-L", "127.0.0.1", "-p", &port.to_string(), "-a"]);
    command.args(["-u", &format!("{}:{}", turn::USER, turn::PASSWORD), "-r", turn::REALM, "--allow-loopback-peers"]);
    command.args(["-b", &inside("db"), "--pidfile", &inside("pid"), "-l", &inside("log"), "--simple-log"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.expect("turnserver is missing: make deps-interop");
    let server = Server { child, address: SocketAddr::new([127, 0, 0, 1].into(), port), dir: Some(dir) };
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

fn free_address() -> SocketAddr {
    SocketAddr::new([127, 0, 0, 1].into(), free_port())
}

/// Below those that the kernel gives to clients: one of theirs can be taken again before a server has it.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(port < 32_768, "no port is free");
        let address = ("127.0.0.1", port);
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return port;
        }
    }
}
