//! What waits to be written to one connection: bounded in messages and in memory, and nobody waits for a slow reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;
use tokio::sync::{Notify, mpsc};

use super::message::ServerMessage;

/// The most messages that wait for one connection.
pub(crate) const MAX_MESSAGES: usize = 256;
/// The memory that waiting messages may take, in bytes, unless one message may take more than a quarter of it.
const MAX_BYTES: usize = 1 << 20;
/// Counted for a message apart from its data, in bytes.
const MESSAGE_WEIGHT: usize = 512;

/// The writing end. Clones write to the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Queued>,
    state: Arc<State>,
}

/// The reading end, of which there is one.
#[derive(Debug)]
pub(crate) struct Inbox {
    queue: mpsc::Receiver<Queued>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    max_bytes: usize,
    bytes: AtomicUsize,
    is_over: AtomicBool,
    over: Notify,
}

#[derive(Debug)]
struct Queued {
    message: ServerMessage,
    weight: usize,
}

/// Both ends, for messages of at most `message_bytes` as JSON.
pub(crate) fn outbox(message_bytes: usize) -> (Outbox, Inbox) {
    let (sender, receiver) = mpsc::channel(MAX_MESSAGES);
    let state = Arc::new(State {
        max_bytes: MAX_BYTES.max(4 * message_bytes),
        bytes: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
        over: Notify::new(),
    });
    (Outbox { queue: sender, state: state.clone() }, Inbox { queue: receiver, state })
}

impl Outbox {
    /// Queues a message. Once one did not fit, none does: the connection is to end.
    pub(crate) fn push(&self, message: ServerMessage) {
        if self.state.is_over.load(Ordering::Relaxed) {
            return;
        }
        let weight = weigh_message(&message);
        let bytes = self.state.bytes.fetch_add(weight, Ordering::Relaxed) + weight;
        if bytes > self.state.max_bytes || self.queue.try_send(Queued { message, weight }).is_err() {
            self.state.is_over.store(true, Ordering::Relaxed);
            self.state.over.notify_one();
        }
    }
}

impl Inbox {
    /// The next message, when there is one.
    pub(crate) async fn next(&mut self) -> Option<ServerMessage> {
        let queued = self.queue.recv().await?;
        Some(self.unload(queued))
    }

    /// The next message, if there is one.
    pub(crate) fn try_next(&mut self) -> Option<ServerMessage> {
        let queued = self.queue.try_recv().ok()?;
        Some(self.unload(queued))
    }

    /// Returns once a message did not fit.
    pub(crate) async fn overflow(&self) {
        self.state.over.notified().await;
    }

    /// Whether a message did not fit.
    pub(crate) fn overflowed(&self) -> bool {
        self.state.is_over.load(Ordering::Relaxed)
    }

    fn unload(&self, queued: Queued) -> ServerMessage {
        self.state.bytes.fetch_sub(queued.weight, Ordering::Relaxed);
        queued.message
    }
}

/// About how many bytes of memory a message takes: JSON of many small parts takes far more than its text.
fn weigh_message(message: &ServerMessage) -> usize {
    match message {
        ServerMessage::Signal { data, .. } => MESSAGE_WEIGHT + weigh(data),
        ServerMessage::Joined { peers, .. } => MESSAGE_WEIGHT * (1 + peers.len()),
        ServerMessage::PeerJoined { .. }
        | ServerMessage::PeerLeft { .. }
        | ServerMessage::Pong
        | ServerMessage::Error { .. } => MESSAGE_WEIGHT,
    }
}

fn weigh(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weigh).sum(),
            Value::Object(fields) => fields.iter().map(|(key, value)| 64 + key.len() + weigh(value)).sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use serde_json::json;

    use super::*;
    use crate::credentials::MemberTag;
    use crate::signaling::PeerId;

    fn signal(data: Value) -> ServerMessage {
        ServerMessage::Signal { from: PeerId(MemberTag(1)), seq: 1, data }
    }

    #[test]
    fn the_number_of_waiting_messages_is_bounded() {
        let (outbox, mut inbox) = outbox(1024);
        for _ in 0..MAX_MESSAGES {
            outbox.push(ServerMessage::Pong);
        }
        assert!(!inbox.overflowed());
        outbox.push(ServerMessage::Pong);
        assert!(inbox.overflow().now_or_never().is_some(), "the writer hears of it");
        assert_eq!(std::iter::from_fn(|| inbox.try_next()).count(), MAX_MESSAGES);
        outbox.push(ServerMessage::Pong);
        assert!(inbox.try_next().is_none(), "after a loss nothing more is queued");
    }

    #[test]
    fn their_memory_is_bounded_and_given_back() {
        let (outbox, mut inbox) = outbox(1024);
        for _ in 0..1000 {
            outbox.push(signal(json!("x".repeat(60_000))));
            assert!(inbox.try_next().is_some());
        }
        assert!(!inbox.overflowed());
        for _ in 0..20 {
            outbox.push(signal(json!(vec![json!([]); 2_000])));
        }
        assert!(inbox.overflowed(), "small parts count for what they take");
    }
}
