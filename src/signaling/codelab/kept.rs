//! What waits for the other, or for a camera: an offer and its candidates.

use crate::signaling::payload::Payload;

/// The most that waits.
const MAX_KEPT: usize = 64;
/// Its length together, in bytes.
const MAX_KEPT_BYTES: usize = 128 * 1024;

/// Messages that wait, within bounds.
#[derive(Default)]
pub(super) struct Kept {
    messages: Vec<Payload>,
    bytes: usize,
}

impl Kept {
    pub(super) fn push(&mut self, message: Payload) {
        let bytes = self.bytes + message.as_str().len();
        if self.messages.len() < MAX_KEPT && bytes <= MAX_KEPT_BYTES {
            self.messages.push(message);
            self.bytes = bytes;
        } else {
            metrics::counter!("lanturn_codelab_dropped_total").increment(1);
        }
    }

    pub(super) fn take(&mut self) -> Vec<Payload> {
        self.bytes = 0;
        std::mem::take(&mut self.messages)
    }

    pub(super) fn clear(&mut self) {
        self.take();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}
