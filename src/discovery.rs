//! Found by name on the local network: multicast DNS (RFC 6762) and DNS-based service discovery (RFC 6763), so that a
//! browser opens `lanturn.local`, and other programs find the relay (RFC 8155 section 5).

use std::net::IpAddr;

use mdns_sd::{DaemonEvent, IfKind, IfPredicate, ServiceDaemon, ServiceInfo};
use tokio::sync::watch;

pub use mdns_sd::Error;

/// Each is at the one port.
const SERVICES: [&str; 5] = ["_https._tcp", "_turn._udp", "_turn._tcp", "_turns._tcp", "_stun._udp"];

/// What to announce.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name, without `.local`: a label of 1..=63 letters, digits and hyphens.
    pub name: String,
    /// The name of this machine, which tells its services from another's where people choose from a list.
    pub machine: String,
    /// Where all services are.
    pub port: u16,
    /// Where it listens. On each network card, those of its network are told.
    pub addresses: Vec<IpAddr>,
}

/// Announces for as long as it is not stopped.
pub struct Discovery {
    daemon: ServiceDaemon,
}

impl Discovery {
    /// Asks around whether the name is free, and announces it, or the next that is: `lanturn-2`. `name` gets it then, with
    /// `.local`. Needs a runtime.
    ///
    /// # Errors
    /// What keeps the responder from starting, such as a system without multicast.
    pub fn start(options: &Options, name: watch::Sender<String>) -> Result<Self, Error> {
        let daemon = ServiceDaemon::new()?;
        daemon.disable_interface(IfKind::Predicate(IfPredicate::new(|card| !is_at_home(&card.name))))?;
        let events = daemon.monitor()?;
        let host = host(options);
        tokio::spawn(async move {
            while let Ok(event) = events.recv_async().await {
                hear(&event, &host, &name);
            }
        });
        let discovery = Self { daemon };
        discovery.announce(options)?;
        Ok(discovery)
    }

    /// Announces in place of what was announced before: the addresses have changed.
    ///
    /// # Errors
    /// When the responder has ended.
    pub fn announce(&self, options: &Options) -> Result<(), Error> {
        for service in SERVICES {
            self.daemon.register(info(options, service)?)?;
        }
        Ok(())
    }

    /// Says goodbye, so that nobody remembers the name.
    pub async fn stop(self) {
        if let Ok(done) = self.daemon.shutdown() {
            let _ = done.recv_async().await;
        }
    }
}

fn host(options: &Options) -> String {
    format!("{}.local.", options.name)
}

fn info(options: &Options, service: &str) -> Result<ServiceInfo, Error> {
    let kind = format!("{service}.local.");
    let instance = format!("lanturn on {}", options.machine);
    let properties: &[(&str, &str)] = if service == "_https._tcp" { &[("path", "/")] } else { &[] };
    ServiceInfo::new(&kind, &instance, &host(options), &options.addresses[..], options.port, properties)
}

/// Takes note of a name that another machine has already.
fn hear(event: &DaemonEvent, host: &str, name: &watch::Sender<String>) {
    if let DaemonEvent::Error(error) = event {
        return tracing::debug!(%error, "multicast DNS");
    }
    let DaemonEvent::NameChange(change) = event else { return };
    // A name is probed on each network card, and may be another's on one and free on the next.
    let ours = change.original == host || change.original == format!("{}.", *name.borrow());
    if ours && change.new_name.ends_with(".local.") {
        let new = change.new_name.trim_end_matches('.');
        name.send_if_modified(|name| {
            *name != new && {
                new.clone_into(name);
                true
            }
        });
    }
}

/// Whether a network card is in a private network. The neighbours in a data centre need not hear of this machine.
fn is_at_home(card: &str) -> bool {
    let cards = if_addrs::get_if_addrs().unwrap_or_default();
    cards.iter().any(|each| each.name == card && is_private(each.ip()))
}

/// Of RFC 1918, of a network without a router (RFC 3927), or unique local (RFC 4193).
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_private_networks_hear_of_it() {
        for ip in ["10.0.0.1", "172.31.0.1", "192.168.1.5", "169.254.7.7", "fd00::5"] {
            assert!(is_private(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["127.0.0.1", "::1", "203.0.113.5", "2001:db8::5", "fe80::5", "100.64.0.1"] {
            assert!(!is_private(ip.parse().unwrap()), "{ip}");
        }
    }
}
