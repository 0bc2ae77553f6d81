//! Rules that name peers, as `relay.allow` and `relay.deny` write them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use thiserror::Error;

/// A set of peer addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerRule {
    /// `public`: global unicast that is in neither of IANA's special-purpose address registries (RFC 6890).
    Public,
    /// `lan`: the private networks of RFC 1918 and the unique local addresses of RFC 4193.
    Lan,
    /// `private`: `lan` and the shared address space of carriers, 100.64.0.0/10 (RFC 6598).
    Private,
    /// One network, such as `192.168.1.0/24`. A bare address is a network of its own.
    Net(IpNet),
}

/// A text that names no set of peers.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PeerRuleError {
    /// Neither a name nor a network.
    #[error("names no peers: one of public, lan, private, or a network such as 192.168.1.0/24")]
    Unknown,
    /// The address has bits outside the network, so one of the two is a slip.
    #[error("has bits set beyond the prefix: {0}, or another prefix length")]
    HostBits(IpNet),
}

impl PeerRule {
    /// Whether the rule names `ip`, which must be canonical: an IPv4 address is never written as IPv6.
    pub fn matches(&self, ip: IpAddr) -> bool {
        match self {
            Self::Public => is_public(ip),
            Self::Lan => is_lan(ip),
            Self::Private => is_lan(ip) || is_shared(ip),
            Self::Net(net) => net.contains(&ip),
        }
    }
}

impl FromStr for PeerRule {
    type Err = PeerRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "public" => return Ok(Self::Public),
            "lan" => return Ok(Self::Lan),
            "private" => return Ok(Self::Private),
            _ => {}
        }
        let single = || text.parse::<IpAddr>().map(IpNet::from);
        let net = text.parse::<IpNet>().or_else(|_| single()).map_err(|_| PeerRuleError::Unknown)?;
        if net == net.trunc() { Ok(Self::Net(net)) } else { Err(PeerRuleError::HostBits(net.trunc())) }
    }
}

impl fmt::Display for PeerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::Lan => f.write_str("lan"),
            Self::Private => f.write_str("private"),
            Self::Net(net) => net.fmt(f),
        }
    }
}

fn is_lan(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

fn is_shared(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10).contains(&v4),
        IpAddr::V6(_) => false,
    }
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !SPECIAL_V4.iter().any(|net| net.contains(&v4)),
        IpAddr::V6(v6) => GLOBAL_V6.contains(&v6) && !SPECIAL_V6.iter().any(|net| net.contains(&v6)),
    }
}

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// IANA IPv4 Special-Purpose Address Registry, and what is not unicast.
const SPECIAL_V4: [Ipv4Net; 17] = [
    v4(0, 0, 0, 8),       // this network
    v4(10, 0, 0, 8),      // private
    v4(100, 64, 0, 10),   // shared by carriers
    v4(127, 0, 0, 8),     // loopback
    v4(169, 254, 0, 16),  // link-local
    v4(172, 16, 0, 12),   // private
    v4(192, 0, 0, 24),    // protocol assignments
    v4(192, 0, 2, 24),    // documentation
    v4(192, 31, 196, 24), // AS112
    v4(192, 52, 193, 24), // AMT
    v4(192, 88, 99, 24),  // 6to4 relays
    v4(192, 168, 0, 16),  // private
    v4(192, 175, 48, 24), // AS112
    v4(198, 18, 0, 15),   // benchmarks
    v4(198, 51, 100, 24), // documentation
    v4(203, 0, 113, 24),  // documentation
    v4(224, 0, 0, 3),     // multicast, reserved, broadcast
];

/// All global unicast that IANA hands out.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

/// What IANA's IPv6 Special-Purpose Address Registry has inside [`GLOBAL_V6`].
const SPECIAL_V6: [Ipv6Net; 5] = [
    v6(0x2001, 0, 0, 23),         // protocol assignments, Teredo among them
    v6(0x2001, 0xdb8, 0, 32),     // documentation
    v6(0x2002, 0, 0, 16),         // 6to4
    v6(0x2620, 0x4f, 0x8000, 48), // AS112
    v6(0x3fff, 0, 0, 20),         // documentation
];

#[cfg(test)]
mod tests {
    use super::*;

    fn named(ip: &str) -> Vec<&'static str> {
        let ip = ip.parse().unwrap();
        ["public", "lan", "private"].into_iter().filter(|name| name.parse::<PeerRule>().unwrap().matches(ip)).collect()
    }

    #[test]
    fn names_mean_what_they_say() {
        for ip in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2a00:1450::1", "2606:4700::1"] {
            assert_eq!(named(ip), ["public"], "{ip}");
        }
        for ip in ["10.0.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1"] {
            assert_eq!(named(ip), ["lan", "private"], "{ip}");
        }
        assert_eq!(named("100.127.255.255"), ["private"]);
    }

    #[test]
    fn what_is_special_has_no_name() {
        for ip in [
            "0.0.0.0",
            "127.0.0.1",
            "169.254.169.254",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "198.19.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:101:101::1",
            "3fff::1",
            "5f00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert_eq!(named(ip), Vec::<&str>::new(), "{ip}");
        }
    }

    #[test]
    fn a_network_is_itself_and_no_more() {
        let rule: PeerRule = "192.168.1.0/24".parse().unwrap();
        assert!(rule.matches("192.168.1.255".parse().unwrap()));
        assert!(!rule.matches("192.168.2.0".parse().unwrap()));
        let rule: PeerRule = "fd00::5".parse().unwrap();
        assert!(rule.matches("fd00::5".parse().unwrap()) && !rule.matches("fd00::6".parse().unwrap()));
    }

    #[test]
    fn a_rule_reads_back_as_it_prints() {
        for text in ["public", "lan", "private", "192.168.1.0/24", "fd00::5/128"] {
            assert_eq!(text.parse::<PeerRule>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_slip_is_told_from_nonsense() {
        assert_eq!("internet".parse::<PeerRule>(), Err(PeerRuleError::Unknown));
        assert_eq!("10.0.0.0/33".parse::<PeerRule>(), Err(PeerRuleError::Unknown));
        let error = "192.168.1.5/24".parse::<PeerRule>().unwrap_err();
        assert_eq!(error.to_string(), "has bits set beyond the prefix: 192.168.1.0/24, or another prefix length");
    }
}
