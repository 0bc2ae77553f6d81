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
/// The box's address on its own LAN, and on the network for guests.
pub const BOX_LAN: &str = "192.168.7.5";
pub const BOX_GUEST: &str = "192.168.8.5";

/// How a NAT picks the outer port (RFC 4787 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// The inner one, if it is free: the same towards everybody.
    Kept,
    /// Any, and another towards each destination: a symmetric NAT.
    Random,
}

/// From whom a NAT lets packets in (RFC 4787 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filtering {
    /// From everybody: a full cone.
    EndpointIndependent,
    /// From every port of an address that has been sent to.
    AddressDependent,
    /// From where it has been sent to.
    AddressAndPortDependent,
}

/// Three switches, "internet", "lan" and "guest", and whoever is plugged in.
pub struct World {
    names: Vec<String>,
    switch: String,
    plugs: u32,
}

impl World {
    /// The switches.
    pub fn new() -> Self {
        let mut world = Self { names: Vec::new(), switch: String::new(), plugs: 0 };
        world.switch = world.host("switch");
        for bridge in ["internet", "lan", "guest"] {
            world.ip(&world.switch, &format!("link add {bridge} type bridge"));
            world.ip(&world.switch, &format!("link set {bridge} up"));
        }
        world
    }

    /// A box with a public address, a second one beside it, a LAN, and a network for guests. It is no router.
    pub fn public_box(&mut self) -> String {
        let name = self.host("box");
        self.plug(&name, "wan", "internet", &[&format!("{BOX}/24"), &format!("{BOX_TOO}/24"), &format!("{BOX_V6}/64")]);
        self.plug(&name, "lan", "lan", &[&format!("{BOX_LAN}/24")]);
        self.plug(&name, "guest", "guest", &[&format!("{BOX_GUEST}/24")]);
        name
    }

    /// A namespace with nothing but loopback.
    pub fn host(&mut self, role: &str) -> String {
        let name = unique(role);
        run(Command::new("ip").args(["netns", "add", &name]));
        self.names.push(name.clone());
        self.ip(&name, "link set lo up");
        // An address that is only there after it was asked around for is a change of the network to a browser, which then
        // gives up what it has begun.
        let no_dad =
            "echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad; echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad";
        run(Command::new("ip").args(["netns", "exec", &name, "sh", "-c", no_dad]));
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
    /// apart. What comes from outside unasked ends at the NAT, as at any home router.
    pub fn behind_nat(&mut self, number: u8, outer: &str, mapping: Mapping) -> (String, String) {
        self.behind_filter(number, outer, mapping, Filtering::AddressAndPortDependent)
    }

    /// The same, with what the NAT lets in.
    pub fn behind_filter(
        &mut self,
        number: u8,
        outer: &str,
        mapping: Mapping,
        filtering: Filtering,
    ) -> (String, String) {
        let nat = self.host(&format!("nat{number}"));
        self.plug(&nat, "wan", "internet", &[&format!("{outer}/24")]);
        let client = self.inside(&nat, &format!("client{number}"), &format!("10.{number}.0"));
        self.translate(&nat, &format!("10.{number}.0.2"), mapping, filtering);
        (nat, client)
    }

    /// A host behind two NATs: the name of the host.
    pub fn behind_two_nats(&mut self, number: u8, outer: &str) -> String {
        let (_, middle) = self.behind_nat(number, outer, Mapping::Kept);
        let client = self.inside(&middle, &format!("inner{number}"), &format!("10.{number}.1"));
        self.ip(&middle, "link set eth0 down");
        self.ip(&middle, "link set eth0 name wan");
        self.ip(&middle, "link set wan up");
        self.gateway(&middle, &format!("10.{number}.0.1"));
        self.translate(&middle, &format!("10.{number}.1.2"), Mapping::Kept, Filtering::AddressAndPortDependent);
        client
    }

    /// Two hosts at home, behind one router with a symmetric NAT: on one network of it, or on two that it keeps apart.
    pub fn home(&mut self, apart: bool) -> [String; 2] {
        let nat = self.host("router");
        self.plug(&nat, "wan", "internet", &["203.0.113.11/24"]);
        let hosts = [1, 2].map(|number| {
            let (host, port) = (self.host(&format!("home{number}")), format!("inside{number}"));
            self.wire(&nat, &port, &host, "eth0");
            (host, port)
        });
        if !apart {
            self.ip(&nat, "link add inside type bridge");
            self.ip(&nat, "link set inside up");
            self.address(&nat, "inside", "10.1.0.1/24");
        }
        for (number, (host, port)) in (1..).zip(&hosts) {
            let network = if apart { format!("10.{number}.0") } else { "10.1.0".into() };
            if apart {
                self.address(&nat, port, &format!("{network}.1/24"));
            } else {
                self.ip(&nat, &format!("link set {port} master inside"));
            }
            self.address(host, "eth0", &format!("{network}.{}/24", 10 + number));
            self.gateway(host, &format!("{network}.1"));
        }
        self.translate(&nat, "10.1.0.11", Mapping::Random, Filtering::AddressAndPortDependent);
        hosts.map(|(host, _)| host)
    }

    /// A box on the LAN alone, and the router before it, at `outer` on the internet, which forwards and translates
    /// nothing yet: the names of both. The router's interfaces are "wan" and "inside".
    pub fn box_at_home(&mut self, outer: &str) -> (String, String) {
        let inside = self.host("box");
        self.plug(&inside, "lan", "lan", &[&format!("{BOX_LAN}/24")]);
        self.gateway(&inside, "192.168.7.1");
        let gate = self.host("gate");
        self.plug(&gate, "wan", "internet", &[&format!("{outer}/24")]);
        self.plug(&gate, "inside", "lan", &["192.168.7.1/24"]);
        self.forwards(&gate);
        (inside, gate)
    }

    /// Has the router before the box map one outer address to it, and no other any more.
    pub fn map_one_to_one(&self, gate: &str, outer: &str) {
        self.nft(
            gate,
            &format!(
                "table ip nat {{
                }}
                delete table ip nat
                table ip nat {{
                    chain enter {{
                        type nat hook prerouting priority dstnat; policy accept;
                        iifname \"wan\" dnat to {BOX_LAN}
                    }}
                    chain leave {{
                        type nat hook postrouting priority srcnat; policy accept;
                        oifname \"wan\" ip saddr {BOX_LAN} snat to {outer}
                    }}
                }}"
            ),
        );
    }

    /// A host on a network of its own inside a router: at `.2` of the network, and the router at `.1`.
    fn inside(&mut self, router: &str, role: &str, network: &str) -> String {
        let client = self.host(role);
        self.wire(router, "inside", &client, "eth0");
        self.address(router, "inside", &format!("{network}.1/24"));
        self.address(&client, "eth0", &format!("{network}.2/24"));
        self.gateway(&client, &format!("{network}.1"));
        client
    }

    /// Makes a NAT of a router between "inside", where `client` is, and "wan".
    pub fn translate(&self, nat: &str, client: &str, mapping: Mapping, filtering: Filtering) {
        self.forwards(nat);
        let how = match mapping {
            Mapping::Kept => "",
            Mapping::Random => "random,fully-random",
        };
        let enters = match filtering {
            Filtering::EndpointIndependent => format!("iifname \"wan\" udp dport 1024-65535 dnat to {client}"),
            Filtering::AddressDependent => {
                format!("iifname \"wan\" ip saddr @contacted udp dport 1024-65535 dnat to {client}")
            }
            Filtering::AddressAndPortDependent => String::new(),
        };
        self.nft(
            nat,
            &format!(
                "table ip nat {{
                    set contacted {{
                        type ipv4_addr; flags dynamic,timeout; timeout 2m
                    }}
                    chain note {{
                        type filter hook forward priority filter - 1; policy accept;
                        oifname \"wan\" meta l4proto udp update @contacted {{ ip daddr }}
                    }}
                    chain enter {{
                        type nat hook prerouting priority dstnat; policy accept;
                        {enters}
                    }}
                    chain leave {{
                        type nat hook postrouting priority srcnat; policy accept;
                        oifname \"wan\" masquerade {how}
                    }}
                }}
                table ip filter {{
                    chain pass {{
                        type filter hook forward priority filter; policy drop;
                        iifname \"inside*\" oifname \"wan\" accept
                        iifname \"inside\" oifname \"inside\" accept
                        ct state established,related accept
                        ct status dnat accept
                    }}
                    chain own {{
                        type filter hook input priority filter; policy accept;
                        iifname \"wan\" ct state new drop
                    }}
                }}"
            ),
        );
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

    /// A wire between two hosts.
    pub fn wire(&self, one: &str, interface: &str, other: &str, peer: &str) {
        self.ip(one, &format!("link add {interface} type veth peer name {peer} netns {other}"));
        self.ip(one, &format!("link set {interface} up"));
        self.ip(other, &format!("link set {peer} up"));
    }

    /// Gives an interface an address.
    pub fn address(&self, host: &str, interface: &str, address: &str) {
        // IPv6 would first ask around for a second whether somebody has the address.
        let at_once = if address.contains(':') { "nodad" } else { "" };
        self.ip(host, &format!("address add {address} dev {interface} {at_once}"));
    }

    /// Runs `ip` in a host.
    pub fn ip(&self, host: &str, arguments: &str) {
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
