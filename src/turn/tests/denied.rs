//! Every embedding of every denied range, on every path to a peer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;

use super::connections::connect;
use super::support::*;
use crate::stun::ADDITIONAL_ADDRESS_FAMILY;
use crate::turn::*;

/// What nobody reaches, and what the rule of the lab denies: an address and the bits that are its network's.
const DENIED_V4: [([u8; 4], u32); 6] = [
    ([0, 0, 0, 0], 8),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
    ([198, 51, 100, 66], 32),
];
const DENIED_V6: [(&str, u32); 6] =
    [("::", 128), ("::1", 128), ("ff00::", 8), ("fe80::", 10), ("fec0::", 10), ("fd00:ec2::254", 128)];

/// An address as itself, and in each IPv6 address that may lead to it (RFC 4291, 6052, 8215, 3056, 4380).
fn embeddings(v4: Ipv4Addr, any: u16) -> Vec<IpAddr> {
    let [a, b, c, d] = v4.octets().map(u16::from);
    let (high, low) = (a << 8 | b, c << 8 | d);
    let v6 = [
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
        Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 1, any, any, any, high, low),
        Ipv6Addr::new(0x2002, high, low, any, any, any, any, any),
        Ipv6Addr::new(0x2001, 0, any, any, any, any, !high, !low),
    ];
    [IpAddr::V4(v4)].into_iter().chain(v6.map(IpAddr::V6)).collect()
}

/// Allocations of both families for a user, and for a member of a room to which the address was offered as well.
fn clients(lab: &mut Lab, peer: IpAddr) -> [Client; 2] {
    let clients = [lab.client("anna", "192.0.2.1:5000"), lab.member(ANNA, "192.0.2.2:5000")];
    lab.rooms.offered(ANNA, peer);
    clients
}

fn with_both(asked: Asked) -> Asked {
    asked.raw(ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0])
}

fn is_refused_everywhere(peer: SocketAddr) {
    let mut lab = Lab::new();
    let text = peer.to_string();
    for client in clients(&mut lab, peer.ip()) {
        assert_eq!(lab.code(&client, with_both(allocate())), 0);
        for asked in [permit(&[&text]), permit(&[PEER, &text]), bind(0x4000, &text)] {
            assert_eq!(lab.code(&client, asked), 403, "{peer}");
        }
        assert_eq!(lab.sends(&client, &send(&text, b"x")), None, "{peer}");
        assert_eq!(lab.sends(&client, &channel_data(0x4000, b"x")), None, "{peer}");
        let relayed: Vec<_> = lab.sockets.keys().copied().collect();
        for relayed in relayed {
            assert_eq!(lab.peer(&text, relayed, b"x"), None, "{peer}");
        }
        let tcp = client.over(Transport::Tcp);
        assert_eq!(lab.code(&tcp, with_both(allocate_of(TCP))), 0);
        assert_eq!(lab.code(&tcp, connect(&text)), 403, "{peer}");
        for id in lab.sockets.values().map(|(_, id)| *id).collect::<Vec<_>>() {
            assert!(
                lab.servers[0].attempted(id, canonical(peer), lab.now.instant, &mut Vec::new()).is_none(),
                "{peer}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn every_embedding_of_every_denied_range_is_refused_on_every_path(bits: u128, port in 1..=u16::MAX) {
        for (network, prefix) in DENIED_V4 {
            let host = if prefix == 32 { 0 } else { bits as u32 & (u32::MAX >> prefix) };
            let v4 = Ipv4Addr::from_bits(u32::from_be_bytes(network) | host);
            for ip in embeddings(v4, port) {
                is_refused_everywhere(SocketAddr::new(ip, port));
            }
        }
        for (network, prefix) in DENIED_V6 {
            let host = if prefix == 128 { 0 } else { bits & (u128::MAX >> prefix) };
            let v6 = Ipv6Addr::from_bits(network.parse::<Ipv6Addr>().unwrap().to_bits() | host);
            is_refused_everywhere(SocketAddr::new(v6.into(), port));
        }
    }
}
