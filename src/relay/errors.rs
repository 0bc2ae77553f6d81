//! ICMP errors for datagrams to peers, on their way to the clients that sent those.

use std::time::Instant;

use super::shard::{Shard, Source};
use crate::turn;

impl Shard {
    /// Passes on what routers and peers say of datagrams that relay sockets have sent. That comes before anything else is
    /// done with those: their next call would fail for it.
    pub(super) fn serve_errors(&mut self, now: Instant) {
        let mut failing = std::mem::take(&mut self.failing);
        failing.retain(|&token| {
            let Source::Relay(index) = Source::of(token) else { return false };
            let Some((id, socket)) = self.sockets.relay(index) else { return false };
            let errors = socket.take_errors();
            for (peer, icmp) in errors.told {
                let replies = self.out.replies.len();
                let told = self.server.handle_icmp(id, turn::canonical(peer), icmp, now, &mut self.out.replies);
                if let Some(client) = told {
                    self.out.reply(&client, replies, &self.batch, &mut self.sockets);
                }
            }
            !errors.is_drained
        });
        self.failing = failing;
    }
}
