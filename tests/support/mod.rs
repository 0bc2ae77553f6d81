//! What the tests share: the binary under test, and clients for it.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub, reason = "a test may panic, and not every binary uses all")]

pub mod conn;
pub mod dtls;
pub mod frames;
pub mod probe;
pub mod room;
pub mod server;
pub mod stun;
pub mod talk;
pub mod tcp_allocation;
pub mod tls;
pub mod turn_client;
pub mod web;

use std::io::Write as _;
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Says what could not be tested here, past the capture of output. In CI everything can be.
pub fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "not to be skipped in CI: {why}");
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Waits until a condition holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < give_up, "this never came about: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Two ports that are free at every address, UDP and TCP, and that the system gives to nobody who asks for any.
pub fn two_ports() -> [u16; 2] {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 1000) as u16 * 20;
    let free =
        |port: &u16| UdpSocket::bind(("0.0.0.0", *port)).is_ok() && TcpListener::bind(("0.0.0.0", *port)).is_ok();
    let mut ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed)).filter(free);
    [ports.next().unwrap(), ports.next().unwrap()]
}

/// A peer at `address` that sends back what it gets, to wherever it came from.
pub async fn echo_at(address: &str) -> std::net::SocketAddr {
    let socket = tokio::net::UdpSocket::bind(address).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_535];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..length], from).await;
        }
    });
    address
}

/// Runs an ignored test of this binary as root of a network of its own, which a shell command prepares.
pub fn in_a_network_of_its_own(prepare: &str, test: &str) {
    let own = ["--user", "--map-root-user", "--net"];
    let probe = Command::new("unshare").args(own).arg("true").output();
    if !probe.as_ref().is_ok_and(|output| output.status.success()) {
        skipped(&format!("{test}: this machine gives no network namespace ({probe:?})"));
        return;
    }
    let script = format!("set -e; ip link set lo up; {prepare}; exec \"$0\" \"$@\"");
    let mut command = Command::new("unshare");
    command.args(own).args(["sh", "-c", &script]).arg(std::env::current_exe().unwrap());
    let output = command.args(["--exact", test, "--ignored", "--nocapture"]).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
