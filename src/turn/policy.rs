//! Which peers a client may relay to: one place decides, and it denies by default.

use std::collections::{HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::addresses::is_link_local;
use super::rule::PeerRule;
use crate::credentials::{Memberships, Scope};
use crate::proxies::Proxies;

/// AWS's metadata service over IPv6, inside a range that is otherwise a LAN's.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// How an allowed peer is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachable {
    /// Over the network.
    Network,
    /// It is this box: only where one of its relayed addresses is, inside the process.
    Hairpin,
    /// It is this box, and a test has opted in to all of it.
    HairpinOrNetwork,
}

/// Why a peer is refused: what a log line and a counter name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Loopback, unspecified, multicast, broadcast, link-local or reserved: never relayed to.
    Never,
    /// One of this box's own addresses, and not one it relays from.
    Own,
    /// This rule of `relay.deny`.
    Rule(PeerRule),
    /// No rule of `relay.allow`.
    NotAllowed,
    /// No member of the room was seen at it, or could mean it when signalling it.
    NotInRoom,
    /// A page without a key may relay only to other relayed addresses.
    PageScope,
    /// It is this box, but there is no relayed address at that port, or it is somebody else's.
    NotRelayed,
}

impl Denied {
    /// A stable id, for those who test their way.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Own => "own",
            Self::Rule(_) => "rule",
            Self::NotAllowed => "not-allowed",
            Self::NotInRoom => "not-in-room",
            Self::PageScope => "page-scope",
            Self::NotRelayed => "not-relayed",
        }
    }
}

/// The rules of `relay.allow` and `relay.deny`, and the addresses that are this box.
#[derive(Clone, Debug, Default)]
pub struct PeerPolicy {
    /// What key-minted credentials and static users may relay to.
    pub allow: Vec<PeerRule>,
    /// What nobody may relay to, members of rooms included.
    pub deny: Vec<PeerRule>,
    /// Lets clients relay to this machine itself: for tests.
    pub allow_loopback: bool,
    /// Every address of this box, the outer ones too.
    pub own: HashSet<IpAddr>,
    /// The reverse proxies that are believed. Who was seen at one of them was not seen where it is.
    pub proxies: Proxies,
}

impl PeerPolicy {
    /// Decides for CreatePermission, ChannelBind, Send and inbound data alike.
    ///
    /// # Errors
    /// [`Denied`] says which rule refused.
    pub fn authorize_peer(&self, scope: Scope, peer: IpAddr, rooms: &Memberships) -> Result<Reachable, Denied> {
        let peer = peer.to_canonical();
        if self.own.contains(&peer) {
            return Ok(if self.allow_loopback { Reachable::HairpinOrNetwork } else { Reachable::Hairpin });
        }
        let embedded = embedded_v4(peer).map(IpAddr::V4);
        for ip in [Some(peer), embedded].into_iter().flatten() {
            // Of the rules, those learn for whom they are.
            self.authorize_address(ip, peer).map_err(|denied| match (denied, scope) {
                (Denied::Rule(_), Scope::Page) => Denied::PageScope,
                (Denied::Rule(_), Scope::Room(_)) => Denied::NotInRoom,
                (denied, _) => denied,
            })?;
        }
        match scope {
            Scope::Policy => {
                let allowed = |ip| self.allow.iter().any(|rule| rule.matches(ip));
                let all = allowed(peer) && embedded.is_none_or(allowed);
                if all || self.is_test_loopback(peer) { Ok(Reachable::Network) } else { Err(Denied::NotAllowed) }
            }
            Scope::Page => Err(Denied::PageScope),
            Scope::Room(member) => {
                // Someone outside can say 192.168.1.1 as well as anyone, but means no machine that is near this one.
                let is_public = PeerRule::Public.matches(peer);
                let credible = |seen: &VecDeque<IpAddr>| is_public || seen.iter().any(|&seen| self.is_near(seen));
                let is_reached = !self.proxies.contains(peer) && rooms.reaches(member.room, peer, credible);
                if is_reached { Ok(Reachable::Network) } else { Err(Denied::NotInRoom) }
            }
        }
    }

    /// Whether somebody who was seen there is on a network that this box is on. Who is seen at the box itself may be
    /// anywhere, behind something here that forwards; who really is here has no addresses to offer but the box's own.
    fn is_near(&self, seen: IpAddr) -> bool {
        let is_here = seen.is_loopback() || self.own.contains(&seen);
        if is_here { self.allow_loopback } else { is_local(seen) && !self.proxies.contains(seen) }
    }

    /// What no scope gets past. `peer` is the address as it was asked for, `ip` that or the one inside of it.
    fn authorize_address(&self, ip: IpAddr, peer: IpAddr) -> Result<(), Denied> {
        if self.is_test_loopback(peer) {
            return Ok(());
        }
        if is_never_reachable(ip) {
            return Err(Denied::Never);
        }
        if self.own.contains(&ip) {
            return Err(Denied::Own);
        }
        match self.deny.iter().find(|rule| rule.matches(ip)) {
            Some(rule) => Err(Denied::Rule(*rule)),
            None => Ok(()),
        }
    }

    fn is_test_loopback(&self, ip: IpAddr) -> bool {
        self.allow_loopback && ip.is_loopback()
    }
}

/// Whether an address is of a network that this box is on, and not of the internet.
fn is_local(ip: IpAddr) -> bool {
    PeerRule::Private.matches(ip) || is_link_local(ip)
}

fn is_never_reachable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || first == 0 || first >= 240
        }
        IpAddr::V6(v6) => {
            let site_local = v6.segments()[0] & 0xffc0 == 0xfec0;
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                || site_local
                || v6 == METADATA_V6
        }
    }
}

/// The IPv4 address that a packet to an IPv6 address may end up at: IPv4-compatible (RFC 4291), NAT64 (RFC 6052,
/// RFC 8215), 6to4 (RFC 3056) and Teredo (RFC 4380). IPv4-mapped ones are canonical before they get here.
fn embedded_v4(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = ip else { return None };
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if !v6.is_loopback() && !v6.is_unspecified() => Some(v4(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        // The local-use NAT64 range: where the IPv4 address stands depends on the network, so it is taken at its worst.
        [0x64, 0xff9b, 1, ..] => Some(Ipv4Addr::LOCALHOST),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        [0x2001, 0, .., high, low] => Some(v4(!high, !low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::credentials::{MemberTag, RoomMember, RoomTag};

    const ANNA: RoomMember = RoomMember { room: RoomTag(1), member: MemberTag(1) };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn policy() -> PeerPolicy {
        PeerPolicy {
            allow: vec![PeerRule::Public, PeerRule::Lan],
            deny: vec![PeerRule::Net("192.168.1.1/32".parse().unwrap())],
            allow_loopback: false,
            own: [ip("192.168.1.5"), ip("203.0.113.7"), ip("127.0.0.1"), ip("::1")].into(),
            proxies: Proxies::new(vec!["172.18.0.2/32".parse().unwrap(), "198.51.100.2/32".parse().unwrap()]),
        }
    }

    fn ask(scope: Scope, peer: &str) -> Result<Reachable, Denied> {
        let rooms = Memberships::default();
        rooms.join(ANNA, ip("10.0.0.7"));
        rooms.offered(ANNA, ip("192.168.1.1"));
        rooms.offered(ANNA, ip("169.254.169.254"));
        policy().authorize_peer(scope, ip(peer), &rooms)
    }

    #[test]
    fn what_is_never_reachable_is_refused_in_every_scope() {
        for scope in [Scope::Policy, Scope::Page, Scope::Room(ANNA)] {
            for peer in [
                "127.0.0.2",
                "0.0.0.0",
                "0.1.2.3",
                "224.0.0.1",
                "255.255.255.255",
                "240.0.0.1",
                "169.254.169.254",
                "::",
                "ff02::1",
                "fe80::1",
                "fec0::1",
                "fd00:ec2::254",
            ] {
                assert_eq!(ask(scope, peer), Err(Denied::Never), "{scope:?} {peer}");
            }
        }
    }

    #[test]
    fn each_scope_reaches_its_own() {
        assert_eq!(ask(Scope::Policy, "8.8.8.8"), Ok(Reachable::Network));
        assert_eq!(ask(Scope::Policy, "192.168.1.9"), Ok(Reachable::Network));
        assert_eq!(ask(Scope::Page, "8.8.8.8"), Err(Denied::PageScope));
        assert_eq!(ask(Scope::Room(ANNA), "10.0.0.7"), Ok(Reachable::Network));
        assert_eq!(ask(Scope::Room(ANNA), "10.0.0.8"), Err(Denied::NotInRoom));
        let rule = Denied::Rule(policy().deny[0]);
        assert_eq!(ask(Scope::Policy, "192.168.1.1"), Err(rule));
        let member = ask(Scope::Room(ANNA), "192.168.1.1");
        assert_eq!(member, Err(Denied::NotInRoom), "denied even where a member signalled it, and not told why");
    }

    #[test]
    fn a_member_from_outside_opens_no_way_to_the_local_network() {
        for outside in ["8.8.4.4", "2001:4860::1", "2002:808:404::1"] {
            let rooms = Memberships::default();
            rooms.join(ANNA, ip(outside));
            let reach = |peer: &str| policy().authorize_peer(Scope::Room(ANNA), ip(peer), &rooms);
            for near in ["192.168.1.9", "10.0.0.1", "100.64.0.1", "fd00::1", "64:ff9b::192.168.1.9"] {
                rooms.offered(ANNA, ip(near));
                assert_eq!(reach(near), Err(Denied::NotInRoom), "{outside} {near}");
            }
            rooms.offered(ANNA, ip("1.1.1.1"));
            assert_eq!(reach("1.1.1.1"), Ok(Reachable::Network));
        }
    }

    #[test]
    fn whoever_a_proxy_does_not_tell_from_itself_is_from_outside() {
        for proxy in ["172.18.0.2", "198.51.100.2"] {
            let rooms = Memberships::default();
            rooms.join(ANNA, ip(proxy));
            rooms.offered(ANNA, ip("192.168.1.9"));
            rooms.offered(ANNA, ip("1.1.1.1"));
            let reach = |peer: &str| policy().authorize_peer(Scope::Room(ANNA), ip(peer), &rooms);
            assert_eq!(reach("192.168.1.9"), Err(Denied::NotInRoom), "{proxy}");
            assert_eq!(reach(proxy), Err(Denied::NotInRoom), "{proxy}");
            assert_eq!(reach("1.1.1.1"), Ok(Reachable::Network), "{proxy}");
            rooms.saw(ANNA, ip("192.168.1.9"));
            assert_eq!(reach("192.168.1.9"), Ok(Reachable::Network), "{proxy}");
        }
    }

    #[test]
    fn who_is_seen_at_this_box_may_be_from_anywhere() {
        for here in ["127.0.0.1", "::1", "127.0.0.53", "192.168.1.5"] {
            let rooms = Memberships::default();
            rooms.join(ANNA, ip(here));
            rooms.offered(ANNA, ip("192.168.1.9"));
            rooms.offered(ANNA, ip("1.1.1.1"));
            let reach = |policy: PeerPolicy, peer| policy.authorize_peer(Scope::Room(ANNA), ip(peer), &rooms);
            assert_eq!(reach(policy(), "192.168.1.9"), Err(Denied::NotInRoom), "{here}");
            assert_eq!(reach(policy(), "1.1.1.1"), Ok(Reachable::Network), "{here}");
            let open = PeerPolicy { allow_loopback: true, ..policy() };
            assert_eq!(reach(open, "192.168.1.9"), Ok(Reachable::Network), "{here}: all of a test is here");
            rooms.saw(ANNA, ip("192.168.1.8"));
            assert_eq!(reach(policy(), "192.168.1.9"), Ok(Reachable::Network), "{here}");
        }
    }

    #[test]
    fn who_was_seen_nowhere_offers_public_addresses_only() {
        let rooms = Memberships::default();
        rooms.join(ANNA, None);
        rooms.offered(ANNA, ip("192.168.1.9"));
        rooms.offered(ANNA, ip("1.1.1.1"));
        let reach = |peer| policy().authorize_peer(Scope::Room(ANNA), ip(peer), &rooms);
        assert_eq!((reach("192.168.1.9"), reach("1.1.1.1")), (Err(Denied::NotInRoom), Ok(Reachable::Network)));
    }

    #[test]
    fn this_box_is_reached_by_hairpin_only() {
        for own in ["192.168.1.5", "203.0.113.7", "127.0.0.1", "::ffff:192.168.1.5"] {
            assert_eq!(ask(Scope::Policy, own), Ok(Reachable::Hairpin), "{own}");
        }
        assert_eq!(ask(Scope::Policy, "64:ff9b::192.168.1.5"), Err(Denied::Own));
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        let nothing = PeerPolicy::default().authorize_peer(Scope::Policy, ip("8.8.8.8"), &Memberships::default());
        assert_eq!(nothing, Err(Denied::NotAllowed));
    }

    #[test]
    fn a_test_may_opt_in_to_loopback() {
        let open = PeerPolicy { allow_loopback: true, ..PeerPolicy::default() };
        let rooms = Memberships::default();
        assert_eq!(open.authorize_peer(Scope::Policy, ip("127.0.0.1"), &rooms), Ok(Reachable::Network));
        let open = PeerPolicy { own: [ip("127.0.0.1")].into(), ..open };
        assert_eq!(open.authorize_peer(Scope::Policy, ip("127.0.0.1"), &rooms), Ok(Reachable::HairpinOrNetwork));
        assert_eq!(open.authorize_peer(Scope::Policy, ip("64:ff9b::127.0.0.1"), &rooms), Err(Denied::Never));
    }

    proptest! {
        #[test]
        fn a_denied_address_is_denied_however_it_is_embedded(low: u16, tail: u16, port: u64) {
            let denied = Ipv4Addr::from([169, 254, low as u8, tail as u8]);
            let [a, b, c, d] = denied.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            let any = port as u16;
            for v6 in [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 1, any, any, any, high, low),
                Ipv6Addr::new(0x2002, high, low, any, any, any, any, any),
                Ipv6Addr::new(0x2001, 0, any, any, any, any, !high, !low),
            ] {
                let answer = policy().authorize_peer(Scope::Policy, v6.into(), &Memberships::default());
                prop_assert_eq!(answer, Err(Denied::Never), "{}", v6);
            }
        }
    }
}
