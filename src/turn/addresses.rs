//! Which address of the box to relay from.

use std::collections::HashMap;
use std::net::IpAddr;

/// An address family (RFC 8656 section 18.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// 0x01
    V4,
    /// 0x02
    V6,
}

impl Family {
    /// As attributes have it (RFC 8656 section 18.8).
    pub(super) fn code(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 2,
        }
    }

    /// The family of an address.
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// The addresses to choose from.
#[derive(Clone, Debug, Default)]
pub struct RelayAddresses {
    /// `relay.addresses`: when there are any, only these.
    pub configured: Vec<IpAddr>,
    /// Those of the interfaces, the preferred ones first.
    pub interfaces: Vec<IpAddr>,
    /// What peers see in place of an address behind a NAT: `relay.external`, and what was found out.
    pub external: HashMap<IpAddr, IpAddr>,
    /// Relays loopback clients from loopback: for tests. Elsewhere no peer could reach such an address.
    pub loopback: bool,
}

impl RelayAddresses {
    /// The address to relay from for a client that came in on `server`. Without a family the relayed address is IPv4
    /// (RFC 8656 section 7.2), or IPv6 on a box that has nothing else. `None` when there is no address of the family.
    pub fn choose(&self, server: IpAddr, family: Option<Family>) -> Option<IpAddr> {
        match family {
            Some(family) => self.of_family(server, family),
            None => self.of_family(server, Family::V4).or_else(|| self.of_family(server, Family::V6)),
        }
    }

    /// What peers see in place of a bound address.
    pub fn advertised(&self, bound: IpAddr) -> IpAddr {
        self.external.get(&bound).copied().unwrap_or(bound)
    }

    fn of_family(&self, server: IpAddr, family: Family) -> Option<IpAddr> {
        let fits = |ip: &&IpAddr| Family::of(**ip) == family;
        if !self.configured.is_empty() {
            let same = self.configured.iter().filter(fits).find(|&&ip| ip == server);
            return same.or_else(|| self.configured.iter().find(fits)).copied();
        }
        let wants_loopback = server.is_loopback() && self.loopback;
        if Family::of(server) == family && server.is_loopback() == wants_loopback && !is_link_local(server) {
            return Some(server);
        }
        let candidates = || self.interfaces.iter().filter(fits);
        let same_kind = candidates().find(|ip| ip.is_loopback() == wants_loopback);
        // Loopback is of no use to clients from elsewhere, even where there is nothing else.
        same_kind.or_else(|| candidates().find(|ip| server.is_loopback() || !ip.is_loopback())).copied()
    }
}

/// Such an address says nothing without an interface: no peer elsewhere could send to it, and none is allowed to.
pub(super) fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn addresses() -> RelayAddresses {
        RelayAddresses {
            interfaces: ["127.0.0.1", "::1", "192.168.1.5", "10.0.0.5", "fd00::5"].map(ip).into(),
            ..RelayAddresses::default()
        }
    }

    #[test]
    fn the_address_that_the_client_came_in_on_comes_first() {
        assert_eq!(addresses().choose(ip("10.0.0.5"), None), Some(ip("10.0.0.5")));
        assert_eq!(addresses().choose(ip("fd00::5"), Some(Family::V6)), Some(ip("fd00::5")));
    }

    #[test]
    fn without_a_family_it_is_ipv4_where_there_is_any() {
        assert_eq!(addresses().choose(ip("fd00::5"), None), Some(ip("192.168.1.5")));
        let only_v6 = RelayAddresses { interfaces: vec![ip("::1"), ip("fd00::5")], ..addresses() };
        assert_eq!(only_v6.choose(ip("fd00::5"), None), Some(ip("fd00::5")));
        assert_eq!(only_v6.choose(ip("fd00::5"), Some(Family::V4)), None);
    }

    #[test]
    fn loopback_is_no_relay_for_clients_from_elsewhere() {
        let only_v4 = RelayAddresses { interfaces: ["127.0.0.1", "::1", "192.168.1.5"].map(ip).into(), ..addresses() };
        assert_eq!(only_v4.choose(ip("192.168.1.5"), Some(Family::V6)), None);
        assert_eq!(only_v4.choose(ip("127.0.0.1"), Some(Family::V6)), Some(ip("::1")));
    }

    #[test]
    fn a_client_on_the_box_itself_relays_from_where_others_can_reach_it() {
        assert_eq!(addresses().choose(ip("127.0.0.1"), None), Some(ip("192.168.1.5")));
        let test = RelayAddresses { loopback: true, ..addresses() };
        assert_eq!(test.choose(ip("127.0.0.1"), None), Some(ip("127.0.0.1")));
        assert_eq!(test.choose(ip("127.0.0.1"), Some(Family::V6)), Some(ip("::1")));
        let offline = RelayAddresses { interfaces: vec![ip("127.0.0.1")], ..addresses() };
        assert_eq!(offline.choose(ip("127.0.0.1"), None), Some(ip("127.0.0.1")));
    }

    #[test]
    fn a_client_on_a_link_local_address_relays_from_where_others_can_reach_it() {
        let dual = RelayAddresses { interfaces: vec![ip("192.168.1.5"), ip("2001:db8::5")], ..addresses() };
        assert_eq!(dual.choose(ip("fe80::5"), Some(Family::V6)), Some(ip("2001:db8::5")));
        assert_eq!(dual.choose(ip("169.254.7.5"), None), Some(ip("192.168.1.5")));
    }

    #[test]
    fn configured_addresses_are_the_only_ones() {
        let fixed = RelayAddresses { configured: vec![ip("10.0.0.5")], ..addresses() };
        assert_eq!(fixed.choose(ip("192.168.1.5"), None), Some(ip("10.0.0.5")));
        assert_eq!(fixed.choose(ip("192.168.1.5"), Some(Family::V6)), None);
    }

    #[test]
    fn peers_see_the_outer_address() {
        let nat = RelayAddresses { external: [(ip("192.168.1.5"), ip("203.0.113.7"))].into(), ..addresses() };
        assert_eq!(nat.advertised(ip("192.168.1.5")), ip("203.0.113.7"));
        assert_eq!(nat.advertised(ip("10.0.0.5")), ip("10.0.0.5"));
    }
}
