//! From behind a NAT: at which address others see this machine, and which ports its router lets in.
//!
//! STUN servers are asked for the first, the router for both, over and over, since either may change at any time.
//! Whoever asks nobody sends nothing. IPv4 alone: there is hardly a NAT for IPv6.

mod address;
mod mapper;
mod place;
mod port;
mod query;
mod router;
mod tracker;

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::tracker::Tracker;

/// How long the router may take to take back what it has mapped.
const PARTING: Duration = Duration::from_secs(3);

/// Whom to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// STUN servers, as `host:port`. The first that answers is believed.
    pub stun: Vec<String>,
    /// What the router is to let in. None: the router is not asked.
    pub ports: Option<Ports>,
}

/// Ports of this machine, each to be the same outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Those that it listens on, each over UDP and TCP.
    pub listen: Vec<u16>,
    /// Those that it relays from, over UDP, if any.
    pub relay: Option<RangeInclusive<u16>>,
}

/// What is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// From an address of this machine to the one that others see. No two are seen at the same.
    pub addresses: HashMap<IpAddr, IpAddr>,
    /// The ports to relay from that the router lets in.
    pub relay_ports: Option<RangeInclusive<u16>>,
}

/// Asks until it is stopped.
pub struct Outside {
    known: watch::Receiver<Known>,
    own: watch::Sender<Vec<IpAddr>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Outside {
    /// Begins to ask for a machine with the addresses `own`, and does not wait for an answer. Needs a runtime.
    pub fn start(options: Options, own: Vec<IpAddr>) -> Self {
        let (publish, known) = watch::channel(Known::default());
        let (own, addresses) = watch::channel(own);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(Tracker::new(options).run(addresses, publish, stopped));
        Self { known, own, stop, task }
    }

    /// What is known now.
    pub fn known(&self) -> Known {
        self.known.borrow().clone()
    }

    /// Waits until more is known, or something else.
    pub async fn changed(&mut self) {
        if self.known.changed().await.is_err() {
            // It has ended, and finds out no more.
            std::future::pending::<()>().await;
        }
    }

    /// Asks anew, for a machine whose addresses are now `own`.
    pub fn look(&self, own: Vec<IpAddr>) {
        self.own.send_replace(own);
    }

    /// Has the router take back what it maps.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if timeout(PARTING, self.task).await.is_err() {
            tracing::warn!("the router did not take back its mappings in time: they end by themselves");
        }
    }
}
