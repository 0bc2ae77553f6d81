//! Two browsers, each in a network of its own, for every pair of networks: by which path they see each other.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::net::{Filtering, World};
use super::networks::{Network, Path};
use super::support::server::Server;
use super::visitor::Visitor;

/// From when the second is in the room until both see each other by the path that is expected.
const WITHIN: Duration = Duration::from_secs(30);

/// How long a call may take to come back after what happens to it.
const BACK_WITHIN: Duration = Duration::from_secs(40);

/// The box as it comes, and on the port that every firewall lets through.
pub const CONFIG: &str = "[listen]\naddresses = [\"[::]:3478\", \"[::]:443\"]\n";

/// The table is in here, between these lines.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/nat.md");
const BEGIN: &str = "<!-- the table begins: written by `NAT_WRITE=1 make nat` -->\n";
const END: &str = "<!-- the table ends -->\n";

/// Every pair gets video by the best path that there is, and the table in the documentation says so.
pub fn every_pair_of_networks_meets() {
    let mut world = World::new();
    let inside = world.public_box();
    let server = Server::start_within(&inside, CONFIG);
    let mut place = |offset: u8| -> Vec<String> {
        (offset..).zip(Network::ALL).map(|(number, network)| network.host(&mut world, number)).collect()
    };
    let (here, there) = (place(1), place(1 + Network::ALL.len() as u8));
    let mut others: Vec<Visitor> = there.iter().map(|host| Visitor::in_namespace(host, &server)).collect();
    others.iter_mut().for_each(Visitor::ready);

    let mut failures = Vec::new();
    let mut slowest = Duration::ZERO;
    for (row, (one, host)) in Network::ALL.into_iter().zip(&here).enumerate() {
        let mut visitor = Visitor::in_namespace(host, &server);
        visitor.ready();
        for (other, met) in Network::ALL.into_iter().zip(&mut others).skip(row) {
            let (name, path) = (format!("{} and {}", one.name(), other.name()), one.best_path(other));
            match meet(&mut visitor, one, met, other) {
                Ok(after) => {
                    slowest = slowest.max(after);
                    println!("  {name}: {}, after {:.1} s", path.name(), after.as_secs_f64());
                }
                Err(error) => {
                    println!("  {name}: FAILED: {error}");
                    failures.push(name);
                }
            }
        }
    }
    println!("  the slowest took {:.1} s", slowest.as_secs_f64());
    assert!(failures.is_empty(), "{failures:?}\n{}", server.log());
    documented();
}

/// Two by the best path that there is between them.
fn meet(one: &mut Visitor, from: Network, other: &mut Visitor, to: Network) -> Result<Duration, String> {
    let room = format!("{}-{}", from.name(), to.name()).replace(' ', "-");
    let met = together(&room, (one, from), (other, to), from.best_path(to));
    one.leave();
    other.leave();
    met
}

/// Two in a room, `one` last: how long it takes until both see each other by a path.
fn together(
    room: &str,
    (one, from): (&mut Visitor, Network),
    (other, to): (&mut Visitor, Network),
    path: Path,
) -> Result<Duration, String> {
    other.join(&to.page(), room)?;
    one.join(&from.page(), room)?;
    let began = Instant::now();
    one.see(path, from.transport(), WITHIN);
    other.see(path, to.transport(), WITHIN);
    let seen = [(from, one.seen()), (to, other.seen())];
    for (network, sight) in seen {
        sight.map_err(|error| format!("{}: {error}", network.name()))?;
    }
    Ok(began.elapsed())
}

/// The documentation has the table, or gets it.
fn documented() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("docs/nat.md has no table");
    let (_, after) = rest.split_once(END).expect("the table in docs/nat.md has no end");
    let right = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("NAT_WRITE").is_some() {
        std::fs::write(PAGE, right).unwrap();
    } else {
        assert!(page == right, "docs/nat.md does not say what is so: NAT_WRITE=1 make nat");
    }
}

/// The best paths of all pairs. The test has just seen that they are taken.
fn table() -> String {
    let mut text = String::from("\n| |");
    for network in Network::ALL {
        write!(text, " {} |", network.name()).unwrap();
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(Network::ALL.len()));
    for one in Network::ALL {
        write!(text, "\n| **{}** |", one.name()).unwrap();
        for other in Network::ALL {
            write!(text, " {} |", one.best_path(other).name()).unwrap();
        }
    }
    text.push_str("\n\n");
    text
}

/// Two in a call by the best path, each in a network of one kind.
struct Call {
    world: World,
    inside: String,
    near: String,
    server: Server,
    one: Visitor,
    other: Visitor,
}

impl Call {
    fn begin(network: Network) -> Self {
        let mut world = World::new();
        let inside = world.public_box();
        let server = Server::start_within(&inside, CONFIG);
        let (near, far) = (network.host(&mut world, 1), network.host(&mut world, 2));
        let [mut one, mut other] = [&near, &far].map(|host| Visitor::in_namespace(host, &server));
        one.ready();
        other.ready();
        together("mid-call", (&mut one, network), (&mut other, network), network.best_path(network)).unwrap();
        Self { world, inside, near, server, one, other }
    }
}

/// Both see more of each other.
fn goes_on(what: &str, one: &mut Visitor, other: &mut Visitor) {
    let began = Instant::now();
    for visitor in [one, other] {
        visitor.flows(BACK_WITHIN).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    println!("  {what}: video again after {:.1} s", began.elapsed().as_secs_f64());
}

/// A phone that leaves one Wi-Fi for another keeps its call, direct or relayed.
pub fn an_address_changes_in_mid_call() {
    for network in [Network::Symmetric, Network::Cone(Filtering::AddressAndPortDependent)] {
        let Call { world, near, server: _server, mut one, mut other, .. } = Call::begin(network);
        world.ip(&near, "address del 10.1.0.2/24 dev eth0");
        world.address(&near, "eth0", "10.1.0.7/24");
        world.gateway(&near, "10.1.0.1");
        goes_on(&format!("{}, another address", network.name()), &mut one, &mut other);
    }
}

/// A box that starts anew ends no direct call, and a relayed one comes back by itself.
pub fn a_box_starts_anew_in_mid_call() {
    for network in [Network::Public, Network::Symmetric] {
        let Call { world: _world, inside, server, mut one, mut other, .. } = Call::begin(network);
        let dir = server.dir();
        drop(server);
        if network.best_path(network) == Path::Direct {
            goes_on("direct, without a box", &mut one, &mut other);
        }
        let _server = Server::start_again_within(&inside, dir);
        goes_on(&format!("{}, a box that starts anew", network.best_path(network).name()), &mut one, &mut other);
    }
}

/// Two at home, behind one router: direct on one network of it; on two that it keeps apart, by the box.
pub fn two_behind_one_router() {
    for apart in [false, true] {
        let mut world = World::new();
        let inside = world.public_box();
        let server = Server::start_within(&inside, CONFIG);
        let hosts = world.home(apart);
        let mut visitors = hosts.map(|host| Visitor::in_namespace(&host, &server));
        visitors.iter_mut().for_each(Visitor::ready);
        let [one, other] = &mut visitors;
        let path = if apart { Path::Relay } else { Path::Direct };
        let network = Network::Symmetric;
        let after = together("home", (one, network), (other, network), path).unwrap();
        let which = if apart { "two networks of one router" } else { "one network of one router" };
        println!("  {which}: {}, after {:.1} s", path.name(), after.as_secs_f64());
    }
}
