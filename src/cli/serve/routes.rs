//! Where the connections of the one port go.

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

    fn web(&self, connection: WebConnection) {
        let WebConnection { io, tls, ends } = connection;
        let web = self.web.clone();
        let peer = Peer { local: ends.server, remote: ends.client, tls };
        tokio::spawn(async move { web.serve(io, peer).await });
    }
}
