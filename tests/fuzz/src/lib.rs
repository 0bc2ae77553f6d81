//! What the targets share: a box with two shards, without a socket or a clock.

pub mod clients;
mod connections;
pub mod messages;

use std::sync::Arc;
use std::time::Instant;

use lanturn::credentials::{Memberships, Secrets, Verifier};
use lanturn::turn::{
    Alternate, BehaviorAddresses, Limits, Nonces, Options, PeerPolicy, PeerRule, Quota, RelayAddresses, Server,
    ShardId, Shared,
};

/// The wall clock at the beginning.
pub const START: u64 = 1_700_000_000;
/// Signs every credential.
pub const SECRET: &str = "0123456789abcdef";
/// The realm of the box.
pub const REALM: &str = "lanturn";
/// The box's own addresses.
pub const OWN: [&str; 2] = ["203.0.113.5", "2001:db8::5"];
/// Where it answers for NAT behaviour discovery: clients on IPv4 come in at the first.
pub const BEHAVIOR: [&str; 2] = ["203.0.113.5:3478", "203.0.113.6:3479"];
/// Where key-minted credentials may relay to.
pub const ALLOWED: &str = "198.51.100.0/24";

/// A box.
pub struct Fixture {
    pub servers: Vec<Server>,
    pub shared: Shared,
    pub rooms: Arc<Memberships>,
    pub start: Instant,
}

impl Fixture {
    /// One with small quotas, so that they are reached.
    pub fn new(shards: u16) -> Self {
        let start = Instant::now();
        let rooms = Arc::<Memberships>::default();
        let own: Vec<_> = OWN.iter().map(|ip| ip.parse().unwrap()).collect();
        let options = Arc::new(Options {
            verifier: Verifier::new(REALM, Secrets::parse(SECRET).unwrap(), &[], Arc::clone(&rooms)),
            policy: PeerPolicy {
                allow: vec![PeerRule::Net(ALLOWED.parse().unwrap())],
                own: own.iter().copied().collect(),
                ..PeerPolicy::default()
            },
            addresses: RelayAddresses { interfaces: own, ..RelayAddresses::default() },
            ports: 50_000..=50_009,
            open_ports: Some(50_000..=50_004),
            alternate: Alternate::default(),
            icmp: true,
        });
        let limits = |n| Limits { allocations: n, permissions: 2 * n, channels: n, bandwidth: 8 * n };
        let shared = Shared {
            quota: Quota::new(limits(4), limits(5), limits(6), start),
            relayed: Arc::default(),
            connections: Arc::default(),
            reservations: Arc::default(),
            sightings: Arc::default(),
            behavior: Some(BehaviorAddresses::new(BEHAVIOR[0].parse().unwrap(), BEHAVIOR[1].parse().unwrap())),
            nonces: Nonces::new(&[7; 32]),
            unauthorized_rate: 50,
        };
        let server = |n| Server::new(ShardId(n), Arc::clone(&options), shared.clone(), [n as u8; 32], start);
        Self { servers: (0..shards).map(server).collect(), shared, rooms, start }
    }
}
