//! What a router is asked to let in.

use std::fmt;
use std::num::NonZeroU16;

use super::Ports;

/// A port of this machine, over one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port {
    pub(super) protocol: Protocol,
    pub(super) number: NonZeroU16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    Udp,
    Tcp,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Udp => "UDP",
            Protocol::Tcp => "TCP",
        };
        write!(f, "{protocol} {}", self.number)
    }
}

impl Ports {
    /// One by one, those that it listens on first.
    pub(super) fn each(&self) -> Vec<Port> {
        let both = |&number: &u16| [(Protocol::Udp, number), (Protocol::Tcp, number)];
        let listen = self.listen.iter().flat_map(both);
        let relay = self.relay.clone().into_iter().flatten().map(|number| (Protocol::Udp, number));
        let numbered = listen.chain(relay);
        numbered.filter_map(|(protocol, number)| Some(Port { protocol, number: NonZeroU16::new(number)? })).collect()
    }
}

/// As a person would tell them another: `UDP and TCP 3478, UDP 49152-49183`.
impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listen: Vec<String> = self.listen.iter().map(u16::to_string).collect();
        write!(f, "UDP and TCP {}", listen.join(" and "))?;
        match &self.relay {
            Some(relay) => write!(f, ", UDP {}-{}", relay.start(), relay.end()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_in_short_and_asked_for_one_by_one() {
        let ports = Ports { listen: vec![3478, 443], relay: Some(50_000..=50_001) };
        assert_eq!(ports.to_string(), "UDP and TCP 3478 and 443, UDP 50000-50001");
        let each: Vec<String> = ports.each().iter().map(Port::to_string).collect();
        assert_eq!(each, ["UDP 3478", "TCP 3478", "UDP 443", "TCP 443", "UDP 50000", "UDP 50001"]);
        assert_eq!(Ports { listen: vec![3478], relay: None }.to_string(), "UDP and TCP 3478");
    }
}
