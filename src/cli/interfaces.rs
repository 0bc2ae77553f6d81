//! The addresses and the name of this machine.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Every address of the network cards that others can use: no loopback, no link-local. The one that this machine
/// uses to reach other networks comes first, then IPv4, then IPv6.
///
/// # Errors
/// Whatever the system says when it cannot list them.
pub(super) fn addresses() -> io::Result<Vec<IpAddr>> {
    let mut found: Vec<IpAddr> = if_addrs::get_if_addrs()?.iter().map(if_addrs::Interface::ip).collect();
    found.retain(is_usable);
    let preferred = preferred();
    found.sort_by_key(|ip| (Some(*ip) != preferred, ip.is_ipv6(), *ip));
    found.dedup();
    Ok(found)
}

/// The addresses of all routers on each IPv6 network of this machine (RFC 4291 section 2.6.1): where it forwards, what is
/// sent there comes to itself.
///
/// # Errors
/// Whatever the system says when it cannot list them.
pub(super) fn anycast() -> io::Result<Vec<IpAddr>> {
    let networks = if_addrs::get_if_addrs()?.into_iter().filter_map(|card| match card.addr {
        if_addrs::IfAddr::V6(v6) => routers(v6.ip, v6.netmask).map(IpAddr::from),
        if_addrs::IfAddr::V4(_) => None,
    });
    Ok(networks.filter(is_usable).collect())
}

/// None for two addresses or fewer: they are those of the two ends (RFC 6164).
fn routers(ip: Ipv6Addr, mask: Ipv6Addr) -> Option<Ipv6Addr> {
    (mask.to_bits().count_ones() < 127).then(|| (ip.to_bits() & mask.to_bits()).into())
}

/// The loopback addresses that this machine has: where IPv6 is switched off, `::1` is not one of them.
pub(super) fn loopback() -> Vec<IpAddr> {
    let v6 = Some(IpAddr::from(Ipv6Addr::LOCALHOST)).filter(|&ip| UdpSocket::bind((ip, 0)).is_ok());
    [Ipv4Addr::LOCALHOST.into()].into_iter().chain(v6).collect()
}

/// Whether any network card has an IPv6 address, the loopback one too. If that cannot be told, yes.
pub(super) fn has_ipv6() -> bool {
    if_addrs::get_if_addrs().map_or(true, |cards| cards.iter().any(|card| card.ip().is_ipv6()))
}

/// The name of this machine, or `lanturn` if it has none that can be read.
pub(super) fn hostname() -> String {
    let name = hostname::get().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "lanturn".into())
}

/// Where others reach listeners on `listen`: a wildcard stands for each of `own` that it covers. If that leaves
/// nothing, this machine itself can use localhost.
pub(super) fn reachable(listen: &[SocketAddr], own: &[IpAddr]) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for address in listen {
        let each = own.iter().filter(|ip| match address.ip() {
            IpAddr::V4(wild) => wild.is_unspecified() && ip.is_ipv4(),
            IpAddr::V6(wild) => wild.is_unspecified(),
        });
        found.extend(each.map(|ip| SocketAddr::new(*ip, address.port())));
        if !address.ip().is_unspecified() {
            found.push(SocketAddr::new(address.ip().to_canonical(), address.port()));
        }
    }
    if let Some(first) = listen.first().filter(|_| found.is_empty()) {
        found.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), first.port()));
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|address| seen.insert(*address));
    found
}

fn is_usable(ip: &IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !link_local && !ip.is_loopback() && !ip.is_unspecified()
}

/// The source address of the default route. Connecting a UDP socket sends nothing: it only makes the system choose.
fn preferred() -> Option<IpAddr> {
    let source = |from: IpAddr, to: IpAddr| {
        let socket = UdpSocket::bind((from, 0)).ok()?;
        socket.connect((to, 9)).ok()?;
        socket.local_addr().ok().map(|address| address.ip())
    };
    let documentation = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let v4 = source(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
    v4.or_else(|| source(Ipv6Addr::UNSPECIFIED.into(), documentation.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(listen: &[&str], own: &[&str]) -> Vec<String> {
        let listen: Vec<SocketAddr> = listen.iter().map(|text| text.parse().unwrap()).collect();
        let own: Vec<IpAddr> = own.iter().map(|text| text.parse().unwrap()).collect();
        reachable(&listen, &own).iter().map(SocketAddr::to_string).collect()
    }

    #[test]
    fn a_wildcard_stands_for_the_addresses_it_covers() {
        let own = ["192.168.1.5", "fd00::5"];
        assert_eq!(reach(&["[::]:3478"], &own), ["192.168.1.5:3478", "[fd00::5]:3478"]);
        assert_eq!(reach(&["0.0.0.0:80", "[::]:80"], &own), ["192.168.1.5:80", "[fd00::5]:80"]);
        assert_eq!(reach(&["192.168.1.5:443"], &own), ["192.168.1.5:443"]);
        assert_eq!(reach(&["[::]:3478"], &[]), ["127.0.0.1:3478"]);
    }

    #[test]
    fn the_routers_of_a_network_have_its_first_address() {
        let routers =
            |ip: &str, bits: u32| routers(ip.parse().unwrap(), Ipv6Addr::from_bits(u128::MAX << (128 - bits)));
        assert_eq!(routers("2001:db8:1::5", 64), "2001:db8:1::".parse().ok());
        assert_eq!(routers("2001:db8:1::5", 126), "2001:db8:1::4".parse().ok());
        assert_eq!((routers("2001:db8:1::5", 127), routers("2001:db8:1::5", 128)), (None, None));
        assert!(anycast().unwrap().iter().all(is_usable));
    }

    #[test]
    fn only_addresses_that_others_can_use_are_listed() {
        for ip in ["127.0.0.1", "::1", "169.254.1.1", "fe80::1", "0.0.0.0"] {
            assert!(!is_usable(&ip.parse().unwrap()), "{ip}");
        }
        assert!(addresses().unwrap().iter().all(is_usable));
        assert!(!hostname().is_empty());
    }
}
