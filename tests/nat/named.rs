//! Found by name on the local network, by avahi's client.

use std::time::Instant;

use super::net::{BOX_LAN, World};
use super::program::Program;
use super::support::PATIENCE;
use super::support::server::Server;

/// Avahi and the bus that its client talks over, in a `/run` of their own. All of it ends with the command.
const WITH_AVAHI: &str = r#"
mount -t tmpfs tmpfs /run && mkdir /run/dbus /run/avahi-daemon
dbus-daemon --system --fork --nopidfile
avahi-daemon --daemonize --no-drop-root --no-chroot --no-rlimits >/dev/null 2>&1
exec "$@"
"#;
/// Runs one command after the other, each a line of JSON, and tells what it printed.
const RUNNER: &str = r#"
import { spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
for await (const line of createInterface({ input: process.stdin })) {
  const [program, ...words] = JSON.parse(line);
  console.log(JSON.stringify(spawnSync(program, words, { encoding: "utf8" }).stdout));
}
"#;

/// A host with avahi.
struct Avahi(Program);

impl Avahi {
    fn in_namespace(host: &str) -> Self {
        let isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child"];
        let run = ["sh", "-c", WITH_AVAHI, "sh", "node", "--input-type=module", "--eval", RUNNER];
        Self(Program::start(host, ".", &[&isolated[..], &run[..]].concat()))
    }

    /// What a command prints.
    fn says(&mut self, command: &[&str]) -> String {
        self.0.ask(&command, PATIENCE)
    }

    /// Asks until the answer is as it should be.
    fn until(&mut self, command: &[&str], right: impl Fn(&str) -> bool) -> String {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let said = self.says(command);
            if right(&said) {
                return said;
            }
            assert!(Instant::now() < give_up, "{command:?}: {said}");
        }
    }

    fn address_of(&mut self, name: &str) -> String {
        let said = self.says(&["avahi-resolve", "-4", "-n", name]);
        said.split_whitespace().nth(1).unwrap_or_default().to_owned()
    }

    fn resolves(&mut self, name: &str, address: &str) {
        let right = format!("{name}\t{address}\n");
        self.until(&["avahi-resolve", "-4", "-n", name], |said| said == right);
    }

    /// Waits until each service is there under a host's name and an address.
    fn finds(&mut self, name: &str, address: &str) {
        let browse = ["avahi-browse", "--all", "--terminate", "--resolve", "--parsable", "--no-db-lookup"];
        let place = format!(";local;{name};{address};3478;");
        self.until(&browse, |said| {
            ["_https._tcp", "_turn._udp", "_turn._tcp", "_turns._tcp", "_stun._udp"].iter().all(|service| {
                said.lines().any(|line| line.starts_with("=;") && line.contains(&format!(";{service}{place}")))
            })
        });
    }
}

/// What a certificate is for.
fn names(pem: &str) -> String {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    let certificate = pem.parse_x509().unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    names.value.general_names.iter().map(|name| format!("{name} ")).collect()
}

/// On its private networks alone, also on one that comes later.
pub fn avahi_finds_the_box_by_name() {
    const LATER: &str = "192.168.9.5";
    let mut world = World::new();
    let (inside, neighbour) = (world.public_box(), world.host("neighbour"));
    world.plug(&neighbour, "eth0", "lan", &["192.168.7.20/24", "192.168.9.20/24"]);
    let outsider = world.outsider("outsider", &["203.0.113.20/24", "2001:db8:1::20/64"]);
    let _server = Server::start_within(&inside, "");
    let mut neighbour = Avahi::in_namespace(&neighbour);
    neighbour.resolves("lanturn.local", BOX_LAN);
    neighbour.finds("lanturn.local", BOX_LAN);

    let mut outsider = Avahi::in_namespace(&outsider);
    let own = format!("{}.local", std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim());
    outsider.resolves(&own, "203.0.113.20");
    assert_eq!(outsider.address_of("lanturn.local"), "", "the internet hears of it");

    world.ip(&inside, &format!("address del {BOX_LAN}/24 dev lan"));
    world.address(&inside, "lan", &format!("{LATER}/24"));
    neighbour.resolves("lanturn.local", LATER);
}

/// A second box takes another name, and who stops is forgotten.
pub fn two_boxes_of_one_name() {
    const SECOND: &str = "192.168.7.6";
    let mut world = World::new();
    let (first, second, neighbour) = (world.public_box(), world.host("second"), world.host("neighbour"));
    world.plug(&second, "eth0", "lan", &[&format!("{SECOND}/24")]);
    world.plug(&neighbour, "eth0", "lan", &["192.168.7.20/24"]);
    let _server = Server::start_within(&first, "");
    let mut neighbour = Avahi::in_namespace(&neighbour);
    neighbour.resolves("lanturn.local", BOX_LAN);

    let mut other = Server::start_within(&second, "");
    other.wait_for("this one is found as lanturn-2.local");
    other.wait_for("reloaded");
    assert!(names(&other.read("certs/leaf.pem")).contains("DNSName(lanturn-2.local)"));
    neighbour.finds("lanturn-2.local", SECOND);
    neighbour.resolves("lanturn.local", BOX_LAN);

    other.signal("TERM");
    let (status, log) = other.wait();
    assert!(status.success(), "{log}");
    // Whoever says no goodbye is remembered for two minutes.
    neighbour.until(&["avahi-resolve", "-4", "-n", "lanturn-2.local"], str::is_empty);
}
