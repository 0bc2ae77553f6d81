//! What a shard has done and refused, as plain numbers.

/// Counters since the start. The data plane publishes them; nothing here knows how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Application packets from clients that were forwarded.
    pub packets_up: u64,
    /// Application packets to clients that were forwarded.
    pub packets_down: u64,
    /// Their bytes, and those that went to peers by TCP.
    pub bytes_up: u64,
    /// Their bytes, and those that came from peers by TCP.
    pub bytes_down: u64,
    /// Application packets that stayed inside the process.
    pub hairpins: u64,
    /// Allocations made.
    pub allocations: u64,
    /// Allocations that followed their client to another address.
    pub moves: u64,
    /// Requests refused with an error response.
    pub rejects: u64,
    /// Errors for strangers that were not sent, because their source prefix had had its share.
    pub rejects_limited: u64,
    /// Packets that are no STUN, TURN or ChannelData message.
    pub malformed: u64,
    /// Application packets without a permission, a channel or an allocation.
    pub not_permitted: u64,
    /// Application packets between allocations that may not meet.
    pub hairpins_refused: u64,
    /// Application packets over the bandwidth.
    pub over_bandwidth: u64,
    /// Peer addresses that the policy refused.
    pub peers_denied: u64,
    /// Connections with peers that stood, made or accepted.
    pub connections: u64,
    /// Connections to peers that came to nothing.
    pub connections_failed: u64,
    /// Connections from peers that were closed at once, without a permission or over a quota.
    pub connections_refused: u64,
    /// Connections with peers that were closed because no client took them in time.
    pub connections_unbound: u64,
    /// Requests of those who test their way that were not noted, for enough of them were.
    pub sightings_dropped: u64,
}

impl Counters {
    /// Every counter by name.
    pub fn each(&self) -> [(&'static str, u64); 19] {
        [
            ("packets_up", self.packets_up),
            ("packets_down", self.packets_down),
            ("bytes_up", self.bytes_up),
            ("bytes_down", self.bytes_down),
            ("hairpins", self.hairpins),
            ("allocations", self.allocations),
            ("moves", self.moves),
            ("rejects", self.rejects),
            ("rejects_limited", self.rejects_limited),
            ("malformed", self.malformed),
            ("not_permitted", self.not_permitted),
            ("hairpins_refused", self.hairpins_refused),
            ("over_bandwidth", self.over_bandwidth),
            ("peers_denied", self.peers_denied),
            ("connections", self.connections),
            ("connections_failed", self.connections_failed),
            ("connections_refused", self.connections_refused),
            ("connections_unbound", self.connections_unbound),
            ("sightings_dropped", self.sightings_dropped),
        ]
    }
}
