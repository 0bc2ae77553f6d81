//! The servers, started in directories of their own and ended with their values.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::machine;
use crate::relay::turn;

const PATIENCE: Duration = Duration::from_secs(10);
/// The ports of relayed addresses. All that the servers do not need, since a row holds as many as it can.
const RELAY_PORTS: (u16, u16) = (2_000, 65_535);

/// The servers of Node.js.
const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/node");
/// Those of the relay, the one on 401s among them: with it there would be nothing to measure.
const LIMITS: &str = "[limits]
unauthorized_rate = 100000000
[limits.user]
allocations = 60000
permissions = 60000
channels = 60000
[limits.prefix]
allocations = 60000
permissions = 60000
channels = 60000
[limits.total]
allocations = 60000
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

impl Server {
    /// lanturn as a relay: one shard on the servers' core, or more of them on all cores.
    pub fn lanturn(program: &Path, shards: usize) -> Self {
        let dir = configured(shards);
        let (mut server, _) = start_lanturn(program, dir.path(), shards);
        server.dir = Some(dir);
        server
    }

    /// coturn on the servers' core, with a certificate of lanturn's.
    pub fn coturn(certificates: &Path) -> Self {
        start_coturn(certificates).0
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

    /// The certificate of its own authority, if it has one.
    pub fn authority(&self) -> Option<PathBuf> {
        Some(self.certificates().join("ca.pem")).filter(|file| file.exists())
    }

    /// User and system time of the process so far.
    pub fn cpu(&self) -> Duration {
        let clock = clock_getcpuclockid(Pid::from_raw(self.child.id() as i32)).expect("the server runs");
        cpu_of(clock)
    }

    /// The same of each thread whose name begins so, in the order of their names.
    pub fn cpu_of_threads(&self, name: &str) -> Vec<Duration> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let mut threads: Vec<(String, Duration)> = tasks
            .filter_map(|task| {
                let read = |file: &str| std::fs::read_to_string(task.as_ref().ok()?.path().join(file)).ok();
                let (name, times) = (read("comm")?, read("schedstat")?);
                let nanos = times.split_whitespace().next()?.parse().ok()?;
                Some((name, Duration::from_nanos(nanos)))
            })
            .filter(|(thread, _)| thread.starts_with(name))
            .collect();
        threads.sort();
        threads.into_iter().map(|(_, cpu)| cpu).collect()
    }

    /// How many more files it may open, and so how many more connections it can hold.
    pub fn descriptors_left(&self) -> usize {
        descriptors_left(&self.child.id().to_string())
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

/// User and system time of this process so far.
pub fn own_cpu() -> Duration {
    cpu_of(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// How many more files this process may open, its limit raised as far as it can be.
pub fn own_descriptors_left() -> usize {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("it may be raised so far");
    descriptors_left("self")
}

fn descriptors_left(process: &str) -> usize {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let limit = line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX);
    limit - std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

fn cpu_of(clock: ClockId) -> Duration {
    clock_gettime(clock).expect("the process is there").into()
}

/// The first start, which makes certificates and secrets, and the middle one of five later ones.
pub fn lanturn_starts(program: &Path) -> (Duration, Duration) {
    let dir = configured(1);
    let first = start_lanturn(program, dir.path(), 1).1;
    (first, middle(|| start_lanturn(program, dir.path(), 1).1))
}

pub fn coturn_starts(certificates: &Path) -> Duration {
    middle(|| start_coturn(certificates).1)
}

/// Where coturn is.
pub fn coturn() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|dir| dir.join("turnserver")).filter(|file| file.is_file());
    found.next().expect("turnserver is missing: make deps-bench")
}

fn middle(mut start: impl FnMut() -> Duration) -> Duration {
    let mut starts = [(); 5].map(|()| start());
    starts.sort();
    starts[2]
}

fn configured(shards: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (user, password) = (turn::USER, turn::PASSWORD);
    let (first, last) = RELAY_PORTS;
    let config = format!(
        "[listen]\naddresses = ['127.0.0.1:{}']\nshards = {shards}\n\
         [relay]\nrealm = '{}'\nports = '{first}-{last}'\nallow_loopback = true\n\
         [credentials]\nusers = [{{ name = '{user}', password_file = 'password' }}]\n\
         {LIMITS}",
        free_port(),
        turn::REALM
    );
    std::fs::write(dir.path().join("config.toml"), config).unwrap();
    std::fs::write(dir.path().join("password"), password).unwrap();
    dir
}

fn start_lanturn(program: &Path, dir: &Path, shards: usize) -> (Server, Duration) {
    let program = program.canonicalize().expect("lanturn has been built");
    let config = std::fs::read_to_string(dir.join("config.toml")).unwrap();
    let address = config.split('\'').nth(1).unwrap().parse().unwrap();
    let begin = Instant::now();
    let command = if shards == 1 { pinned(machine::server_core(), &program) } else { everywhere(&program) };
    let server = start(command, address, dir);
    (server, first_answer(address, begin))
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
    match core {
        Some(core) => on_cores(&core.to_string(), program),
        None => Command::new(program),
    }
}

fn everywhere(program: &Path) -> Command {
    on_cores(&machine::core_list(), program)
}

fn on_cores(list: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", list]).arg(program);
    command
}

fn start_coturn(certificates: &Path) -> (Server, Duration) {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let inside = |name: &str| dir.path().join(name).display().to_string();
    let begin = Instant::now();
    let mut command = pinned(machine::server_core(), &coturn());
    command.args(["-n", "--no-cli", "--no-dtls", "-L", "127.0.0.1", "-p", &port.to_string(), "-a"]);
    command.args(["--cert".as_ref(), certificates.join("leaf.pem").as_os_str()]);
    command.args(["--pkey".as_ref(), certificates.join("leaf.key").as_os_str()]);
    command.args(["--min-port", &RELAY_PORTS.0.to_string(), "--max-port", &RELAY_PORTS.1.to_string()]);
    command.args(["-u", &format!("{}:{}", turn::USER, turn::PASSWORD), "-r", turn::REALM, "--allow-loopback-peers"]);
    command.args(["-b", &inside("db"), "--pidfile", &inside("pid"), "-l", &inside("log"), "--simple-log"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.expect("turnserver is missing: make deps-bench");
    let server = Server { child, address: SocketAddr::new([127, 0, 0, 1].into(), port), dir: Some(dir) };
    let answer = first_answer(server.address, begin);
    (server, answer)
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
