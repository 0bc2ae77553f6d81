//! What peers and clients see of the relay on the wire (RFC 8656 section 14).

use std::net::SocketAddr;

use super::cases::{CONFIG, at, ip};
use super::client::{Answer, Ask, BARE_PORT, Client};
use super::net::{BOX, World};
use super::support::server::Server;

const PEER: &str = "203.0.113.20";
const CLIENT: &str = "203.0.113.30";
/// What the kernel sets where nobody says otherwise.
const DEFAULT_TTL: u8 = 64;

fn done(client: &mut Client, ask: &Ask) {
    assert_eq!(client.ask(ask), Answer::Done);
}

/// A box, and a client with an allocation and a permission for a peer: the peer's namespace, the client's, who is there,
/// and its relayed address.
fn relaying(world: &mut World, peer: SocketAddr) -> (Server, String, String, Client, SocketAddr) {
    let inside = world.public_box();
    let server = Server::start_within(&inside, CONFIG);
    let there = world.outsider("peer", &[&format!("{PEER}/24")]);
    let here = world.outsider("client", &[&format!("{CLIENT}/24")]);
    let mut client = Client::in_namespace(&here);
    let relayed = client.allocate_bare(&server, at(BOX));
    done(&mut client, &Ask::Permit(peer));
    (server, there, here, client, relayed)
}

pub fn dont_fragment_is_on_the_wire() {
    let mut world = World::new();
    let peer = SocketAddr::new(ip(PEER), 7000);
    let (_server, there, _, mut client, _) = relaying(&mut world, peer);
    let mut watcher = Client::in_namespace(&there);
    done(&mut watcher, &Ask::Watch);
    // One behind another and of one length: the relay has them in one batch, and joins what it may join.
    let each: Vec<_> = (0..40).map(|n| if n % 3 == 0 { (600, b'W', true) } else { (600, b'A', false) }).collect();
    done(&mut client, &Ask::SendEach { to: peer, each });
    // Longer than the wire takes: cut to pieces, or not sent at all.
    done(&mut client, &Ask::SendEach { to: peer, each: vec![(1700, b'w', true), (1700, b'a', false)] });
    done(&mut client, &Ask::SendEach { to: peer, each: vec![(100, b'W', true), (100, b'A', false)] });
    let seen = watcher.seen(peer.port());
    for packet in &seen {
        assert_eq!(packet.dont_fragment, packet.first == b'W', "{packet:?}");
        assert_eq!(packet.more_fragments, packet.first == b'a', "{packet:?}");
    }
    let count = |letter| seen.iter().filter(|packet| packet.first == letter).count();
    assert_eq!((count(b'w'), count(b'a')), (0, 1), "{seen:?}");
    assert!(count(b'W') > 1 && count(b'A') > 1, "{seen:?}");
}

pub fn no_marking_goes_through() {
    let mut world = World::new();
    let peer_at = SocketAddr::new(ip(PEER), 7000);
    let (_server, there, here, mut client, relayed) = relaying(&mut world, peer_at);
    let mut watchers = [Client::in_namespace(&there), Client::in_namespace(&here)];
    watchers.iter_mut().for_each(|watcher| done(watcher, &Ask::Watch));
    let mut peer = Client::in_namespace(&there);
    peer.bind(peer_at);
    done(&mut client, &Ask::SendEach { to: peer_at, each: vec![(100, b'A', false)] });
    assert_eq!(peer.receive().unwrap().1, relayed);
    peer.send(relayed, "down");
    let up = watchers[0].seen(peer_at.port());
    let down = watchers[1].seen(BARE_PORT);
    assert!(!up.is_empty() && !down.is_empty());
    for packet in up.iter().chain(&down) {
        assert_eq!((packet.service, packet.time_to_live), (0, DEFAULT_TTL), "{packet:?}");
    }
}

/// A router with a narrow way behind it says what it cannot pass on, and the client hears of it.
pub fn routers_are_heard() {
    const FAR: &str = "10.9.0.2";
    const NARROW: u16 = 1280;
    let mut world = World::new();
    let inside = world.public_box();
    let gate = world.outsider("gate", &["203.0.113.40/24"]);
    let far = world.host("far");
    world.wire(&gate, "inside", &far, "eth0");
    world.address(&gate, "inside", "10.9.0.1/24");
    world.address(&far, "eth0", &format!("{FAR}/24"));
    world.gateway(&far, "10.9.0.1");
    world.forwards(&gate);
    world.ip(&gate, &format!("link set inside mtu {NARROW}"));
    world.ip(&inside, "route add 10.9.0.0/24 via 203.0.113.40");
    world.nft(
        &gate,
        "table ip says {
            chain enter {
                type filter hook prerouting priority mangle; policy accept;
                udp dport 7002 ip ttl set 1
            }
            chain pass {
                type filter hook forward priority filter; policy accept;
                udp dport 7001 reject with icmp type host-unreachable
            }
        }",
    );
    let server = Server::start_within(
        &inside,
        &CONFIG.replace("\"lan\"", "\"10.9.0.0/24\"").replace("[relay]\n", "[relay]\nicmp = true\n"),
    );
    let mut client = Client::in_namespace(&world.outsider("client", &[&format!("{CLIENT}/24")]));
    let SocketAddr::V4(relayed) = client.allocate_bare(&server, at(BOX)) else { panic!() };
    let there = |port| SocketAddr::new(ip(FAR), port);
    done(&mut client, &Ask::Permit(there(7000)));
    let mut peer = Client::in_namespace(&far);
    peer.bind(there(7000));
    let needs = |mtu: u16| [&[0, 0, 3 << 1, 4, 0, 0][..], &mtu.to_be_bytes()].concat();
    for (port, length, whole, heard) in [
        (7000, 1400, true, Some(needs(NARROW))),
        (7000, 1400, true, Some(needs(NARROW))),
        (7001, 100, false, Some(vec![0, 0, 3 << 1, 1, 0, 0, 0, 0])),
        (7002, 100, false, Some(vec![0, 0, 11 << 1, 0, 0, 0, 0, 0])),
        (7000, 1400, false, None),
        (7000, 1200, true, None),
    ] {
        done(&mut client, &Ask::SendEach { to: there(port), each: vec![(length, b'x', whole)] });
        let error = client.error();
        assert_eq!(error, heard.clone().map(|value| (there(port), value)), "{port} {length} {whole}");
        assert_eq!(peer.receive().map(|(text, _)| text.len()), heard.is_none().then_some(length));
    }
    // On these wires the routers answer while the relay still sends. Elsewhere an answer takes its time, and whoever is on
    // the way may give it.
    let SocketAddr::V4(to) = there(7000) else { panic!() };
    done(&mut peer, &Ask::Complain { from: relayed, to, mtu: 1000 });
    assert_eq!(client.error(), Some((to.into(), needs(1000))));
}
