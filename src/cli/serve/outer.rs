//! What is outside of this machine's network, as it is in force.

use std::net::{IpAddr, SocketAddr};

use crate::config::Settings;
use crate::outside::{Known, Options, Outside, Ports};

/// Who finds it out, if anybody is to.
#[derive(Default)]
pub(super) struct Outer(Option<Outside>);

impl Outer {
    /// Begins to ask, if that is wanted, for a machine that listens on `listening`. Needs a runtime.
    pub(super) fn start(settings: &Settings, listening: &[SocketAddr], own: &[IpAddr]) -> Self {
        Self(options(settings, listening).map(|options| Outside::start(options, own.to_vec())))
    }

    /// What is known by now.
    pub(super) fn known(&self) -> Known {
        self.0.as_ref().map(Outside::known).unwrap_or_default()
    }

    /// Waits until that is something else.
    pub(super) async fn changed(&mut self) {
        match &mut self.0 {
            Some(outside) => outside.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Asks anew.
    pub(super) fn look(&self, own: &[IpAddr]) {
        if let Some(outside) = &self.0 {
            outside.look(own.to_vec());
        }
    }

    /// Leaves nothing behind.
    pub(super) async fn stop(self) {
        if let Some(outside) = self.0 {
            outside.stop().await;
        }
    }
}

/// Who is to be asked for what. `None`: nobody for anything.
pub(in crate::cli) fn options(settings: &Settings, listening: &[SocketAddr]) -> Option<Options> {
    let outside = &settings.outside;
    let options = Options { stun: outside.stun.clone(), ports: ports(settings, listening).filter(|_| outside.router) };
    Some(options).filter(|options| options.ports.is_some() || !options.stun.is_empty())
}

/// What a router would have to let in: the ports on which others reach this machine over IPv4.
fn ports(settings: &Settings, listening: &[SocketAddr]) -> Option<Ports> {
    let is_reached = |address: &&SocketAddr| {
        let ip = address.ip().to_canonical();
        !ip.is_loopback() && (ip.is_ipv4() || ip.is_unspecified())
    };
    let mut listen: Vec<u16> = Vec::new();
    for port in listening.iter().filter(is_reached).map(SocketAddr::port) {
        if !listen.contains(&port) {
            listen.push(port);
        }
    }
    let (first, last) = (*settings.relay.ports.start(), *settings.relay.ports.end());
    let relay = settings.outside.relay_ports.checked_sub(1).map(|more| first..=first.saturating_add(more).min(last));
    Some(Ports { listen, relay }).filter(|ports| !ports.listen.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn options_of(text: &str, listening: &[&str]) -> Option<Options> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        let (settings, _) = config::load_from(Some(&file), []).unwrap();
        let listening: Vec<SocketAddr> = listening.iter().map(|text| text.parse().unwrap()).collect();
        options(&settings, &listening)
    }

    #[test]
    fn nobody_is_asked_unless_that_is_wanted() {
        assert_eq!(options_of("", &["[::]:3478"]), None);
        let stun = options_of("outside.stun = ['stun.example.org']", &["[::]:3478"]).unwrap();
        assert_eq!((stun.stun.len(), stun.ports), (1, None), "the router is another matter");
    }

    #[test]
    fn a_router_is_to_let_in_what_others_reach() {
        let ports = |text: &str, listening: &[&str]| {
            let all = format!("outside.router = true\n{text}");
            options_of(&all, listening).and_then(|options| options.ports).map(|ports| ports.to_string())
        };
        let both = "UDP and TCP 3478, UDP 49152-49183";
        assert_eq!(ports("", &["[::]:3478"]).as_deref(), Some(both));
        assert_eq!(ports("", &["[::]:3478", "0.0.0.0:3478", "127.0.0.1:80", "[fd00::5]:80"]).as_deref(), Some(both));
        assert_eq!(ports("", &["127.0.0.1:3478"]), None);
        let few = ports("relay.ports = '65530-65535'", &["192.168.1.5:443"]);
        assert_eq!(few.as_deref(), Some("UDP and TCP 443, UDP 65530-65535"));
        assert_eq!(ports("outside.relay_ports = 0", &["[::]:3478"]).as_deref(), Some("UDP and TCP 3478"));
    }
}
