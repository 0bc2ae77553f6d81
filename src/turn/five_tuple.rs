//! The five-tuple that names an allocation (RFC 8656 section 3.2).

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

/// How a client talks to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One message a datagram.
    Udp,
    /// A stream of messages.
    Tcp,
    /// A stream of messages inside TLS.
    Tls,
    /// One message a record of DTLS (RFC 7350).
    Dtls,
}

impl Transport {
    /// As programs name it: `udp`, `tcp`, `tls` or `dtls`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Dtls => "dtls",
        }
    }

    /// Whether messages are framed on a stream, and so padded.
    pub fn is_stream(self) -> bool {
        match self {
            Self::Udp | Self::Dtls => false,
            Self::Tcp | Self::Tls => true,
        }
    }
}

/// Client address, server address and transport. The server address is the one the client sent to, never a wildcard:
/// replies leave from it. Both addresses are canonical: IPv4-mapped ones are IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiveTuple {
    /// Where the client's packets come from.
    pub client: SocketAddr,
    /// Where they were sent to.
    pub server: SocketAddr,
    /// How.
    pub transport: Transport,
}

/// In as few words as hold it: every packet is looked up by it.
impl Hash for FiveTuple {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { client, server, transport } = self;
        state.write_u128(bits(client.ip()));
        state.write_u128(bits(server.ip()));
        state.write_u64(u64::from(client.port()) << 32 | u64::from(server.port()) << 8 | *transport as u64);
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl FiveTuple {
    /// Canonicalises both addresses.
    pub fn new(client: SocketAddr, server: SocketAddr, transport: Transport) -> Self {
        Self { client: canonical(client), server: canonical(server), transport }
    }
}

/// IPv4-mapped IPv6 addresses as IPv4; a scope id is kept, since a reply to a link-local client needs it.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        v4 @ IpAddr::V4(_) => SocketAddr::new(v4, address.port()),
        IpAddr::V6(_) => address,
    }
}
