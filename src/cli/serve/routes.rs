//! Where the connections of the one port go.

use std::pin::Pin;

use crate::http::{Peer, Web};
use crate::listener::{Routes, TurnConnection, WebConnection};
use crate::relay::{Adopted, Handle};

/// TURN to the relay, HTTP to the web side.
pub(super) struct Parts {
    pub(super) relay: Handle,
    pub(super) web: Web,
}

impl Routes for Parts {
    fn turn(&self, connection: TurnConnection) {
        let TurnConnection { socket, tls, ends, ticket } = connection;
        self.relay.adopt(Adopted { socket, tls, client: ends.client, server: ends.server, guard: Box::new(ticket) });
    }

    fn web(&self, connection: WebConnection) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let WebConnection { io, tls, ends, ticket } = connection;
        let web = self.web.clone();
        let peer = Peer { local: ends.server, remote: ends.client, tls };
        Box::pin(async move { web.serve(io, peer, || ticket.opened()).await })
    }
}
