//! Found by name on the local network, by avahi's client.

use std::process::{Command, Stdio};
use std::time::Instant;

use super::net::{BOX_LAN, World};
use super::support::PATIENCE;
use super::support::server::Server;

/// Avahi and the bus that its client talks over, in a `/run` of their own; all of it ends with the command.
const AVAHI: &str = r#"
mount -t tmpfs tmpfs /run && mkdir /run/dbus /run/avahi-daemon
dbus-daemon --system --fork --nopidfile
avahi-daemon --daemonize --no-drop-root --no-chroot --no-rlimits >/dev/null 2>&1
exec "$@"
"#;

/// What an avahi client prints in a host.
fn avahi(host: &str, command: &[&str]) -> String {
    let mut ip = Command::new("ip");
    ip.args(["netns", "exec", host, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    let output = ip.args(["sh", "-c", AVAHI, "sh"]).args(command).stdin(Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Asks until the answer is as it should be.
fn until(host: &str, command: &[&str], right: impl Fn(&str) -> bool) -> String {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let said = avahi(host, command);
        if right(&said) {
            return said;
        }
        assert!(Instant::now() < give_up, "{command:?}: {said}");
    }
}

/// Who resolves a name.
fn resolves(host: &str, name: &str, address: &str) {
    let right = format!("{name}\t{address}\n");
    until(host, &["avahi-resolve", "-4", "-n", name], |said| said == right);
}

/// What a certificate is for.
fn names(pem: &str) -> String {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    let certificate = pem.parse_x509().unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    names.value.general_names.iter().map(|name| format!("{name} ")).collect()
}

/// On its private networks alone. A second box takes another name, and who stops is forgotten.
pub fn avahi_finds_the_box_by_name() {
    const SECOND: &str = "192.168.7.6";
    let mut world = World::new();
    let (first, second, neighbour) = (world.public_box(), world.host("second"), world.host("neighbour"));
    world.plug(&second, "eth0", "lan", &[&format!("{SECOND}/24")]);
    world.plug(&neighbour, "eth0", "lan", &["192.168.7.20/24"]);
    let outsider = world.outsider("outsider", &["203.0.113.20/24", "2001:db8:1::20/64"]);
    let _server = Server::start_within(&first, "");
    resolves(&neighbour, "lanturn.local", BOX_LAN);
    assert_eq!(avahi(&outsider, &["avahi-resolve", "-n", "lanturn.local"]), "", "the internet hears of it");
    let found = until(&neighbour, &["avahi-browse", "--all", "--terminate", "--resolve", "--parsable"], |said| {
        said.lines().filter(|line| line.starts_with("=;")).count() >= 5
    });
    for service in ["_https._tcp", "_turn._udp", "_turn._tcp", "_turns._tcp", "_stun._udp"] {
        let kind = if service == "_https._tcp" { "Secure Web Site" } else { service };
        let line = found.lines().find(|line| line.starts_with("=;") && line.split(';').nth(4) == Some(kind));
        let line = line.unwrap_or_else(|| panic!("no {service} in\n{found}"));
        assert!(line.contains(&format!(";lanturn.local;{BOX_LAN};3478;")), "{line}");
    }

    let mut other = Server::start_within(&second, "");
    other.wait_for("this one is found as lanturn-2.local");
    resolves(&neighbour, "lanturn-2.local", SECOND);
    resolves(&neighbour, "lanturn.local", BOX_LAN);
    other.wait_for("reloaded");
    assert!(names(&other.read("certs/leaf.pem")).contains("DNSName(lanturn-2.local)"));
    other.signal("TERM");
    let (status, log) = other.wait();
    assert!(status.success(), "{log}");
    until(&neighbour, &["avahi-resolve", "-4", "-n", "lanturn-2.local"], str::is_empty);
}
