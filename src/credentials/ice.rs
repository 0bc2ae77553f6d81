//! The `iceServers` that a client gets: how this very client can reach the box.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::mint::Credential;

/// One entry of `RTCConfiguration.iceServers` (W3C WebRTC section 4.2.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// Always an array. `stun:` without a query, `turn:` and `turns:` with `?transport=`.
    pub urls: Vec<String>,
    /// Present on every TURN entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Present on every TURN entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// The address at which one client reaches the box, and the name by which it came, if it came by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Where its connection came in.
    local: SocketAddr,
    /// Whether it is elsewhere than on a local network.
    is_outside: bool,
    /// Behind a reverse proxy: the literal address by which it named the box, if it named one.
    past_proxy: Option<Option<IpAddr>>,
    address: SocketAddr,
    /// Whether the address is of no use to this client.
    needs_name: bool,
    name: Option<String>,
    /// Whether somebody else speaks for the client, who does not tell where it is.
    is_hidden: bool,
}

impl Reach {
    /// From the connection that the client came in on. A client from outside the local network, on an address
    /// that stands behind a 1:1 NAT (`relay.external`), is told the outer address.
    pub fn of(local: SocketAddr, peer: SocketAddr, external: &HashMap<IpAddr, IpAddr>) -> Self {
        Self::new(local, peer, None).under(external)
    }

    /// For a client behind a reverse proxy, which came in on `local` from the proxy: that address is theirs to reach one
    /// another, and may be of no use to the client. It is told the outer address as in [`Reach::of`], or else the host
    /// that it named: `named`, or the name that [`Reach::by_name`] adds. The port is that of `local`, for a proxy of
    /// HTTP relays no media.
    pub fn past_proxy(
        local: SocketAddr,
        peer: SocketAddr,
        external: &HashMap<IpAddr, IpAddr>,
        named: Option<IpAddr>,
    ) -> Self {
        Self::new(local, peer, Some(named.map(|ip| ip.to_canonical()))).under(external)
    }

    fn new(local: SocketAddr, peer: SocketAddr, past_proxy: Option<Option<IpAddr>>) -> Self {
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        let is_outside = !is_local(peer.ip().to_canonical());
        Self { local, is_outside, past_proxy, address: local, needs_name: false, name: None, is_hidden: false }
    }

    /// The same client, where these are the outer addresses of the box.
    #[must_use]
    pub fn under(self, external: &HashMap<IpAddr, IpAddr>) -> Self {
        let local = self.local.ip();
        let outer = external.get(&local).filter(|_| self.is_outside);
        let (ip, needs_name) = match (outer, self.past_proxy) {
            (Some(&outer), _) => (outer, is_local(outer)),
            (None, Some(Some(named))) => (named, false),
            (None, Some(None)) => (local, true),
            (None, None) => (local, is_scoped(local) || self.is_outside && is_local(local)),
        };
        Self { address: SocketAddr::new(ip, self.local.port()), needs_name, ..self }
    }

    /// The client came by this name, so it can resolve it. It stands in `turns:` URIs: Firefox checks certificates
    /// against names alone, and takes no `turns:` with a literal address. It stands everywhere in place of an address
    /// that is of no use to this client: a private one outside its network, behind a router that forwards the port, or
    /// one that is link-local, for no URI can say on which interface.
    #[must_use]
    pub fn by_name(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// Whoever is at the other end of the connection is not the client, and is not to be taken for it.
    #[must_use]
    pub fn hidden(self) -> Self {
        Self { is_hidden: true, ..self }
    }

    /// Where the client was seen, whose connection is from `remote`.
    pub fn seen_at(&self, remote: IpAddr) -> Option<IpAddr> {
        Some(remote).filter(|_| !self.is_hidden)
    }

    /// `host:port`, bracketed if IPv6, as TURN URIs write it (RFC 7065).
    pub fn authority(&self) -> String {
        if self.needs_name { self.tls_authority() } else { self.address.to_string() }
    }

    /// `turn:` over UDP and TCP, `turns:` over TCP, in the order a client should try them.
    pub fn turn_uris(&self) -> Vec<String> {
        let at = self.authority();
        vec![
            format!("turn:{at}?transport=udp"),
            format!("turn:{at}?transport=tcp"),
            format!("turns:{}?transport=tcp", self.tls_authority()),
        ]
    }

    /// `stun:` of the other ports that answer where the client came in, of those that are listened on: what a NAT makes of
    /// two destinations tells what kind it is (RFC 4787 section 4.1).
    pub fn other_stun_uris(&self, listening: &[SocketAddr]) -> Vec<String> {
        let own = self.local.ip();
        let is_here = |ip: IpAddr| ip == own || ip.is_unspecified() && (ip.is_ipv6() || own.is_ipv4());
        let here = listening.iter().filter(|each| is_here(each.ip().to_canonical())).map(SocketAddr::port);
        let others: BTreeSet<u16> = here.filter(|port| *port != self.local.port()).collect();
        let at = |port| Self { address: SocketAddr::new(self.address.ip(), port), ..self.clone() }.authority();
        others.into_iter().map(|port| format!("stun:{}", at(port))).collect()
    }

    fn tls_authority(&self) -> String {
        match &self.name {
            Some(name) => format!("{name}:{}", self.address.port()),
            None => self.address.to_string(),
        }
    }
}

fn is_scoped(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

/// The whole list for one client: a STUN entry and a TURN entry with its credential.
pub fn ice_servers(reach: &Reach, credential: &Credential) -> Vec<IceServer> {
    vec![
        IceServer { urls: vec![format!("stun:{}", reach.authority())], username: None, credential: None },
        IceServer {
            urls: reach.turn_uris(),
            username: Some(credential.username.clone()),
            credential: Some(credential.password.clone()),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(local: &str, peer: &str) -> String {
        let external = HashMap::from([("192.168.1.5".parse().unwrap(), "203.0.113.7".parse().unwrap())]);
        Reach::of(local.parse().unwrap(), peer.parse().unwrap(), &external).authority()
    }

    #[test]
    fn other_ports_are_those_that_answer_where_the_client_came_in() {
        let listening = ["[::]:3478", "192.168.1.5:3479", "192.168.1.6:3480", "0.0.0.0:3481", "[fd00::5]:3482"];
        let listening: Vec<SocketAddr> = listening.iter().map(|text| text.parse().unwrap()).collect();
        let uris = |local: &str, peer: &str| {
            let external = HashMap::from([("192.168.1.5".parse().unwrap(), "203.0.113.5".parse().unwrap())]);
            Reach::of(local.parse().unwrap(), peer.parse().unwrap(), &external).other_stun_uris(&listening)
        };
        let inside = uris("192.168.1.5:3478", "192.168.1.9:1");
        assert_eq!(inside, ["stun:192.168.1.5:3479", "stun:192.168.1.5:3481"]);
        let outside = uris("192.168.1.5:3479", "198.51.100.1:1");
        assert_eq!(outside, ["stun:203.0.113.5:3478", "stun:203.0.113.5:3481"]);
        assert_eq!(uris("[fd00::5]:3482", "[fd00::9]:1"), ["stun:[fd00::5]:3478"]);
    }

    #[test]
    fn the_host_is_the_address_the_client_came_in_on() {
        assert_eq!(reach("[::ffff:192.168.1.5]:3478", "192.168.1.9:5000"), "192.168.1.5:3478");
        assert_eq!(reach("[fd00::2]:443", "[fd00::9]:5000"), "[fd00::2]:443");
    }

    #[test]
    fn behind_a_nat_an_outside_client_is_told_the_outer_address() {
        assert_eq!(reach("192.168.1.5:3478", "198.51.100.1:5000"), "203.0.113.7:3478");
        assert_eq!(reach("10.0.0.5:3478", "198.51.100.1:5000"), "10.0.0.5:3478");
    }

    #[test]
    fn when_the_outer_address_changes_only_those_outside_are_told_another() {
        let parse = |text: &str| text.parse().unwrap();
        let to = |outer| HashMap::from([("192.168.1.5".parse().unwrap(), outer)]);
        let (before, after) = (to("203.0.113.7".parse().unwrap()), to("203.0.113.8".parse().unwrap()));
        let outside = Reach::of(parse("192.168.1.5:3478"), parse("198.51.100.1:5000"), &before).by_name("box.test");
        assert_eq!(outside.clone().under(&after).turn_uris()[0], "turn:203.0.113.8:3478?transport=udp");
        assert_eq!(outside.under(&HashMap::new()).authority(), "box.test:3478");
        let inside = Reach::of(parse("192.168.1.5:3478"), parse("192.168.1.9:5000"), &before);
        assert_eq!(inside.clone().under(&after), inside);
    }

    #[test]
    fn who_came_by_name_checks_the_certificate_by_name() {
        let local = "192.168.1.5:3478".parse().unwrap();
        assert_eq!(
            Reach::of(local, local, &HashMap::new()).by_name("box.local").turn_uris(),
            [
                "turn:192.168.1.5:3478?transport=udp",
                "turn:192.168.1.5:3478?transport=tcp",
                "turns:box.local:3478?transport=tcp"
            ]
        );
    }

    #[test]
    fn a_name_stands_for_an_address_that_the_client_cannot_use() {
        let by_name = |local: &str, peer: &str| {
            Reach::of(local.parse().unwrap(), peer.parse().unwrap(), &HashMap::new()).by_name("box.test").authority()
        };
        assert_eq!(by_name("[fe80::5]:3478", "[fe80::9]:5000"), "box.test:3478");
        assert_eq!(by_name("192.168.1.5:3478", "198.51.100.1:5000"), "box.test:3478", "the router forwards the port");
        assert_eq!(by_name("192.168.1.5:3478", "192.168.1.9:5000"), "192.168.1.5:3478");
        assert_eq!(by_name("203.0.113.7:3478", "198.51.100.1:5000"), "203.0.113.7:3478");
        assert_eq!(
            reach("[fe80::5]:3478", "[fe80::9]:5000"),
            "[fe80::5]:3478",
            "without a name there is nothing better"
        );
    }

    #[test]
    fn past_a_proxy_the_host_is_the_one_that_the_client_named() {
        let external = HashMap::from([("192.168.1.5".parse().unwrap(), "203.0.113.7".parse().unwrap())]);
        let reach = |local: &str, peer: &str, literal: Option<&str>| {
            let named = literal.map(|ip| ip.parse().unwrap());
            Reach::past_proxy(local.parse().unwrap(), peer.parse().unwrap(), &external, named)
        };
        let by_name = |local, peer| reach(local, peer, None).by_name("calls.test").turn_uris();
        let all = ["turn:calls.test:3478?transport=udp", "turn:calls.test:3478?transport=tcp"];
        for (local, peer) in [
            ("127.0.0.1:3478", "198.51.100.1:0"),
            ("172.18.0.3:3478", "192.168.1.9:0"),
            ("192.168.1.5:3478", "192.168.1.9:0"),
        ] {
            assert_eq!(by_name(local, peer)[..2], all, "{local} {peer}");
        }
        let literal = reach("127.0.0.1:3478", "198.51.100.1:0", Some("203.0.113.9"));
        assert_eq!(literal.authority(), "203.0.113.9:3478");
        let outer = by_name("192.168.1.5:3478", "198.51.100.1:0");
        assert_eq!(
            outer,
            [
                "turn:203.0.113.7:3478?transport=udp",
                "turn:203.0.113.7:3478?transport=tcp",
                "turns:calls.test:3478?transport=tcp"
            ],
            "relay.external says where the box is"
        );
    }

    #[test]
    fn a_browser_would_take_the_list() {
        let credential = Credential { username: "1:a".into(), password: "b".into(), ttl: 1, expires_at: 1 };
        let reach = Reach::of("[fd00::2]:3478".parse().unwrap(), "[fd00::9]:1".parse().unwrap(), &HashMap::new());
        assert_eq!(
            serde_json::to_value(ice_servers(&reach, &credential)).unwrap(),
            serde_json::json!([
                { "urls": ["stun:[fd00::2]:3478"] },
                { "urls": ["turn:[fd00::2]:3478?transport=udp", "turn:[fd00::2]:3478?transport=tcp",
                           "turns:[fd00::2]:3478?transport=tcp"], "username": "1:a", "credential": "b" },
            ])
        );
    }
}
