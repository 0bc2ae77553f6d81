//! What a shard does with DTLS.

use std::ops::Range;

use super::Shard;
use crate::turn::{FiveTuple, Now, Transport};

impl Shard {
    /// Decrypts a datagram, which stands at `range` of the batch, where it stands, and handles each message in it.
    pub(super) fn decrypt(&mut self, from: FiveTuple, range: Range<usize>, now: Now) {
        let from = FiveTuple { transport: Transport::Dtls, ..from };
        let messages = self.sockets.dtls.receive(from, self.batch.claimed(range.clone()), now);
        // Before anything is handled: who begins anew has lost what was allocated before.
        self.close_ended();
        for message in messages {
            if self.sockets.dtls.has(&from) {
                self.handle_client(from, range.start + message.start..range.start + message.end, now);
            }
        }
    }
}
