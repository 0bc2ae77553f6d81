//! The networks that people are in, and what two of them can have of each other.

use super::net::{BOX, BOX_GUEST, BOX_LAN, BOX_V6, Filtering, Mapping, World};

/// Where somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// At public addresses of both families, without a NAT.
    Public,
    /// Behind a NAT whose mapping does not depend on who is spoken to.
    Cone(Filtering),
    /// Behind a NAT with another port towards everybody.
    Symmetric,
    /// Behind two NATs.
    Double,
    /// Behind a firewall that lets no UDP through.
    NoUdp,
    /// Behind a firewall that lets TCP to port 443 through, and nothing else.
    Only443,
    /// At a public address, without IPv4.
    Ipv6,
    /// Beside the box, without a way to the internet.
    Lan,
    /// On another network of the box, without a way to the internet or to the LAN.
    Guest,
}

/// The way that media take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    Direct,
    Relay,
}

impl Path {
    /// As the page calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
        }
    }
}

impl Network {
    pub const ALL: [Self; 11] = [
        Self::Public,
        Self::Cone(Filtering::EndpointIndependent),
        Self::Cone(Filtering::AddressDependent),
        Self::Cone(Filtering::AddressAndPortDependent),
        Self::Symmetric,
        Self::Double,
        Self::NoUdp,
        Self::Only443,
        Self::Ipv6,
        Self::Lan,
        Self::Guest,
    ];

    /// In a few words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "no NAT",
            Self::Cone(Filtering::EndpointIndependent) => "full cone",
            Self::Cone(Filtering::AddressDependent) => "address-restricted",
            Self::Cone(Filtering::AddressAndPortDependent) => "port-restricted",
            Self::Symmetric => "symmetric",
            Self::Double => "two NATs",
            Self::NoUdp => "no UDP",
            Self::Only443 => "only TCP 443",
            Self::Ipv6 => "only IPv6",
            Self::Lan => "LAN",
            Self::Guest => "guest LAN",
        }
    }

    /// A host there. `number` is another one for each host.
    pub fn host(self, world: &mut World, number: u8) -> String {
        let outer = format!("203.0.113.{}", 100 + number);
        match self {
            Self::Public => world
                .outsider(&format!("public{number}"), &[&format!("{outer}/24"), &format!("2001:db8:1::{number}:1/64")]),
            Self::Cone(filtering) => world.behind_filter(number, &outer, Mapping::Kept, filtering).1,
            Self::Symmetric => world.behind_nat(number, &outer, Mapping::Random).1,
            Self::Double => world.behind_two_nats(number, &outer),
            Self::NoUdp => behind_wall(world, number, &outer, "meta l4proto udp drop"),
            Self::Only443 => {
                behind_wall(world, number, &outer, "iifname \"inside\" tcp dport != 443 drop\nmeta l4proto udp drop")
            }
            Self::Ipv6 => world.outsider(&format!("modern{number}"), &[&format!("2001:db8:1::{number}:1/64")]),
            Self::Lan => beside(world, number, "lan", "192.168.7"),
            Self::Guest => beside(world, number, "guest", "192.168.8"),
        }
    }

    /// Where those who are there open the page.
    pub fn page(self) -> String {
        match self {
            Self::Only443 => format!("https://{BOX}/"),
            Self::Ipv6 => format!("https://[{BOX_V6}]:3478/"),
            Self::Lan => format!("https://{BOX_LAN}:3478/"),
            Self::Guest => format!("https://{BOX_GUEST}:3478/"),
            _ => format!("https://{BOX}:3478/"),
        }
    }

    /// What carries media to the relay from there.
    pub fn transport(self) -> &'static str {
        if matches!(self, Self::NoUdp | Self::Only443) { "tcp" } else { "udp" }
    }

    /// The best path that there can be to somebody in another network, or to somebody else in the same.
    pub fn best_path(self, other: Self) -> Path {
        let direct = match (self, other) {
            (Self::Lan, Self::Lan) | (Self::Guest, Self::Guest) => true,
            (Self::Public | Self::Ipv6, Self::Ipv6) | (Self::Ipv6, Self::Public) => true,
            _ => match (self.filtering(), other.filtering()) {
                (Some(one), Some(two)) => self.is_met_by(one, other) && other.is_met_by(two, self),
                _ => false,
            },
        };
        if direct { Path::Direct } else { Path::Relay }
    }

    /// From whom UDP over IPv4 gets in from the internet. None if from nobody.
    fn filtering(self) -> Option<Filtering> {
        match self {
            Self::Public => Some(Filtering::EndpointIndependent),
            Self::Cone(filtering) => Some(filtering),
            Self::Symmetric | Self::Double => Some(Filtering::AddressAndPortDependent),
            Self::NoUdp | Self::Only443 | Self::Ipv6 | Self::Lan | Self::Guest => None,
        }
    }

    /// Whether packets of another get in here: whoever is behind a symmetric NAT comes from a port that nobody has sent to.
    fn is_met_by(self, filtering: Filtering, other: Self) -> bool {
        other != Self::Symmetric || filtering != Filtering::AddressAndPortDependent
    }
}

fn behind_wall(world: &mut World, number: u8, outer: &str, drops: &str) -> String {
    let (nat, client) = world.behind_nat(number, outer, Mapping::Random);
    world.nft(
        &nat,
        &format!(
            "table ip wall {{
                chain pass {{
                    type filter hook forward priority filter; policy accept;
                    {drops}
                }}
            }}"
        ),
    );
    client
}

fn beside(world: &mut World, number: u8, bridge: &str, network: &str) -> String {
    let host = world.host(&format!("{bridge}{number}"));
    world.plug(&host, "eth0", bridge, &[&format!("{network}.{}/24", 100 + number)]);
    host
}
