//! The name by which others on the local network find this machine.

use std::net::{IpAddr, SocketAddr};

use tokio::sync::watch;

use super::interfaces;
use crate::config::Listen;
use crate::discovery::{Discovery, Options};

/// The name that is announced, if one is.
pub(super) struct Named {
    announced: Option<(Discovery, watch::Receiver<String>)>,
}

impl Named {
    /// Announces where others reach `listening` on a machine with the addresses `own`, if they do.
    pub(super) fn start(listen: &Listen, listening: &[SocketAddr], own: &[IpAddr]) -> Self {
        let announced = options(listen, listening, own).and_then(|options| {
            let (sender, name) = watch::channel(format!("{}.local", options.name));
            let started = Discovery::start(&options, sender);
            let failed = |error| tracing::warn!(%error, "this machine cannot be found by name on the local network");
            started.map_err(failed).ok().map(|discovery| (discovery, name))
        });
        Self { announced }
    }

    /// Announces that the machine's addresses are others now.
    pub(super) fn moved(&self, listen: &Listen, listening: &[SocketAddr], own: &[IpAddr]) {
        let (Some((discovery, _)), Some(options)) = (&self.announced, options(listen, listening, own)) else { return };
        if let Err(error) = discovery.announce(&options) {
            tracing::warn!(%error, "this machine's new addresses cannot be announced");
        }
    }

    /// With `.local`.
    pub(super) fn current(&self) -> Option<String> {
        self.announced.as_ref().map(|(_, name)| name.borrow().clone())
    }

    /// Waits until it is another one.
    pub(super) async fn changed(&mut self) {
        let Some((_, name)) = &mut self.announced else { return std::future::pending().await };
        if name.changed().await.is_err() {
            // The responder has ended, and tells of no more.
            return std::future::pending().await;
        }
        tracing::warn!("another machine has that name: this one is found as {}", *name.borrow_and_update());
    }

    /// Says goodbye.
    pub(super) async fn stop(self) {
        if let Some((discovery, _)) = self.announced {
            discovery.stop().await;
        }
    }
}

/// The name that is asked for, with `.local`.
pub(super) fn wanted(listen: &Listen) -> Option<String> {
    listen.name.as_ref().map(|name| format!("{name}.local"))
}

/// What to announce: the first port that others reach, and where. A machine whose network comes later has no address yet.
fn options(listen: &Listen, listening: &[SocketAddr], own: &[IpAddr]) -> Option<Options> {
    let name = listen.name.clone()?;
    let open: Vec<SocketAddr> =
        listening.iter().copied().filter(|address| !address.ip().to_canonical().is_loopback()).collect();
    let port = open.first()?.port();
    let reachable = interfaces::reachable(&open, own);
    let here = reachable.iter().filter(|address| address.port() == port && !address.ip().is_loopback());
    Some(Options { name, machine: interfaces::hostname(), port, addresses: here.map(SocketAddr::ip).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(listening: &[&str]) -> Option<(u16, Vec<String>)> {
        let listen = Listen { addresses: Vec::new(), shards: 1, proxies: Vec::new(), name: Some("lanturn".into()) };
        let listening: Vec<SocketAddr> = listening.iter().map(|text| text.parse().unwrap()).collect();
        let own = ["192.168.1.5", "fd00::5"].map(|text| text.parse().unwrap());
        let options = options(&listen, &listening, &own)?;
        Some((options.port, options.addresses.iter().map(IpAddr::to_string).collect()))
    }

    #[test]
    fn what_others_reach_is_announced() {
        let is = |port, addresses: &[&str]| Some((port, addresses.iter().map(|&text| text.to_owned()).collect()));
        assert_eq!(announced(&["[::]:3478", "[::]:443"]), is(3478, &["192.168.1.5", "fd00::5"]));
        assert_eq!(
            announced(&["127.0.0.1:80", "192.168.1.5:443", "192.168.2.5:443"]),
            is(443, &["192.168.1.5", "192.168.2.5"])
        );
        assert_eq!(announced(&["127.0.0.1:3478", "[::1]:3478"]), None);
    }
}
