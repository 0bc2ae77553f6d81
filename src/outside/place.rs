//! Where this machine is: which router it sends through, and from which address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// Flags of a route (Linux' `route.h`): it is up, and goes by a gateway.
const UP: u32 = 0x1;
const GATEWAY: u32 = 0x2;

/// On the network of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The router.
    pub(super) gateway: Ipv4Addr,
    /// The address that the router knows this machine by.
    pub(super) inner: Ipv4Addr,
}

impl Place {
    /// `None` without a default route over IPv4, and where the system does not tell of its routes as Linux does.
    pub(super) fn find() -> Option<Self> {
        let gateway = default_gateway(&std::fs::read_to_string("/proc/net/route").ok()?)?;
        // To connect sends nothing: it has the system choose the address.
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect((gateway, crab_nat::GATEWAY_PORT)).ok()?;
        match socket.local_addr().ok()? {
            SocketAddr::V4(local) => Some(Self { gateway, inner: *local.ip() }),
            SocketAddr::V6(_) => None,
        }
    }

    /// Whether that is the router itself: anything on its network can say that it is one.
    pub(super) fn is_gateway(&self, address: IpAddr) -> bool {
        address.to_canonical() == IpAddr::V4(self.gateway)
    }
}

/// The gateway of the default route with the lowest metric, in the form of `/proc/net/route`: a line of titles, then
/// columns, addresses among them in hexadecimal as they stand in memory.
fn default_gateway(table: &str) -> Option<Ipv4Addr> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [_, destination, gateway, flags, _, _, metric, mask, ..] = columns[..] else { return None };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let is_default = destination == "00000000" && mask == "00000000" && flags & (UP | GATEWAY) == UP | GATEWAY;
        let gateway = u32::from_str_radix(gateway, 16).ok().filter(|_| is_default)?;
        Some((metric.parse::<u32>().ok()?, Ipv4Addr::from(gateway.to_ne_bytes())))
    });
    routes.min_by_key(|(metric, _)| *metric).map(|(_, gateway)| gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TITLES: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

    fn hex(ip: &str) -> String {
        format!("{:08X}", u32::from_ne_bytes(ip.parse::<Ipv4Addr>().unwrap().octets()))
    }

    fn line(destination: &str, gateway: &str, flags: &str, metric: u32, mask: &str) -> String {
        let (destination, gateway, mask) = (hex(destination), hex(gateway), hex(mask));
        format!("eth0\t{destination}\t{gateway}\t{flags}\t0\t0\t{metric}\t{mask}\t0\t0\t0\n")
    }

    #[test]
    fn the_default_route_that_the_system_prefers_is_found() {
        let near = line("192.168.7.0", "0.0.0.0", "0001", 0, "255.255.255.0");
        let slow = line("0.0.0.0", "192.168.8.1", "0003", 600, "0.0.0.0");
        let fast = line("0.0.0.0", "192.168.7.1", "0003", 100, "0.0.0.0");
        let down = line("0.0.0.0", "192.168.9.1", "0002", 0, "0.0.0.0");
        let table = [TITLES, &near, &slow, &fast, &down].concat();
        assert_eq!(default_gateway(&table), Some(Ipv4Addr::new(192, 168, 7, 1)));
        assert_eq!(default_gateway(&[TITLES, &near, &down].concat()), None);
        assert_eq!(default_gateway(""), None);
        assert_eq!(default_gateway("a\nb c\n"), None);
    }

    #[test]
    fn only_the_default_gateway_is_the_router() {
        let place = Place { gateway: Ipv4Addr::new(192, 168, 7, 1), inner: Ipv4Addr::new(192, 168, 7, 5) };
        let is_gateway = |address: &str| place.is_gateway(address.parse().unwrap());
        assert!(is_gateway("192.168.7.1") && is_gateway("::ffff:192.168.7.1"));
        assert!(!is_gateway("192.168.7.9") && !is_gateway("fe80::1"));
    }
}
