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
