//! The TURN server (RFC 8656, RFC 6062), without a socket, a clock or a thread.
//!
//! [`Server`] is told of packets and of time, and answers with what to do: a reply, a packet to forward, a relay
//! socket to open. One server lives on each shard; they share the [`Quota`] and the [`RelayedAddresses`], and nothing
//! else. Every method of the protocol has a file, and so has every noun.

mod addresses;
mod allocate;
mod allocation;
mod allocations;
mod authenticate;
mod behavior;
mod channel_bind;
mod connect;
mod connection_attempt;
mod connection_bind;
mod connections;
mod counters;
mod create_permission;
mod expiry;
mod five_tuple;
mod forward;
mod icmp;
mod mobility;
mod nonce;
mod opening;
mod policy;
mod ports;
mod probe;
mod quota;
mod refresh;
mod reject;
mod relayed;
mod reservation;
mod rule;
mod server;
#[cfg(test)]
pub(crate) mod tests;
mod time;

pub use addresses::{Family, RelayAddresses};
pub use allocation::{AllocationId, CHANNEL_LIFETIME, PERMISSION_LIFETIME};
pub use behavior::BehaviorAddresses;
pub use connect::Dial;
pub use connections::{BIND_WITHIN, CONNECT_WITHIN, ConnectionIds};
pub use counters::Counters;
pub use five_tuple::{FiveTuple, Transport, canonical};
pub use forward::{Delivery, Forward, Hop, Route};
pub use mobility::Moving;
pub use nonce::Nonces;
pub use opening::{Opening, Wanted};
pub use policy::{Denied, PeerPolicy, Reachable};
pub use quota::{Charge, Direction, Limits, Quota};
pub use reject::{Reject, Unproven};
pub use relayed::{Holder, Party, RelayTransport, RelayedAddresses, ShardId};
pub use reservation::{RESERVATION_LIFETIME, ReservationToken, Reservations};
pub use rule::{PeerRule, PeerRuleError};
pub use server::{Alternate, Options, Server, Shared, Step};
pub use time::Now;

/// A map that packets are looked up in: cheap, and its hashes are keyed, so that no stranger can choose what collides.
pub(crate) type FastMap<K, V> = std::collections::HashMap<K, V, foldhash::quality::RandomState>;
