//! The configuration as values: every one of them has been checked.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::tls::acme::{ExternalAccount, Kind};
use crate::turn::PeerRule;

/// Everything that was configured. Only `cli` sees the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen.
    pub listen: Listen,
    /// How to relay.
    pub relay: Relay,
    /// Who is asked what is outside.
    pub outside: Outside,
    /// Who may relay.
    pub credentials: Credentials,
    /// How much each may hold.
    pub limits: Limits,
    /// The rooms of the signaler.
    pub rooms: Rooms,
    /// The certificate.
    pub tls: Tls,
}

/// `[listen]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// At least one, each different. Port 0 lets the system choose.
    pub addresses: Vec<SocketAddr>,
    /// Threads of the data plane, 1..=256.
    pub shards: usize,
    /// Reverse proxies that are believed, canonical, and none of them everybody.
    pub proxies: Vec<IpNet>,
    /// Two addresses of one family, with nothing in common, at whose two ports each NAT behaviour discovery is answered.
    /// None: it is not.
    pub behavior: Option<[SocketAddr; 2]>,
    /// A label, 1..=59 letters, digits and hyphens, by which multicast DNS finds this machine. None: by none.
    pub name: Option<String>,
    /// Whether clients of our own try every address after the start.
    pub self_test: bool,
}

/// `[relay]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// The REALM of RFC 8489 section 14.9: 1..=127 characters.
    pub realm: String,
    /// Canonical addresses to relay from. Empty: the one that the client came in on.
    pub addresses: Vec<IpAddr>,
    /// From an address of this machine to the one that a 1:1 NAT shows for it, of the same family.
    pub external: HashMap<IpAddr, IpAddr>,
    /// Ports to relay from, never 0.
    pub ports: RangeInclusive<u16>,
    /// Where clients are sent while this box is full: the first of their address family.
    pub alternate: Vec<SocketAddr>,
    /// The name in that server's certificate.
    pub alternate_domain: Option<String>,
    /// Where holders of a key and static users may relay to.
    pub allow: Vec<PeerRule>,
    /// Where they may not, though `allow` names it.
    pub deny: Vec<PeerRule>,
    /// Whether peers on this machine's loopback are let through: for tests.
    pub allow_loopback: bool,
    /// Whether clients are told of ICMP errors.
    pub icmp: bool,
}

/// `[outside]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// STUN servers, as `host:port`. Empty: none is asked.
    pub stun: Vec<String>,
    /// Whether the router is asked for its address, and to let ports in.
    pub router: bool,
    /// How many of `relay.ports`, from the first on, it is to let in: 0..=1024.
    pub relay_ports: u16,
}

/// `[credentials]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// One secret a line.
    pub secret_file: PathBuf,
    /// One API key a line.
    pub keys_file: PathBuf,
    /// The id and the key of an authorization server a line. `None` takes no access tokens.
    pub token_keys_file: Option<PathBuf>,
    /// How long a credential lasts, 1 s to 30 days, in whole seconds.
    pub ttl: Duration,
    /// Users with a fixed password, each with another name.
    pub users: Vec<User>,
}

/// A user with a fixed password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The USERNAME, 1..=256 bytes, without a colon.
    pub name: String,
    /// Its first line is the password.
    pub password_file: PathBuf,
}

/// `[limits]`. A prefix is an IPv4 address or an IPv6 /64. None but a bandwidth is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one user.
    pub user: Quota,
    /// For one source prefix.
    pub prefix: Quota,
    /// For all clients together.
    pub total: Quota,
    /// 401 answers a second to one source prefix.
    pub unauthorized_rate: u32,
    /// Credential requests a minute from one source prefix.
    pub credential_rate: u32,
    /// Connections that have not yet shown their protocol, in all, and DTLS handshakes in all.
    pub half_open: u32,
    /// The same from one source prefix.
    pub half_open_per_prefix: u32,
    /// TCP connections in all, WebSockets in all, and DTLS sessions in all.
    pub connections: u32,
    /// The same from one source prefix.
    pub connections_per_prefix: u32,
}

/// What can be held at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Allocations.
    pub allocations: u32,
    /// Permissions, over all allocations.
    pub permissions: u32,
    /// Channels, over all allocations.
    pub channels: u32,
    /// kbit/s each way; 0 is no limit.
    pub bandwidth: u32,
}

/// `[rooms]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rooms {
    /// Members of one room, 2..=1000.
    pub capacity: u32,
    /// How many of them may be in each role.
    pub roles: Roles,
    /// Members of one room that the others do not see, at least 1.
    pub subscribers: u32,
    /// Rooms at once, at least 1.
    pub max_rooms: u32,
    /// How many of them one source prefix may have made, at least 1.
    pub max_rooms_per_prefix: u32,
    /// The longest message in bytes, 4 KiB to 1 MiB.
    pub message_bytes: u32,
    /// Messages a second from one connection, at least 1.
    pub message_rate: u32,
    /// Rooms that one source prefix can enter in a minute, at least 1.
    pub join_rate: u32,
    /// From connecting to joining, 1 s to 5 min.
    pub hello_deadline: Duration,
    /// From a dropped connection to the next, 0 s (not at all) to 5 min.
    pub resume_window: Duration,
    /// Origins besides our own, lowercase, as a browser sends them: `https://example.org`.
    pub origins: Vec<String>,
    /// Host names and addresses besides our own, lowercase, without a port.
    pub hosts: Vec<String>,
}

/// `[rooms.roles]`: each 0..=1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Presenters of one room.
    pub presenter: u32,
    /// Members of one room.
    pub member: u32,
    /// Viewers of one room.
    pub viewer: u32,
}

/// `[tls]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Where certificates and keys are.
    pub dir: PathBuf,
    /// More names (lowercase) and addresses for the generated certificate.
    pub names: Vec<String>,
    /// The certificate of a public authority. None: there is none.
    pub acme: Option<Acme>,
}

/// `[tls.acme]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// DNS names in lowercase, each different, 1..=100.
    pub names: Vec<String>,
    /// The e-mail address that a new account gets.
    pub contact: Option<String>,
    /// How the authority sees that the names are ours. None: whatever works.
    pub challenge: Option<Kind>,
    /// The URL of the authority's directory, with `https`.
    pub directory: String,
    /// Whom to trust that the directory is the authority's. None: whom this machine trusts.
    pub root_file: Option<PathBuf>,
    /// The account outside of ACME that a new account is bound to.
    pub external: Option<ExternalAccount>,
}
