//! A TURN client by others, against a server: all that it can do, and how it is refused.
//!
//! `lanturn-turn-proto-tests SERVER TRANSPORT INTEGRITY FAMILIES USERNAME PASSWORD`: over udp or tcp, or tcp and for a TCP
//! allocation (streams); with sha1, sha256 or
//! either, as the server likes; for relayed addresses of the families 4, 6 or 46. Prints which addresses it got and how
//! it and the server proved who they are, or the codes that it was refused with.

mod notes;
mod session;
mod streams;
mod wire;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use session::{Clock, PATIENCE, Session};
use turn_client_proto::api::{TurnClientApi as _, TurnConfig, TurnEvent};
use turn_client_proto::stun::types::message::{IntegrityAlgorithm, Method};
use turn_client_proto::types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};
use turn_client_proto::types::{AddressFamily, TransportType, TurnCredentials};
use wire::Wire;

const SIZES: &[usize] = &[1, 2, 3, 4, 5, 1000, 1200, 8000];
/// It does not pad channel data over TCP as RFC 8656 section 12.5 has it, so there are only sizes that need none.
const ALIGNED: &[usize] = &[4, 8, 1000, 1200, 8000];
/// Nobody relays to these.
const MULTICAST: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1)), IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1))];
/// Each step is shorter than what the client leaves itself before something expires; all are longer than an allocation
/// that it asks for.
const STEP: Duration = Duration::from_secs(50);
const STEPS: u32 = 40;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, transport, integrity, families, username, password] = &arguments[..] else {
        panic!("say where, over what, how signed, for which families, and as whom");
    };
    let streams = transport == "streams";
    let transport = if transport == "udp" { TransportType::Udp } else { TransportType::Tcp };
    let mut config = config(integrity, families, TurnCredentials::new(username, password));
    config.set_allocation_transport(if streams { TransportType::Tcp } else { TransportType::Udp });
    let mut wire = Wire::over(transport, server.parse().expect("an address")).expect("the server listens");
    let clock = Clock::start();
    let mut session = Session::allocate(transport, &mut wire, &clock, config.clone());
    let families = config.address_families().len();
    // Who is refused with a nonce that it knows already asks again, and never says that it gives up.
    session.until("an allocation", |session| {
        created(session).len() == families || session.is_over || session.wire.notes.errors.len() > 1
    });
    if created(&session).is_empty() {
        let codes: Vec<String> = session.wire.notes.errors.iter().map(|(_, code)| code.to_string()).collect();
        return println!("refused: {}", codes.join(" "));
    }
    let relayed = created(&session);
    relayed.iter().for_each(|address| println!("relayed: {}", address.ip()));
    if streams {
        streams::through(&mut session, relayed[0]);
    } else {
        datagrams(&mut session, &clock, &relayed);
        taken(transport, session.wire, &clock, &config);
        deleted(&mut session);
    }
    assert_eq!(session.ignored, 0, "all that the server said made sense");
    free_again(transport, session.wire, &clock, &config);
    wire.notes.proofs.iter().for_each(|proof| println!("{proof}"));
}

/// All that there is between clients and peers that speak UDP.
fn datagrams(session: &mut Session<'_>, clock: &Clock, relayed: &[SocketAddr]) {
    let peers: Vec<Peer> = relayed.iter().map(|relayed| Peer::for_relayed(*relayed)).collect();
    indications(session, &peers);
    // It numbers channels for each relayed address anew, though a number is one peer's on all of them: one has to do.
    channel(session, &peers[0]);
    for address in relayed {
        refused_permission(session, MULTICAST[usize::from(address.is_ipv6())]);
    }
    refreshes(session, clock, &peers[0]);
}

fn config(integrity: &str, families: &str, credentials: TurnCredentials) -> TurnConfig {
    let mut config = TurnConfig::new(credentials);
    match integrity {
        "sha1" => config.set_supported_integrity(IntegrityAlgorithm::Sha1),
        "sha256" => config.set_supported_integrity(IntegrityAlgorithm::Sha256),
        _ => config.add_supported_integrity(IntegrityAlgorithm::Sha256),
    }
    match families {
        "6" => config.set_address_family(AddressFamily::IPV6),
        "46" => config.add_address_family(AddressFamily::IPV6),
        _ => {}
    }
    config
}

fn created(session: &Session<'_>) -> Vec<SocketAddr> {
    let created = |event: &TurnEvent| match event {
        TurnEvent::AllocationCreated(_, relayed) => Some(*relayed),
        _ => None,
    };
    session.events.iter().filter_map(created).collect()
}

/// Somebody without TURN, who is reached by one relayed address.
struct Peer {
    socket: UdpSocket,
    address: SocketAddr,
    relayed: SocketAddr,
}

impl Peer {
    fn for_relayed(relayed: SocketAddr) -> Self {
        let socket = UdpSocket::bind(SocketAddr::new(relayed.ip(), 0)).expect("an address of this machine");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time that is not zero");
        let address = socket.local_addr().expect("it is bound");
        Self { socket, address, relayed }
    }

    /// A packet of each size to it, and another back.
    fn talk(&self, session: &mut Session<'_>, sizes: &[usize]) {
        for size in sizes {
            let data: Vec<u8> = (0..*size).map(|at| (at % 251) as u8).collect();
            session.send(TransportType::Udp, self.address, &data);
            let mut buffer = vec![0; 65_535];
            let (length, from) = self.socket.recv_from(&mut buffer).expect("it is relayed");
            assert_eq!((&buffer[..length], from), (&data[..], self.relayed));
            let answer: Vec<u8> = data.iter().map(|byte| !byte).collect();
            self.socket.send_to(&answer, self.relayed).expect("it can be sent");
            session.until("what the peer says", |session| !session.heard.is_empty());
            assert_eq!(std::mem::take(&mut session.heard), [(self.address, answer)]);
        }
    }

    /// Over a channel, and as nothing else.
    fn talk_by_channel(&self, session: &mut Session<'_>) {
        let sizes = if session.client.transport() == TransportType::Tcp { ALIGNED } else { SIZES };
        let (before, indications) = (session.wire.notes.channel_data, session.wire.notes.indications);
        self.talk(session, sizes);
        let notes = &session.wire.notes;
        assert_eq!(notes.channel_data, before.map(|before| before + sizes.len() as u32));
        assert_eq!(notes.indications, indications);
    }
}

fn indications(session: &mut Session<'_>, peers: &[Peer]) {
    for peer in peers {
        let (address, now) = (peer.address.ip(), session.now());
        session.client.create_permission(TransportType::Udp, address, now).expect("there is an allocation");
        let wanted = |event: &TurnEvent| matches!(event, TurnEvent::PermissionCreated(_, ip) if *ip == address);
        session.until("a permission", |session| session.events.iter().any(wanted));
        peer.talk(session, SIZES);
    }
    assert_eq!(session.wire.notes.indications, [(SIZES.len() * peers.len()) as u32; 2]);
    assert_eq!(session.wire.notes.channel_data, [0, 0]);
}

fn channel(session: &mut Session<'_>, peer: &Peer) {
    let now = session.now();
    session.client.bind_channel(TransportType::Udp, peer.address, now).expect("there is an allocation");
    let wanted = |event: &TurnEvent| matches!(event, TurnEvent::ChannelCreated(_, at) if *at == peer.address);
    session.until("a channel", |session| session.events.iter().any(wanted));
    peer.talk_by_channel(session);
}

fn refused_permission(session: &mut Session<'_>, forbidden: IpAddr) {
    let now = session.now();
    session.client.create_permission(TransportType::Udp, forbidden, now).expect("there is an allocation");
    let refused = |event: &TurnEvent| matches!(event, TurnEvent::PermissionCreateFailed(_, ip) if *ip == forbidden);
    session.until("a refusal", |session| session.events.iter().any(refused));
    assert_eq!(session.wire.notes.errors.last(), Some(&(CREATE_PERMISSION.value(), 403)));
}

/// Everything is refreshed for longer than any of it lasts, and goes on.
fn refreshes(session: &mut Session<'_>, clock: &Clock, peer: &Peer) {
    let before = [REFRESH, CREATE_PERMISSION, CHANNEL_BIND].map(|method| successes(session, method));
    let errors = session.wire.notes.errors.len();
    for _ in 0..STEPS {
        clock.put_forward(STEP);
        session.settle();
    }
    let after = [REFRESH, CREATE_PERMISSION, CHANNEL_BIND].map(|method| successes(session, method));
    assert!(after.iter().zip(before).all(|(after, before)| *after > before), "{before:?}, {after:?}");
    assert_eq!(session.wire.notes.errors.len(), errors, "{:?}", session.wire.notes.errors);
    peer.talk_by_channel(session);
}

fn successes(session: &Session<'_>, method: Method) -> u32 {
    session.wire.notes.successes_of(method.value())
}

/// Another allocation from the same place is a mismatch.
fn taken(transport: TransportType, wire: &mut Wire, clock: &Clock, config: &TurnConfig) {
    let mut second = Session::allocate(transport, wire, clock, config.clone());
    second.until("a mismatch", |second| second.is_over);
    assert_eq!(second.wire.notes.errors.last(), Some(&(ALLOCATE.value(), 437)));
    assert_eq!((created(&second), second.ignored), (vec![], 0));
}

fn deleted(session: &mut Session<'_>) {
    let (before, now) = (successes(session, REFRESH), session.now());
    session.client.delete(now).expect("there is an allocation");
    session.until("the end", |session| session.is_over && session.wire.notes.is_answered());
    assert_eq!(successes(session, REFRESH), before + 1);
    assert_eq!(session.client.relayed_addresses().count(), 0);
}

/// Nothing is left of what was deleted.
fn free_again(transport: TransportType, wire: &mut Wire, clock: &Clock, config: &TurnConfig) {
    let mut third = Session::allocate(transport, wire, clock, config.clone());
    third.until("an allocation", |third| !created(third).is_empty() || third.is_over);
    assert_eq!(created(&third).len(), config.address_families().len(), "{:?}", third.wire.notes.errors);
    deleted(&mut third);
}
