//! Relay sockets that are held back for an allocation to come.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::udp::RelaySocket;
use crate::turn::FastMap;

/// By the address that they are bound to, of all shards: the client that asks for one may come in on another shard. There
/// are as many as [`crate::turn::Reservations`].
#[derive(Debug, Default)]
pub(super) struct Spares(Mutex<FastMap<SocketAddr, RelaySocket>>);

impl Spares {
    pub(super) fn keep(&self, address: SocketAddr, socket: RelaySocket) {
        self.lock().insert(address, socket);
    }

    pub(super) fn take(&self, address: SocketAddr) -> Option<RelaySocket> {
        self.lock().remove(&address)
    }

    fn lock(&self) -> MutexGuard<'_, FastMap<SocketAddr, RelaySocket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
