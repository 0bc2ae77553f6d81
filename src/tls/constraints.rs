//! What the authority may sign for: little enough that a stolen key opens no door but this box's own.
//!
//! The extension is critical, as RFC 5280 section 4.2.1.10 demands and rcgen writes it: a program that does not know it
//! refuses the authority, which is better than one that trusts it for every site there is. Whether a root is held to its
//! own constraints is up to the verifier (section 6.2). Chromium (since 112), Firefox, Apple's systems, OpenSSL and
//! rustls do so, for names and addresses alike. Android's own verifier, which its apps use, makes no promise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use super::names::Names;

/// Names that no public authority signs, with all beneath them (RFC 6761 section 6.3, RFC 6762 section 3).
const LAN_NAMES: [&str; 2] = ["localhost", "local"];

/// Networks whose addresses mean something else in each place: loopback, private (RFC 1918, RFC 6598, RFC 4193) and
/// link-local ones.
const LAN_NETWORKS: [IpNet; 9] = [
    v4([127, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([172, 16, 0, 0], 12),
    v4([192, 168, 0, 0], 16),
    v4([100, 64, 0, 0], 10),
    v4([169, 254, 0, 0], 16),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
];

/// The part of an IPv6 address that stays when a machine takes a new one in its network (RFC 8981).
const V6_NETWORK_BITS: u8 = 64;

/// What an authority may sign for, each with all beneath it. None of a kind: anything of that kind.
#[derive(Debug, Default)]
pub(super) struct Constraints {
    dns: Option<Vec<String>>,
    networks: Option<Vec<IpNet>>,
}

impl Constraints {
    /// For a new authority: what any box on a LAN needs, and what this one is called besides. A name without a dot may be a
    /// top-level domain with half the internet beneath it, so only the owner can ask for one.
    pub(super) fn new(names: &Names, asked: &[String]) -> Self {
        let mut constraints =
            Self { dns: Some(LAN_NAMES.map(str::to_owned).to_vec()), networks: Some(LAN_NETWORKS.to_vec()) };
        let is_asked = |name: &str| asked.iter().any(|asked| asked.eq_ignore_ascii_case(name));
        for name in names.dns().filter(|name| name.contains('.') || is_asked(name)) {
            if !constraints.permit_name(name) {
                constraints.dns.get_or_insert_default().push(name.to_owned());
            }
        }
        for ip in names.addresses() {
            if !constraints.permit_address(ip) {
                constraints.networks.get_or_insert_default().push(network_of(ip));
            }
        }
        constraints
    }

    /// Those that a certificate has.
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let (mut dns, mut networks) = (None, None);
        let extension = certificate.name_constraints().ok().flatten();
        for subtree in extension.iter().filter_map(|found| found.value.permitted_subtrees.as_ref()).flatten() {
            if let GeneralName::DNSName(name) = subtree.base {
                dns.get_or_insert_with(Vec::new).push(name.to_ascii_lowercase());
            } else if let GeneralName::IPAddress(bytes) = subtree.base {
                networks.get_or_insert_with(Vec::new).extend(network(bytes));
            }
        }
        Self { dns, networks }
    }

    /// As a certificate is to list them.
    pub(super) fn to_extension(&self) -> NameConstraints {
        let dns = self.dns.iter().flatten().cloned().map(GeneralSubtree::DnsName);
        let networks = self.networks.iter().flatten();
        let networks = networks.map(|net| CidrSubnet::from_addr_prefix(net.network(), net.prefix_len()));
        let permitted_subtrees = dns.chain(networks.map(GeneralSubtree::IpAddress)).collect();
        NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() }
    }

    /// Whether the authority may sign for a name, given in lower case.
    pub(super) fn permit_name(&self, name: &str) -> bool {
        self.dns.as_ref().is_none_or(|permitted| permitted.iter().any(|base| is_beneath(name, base)))
    }

    /// Whether it may sign for an address.
    pub(super) fn permit_address(&self, ip: IpAddr) -> bool {
        self.networks.as_ref().is_none_or(|permitted| permitted.iter().any(|net| net.contains(&ip)))
    }
}

/// Whether `name` is `base` with any number of labels before it.
fn is_beneath(name: &str, base: &str) -> bool {
    let before = name.strip_suffix(base);
    before.is_some_and(|before| before.is_empty() || base.is_empty() || base.starts_with('.') || before.ends_with('.'))
}

fn network_of(ip: IpAddr) -> IpNet {
    match ip {
        IpAddr::V4(v4) => Ipv4Net::from(v4).into(),
        IpAddr::V6(v6) => Ipv6Net::new_assert(v6, V6_NETWORK_BITS).trunc().into(),
    }
}

/// An address and its mask, 4 or 16 bytes each.
fn network(bytes: &[u8]) -> Option<IpNet> {
    let (address, mask) = bytes.split_at(bytes.len() / 2);
    let ip = |half: &[u8]| {
        let v4 = <[u8; 4]>::try_from(half).map(IpAddr::from);
        v4.or_else(|_| <[u8; 16]>::try_from(half).map(IpAddr::from)).ok()
    };
    IpNet::with_netmask(ip(address)?, ip(mask)?).ok()
}

const fn v4(octets: [u8; 4], bits: u8) -> IpNet {
    let [a, b, c, d] = octets;
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits))
}

const fn v6(segments: [u16; 8], bits: u8) -> IpNet {
    let [a, b, c, d, e, f, g, h] = segments;
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_beneath_a_base_by_whole_labels() {
        for (name, base) in
            [("local", "local"), ("box.local", "local"), ("a.b.local", "b.local"), ("x.y", ".y"), ("a", "")]
        {
            assert!(is_beneath(name, base), "{name} {base}");
        }
        for (name, base) in [("nolocal", "local"), ("local", "box.local"), ("y", ".y"), ("local.example", "local")] {
            assert!(!is_beneath(name, base), "{name} {base}");
        }
    }

    #[test]
    fn a_network_is_an_address_and_its_mask() {
        assert_eq!(network(&[10, 0, 0, 0, 255, 0, 0, 0]), "10.0.0.0/8".parse().ok());
        assert_eq!(network(&[0; 32]), "::/0".parse().ok());
        for junk in [&[10, 0, 0, 0, 255, 0, 255, 0][..], &[10, 0, 0], &[]] {
            assert_eq!(network(junk), None, "{junk:?}");
        }
    }
}
