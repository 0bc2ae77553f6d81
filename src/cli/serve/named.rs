//! The name by which others on the local network find this machine.

use std::net::{IpAddr, SocketAddr};

use super::interfaces;
use crate::config::Listen;
use crate::discovery::{self, Discovery};

/// The name that is announced, if one is.
#[derive(Default)]
pub(super) struct Named(Option<Discovery>);

impl Named {
    /// Announces where others reach `listening` on a machine with the addresses `own`, if they do.
    pub(super) fn moved(&mut self, listen: &Listen, listening: &[SocketAddr], own: &[IpAddr]) {
        let options = options(listen, listening, own);
        let done = match (&self.0, options) {
            (Some(discovery), options) => discovery.moved(options.map(|options| options.addresses).unwrap_or_default()),
            (None, Some(options)) => Discovery::start(options).map(|discovery| self.0 = Some(discovery)),
            (None, None) => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "this machine cannot be found by name on the local network");
        }
    }

    /// The name that it had to take instead.
    pub(super) fn renamed(&self) -> Option<String> {
        self.0.as_ref().and_then(Discovery::renamed)
    }

    /// Waits until that is another.
    pub(super) async fn changed(&mut self) {
        match &mut self.0 {
            Some(discovery) => discovery.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Says goodbye.
    pub(super) async fn stop(self) {
        if let Some(discovery) = self.0 {
            discovery.stop().await;
        }
    }
}

/// The names that others may use, with `.local`: the one that is asked for, which some may remember, and the one that it
/// had to be instead.
pub(super) fn names(listen: &Listen, own: &[IpAddr], renamed: Option<&str>) -> Vec<String> {
    let wanted = options(listen, &listen.addresses, own).map(|options| options.name);
    let renamed = renamed.filter(|_| wanted.is_some()).map(str::to_owned);
    wanted.into_iter().chain(renamed).map(|name| format!("{name}.local")).collect()
}

/// Where browsers open the page by a name.
pub(super) fn place(listen: &Listen, listening: &[SocketAddr], own: &[IpAddr]) -> Option<(String, u16)> {
    options(listen, listening, own).map(|options| (format!("{}.local", options.name), options.port))
}

/// What to announce: the first port that others in a private network reach.
fn options(listen: &Listen, listening: &[SocketAddr], own: &[IpAddr]) -> Option<discovery::Options> {
    let name = listen.name.clone()?;
    let mut reachable = interfaces::reachable(listening, own);
    reachable.retain(|address| discovery::is_private(address.ip()));
    let port = reachable.first()?.port();
    let addresses = reachable.iter().filter(|address| address.port() == port).map(SocketAddr::ip).collect();
    Some(discovery::Options { name, machine: interfaces::hostname(), port, addresses })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen() -> Listen {
        Listen {
            addresses: vec![at("[::]:3478")],
            shards: 1,
            proxies: Vec::new(),
            behavior: None,
            name: Some("lanturn".into()),
            self_test: false,
        }
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn announced(listening: &[&str], own: &[&str]) -> Option<(u16, Vec<String>)> {
        let listening: Vec<SocketAddr> = listening.iter().map(|text| at(text)).collect();
        let own: Vec<IpAddr> = own.iter().map(|text| text.parse().unwrap()).collect();
        let options = options(&listen(), &listening, &own)?;
        Some((options.port, options.addresses.iter().map(IpAddr::to_string).collect()))
    }

    #[test]
    fn what_private_networks_reach_is_announced() {
        let own = ["203.0.113.5", "192.168.1.5", "fd00::5", "2001:db8::5"];
        let is = |port, addresses: &[&str]| Some((port, addresses.iter().map(|&text| text.to_owned()).collect()));
        assert_eq!(announced(&["[::]:3478", "[::]:443"], &own), is(3478, &["192.168.1.5", "fd00::5"]));
        assert_eq!(announced(&["127.0.0.1:80", "192.168.1.5:443"], &own), is(443, &["192.168.1.5"]));
        assert_eq!(announced(&["127.0.0.1:3478", "[::1]:3478"], &own), None);
        assert_eq!(announced(&["[::]:3478"], &["203.0.113.5"]), None);
        assert_eq!(announced(&["[::]:3478"], &[]), None);
    }

    #[test]
    fn both_names_hold_where_one_is_announced() {
        let own = ["192.168.1.5".parse().unwrap()];
        assert_eq!(names(&listen(), &own, None), ["lanturn.local"]);
        assert_eq!(names(&listen(), &own, Some("lanturn-2")), ["lanturn.local", "lanturn-2.local"]);
        assert!(names(&listen(), &[], Some("lanturn-2")).is_empty());
    }
}
