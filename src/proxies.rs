//! Reverse proxies whose word is taken for who is behind them.
//!
//! Pure: addresses and the text of headers in, an address out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

/// The proxies that are believed, as addresses and networks. None by default, and then no header counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

/// What a believed proxy says of where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// From this client. The port is 0 where the proxy does not say it.
    For(SocketAddr),
    /// Nothing.
    Unsaid,
    /// Something that is no address.
    Malformed,
}

impl Proxies {
    /// Those within these networks, which must be canonical: IPv4 is never written as IPv6.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether the one at this address is believed.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Reads the lines of `X-Forwarded-For`. Each proxy adds at the right whom it was asked by, so what stands left of
    /// the first that is not believed may be anybody's invention. If all are believed, the one who began is the client.
    pub fn client<'a>(&self, lines: impl DoubleEndedIterator<Item = &'a str>) -> Forwarded {
        let mut found = Forwarded::Unsaid;
        let entries = lines.rev().flat_map(|line| line.rsplit(',')).map(str::trim);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            let Some(address) = parse(entry) else { return Forwarded::Malformed };
            found = Forwarded::For(address);
            if !self.contains(address.ip()) {
                break;
            }
        }
        found
    }
}

/// An address of one machine, with a port or without.
fn parse(entry: &str) -> Option<SocketAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let alone = || bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    let address = entry.parse::<SocketAddr>().or_else(|_| alone()).ok()?;
    let ip = address.ip().to_canonical();
    let is_one = !ip.is_unspecified() && !ip.is_multicast() && ip != Ipv4Addr::BROADCAST;
    is_one.then(|| SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn proxies() -> Proxies {
        Proxies::new(["10.0.0.2/32", "172.16.0.0/12", "fd00::/64"].map(|net| net.parse().unwrap()).into())
    }

    fn client(lines: &[&str]) -> Forwarded {
        proxies().client(lines.iter().copied())
    }

    fn found(address: &str) -> Forwarded {
        Forwarded::For(address.parse().unwrap())
    }

    #[test]
    fn the_first_from_the_right_that_is_not_believed_is_the_client() {
        for (lines, at) in [
            (&["203.0.113.4"][..], "203.0.113.4:0"),
            (&["198.51.100.9, 203.0.113.4"], "203.0.113.4:0"),
            (&["198.51.100.9, 203.0.113.4,172.16.0.3 , 10.0.0.2"], "203.0.113.4:0"),
            (&["203.0.113.4", "172.16.0.3", "10.0.0.2"], "203.0.113.4:0"),
            (&["not read, 203.0.113.4"], "203.0.113.4:0"),
            (&["203.0.113.4:5000"], "203.0.113.4:5000"),
            (&["2001:db8::4"], "[2001:db8::4]:0"),
            (&["[2001:db8::4]"], "[2001:db8::4]:0"),
            (&["[2001:db8::4]:5000, fd00::1"], "[2001:db8::4]:5000"),
            (&["::ffff:203.0.113.4, ::ffff:10.0.0.2"], "203.0.113.4:0"),
            (&["203.0.113.4, ,"], "203.0.113.4:0"),
        ] {
            assert_eq!(client(lines), found(at), "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_stands_to_the_left_changes_who_asks(left: Vec<String>, right in "[, \\t]*", last: u8) {
            let asked = format!("203.0.113.{last}");
            let lines: Vec<&str> = left.iter().map(String::as_str).chain([asked.as_str(), "10.0.0.2", &right]).collect();
            prop_assert_eq!(client(&lines), found(&format!("{asked}:0")));
            prop_assert_eq!(client(&[&lines.join(",")]), found(&format!("{asked}:0")));
        }
    }

    #[test]
    fn when_all_are_believed_the_first_of_them_asked() {
        assert_eq!(client(&["172.16.0.7, 172.16.0.3", "10.0.0.2"]), found("172.16.0.7:0"));
    }

    #[test]
    fn what_is_no_address_is_nobody_s() {
        for entry in ["unknown", "_hidden", "203.0.113", "203.0.113.4 5000", "0.0.0.0", "::", "224.0.0.1", "ff02::1"] {
            assert_eq!(client(&["203.0.113.4", entry]), Forwarded::Malformed, "{entry}");
            assert_eq!(client(&["203.0.113.4", entry, "10.0.0.2"]), Forwarded::Malformed, "{entry}");
        }
        for nothing in [&[][..], &[""], &[" , "]] {
            assert_eq!(client(nothing), Forwarded::Unsaid);
        }
    }

    #[test]
    fn nobody_is_believed_who_is_not_listed() {
        assert!(!Proxies::default().contains("127.0.0.1".parse().unwrap()));
        assert!(proxies().contains("::ffff:10.0.0.2".parse().unwrap()));
        assert!(!proxies().contains("10.0.0.3".parse().unwrap()));
    }
}
