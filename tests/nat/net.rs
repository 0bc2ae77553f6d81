//! Namespaces, the wires between them, and NATs. All of it goes when the value does.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Begins the name of every namespace made here, followed by the process id.
const PREFIX: &str = "lanturn-nat";

/// The public network, of the documentation range (RFC 5737). The box is at `.5`, and at `.6` besides.
pub const BOX: &str = "203.0.113.5";
pub const BOX_TOO: &str = "203.0.113.6";
pub const BOX_V6: &str = "2001:db8:1::5";
/// The box's address on its own LAN.
pub const BOX_LAN: &str = "192.168.7.5";

/// How a NAT picks the outer port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// The inner one, if it is free: the same towards everybody.
    Kept,
    /// Any, and another towards each destination: a symmetric NAT.
    Random,
}

/// Two switches, "internet" and "lan", and whoever is plugged in.
pub struct World {
    names: Vec<String>,
    switch: String,
    plugs: u32,
}

impl World {
    /// The two switches.
    pub fn new() -> Self {
        let mut world = Self { names: Vec::new(), switch: String::new(), plugs: 0 };
        world.switch = world.host("switch");
        for bridge in ["internet", "lan"] {
            world.ip(&world.switch, &format!("link add {bridge} type bridge"));
            world.ip(&world.switch, &format!("link set {bridge} up"));
        }
        world
    }

    /// A box with a public address, a second one beside it, and a LAN.
    pub fn public_box(&mut self) -> String {
        let name = self.host("box");
        self.plug(&name, "wan", "internet", &[&format!("{BOX}/24"), &format!("{BOX_TOO}/24"), &format!("{BOX_V6}/64")]);
        self.plug(&name, "lan", "lan", &[&format!("{BOX_LAN}/24")]);
        name
    }

    /// A namespace with nothing but loopback.
    pub fn host(&mut self, role: &str) -> String {
        let name = unique(role);
        run(Command::new("ip").args(["netns", "add", &name]));
        self.names.push(name.clone());
        self.ip(&name, "link set lo up");
        name
    }

    /// Gives a host an interface on a switch.
    pub fn plug(&mut self, host: &str, interface: &str, bridge: &str, addresses: &[&str]) {
        self.plugs += 1;
        let port = format!("port{}", self.plugs);
        self.wire(&self.switch, &port, host, interface);
        self.ip(&self.switch, &format!("link set {port} master {bridge}"));
        for address in addresses {
            self.address(host, interface, address);
        }
    }

    /// A host at an address of the internet.
    pub fn outsider(&mut self, role: &str, addresses: &[&str]) -> String {
        let host = self.host(role);
        self.plug(&host, "eth0", "internet", addresses);
        host
    }

    /// A host behind a NAT of its own: the names of the NAT and of the host. `number` tells the networks behind them
    /// apart.
    pub fn behind_nat(&mut self, number: u8, outer: &str, mapping: Mapping) -> (String, String) {
        let (nat, client) = (self.host(&format!("nat{number}")), self.host(&format!("client{number}")));
        self.plug(&nat, "wan", "internet", &[&format!("{outer}/24")]);
        self.wire(&nat, "inside", &client, "eth0");
        self.address(&nat, "inside", &format!("10.{number}.0.1/24"));
        self.address(&client, "eth0", &format!("10.{number}.0.2/24"));
        self.ip(&client, &format!("route add default via 10.{number}.0.1"));
        self.forwards(&nat);
        let how = match mapping {
            Mapping::Kept => "",
            Mapping::Random => "random,fully-random",
        };
        // What comes from outside unasked ends here, as at any home router.
        self.nft(
            &nat,
            &format!(
                "table ip nat {{
                    chain leave {{
                        type nat hook postrouting priority srcnat; policy accept;
                        oifname \"wan\" masquerade {how}
                    }}
                }}
                table ip filter {{
                    chain pass {{
                        type filter hook forward priority filter; policy drop;
                        iifname \"inside\" accept
                        ct state established,related accept
                    }}
                    chain own {{
                        type filter hook input priority filter; policy accept;
                        iifname \"wan\" ct state new drop
                    }}
                }}"
            ),
        );
        (nat, client)
    }

    /// A default route.
    pub fn gateway(&self, host: &str, via: &str) {
        self.ip(host, &format!("route add default via {via}"));
    }

    /// Makes a router of a host.
    pub fn forwards(&self, host: &str) {
        run(Command::new("ip").args(["netns", "exec", host, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]));
    }

    /// Loads nftables rules.
    pub fn nft(&self, host: &str, rules: &str) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", host, "nft", "-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "nft refuses:\n{rules}\n{}", String::from_utf8_lossy(&output.stderr));
    }

    fn wire(&self, one: &str, interface: &str, other: &str, peer: &str) {
        self.ip(one, &format!("link add {interface} type veth peer name {peer} netns {other}"));
        self.ip(one, &format!("link set {interface} up"));
        self.ip(other, &format!("link set {peer} up"));
    }

    fn address(&self, host: &str, interface: &str, address: &str) {
        // IPv6 would first ask around for a second whether somebody has the address.
        let at_once = if address.contains(':') { "nodad" } else { "" };
        self.ip(host, &format!("address add {address} dev {interface} {at_once}"));
    }

    fn ip(&self, host: &str, arguments: &str) {
        run(Command::new("ip").args(["-n", host]).args(arguments.split_whitespace()));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for name in &self.names {
            remove(name);
        }
    }
}

/// A name for a namespace that nobody else uses.
pub fn unique(role: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{PREFIX}-{}-{}-{role}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Removes what an earlier run left behind that was killed.
pub fn clear_leftovers() {
    let list = Command::new("ip").args(["netns", "list"]).output().unwrap();
    for name in String::from_utf8_lossy(&list.stdout).lines().filter_map(|line| line.split_whitespace().next()) {
        let Some(rest) = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-')) else { continue };
        let owner = rest.split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(owner).exists() {
            remove(name);
        }
    }
}

fn remove(name: &str) {
    let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
