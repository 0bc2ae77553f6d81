//! When to look whether the machine's addresses have changed.

use std::time::Duration;

use futures_util::StreamExt as _;
use if_watch::tokio::IfWatcher;
use tokio::time::{Interval, interval};

/// How often to look where the system does not tell of changes, and where it does.
const UNTOLD: Duration = Duration::from_secs(10);
const TOLD: Duration = Duration::from_secs(60);

/// What the system tells of its network cards (netlink, in Linux), and a clock beside it.
pub(super) struct Surroundings {
    watcher: Option<IfWatcher>,
    clock: Interval,
}

impl Surroundings {
    /// Needs a runtime.
    pub(super) fn new() -> Self {
        let watcher = IfWatcher::new();
        if let Err(error) = &watcher {
            tracing::debug!(%error, "the system does not tell of changed addresses: they are looked at now and then");
        }
        let clock = interval(if watcher.is_ok() { TOLD } else { UNTOLD });
        Self { watcher: watcher.ok(), clock }
    }

    /// Waits until it is time to look.
    pub(super) async fn stirred(&mut self) {
        let Some(watcher) = &mut self.watcher else {
            self.clock.tick().await;
            return;
        };
        tokio::select! {
            event = watcher.next() => if !matches!(event, Some(Ok(_))) {
                self.watcher = None;
                self.clock = interval(UNTOLD);
            },
            _ = self.clock.tick() => {}
        }
    }
}
