//! What holds across NATs.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::client::{Client, Way};
use super::discovery;
use super::matrix;
use super::named;
use super::net::{BOX, BOX_LAN, BOX_TOO, BOX_V6, Mapping, World};
use super::outside;
use super::probes;
use super::support::PATIENCE;
use super::support::server::Server;
use super::wire;

/// By name.
pub const ALL: &[(&str, fn())] = &[
    ("the_nats_are_what_they_are_called", the_nats_are_what_they_are_called),
    ("two_behind_symmetric_nats_meet_over_udp", || symmetric(Way::Udp, Way::Udp)),
    ("two_behind_symmetric_nats_meet_over_tcp", || symmetric(Way::Udp, Way::Tcp)),
    ("two_behind_symmetric_nats_meet_over_tls", || symmetric(Way::Tls, Way::Tls)),
    ("behind_a_cone_and_a_symmetric_nat", a_cone_and_a_symmetric_nat),
    ("where_udp_is_blocked_tcp_and_tls_get_through", udp_is_blocked),
    ("a_peer_on_the_internet_sees_the_relayed_address", a_peer_on_the_internet),
    ("each_address_of_the_box_answers_for_itself", each_address_answers_for_itself),
    ("each_client_relays_where_it_came_in", each_client_relays_where_it_came_in),
    ("ice_names_the_address_that_the_client_came_in_on", ice_names_the_address),
    ("a_new_address_of_the_box_is_served", a_new_address_of_the_box),
    ("behind_a_one_to_one_nat_the_outer_address_is_told", one_to_one_nat),
    ("a_router_lets_in_what_pcp_asks_for", outside::a_router_lets_in_what_pcp_asks_for),
    ("a_router_lets_in_what_natpmp_asks_for", outside::a_router_lets_in_what_natpmp_asks_for),
    ("a_router_lets_in_what_upnp_asks_for", outside::a_router_lets_in_what_upnp_asks_for),
    ("what_a_router_has_forgotten_is_asked_for_again", outside::what_a_router_has_forgotten_is_asked_for_again),
    ("a_mapping_follows_the_router", outside::a_mapping_follows_the_router),
    ("a_router_that_speaks_no_language_is_no_hindrance", outside::a_router_that_speaks_no_language),
    ("the_outer_address_is_found_and_followed", outside::the_outer_address_is_found_and_followed),
    ("kinds_of_nat_are_told_apart", discovery::kinds_of_nat_are_told_apart),
    ("dont_fragment_is_on_the_wire", wire::dont_fragment_is_on_the_wire),
    ("routers_are_heard", wire::routers_are_heard),
    ("no_marking_goes_through_the_relay", wire::no_marking_goes_through),
    ("a_client_on_ipv6_meets_one_on_ipv4", ipv6_and_ipv4),
    ("avahi_finds_the_box_by_name", named::avahi_finds_the_box_by_name),
    ("two_boxes_of_one_name", named::two_boxes_of_one_name),
    ("a_probe_names_the_nat", probes::names_the_nat),
    ("a_probe_says_that_udp_is_blocked", probes::says_that_udp_is_blocked),
    ("a_probe_says_that_answers_are_blocked", probes::says_that_answers_are_blocked),
    ("a_probe_says_that_relay_ports_are_closed", probes::says_that_relay_ports_are_closed),
    ("a_probe_names_the_rule_that_refuses", probes::names_the_rule_that_refuses),
    ("a_probe_says_that_the_box_is_not_there", probes::says_that_the_box_is_not_there),
    ("two_browsers_behind_one_router", matrix::two_behind_one_router),
    ("an_address_changes_in_mid_call", matrix::an_address_changes_in_mid_call),
    ("a_box_starts_anew_in_mid_call", matrix::a_box_starts_anew_in_mid_call),
    ("every_pair_of_networks_meets", matrix::every_pair_of_networks_meets),
];

/// The internet of these tests is a documentation range, which `public` does not name.
pub const CONFIG: &str = r#"
[listen]
addresses = ["[::]:3478", "[::]:3479"]
shards = 2
[relay]
allow = ["203.0.113.0/24", "lan"]
"#;

pub fn at(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), 3478)
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Packets both ways, each seen to come from the other's address.
pub fn exchange(one: &mut Client, one_at: SocketAddr, other: &mut Client, other_at: SocketAddr) {
    let give_up = Instant::now() + PATIENCE;
    loop {
        one.send(other_at, "from one");
        other.send(one_at, "from the other");
        // Before the permissions stand, the first packets are refused.
        if let (Some(first), Some(second)) = (one.receive(), other.receive()) {
            assert_eq!(first, ("from the other".into(), other_at));
            assert_eq!(second, ("from one".into(), one_at));
            return;
        }
        assert!(Instant::now() < give_up, "{one_at} and {other_at} do not hear each other");
    }
}

fn the_nats_are_what_they_are_called() {
    let mut world = World::new();
    let inside = world.public_box();
    let _server = Server::start_within(&inside, CONFIG);
    let ports = [at(BOX), SocketAddr::new(ip(BOX), 3479), at(BOX_TOO)];
    for (number, mapping) in [(1, Mapping::Kept), (2, Mapping::Random)] {
        let outer = format!("203.0.113.1{number}");
        let (_, client) = world.behind_nat(number, &outer, mapping);
        let mapped: Vec<SocketAddr> =
            Client::in_namespace(&client).bindings(&ports).unwrap().into_iter().map(|(_, mapped)| mapped).collect();
        assert!(mapped.iter().all(|address| address.ip() == ip(&outer)), "{mapping:?}: {mapped:?}");
        let same = mapped.iter().all(|address| *address == mapped[0]);
        assert_eq!(same, mapping == Mapping::Kept, "{mapping:?}: {mapped:?}");
    }
}

fn symmetric(one: Way, other: Way) {
    meet((Mapping::Random, one), (Mapping::Random, other));
}

fn a_cone_and_a_symmetric_nat() {
    meet((Mapping::Kept, Way::Udp), (Mapping::Random, Way::Udp));
}

fn meet(one: (Mapping, Way), other: (Mapping, Way)) {
    let mut world = World::new();
    let inside = world.public_box();
    let server = Server::start_within(&inside, CONFIG);
    let mut join = |number, (mapping, way)| {
        let outer = format!("203.0.113.1{number}");
        let (_, client) = world.behind_nat(number, &outer, mapping);
        let mut client = Client::in_namespace(&client);
        let allocated = client.allocate(&server, at(BOX), way);
        assert_eq!(allocated.mapped.ip(), ip(&outer));
        assert_eq!(allocated.relayed.ip(), ip(BOX));
        (client, allocated.relayed)
    };
    let (mut anna, anna_at) = join(1, one);
    let (mut ben, ben_at) = join(2, other);
    exchange(&mut anna, anna_at, &mut ben, ben_at);
}

fn udp_is_blocked() {
    let mut world = World::new();
    let inside = world.public_box();
    let server = Server::start_within(&inside, CONFIG);
    let (nat, blocked) = world.behind_nat(1, "203.0.113.11", Mapping::Random);
    world.nft(
        &nat,
        "table ip wall {
            chain pass {
                type filter hook forward priority filter; policy accept;
                meta l4proto udp drop
            }
        }",
    );
    let outsider = world.outsider("outsider", &["203.0.113.20/24"]);
    let mut outsider = Client::in_namespace(&outsider);
    let out_there = outsider.allocate(&server, at(BOX), Way::Udp).relayed;
    let mut client = Client::in_namespace(&blocked);
    let refused = client.bindings(&[at(BOX)]);
    assert!(refused.is_err(), "UDP is not blocked: {refused:?}");
    for way in [Way::Tcp, Way::Tls] {
        let allocated = client.allocate(&server, at(BOX), way);
        assert_eq!(allocated.mapped.ip(), ip("203.0.113.11"));
        exchange(&mut client, allocated.relayed, &mut outsider, out_there);
    }
}

fn a_peer_on_the_internet() {
    let mut world = World::new();
    let inside = world.public_box();
    let server = Server::start_within(&inside, CONFIG);
    let peer = world.outsider("peer", &["203.0.113.20/24"]);
    let mut peer = Client::in_namespace(&peer);
    let peer_at: SocketAddr = "203.0.113.20:7000".parse().unwrap();
    peer.bind(peer_at);
    let (_, client) = world.behind_nat(1, "203.0.113.11", Mapping::Random);
    let mut client = Client::in_namespace(&client);
    let relayed = client.allocate(&server, at(BOX), Way::Udp).relayed;
    exchange(&mut client, relayed, &mut peer, peer_at);
}

fn each_address_answers_for_itself() {
    let mut world = World::new();
    let inside = world.public_box();
    let _server = Server::start_within(&inside, CONFIG);
    let outsider = world.outsider("outsider", &["203.0.113.20/24", "2001:db8:1::20/64"]);
    let mut outsider = Client::in_namespace(&outsider);
    for (address, own) in [(BOX, "203.0.113.20"), (BOX_TOO, "203.0.113.20"), (BOX_V6, "2001:db8:1::20")] {
        let (from, mapped) = outsider.bindings(&[at(address)]).unwrap()[0];
        assert_eq!((from, mapped.ip()), (at(address), ip(own)));
    }
    let neighbour = world.host("neighbour");
    world.plug(&neighbour, "eth0", "lan", &["192.168.7.20/24"]);
    let (from, mapped) = Client::in_namespace(&neighbour).bindings(&[at(BOX_LAN)]).unwrap()[0];
    assert_eq!((from, mapped.ip()), (at(BOX_LAN), ip("192.168.7.20")));
}

fn each_client_relays_where_it_came_in() {
    let mut world = World::new();
    let inside = world.public_box();
    let server = Server::start_within(&inside, CONFIG);
    let neighbour = world.host("neighbour");
    world.plug(&neighbour, "eth0", "lan", &["192.168.7.20/24"]);
    let (_, far) = world.behind_nat(1, "203.0.113.11", Mapping::Random);
    let (mut neighbour, mut far) = (Client::in_namespace(&neighbour), Client::in_namespace(&far));
    for way in [Way::Udp, Way::Tcp] {
        let near_at = neighbour.allocate(&server, at(BOX_LAN), way).relayed;
        assert_eq!(near_at.ip(), ip(BOX_LAN));
        for address in [BOX, BOX_TOO] {
            let far_at = far.allocate(&server, at(address), way).relayed;
            assert_eq!(far_at.ip(), ip(address));
            exchange(&mut neighbour, near_at, &mut far, far_at);
        }
    }
}

fn ice_names_the_address() {
    let mut world = World::new();
    let inside = world.public_box();
    let server = Server::start_within(&inside, CONFIG);
    let neighbour = world.host("neighbour");
    world.plug(&neighbour, "eth0", "lan", &["192.168.7.20/24"]);
    let outsider = world.outsider("outsider", &["203.0.113.20/24", "2001:db8:1::20/64"]);
    for (client, address) in [(&neighbour, BOX_LAN), (&outsider, BOX), (&outsider, BOX_TOO), (&outsider, BOX_V6)] {
        let urls = Client::in_namespace(client).ice_urls(&server, at(address));
        assert_eq!(urls[0], format!("stun:{}", at(address)));
        assert!(urls.len() == 4 && urls.iter().all(|url| url.contains(&at(address).to_string())), "{urls:?}");
    }
}

fn a_new_address_of_the_box() {
    const NEW: &str = "192.168.7.8";
    let mut world = World::new();
    let inside = world.public_box();
    let mut server = Server::start_within(&inside, CONFIG);
    let neighbour = world.host("neighbour");
    world.plug(&neighbour, "eth0", "lan", &["192.168.7.20/24"]);
    let mut neighbour = Client::in_namespace(&neighbour);
    world.address(&inside, "lan", &format!("{NEW}/24"));
    server.wait_for("this machine's addresses are now");
    server.wait_for("reloaded");
    let relayed = neighbour.allocate(&server, at(NEW), Way::Tls).relayed;
    assert_eq!(relayed.ip(), ip(NEW));
    let urls = neighbour.ice_urls(&server, at(NEW));
    assert!(urls.iter().all(|url| url.contains(&at(NEW).to_string())), "{urls:?}");
}

fn one_to_one_nat() {
    const OUTER: &str = "203.0.113.7";
    let mut world = World::new();
    let (inside, gate) = world.box_at_home(OUTER);
    world.map_one_to_one(&gate, OUTER);
    let server = Server::start_within(&inside, &format!("{CONFIG}external = {{ \"{BOX_LAN}\" = \"{OUTER}\" }}\n"));

    let (_, client) = world.behind_nat(1, "203.0.113.11", Mapping::Random);
    let mut client = Client::in_namespace(&client);
    let urls = client.ice_urls(&server, at(OUTER));
    assert!(urls.iter().all(|url| url.contains(&at(OUTER).to_string())), "{urls:?}");
    let (from, _) = client.bindings(&[at(OUTER)]).unwrap()[0];
    assert_eq!(from, at(OUTER));
    let relayed = client.allocate(&server, at(OUTER), Way::Udp).relayed;
    assert_eq!(relayed.ip(), ip(OUTER));

    let peer = world.outsider("peer", &["203.0.113.20/24"]);
    let mut peer = Client::in_namespace(&peer);
    let peer_at = reach_unasked(&mut client, relayed, &mut peer, ip("203.0.113.20"));
    exchange(&mut client, relayed, &mut peer, peer_at);

    let other = world.outsider("other", &["203.0.113.21/24"]);
    let mut other = Client::in_namespace(&other);
    let other_at = other.allocate(&server, at(OUTER), Way::Tls).relayed;
    assert_eq!(other_at.ip(), ip(OUTER));
    exchange(&mut client, relayed, &mut other, other_at);
}

/// Has a packet of a peer get to a relayed address that has never sent the peer one. Returns where the peer is then.
pub fn reach_unasked(client: &mut Client, relayed: SocketAddr, peer: &mut Client, peer_ip: IpAddr) -> SocketAddr {
    // From another port than the one that the client sends to, so that no packet of ours has opened the way.
    let (silent, peer_at) = (SocketAddr::new(peer_ip, 6999), SocketAddr::new(peer_ip, 7000));
    peer.bind(peer_at);
    let give_up = Instant::now() + PATIENCE;
    let came = loop {
        client.send(silent, "this is only for the permission");
        peer.send(relayed, "unasked");
        if let Some(packet) = client.receive() {
            break packet;
        }
        assert!(Instant::now() < give_up, "nothing comes through the outer address");
    };
    assert_eq!(came, ("unasked".into(), peer_at));
    peer_at
}

fn ipv6_and_ipv4() {
    let mut world = World::new();
    let inside = world.public_box();
    let server = Server::start_within(&inside, CONFIG);
    let modern = world.outsider("modern", &["2001:db8:1::20/64"]);
    let (_, old) = world.behind_nat(1, "203.0.113.11", Mapping::Random);
    let (mut modern, mut old) = (Client::in_namespace(&modern), Client::in_namespace(&old));
    let old_at = old.allocate(&server, at(BOX), Way::Udp).relayed;
    for way in [Way::Udp, Way::Tcp, Way::Tls] {
        let allocated = modern.allocate(&server, at(BOX_V6), way);
        assert_eq!(allocated.mapped.ip(), ip("2001:db8:1::20"));
        // A client that names no family gets an IPv4 address (RFC 8656 section 7.2).
        assert!(allocated.relayed.is_ipv4(), "{}", allocated.relayed);
        exchange(&mut modern, allocated.relayed, &mut old, old_at);
    }
}
