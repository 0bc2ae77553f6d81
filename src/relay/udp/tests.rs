//! What arrives is what was sent: in long runs, one by one, and by the way that other systems take.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::relay::batch::MAX_DATAGRAM;
use crate::relay::departures::{Departures, Exit, Memory, Place, Way};
use crate::stun::{ChannelNumber, Framing};

/// The largest datagram that IPv4 carries.
const LARGEST: usize = 65_507;

/// How to send.
#[derive(Clone, Copy, Debug)]
enum By {
    /// As this system does.
    Runs,
    /// As this system does where it cannot join datagrams.
    Singly,
    /// As other systems do.
    Portable,
}

fn listener(address: &str) -> Listener {
    let bound = bind(address.parse().unwrap(), 1).unwrap();
    bound.into_listeners().next().unwrap().unwrap()
}

fn peer(address: &str) -> std::net::UdpSocket {
    let socket = std::net::UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// Sends payloads of these lengths, with a channel's header if there is one, and gives back what arrived, from where.
fn pass(by: By, lengths: &[usize], channel: Option<ChannelNumber>) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (listener, peer) = (listener("[::]:0"), peer("127.0.0.1:0"));
    let server = SocketAddr::new([127, 0, 0, 3].into(), listener.local().port());
    let way = Way { exit: Exit::Listener(0), to: peer.local_addr().unwrap(), from: Some(server.ip()) };
    let mut departures = Departures::new();
    if matches!(by, By::Singly) {
        departures.stop_joining();
    }
    let (mut batch, mut expected) = (Vec::new(), Vec::new());
    for (number, &length) in lengths.iter().enumerate() {
        let start = batch.len();
        batch.extend((0..length).map(|at| (at + number) as u8));
        let framing = channel.and_then(|channel| Framing::channel_data(channel, length, false));
        let head = framing.as_ref().map_or(Vec::new(), |framing| framing.head().to_vec());
        expected.push([&head[..], &batch[start..]].concat());
        departures.push(way, framing, Place::Batch, start..start + length);
    }
    let state = quinn_udp::UdpSocketState::new((&listener.socket.io).into()).unwrap();
    fragmentation::allow(&listener.socket.io, true);
    departures.each_exit(Memory { batch: &batch, replies: &[], hops: &[] }, |_, runs| {
        let sent = match by {
            By::Runs | By::Singly => listener.send(runs),
            By::Portable => portable::send(&listener.socket.io, &state, true, runs),
        };
        assert_eq!(sent, Sent::default());
    });
    let mut buffer = vec![0; MAX_DATAGRAM];
    let arrived = expected.iter().map(|_| {
        let (length, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!(from, server, "it leaves from where its client sent to");
        buffer[..length].to_vec()
    });
    (arrived.collect(), expected)
}

#[test]
fn lengths_of_every_kind_arrive_as_they_are() {
    let channel = ChannelNumber::new(0x4001);
    for by in [By::Runs, By::Singly, By::Portable] {
        for lengths in [
            &[1200; 53][..],
            &[1200, 1200, 700],
            &[1200, 0, 1200, 1300, 1200],
            &[0, 0],
            &[1, 1, 1],
            &[LARGEST - 4],
            &[30_000, 30_000, 30_000],
        ] {
            for channel in [None, channel] {
                let (arrived, expected) = pass(by, lengths, channel);
                assert!(arrived == expected, "{by:?} {lengths:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_lengths_it_is_as_one_by_one(
        lengths in prop::collection::vec(prop_oneof![Just(0usize), Just(160), Just(1200), 1..1500usize], 1..60)
    ) {
        for by in [By::Runs, By::Singly, By::Portable] {
            let (arrived, expected) = pass(by, &lengths, ChannelNumber::new(0x4001));
            prop_assert!(arrived == expected, "{:?}", by);
        }
    }
}

/// The kernel splits a run only where each datagram fits the MTU.
#[cfg(target_os = "linux")]
#[test]
fn a_run_that_the_way_does_not_take_whole_arrives_all_the_same() {
    let (listener, peer) = (listener("[::1]:0"), peer("[::1]:0"));
    option::set(&listener.socket.io, libc::IPPROTO_IPV6, libc::IPV6_MTU, 1280);
    let way = Way { exit: Exit::Listener(0), to: peer.local_addr().unwrap(), from: None };
    let memory: Vec<u8> = (0..5000).map(|at| at as u8).collect();
    let mut departures = Departures::new();
    [0..1400, 1400..2800, 2800..4200, 4200..5000].into_iter().for_each(|range| {
        departures.push(way, None, Place::Batch, range);
    });
    departures.each_exit(Memory { batch: &memory, replies: &[], hops: &[] }, |_, runs| {
        let refused = runs.clone().map(|run| run.count).collect::<Vec<_>>();
        assert_eq!((refused, listener.send(runs)), (vec![4], Sent::default()));
    });
    let mut buffer = vec![0; MAX_DATAGRAM];
    let arrived: Vec<Vec<u8>> =
        (0..4).map(|_| peer.recv(&mut buffer).map(|length| buffer[..length].to_vec()).unwrap()).collect();
    assert_eq!(arrived.iter().map(Vec::len).collect::<Vec<_>>(), [1400, 1400, 1400, 800]);
    assert_eq!(arrived.concat(), memory);
}

#[test]
fn what_arrives_joined_is_read_apart() {
    for by in [By::Runs, By::Portable] {
        let (to, from) = (listener("127.0.0.1:0"), listener("127.0.0.1:0"));
        let state = quinn_udp::UdpSocketState::new((&to.socket.io).into()).unwrap();
        let way = Way { exit: Exit::Listener(0), to: to.local(), from: None };
        let mut departures = Departures::new();
        let lengths = [1000, 1000, 1000, 500, 0, 7, 1400, 1400];
        let memory: Vec<u8> = (0..lengths.iter().sum::<usize>()).map(|at| at as u8).collect();
        let mut start = 0;
        for length in lengths {
            departures.push(way, None, Place::Batch, start..start + length);
            start += length;
        }
        departures.each_exit(Memory { batch: &memory, replies: &[], hops: &[] }, |_, runs| {
            assert_eq!(from.send(runs), Sent::default());
        });
        let mut batch = Batch::new();
        match by {
            By::Portable => while portable::receive(&to.socket.io, &state, &mut batch, Batch::SLOTS).is_ok() {},
            By::Runs | By::Singly => while to.receive(&mut batch, Batch::SLOTS).is_ok_and(|is_drained| !is_drained) {},
        }
        let read: Vec<&[u8]> =
            batch.received().iter().flat_map(|each| each.datagrams().map(|range| &batch.bytes()[range])).collect();
        assert_eq!(read.iter().map(|datagram| datagram.len()).collect::<Vec<_>>(), lengths);
        assert_eq!(read.concat(), memory);
        let told: Vec<_> = batch.received().iter().map(|each| (each.from, each.to)).collect();
        assert!(told.iter().all(|told| *told == (from.local(), Some(Ipv4Addr::LOCALHOST.into()))), "{told:?}");
        if cfg!(target_os = "linux") {
            assert!(batch.received().len() < lengths.len(), "Linux hands over together what was sent together");
        }
    }
}

#[test]
fn a_dual_stack_socket_is_told_where_either_family_was_sent_to() {
    let listener = listener("[::]:0");
    let port = listener.local().port();
    for (from, to) in [("127.0.0.1:0", "127.0.0.2"), ("[::1]:0", "::1")] {
        let (peer, to) = (peer(from), to.parse().unwrap());
        peer.send_to(b"x", SocketAddr::new(to, port)).unwrap();
        let mut batch = Batch::new();
        while batch.received().is_empty() {
            let _ = listener.receive(&mut batch, 1);
        }
        let received = batch.received()[0];
        assert_eq!(received.to.map(|ip| ip.to_canonical()), Some(to));
        assert_eq!(crate::turn::canonical(received.from), peer.local_addr().unwrap());
    }
}

#[test]
fn fewer_than_asked_for_means_that_it_is_drained() {
    let (listener, peer) = (listener("127.0.0.1:0"), peer("127.0.0.1:0"));
    for _ in 0..5 {
        peer.send_to(b"x", listener.local()).unwrap();
    }
    let mut batch = Batch::new();
    assert!(matches!(listener.receive(&mut batch, 2), Ok(false)));
    assert_eq!(batch.received().len(), 2);
    while batch.received().len() < 5 {
        let _ = listener.receive(&mut batch, 10);
    }
    let drained = listener.receive(&mut batch, 10);
    assert!(drained.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
    let full = Batch::SLOTS - 5;
    assert_eq!(batch.free(), full);
}

/// A socket that is told of a closed port fails for it, once each time, whatever is sent next.
#[cfg(target_os = "linux")]
#[test]
fn a_closed_port_costs_those_who_listen_nothing() {
    for (ip, keeps) in [("127.0.0.1", true), ("::1", true), ("127.0.0.1", false)] {
        let at = |port| SocketAddr::new(ip.parse().unwrap(), port);
        let (relay, open) = (RelaySocket::at(at(0)).unwrap(), peer(&at(0).to_string()));
        if keeps {
            relay.keep_errors();
        }
        let closed = peer(&at(0).to_string()).local_addr().unwrap();
        let memory = [7; 600];
        for _ in 0..5 {
            let mut departures = Departures::new();
            for n in 0..20 {
                let to = if n % 2 == 0 { closed } else { open.local_addr().unwrap() };
                departures.push(Way { exit: Exit::Listener(n), to, from: None }, None, Place::Batch, 0..600);
            }
            departures.each_exit(Memory { batch: &memory, replies: &[], hops: &[] }, |_, runs| {
                assert_eq!(relay.send(runs), Sent::default());
            });
        }
        let mut buffer = vec![0; MAX_DATAGRAM];
        (0..50).for_each(|_| assert_eq!(open.recv(&mut buffer).unwrap(), 600));
        let (mut taken, mut is_drained) = (0, false);
        while !is_drained {
            let errors = relay.take_errors();
            assert!(errors.told.iter().all(|(to, _)| *to == closed), "{errors:?}");
            (taken, is_drained) = (taken + errors.told.len(), errors.is_drained);
        }
        assert_eq!(taken, if keeps { 50 } else { 0 });
        let received = relay.receive(&mut Batch::new(), 1);
        assert!(received.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock), "no error is left");
    }
}

/// Of what is too long for the way, only what must stay whole is unsent, and the next that need not is sent again.
#[cfg(target_os = "linux")]
#[test]
fn what_must_stay_whole_is_not_cut_to_pieces() {
    let (relay, peer) = (RelaySocket::at("[::1]:0".parse().unwrap()).unwrap(), peer("[::1]:0"));
    option::set(&relay.socket.io, libc::IPPROTO_IPV6, libc::IPV6_MTU, 1280);
    let way = Way { exit: Exit::Listener(0), to: peer.local_addr().unwrap(), from: None };
    let memory = [7; 1400];
    let send = |whole: bool, lengths: &[usize]| {
        let (mut departures, mut sent) = (Departures::new(), Sent::default());
        lengths.iter().for_each(|&length| departures.push(way, None, Place::Batch, 0..length));
        departures.each_exit(Memory { batch: &memory, replies: &[], hops: &[] }, |_, runs| {
            sent = if whole { relay.send_whole(runs) } else { relay.send(runs) };
        });
        sent.unsent
    };
    assert_eq!([send(true, &[1400]), send(true, &[1400, 1400, 1000]), send(true, &[1000, 1000])], [1, 2, 0]);
    assert_eq!([send(false, &[1400]), send(false, &[1400, 1400])], [0, 0]);
    let mut buffer = vec![0; MAX_DATAGRAM];
    let arrived: Vec<usize> = (0..6).map(|_| peer.recv(&mut buffer).unwrap()).collect();
    assert_eq!(arrived, [1000, 1000, 1000, 1400, 1400, 1400]);
}
