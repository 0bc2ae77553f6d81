//! The binary under test, in a directory of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::PATIENCE;

/// Loopback only, on any free port, and relaying to this machine, where the tests' peers are.
pub const LOOPBACK: &str = r#"
[listen]
addresses = ["127.0.0.1:0"]
shards = 2
[relay]
allow_loopback = true
"#;

/// Switches the self-test off.
const SELF_TEST: (&str, &str) = ("LANTURN__LISTEN__SELF_TEST", "false");

/// A running `lanturn serve`, which ends with this value.
pub struct Server {
    child: Child,
    dir: Arc<TempDir>,
    log: Arc<Mutex<String>>,
    /// Where it listens, one for each of `listen.addresses`.
    pub addresses: Vec<SocketAddr>,
}

impl Server {
    /// Starts it with a configuration, and waits until it is ready.
    pub fn start(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        Self::start_in(dir)
    }

    /// Starts it in a directory that has a configuration.
    pub fn start_in(dir: impl Into<Arc<TempDir>>) -> Self {
        let dir = dir.into();
        Self::spawn(command(dir.path()), dir)
    }

    /// Starts it with `LANTURN_LOG` at a level.
    pub fn start_logging(level: &str, config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        let mut command = command(dir.path());
        command.env("LANTURN_LOG", level);
        Self::spawn(command, dir.into())
    }

    /// Starts it with the self-test, which would take part in what other tests count.
    pub fn start_testing_itself(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        let mut command = command(dir.path());
        command.env_remove(SELF_TEST.0);
        Self::spawn(command, dir.into())
    }

    /// Starts it in a network namespace.
    pub fn start_within(namespace: &str, config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        Self::start_again_within(namespace, dir)
    }

    /// Starts it in a network namespace, in a directory that has a configuration.
    pub fn start_again_within(namespace: &str, dir: impl Into<Arc<TempDir>>) -> Self {
        let dir = dir.into();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, env!("CARGO_BIN_EXE_lanturn")]);
        command.current_dir(dir.path()).env(SELF_TEST.0, SELF_TEST.1).stdin(Stdio::null());
        Self::spawn(command, dir)
    }

    fn spawn(mut command: Command, dir: Arc<TempDir>) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        for pipe in [
            Box::new(child.stdout.take().unwrap()) as Box<dyn std::io::Read + Send>,
            Box::new(child.stderr.take().unwrap()),
        ] {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut log = log.lock().unwrap();
                    log.push_str(&line);
                    log.push('\n');
                }
            });
        }
        let mut server = Self { child, dir, log, addresses: Vec::new() };
        server.wait_for("\nready\n");
        let listening = |line: &str| Some(line.strip_prefix("listening on ")?.parse().unwrap());
        server.addresses = server.log().lines().filter_map(listening).collect();
        server
    }

    /// The first address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// What it has printed so far, on both streams.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until it has printed a text.
    pub fn wait_for(&mut self, text: &str) {
        self.wait_within(PATIENCE, text);
    }

    /// Waits so long until it has printed a text.
    pub fn wait_within(&mut self, patience: Duration, text: &str) {
        let give_up = Instant::now() + patience;
        while !self.log().contains(text) {
            assert!(Instant::now() < give_up, "{text:?} was never printed:\n{}", self.log());
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("lanturn has ended with {status}:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A file in its directory, as text.
    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(file)).unwrap()
    }

    /// Its directory, which outlives it for as long as this is kept.
    pub fn dir(&self) -> Arc<TempDir> {
        Arc::clone(&self.dir)
    }

    /// Writes a file in its directory.
    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.dir.path().join(file), text).unwrap();
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The API key of its first run.
    pub fn key(&self) -> String {
        last_line(&self.read("certs/api.keys"))
    }

    /// The secret of its first run.
    pub fn secret(&self) -> String {
        last_line(&self.read("certs/credentials.secret"))
    }

    /// A username and password as the box itself mints them.
    pub fn credential(&self, user: &str) -> (String, String) {
        let output = command(self.path()).args(["mint", "--user", user, "--json"]).output().unwrap();
        let minted: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |key: &str| minted[key].as_str().unwrap().to_owned();
        (text("username"), text("password"))
    }

    /// Its resident memory in KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The time that it has kept processors busy, in hundredths of a second.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name may have blanks in it. It is the second field, and the times are the 14th and the 15th.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Waits for it to end by itself.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, self.log());
            }
            assert!(Instant::now() < give_up, "lanturn does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs lanturn in a directory where it is expected to fail, and gives what it complained of.
pub fn refusal(dir: &Path) -> String {
    let mut child = command(dir).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let give_up = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > give_up {
            let _ = child.kill();
            panic!("lanturn runs, and should not");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(1));
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanturn"));
    command.current_dir(dir).env(SELF_TEST.0, SELF_TEST.1).stdin(Stdio::null());
    command
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap().to_owned()
}
