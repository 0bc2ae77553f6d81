//! Binding the relay sockets that an Allocate asks for.

use std::io;
use std::net::SocketAddr;

use super::spares::Spares;
use super::udp::RelaySocket;
use crate::turn::{Opening, Wanted};

/// What came of an [`Opening`].
pub(super) struct Opened {
    /// In the order in which they were wanted.
    pub(super) sockets: Vec<Option<(RelaySocket, SocketAddr)>>,
    /// The one that is to be held back.
    beside: Option<(RelaySocket, SocketAddr)>,
}

impl Opened {
    /// Binds all that is wanted, as far as it can be.
    pub(super) fn new(opening: &Opening, spares: &Spares) -> Self {
        let mut opened = Self { sockets: Vec::with_capacity(opening.wanted().len()), beside: None };
        for wanted in opening.wanted() {
            let socket = opened.obtain(wanted, opening.wants_pair(), spares);
            match &socket {
                Ok((socket, _)) if opening.wants_errors() => socket.keep_errors(),
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "no relay socket"),
            }
            opened.sockets.push(socket.ok());
        }
        opened
    }

    /// Where they are bound.
    pub(super) fn addresses(&self) -> Vec<Option<SocketAddr>> {
        self.sockets.iter().map(|socket| socket.as_ref().map(|(_, address)| *address)).collect()
    }

    /// Keeps what is to be held back.
    pub(super) fn keep_beside(&mut self, spares: &Spares) {
        if let Some((socket, address)) = self.beside.take() {
            spares.keep(address, socket);
        }
    }

    fn obtain(&mut self, wanted: &Wanted, pair: bool, spares: &Spares) -> io::Result<(RelaySocket, SocketAddr)> {
        if let Some(address) = wanted.reserved() {
            return Ok((spares.take(address).ok_or(io::ErrorKind::NotFound)?, address));
        }
        if !pair {
            return RelaySocket::bind(wanted.candidates());
        }
        let (socket, beside, address) = RelaySocket::bind_pair(wanted.candidates())?;
        self.beside = Some((beside, SocketAddr::new(address.ip(), address.port() + 1)));
        Ok((socket, address))
    }
}
