//! Found by name on the local network: multicast DNS (RFC 6762) and DNS-based service discovery (RFC 6763), so that a
//! browser opens `lanturn.local`, and other programs find the relay (RFC 8155 section 5).

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mdns_sd::{DaemonEvent, IfKind, IfPredicate, ServiceDaemon, ServiceInfo};
use tokio::sync::watch;

/// Each is at the one port.
const SERVICES: [&str; 5] = ["_https._tcp", "_turn._udp", "_turn._tcp", "_turns._tcp", "_stun._udp"];
/// Of the machine's name, in bytes: with `lanturn on ` before it, and ` (2)` after it, it has room in a label of 63.
const MAX_MACHINE: usize = 48;
/// How long a goodbye may take.
const PARTING: Duration = Duration::from_secs(1);

/// What to announce.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name, without `.local`: a label of 1..=59 letters, digits and hyphens.
    pub name: String,
    /// The name of this machine, which tells its services from another's where people choose from a list.
    pub machine: String,
    /// Where all services are.
    pub port: u16,
    /// Where it listens, in private networks. On each network card, those of its network are told.
    pub addresses: Vec<IpAddr>,
}

/// The responder does not do what it is asked.
#[derive(Debug, thiserror::Error)]
#[error("multicast DNS: {0}")]
pub struct Error(#[from] mdns_sd::Error);

/// Announces for as long as it is not stopped.
pub struct Discovery {
    announced: Arc<Announced>,
    renamed: watch::Receiver<Option<String>>,
}

struct Announced {
    daemon: ServiceDaemon,
    options: Mutex<Options>,
}

impl Discovery {
    /// Asks around whether the name is free, and announces it, or the next that is: `lanturn-2`. Needs a runtime.
    ///
    /// # Errors
    /// When the responder cannot be started. Whether it gets a network is not known yet.
    pub fn start(options: Options) -> Result<Self, Error> {
        let daemon = ServiceDaemon::new()?;
        daemon.disable_interface(IfKind::Predicate(IfPredicate::new(|card| !is_private(card.ip()))))?;
        let events = daemon.monitor()?;
        let announced = Arc::new(Announced { daemon, options: Mutex::new(options) });
        announced.announce()?;
        let (name, renamed) = watch::channel(None);
        let hearing = Arc::downgrade(&announced);
        tokio::spawn(async move {
            while let Ok(event) = events.recv_async().await {
                let Some(announced) = hearing.upgrade() else { return };
                if let Err(error) = announced.hear(&event, &name) {
                    tracing::debug!(%error, "nothing is announced any more");
                }
            }
        });
        Ok(Self { announced, renamed })
    }

    /// Announces other addresses.
    ///
    /// # Errors
    /// When the responder has ended.
    pub fn moved(&self, addresses: Vec<IpAddr>) -> Result<(), Error> {
        self.announced.options().addresses = addresses;
        self.announced.announce()
    }

    /// The name, without `.local`, if it had to be another one than was asked for.
    pub fn renamed(&self) -> Option<String> {
        self.renamed.borrow().clone()
    }

    /// Waits until that is another.
    pub async fn changed(&mut self) {
        if self.renamed.changed().await.is_err() {
            // The responder has ended, and tells of no more.
            std::future::pending::<()>().await;
        }
    }

    /// Says goodbye, so that nobody remembers the name.
    pub async fn stop(self) {
        if let Ok(done) = self.announced.daemon.shutdown() {
            let _ = tokio::time::timeout(PARTING, done.recv_async()).await;
        }
    }
}

impl Announced {
    fn options(&self) -> MutexGuard<'_, Options> {
        self.options.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) -> Result<(), Error> {
        let options = self.options();
        for service in SERVICES {
            self.daemon.register(info(&options, service)?)?;
        }
        Ok(())
    }

    fn hear(&self, event: &DaemonEvent, renamed: &watch::Sender<Option<String>>) -> Result<(), Error> {
        if let DaemonEvent::Error(error) = event {
            tracing::debug!(%error, "multicast DNS");
        }
        // What was announced before the responder knew of an address was not announced for it.
        if let DaemonEvent::IpAdd(_) = event {
            return self.announce();
        }
        let DaemonEvent::NameChange(change) = event else { return Ok(()) };
        let Some(new) = change.new_name.strip_suffix(".local.").filter(|name| !name.contains('.')) else {
            return Ok(());
        };
        if change.original != host(&self.options().name) {
            return Ok(());
        }
        // The responder took another name on one network card, and still answers some questions with the first.
        self.withdraw()?;
        new.clone_into(&mut self.options().name);
        self.announce()?;
        renamed.send_replace(Some(new.to_owned()));
        Ok(())
    }

    fn withdraw(&self) -> Result<(), Error> {
        let options = self.options();
        for service in SERVICES {
            self.daemon.unregister(info(&options, service)?.get_fullname())?;
        }
        Ok(())
    }
}

fn host(name: &str) -> String {
    format!("{name}.local.")
}

fn info(options: &Options, service: &str) -> Result<ServiceInfo, Error> {
    let Options { name, machine, port, addresses } = options;
    let kind = format!("{service}.local.");
    let properties: &[(&str, &str)] = if service == "_https._tcp" { &[("path", "/")] } else { &[] };
    Ok(ServiceInfo::new(&kind, &instance(machine), &host(name), &addresses[..], *port, properties)?)
}

/// The responder takes a dot for the end of a name.
fn instance(machine: &str) -> String {
    let label = machine.split('.').next().unwrap_or_default();
    let end = (0..=label.len().min(MAX_MACHINE)).rev().find(|&end| label.is_char_boundary(end)).unwrap_or(0);
    format!("lanturn on {}", &label[..end])
}

/// Of RFC 1918, of a network without a router (RFC 3927), or unique local (RFC 4193). The neighbours in a data centre need
/// not hear of this machine.
pub fn is_private(ip: IpAddr) -> bool {
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

    #[test]
    fn any_machine_has_a_name_for_its_services() {
        assert_eq!(instance("box.example.org"), "lanturn on box");
        assert_eq!(instance(&"é".repeat(40)), format!("lanturn on {}", "é".repeat(24)));
        assert!(instance(&"x".repeat(64)).len() + " (9)".len() <= 63);
    }
}
