//! A box behind a router: with Debian's miniupnpd on the router, and with a STUN server outside.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::cases::{CONFIG, at, exchange, ip, reach_unasked};
use super::client::{Client, Way};
use super::net::{BOX_LAN, World};
use super::support::PATIENCE;
use super::support::server::Server;

/// The router's address outside. miniupnpd maps nothing from an address of the documentation range.
const OUTER: &str = "203.0.112.7";
/// Two who are outside as well.
const ANNA: &str = "203.0.112.20";
const BEN: &str = "203.0.112.21";
/// The ports that [`CONFIG`] listens on, each over two protocols, and the relay's.
const MAPPED: usize = 4 + 8;
/// Longer than lanturn takes to ask again.
const TURN: Duration = Duration::from_secs(60);

/// Asks the router.
const ROUTER: &str = "router = true\nrelay_ports = 8";

/// A running miniupnpd, which ends with this value.
struct Daemon {
    child: Child,
    _dir: TempDir,
}

impl Daemon {
    /// Starts it on a router, with the languages that it is to speak.
    fn start(world: &World, gate: &str, languages: &str) -> Self {
        world.nft(gate, RULES);
        let dir = tempfile::tempdir().unwrap();
        let (config, pid, log) = (dir.path().join("config"), dir.path().join("pid"), dir.path().join("log"));
        let text = format!(
            "ext_ifname=wan\nlistening_ip=inside\nipv6_disable=yes\n{languages}\nsystem_uptime=no\n\
             uuid=00000000-0000-4000-8000-000000000001\nallow 1-65535 192.168.7.0/24 1-65535\n\
             deny 0-65535 0.0.0.0/0 0-65535\n"
        );
        std::fs::write(&config, text).unwrap();
        let output = std::fs::File::create(&log).unwrap();
        let child = Command::new("ip")
            .args(["netns", "exec", gate, "miniupnpd", "-d"])
            .arg("-f")
            .arg(&config)
            .arg("-P")
            .arg(&pid)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut daemon = Self { child, _dir: dir };
        daemon.wait(&log);
        daemon
    }

    fn wait(&mut self, log: &Path) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let said = std::fs::read_to_string(log).unwrap();
            if said.contains("istening") {
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none() && Instant::now() < give_up, "miniupnpd: {said}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A router as it is at home: whoever is inside gets out, and nobody gets in, but by the chains that miniupnpd fills.
const RULES: &str = "table inet filter {
    chain forward {
        type filter hook forward priority filter; policy drop;
        jump miniupnpd
        iifname \"inside\" oifname \"wan\" accept
        ct state established,related accept
    }
    chain input {
        type filter hook input priority filter; policy accept;
        iifname \"wan\" ct state new drop
    }
    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        jump prerouting_miniupnpd
    }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        jump postrouting_miniupnpd
        oifname \"wan\" masquerade
    }
    chain miniupnpd {
    }
    chain prerouting_miniupnpd {
    }
    chain postrouting_miniupnpd {
    }
}";

/// How many ports the router sends on to the box.
fn forwarded(gate: &str) -> usize {
    let output = Command::new("ip").args(["netns", "exec", gate, "nft", "list", "ruleset"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).matches(&format!("to {BOX_LAN}:")).count()
}

/// The authority of a box signs for no address that it has only later, unless it is listed.
fn config(outside: &str, outer: &[&str]) -> String {
    let allowed = CONFIG.replace("\"lan\"", "\"lan\", \"203.0.112.0/24\"");
    format!("{allowed}[outside]\n{outside}\n[tls]\nnames = {outer:?}\n")
}

pub fn a_router_lets_in_what_pcp_asks_for() {
    a_router_lets_in("enable_natpmp=yes\nenable_upnp=no", "PCP", "");
}

/// miniupnpd speaks both of the first two, or neither: here, PCP's packets (version 2) do not arrive.
pub fn a_router_lets_in_what_natpmp_asks_for() {
    let old = "table inet old {
        chain input {
            type filter hook input priority filter - 1; policy accept;
            udp dport 5351 @th,64,8 2 drop
        }
    }";
    a_router_lets_in("enable_natpmp=yes\nenable_upnp=no", "NAT-PMP", old);
}

pub fn a_router_lets_in_what_upnp_asks_for() {
    a_router_lets_in("enable_natpmp=no\nenable_upnp=yes", "UPnP", "");
}

fn a_router_lets_in(languages: &str, language: &str, besides: &str) {
    let says = format!("the router at 192.168.7.1 ({language}) lets {MAPPED} ports of {OUTER} in to {BOX_LAN}");
    let mut world = World::new();
    let (inside, gate) = world.box_at_home(OUTER);
    let _daemon = Daemon::start(&world, &gate, languages);
    world.nft(&gate, besides);
    let mut server = Server::start_within(&inside, &config(ROUTER, &[OUTER]));
    server.wait_for(&says);
    server.wait_for("reloaded");
    assert_eq!(forwarded(&gate), MAPPED);

    let anna = world.outsider("anna", &[&format!("{ANNA}/24")]);
    let ben = world.outsider("ben", &[&format!("{BEN}/24")]);
    let mut anna = Client::in_namespace(&anna);
    let urls = anna.ice_urls(&server, at(OUTER));
    assert!(urls.iter().all(|url| url.contains(&at(OUTER).to_string())), "{urls:?}");
    for way in [Way::Udp, Way::Tls] {
        let relayed = anna.allocate(&server, at(OUTER), way).relayed;
        assert!(relayed.ip() == ip(OUTER) && (49152..49160).contains(&relayed.port()), "{relayed}");
        let mut ben = Client::in_namespace(&ben);
        let ben_at = reach_unasked(&mut anna, relayed, &mut ben, ip(BEN));
        exchange(&mut anna, relayed, &mut ben, ben_at);
    }

    let metrics = anna.page(&server, at(OUTER), &format!("/metrics?key={}", server.key()));
    assert!(metrics.contains(&format!("\nlanturn_mapped_ports {MAPPED}\n")), "{metrics}");

    // What was killed took nothing back, and what comes after it has the same ports all the same.
    let dir = server.dir();
    server.signal("KILL");
    server.wait();
    assert_eq!(forwarded(&gate), MAPPED);
    let mut server = Server::start_again_within(&inside, dir);
    server.wait_for(&says);
    assert_eq!(forwarded(&gate), MAPPED);

    server.signal("TERM");
    let (status, log) = server.wait();
    assert!(status.success(), "{log}");
    assert_eq!(forwarded(&gate), 0, "{log}");
}

/// The router restarts, and is the same as before but for what it let in.
pub fn what_a_router_has_forgotten_is_asked_for_again() {
    const LANGUAGES: &str = "enable_natpmp=no\nenable_upnp=yes\nhttp_port=5678";
    let mut world = World::new();
    let (inside, gate) = world.box_at_home(OUTER);
    let daemon = Daemon::start(&world, &gate, LANGUAGES);
    let mut server = Server::start_within(&inside, &config(ROUTER, &[OUTER]));
    server.wait_for("reloaded");
    assert_eq!(forwarded(&gate), MAPPED);
    drop(daemon);
    world.nft(&gate, "delete table inet filter");
    let _daemon = Daemon::start(&world, &gate, LANGUAGES);
    assert_eq!(forwarded(&gate), 0);
    let give_up = Instant::now() + TURN;
    while forwarded(&gate) != MAPPED {
        assert!(Instant::now() < give_up, "{} of {MAPPED}", forwarded(&gate));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The provider gives the router another address.
pub fn a_mapping_follows_the_router() {
    const OTHER: &str = "203.0.112.8";
    let mut world = World::new();
    let (inside, gate) = world.box_at_home(OUTER);
    let _daemon = Daemon::start(&world, &gate, "enable_natpmp=yes\nenable_upnp=no");
    let mut server = Server::start_within(&inside, &config(ROUTER, &[OUTER, OTHER]));
    server.wait_for(&format!("this machine is known outside as [{OUTER}]"));
    world.ip(&gate, &format!("address del {OUTER}/24 dev wan"));
    world.address(&gate, "wan", &format!("{OTHER}/24"));
    server.wait_within(TURN, &format!("this machine is known outside as [{OTHER}]"));
    let anna = world.outsider("anna", &[&format!("{ANNA}/24")]);
    let relayed = Client::in_namespace(&anna).allocate(&server, at(OTHER), Way::Tls).relayed;
    assert_eq!((relayed.ip(), forwarded(&gate)), (ip(OTHER), MAPPED));
}

/// The box starts all the same, and says what to do.
pub fn a_router_that_speaks_no_language() {
    let mut world = World::new();
    let (inside, gate) = world.box_at_home(OUTER);
    world.nft(&gate, RULES);
    let mut server = Server::start_within(&inside, &config(ROUTER, &[OUTER]));
    server.wait_for(&format!(
        "the router at 192.168.7.1 speaks none of PCP, NAT-PMP and UPnP: turn UPnP on in the router, or forward UDP and \
         TCP 3478 and 3479, UDP 49152-49159 to {BOX_LAN} there"
    ));
    assert!(server.log().find("\nready\n") < server.log().find("speaks none"), "{}", server.log());
}

/// A STUN server tells, and tells another address later: who is in a room is told to restart.
pub fn the_outer_address_is_found_and_followed() {
    const FIRST: &str = "203.0.113.7";
    const SECOND: &str = "203.0.113.8";
    let mut world = World::new();
    let (inside, gate) = world.box_at_home(FIRST);
    world.map_one_to_one(&gate, FIRST);
    let stun = world.outsider("stun", &["203.0.113.30/24"]);
    let _stun = Server::start_within(&stun, "");
    let config = config("stun = [\"203.0.113.30\"]", &[FIRST, SECOND]);
    let mut server = Server::start_within(&inside, &config);
    server.wait_for(&format!("this machine is known outside as [{FIRST}]"));
    server.wait_for("reloaded");

    let outsider = world.outsider("outsider", &["203.0.113.20/24"]);
    let neighbour = world.host("neighbour");
    world.plug(&neighbour, "eth0", "lan", &["192.168.7.20/24"]);
    let (mut outsider, mut neighbour) = (Client::in_namespace(&outsider), Client::in_namespace(&neighbour));
    assert_eq!(outsider.allocate(&server, at(FIRST), Way::Udp).relayed.ip(), ip(FIRST));
    assert_eq!(neighbour.allocate(&server, at(BOX_LAN), Way::Udp).relayed.ip(), ip(FIRST));
    neighbour.join(&server, at(BOX_LAN), "kitchen");

    world.ip(&gate, &format!("address del {FIRST}/24 dev wan"));
    world.address(&gate, "wan", &format!("{SECOND}/24"));
    world.map_one_to_one(&gate, SECOND);
    server.wait_within(TURN, &format!("this machine is known outside as [{SECOND}]"));
    let told = neighbour.hear();
    assert_eq!((&told["type"], &told["restart"]), (&"ice-servers".into(), &true.into()), "{told}");
    let first = &told["iceServers"][0]["urls"][0];
    assert_eq!(first, &format!("stun:{BOX_LAN}:3478"), "whoever is inside stays there: {told}");
    for (client, address) in [(&mut outsider, SECOND), (&mut neighbour, BOX_LAN)] {
        let relayed = client.allocate(&server, at(address), Way::Tls).relayed;
        assert_eq!(relayed.ip(), ip(SECOND), "at {address}");
    }
    let urls = outsider.ice_urls(&server, at(SECOND));
    assert!(urls.iter().all(|url| url.contains(&at(SECOND).to_string())), "{urls:?}");
}
