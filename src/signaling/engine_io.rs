//! Engine.IO, protocols 3 and 4: sessions that begin by polling or over a WebSocket, and go from the one to the other.
//!
//! A session that polls has an id under which the requests of its client come together; one that began over a WebSocket is
//! nothing but that. What its packets say is the codelab's dialect, over Socket.IO.

mod outgoing;
pub(super) mod payload;
mod transport;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rand::distr::{Alphanumeric, SampleString as _};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::{self, Message};

pub use self::payload::Version;

use self::outgoing::{Fetched, Outgoing, Turn};
use self::transport::Transport;
use super::codelab::Codelab;
use super::hub::HubOptions;
use super::session::Session;
use super::socket::drive;

/// Packets of one client that were posted and wait for its session. Who posts more waits.
const MAX_POSTED: usize = 16;
/// How long a client may take from polling to a WebSocket.
const UPGRADE_DEADLINE: Duration = Duration::from_secs(5);
/// The characters of a session's id. It is all that a poll proves itself by.
const ID_LENGTH: usize = 22;

/// Why a request is not answered as it would like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// There is no such session, or no more.
    Unknown,
    /// It is no request that a client makes, such as a second poll beside the first.
    Bad,
}

/// The sessions that poll. Their WebSockets run over an `S`.
pub struct Sessions<S>(Mutex<HashMap<String, Arc<Polled<S>>>>);

/// A client that posts.
pub struct Posting<S> {
    polled: Arc<Polled<S>>,
    _turn: Turn<S>,
}

impl<S> fmt::Debug for Posting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Posting")
    }
}

impl<S> Posting<S> {
    /// Takes a body. Waits while the session has others to hear.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn take(self, body: &[u8]) -> Result<(), Unanswered> {
        let packets = std::str::from_utf8(body).ok().and_then(|body| payload::decode(self.polled.version, body));
        let Some(packets) = packets else {
            return Err(self.polled.fail(Unanswered::Bad));
        };
        for packet in packets {
            self.polled.posted.send(packet.to_owned()).await.map_err(|_| Unanswered::Unknown)?;
        }
        Ok(())
    }

    /// Ends the session, for the body is too long.
    pub fn refuse(self) {
        let (size, max_size) = (usize::MAX, 0);
        self.polled.outgoing.fail(CapacityError::MessageTooLong { size, max_size }.into());
    }
}

/// A session that polls.
struct Polled<S> {
    version: Version,
    posted: mpsc::Sender<String>,
    outgoing: Arc<Outgoing<S>>,
}

impl<S> fmt::Debug for Sessions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("polling", &self.lock().len()).finish()
    }
}

impl<S> Default for Sessions<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Drives a session that began over a WebSocket to its end. The membership ends with it, and with this future.
pub async fn serve<S>(ws: WebSocketStream<S>, session: Session, version: Version)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let id = random_id();
    let hello = hello(&id, false, session.hub().options());
    let dialect = Codelab::new(version, id, hello);
    drive(Transport::websocket(ws), session, dialect).await;
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Sessions<S> {
    /// Begins a session that polls, and answers its first request.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn begin(self: &Arc<Self>, session: Session, version: Version) -> Result<String, Unanswered> {
        let id = random_id();
        let hello = hello(&id, true, session.hub().options());
        let dialect = Codelab::new(version, id.clone(), hello);
        let (posted, to_hear) = mpsc::channel(MAX_POSTED);
        let outgoing = Arc::<Outgoing<S>>::default();
        let transport = Transport::polling(to_hear, Arc::clone(&outgoing));
        let polled = Arc::new(Polled { version, posted, outgoing });
        self.lock().insert(id.clone(), Arc::clone(&polled));
        let listed = Listed { sessions: Arc::clone(self), id };
        tokio::spawn(async move {
            // Also when the task is dropped.
            let _listed = listed;
            drive(transport, session, dialect).await;
        });
        polled.poll().await
    }

    /// Answers a poll.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn poll(&self, id: &str) -> Result<String, Unanswered> {
        self.find(id)?.poll().await
    }

    /// The right to post, which a client has once at a time.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub fn posting(&self, id: &str) -> Result<Posting<S>, Unanswered> {
        let polled = self.find(id)?;
        match polled.outgoing.turn_to_post() {
            Some(turn) => Ok(Posting { polled, _turn: turn }),
            None => Err(polled.fail(Unanswered::Bad)),
        }
    }

    /// Whether there is such a session.
    pub fn has(&self, id: &str) -> bool {
        self.lock().contains_key(id)
    }

    /// Has a session go on over a WebSocket, if its client asks for that there (Engine.IO protocol, section "Upgrade"), and
    /// waits for its end. Until then, and if not, it polls.
    pub async fn upgrade(&self, id: &str, mut ws: WebSocketStream<S>) {
        let Ok(polled) = self.find(id) else {
            return;
        };
        let asked = timeout(UPGRADE_DEADLINE, polled.probe(&mut ws)).await;
        if asked == Ok(Some(())) {
            self.lock().remove(id);
            polled.outgoing.upgrade(ws);
            polled.posted.closed().await;
        } else {
            tracing::debug!("a WebSocket was opened for a session that did not go on over it");
        }
    }

    fn find(&self, id: &str) -> Result<Arc<Polled<S>>, Unanswered> {
        self.lock().get(id).cloned().ok_or(Unanswered::Unknown)
    }
}

impl<S> Sessions<S> {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Polled<S>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a session off the list when it is over.
struct Listed<S> {
    sessions: Arc<Sessions<S>>,
    id: String,
}

impl<S> Drop for Listed<S> {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.id);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Polled<S> {
    async fn poll(&self) -> Result<String, Unanswered> {
        match self.outgoing.fetch().await {
            Fetched::Packets(packets) => Ok(payload::encode(self.version, &packets)),
            Fetched::Over => Err(Unanswered::Unknown),
            Fetched::Overlaps => Err(self.fail(Unanswered::Bad)),
        }
    }

    /// The client tries the WebSocket, and then says that it changes over.
    async fn probe(&self, ws: &mut WebSocketStream<S>) -> Option<()> {
        is_text(ws.next().await, "2probe")?;
        ws.send(Message::text("3probe")).await.ok()?;
        let _turn = self.outgoing.turn_to_upgrade()?;
        is_text(ws.next().await, "5")
    }
}

impl<S> Polled<S> {
    /// Ends the session.
    fn fail(&self, why: Unanswered) -> Unanswered {
        self.outgoing.fail(tungstenite::Error::ConnectionClosed);
        why
    }
}

fn is_text(message: Option<Result<Message, tungstenite::Error>>, expected: &str) -> Option<()> {
    message.is_some_and(|message| message.is_ok_and(|message| message == Message::text(expected))).then_some(())
}

/// An id that nobody guesses.
pub(super) fn random_id() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), ID_LENGTH)
}

/// The first packet: what the client has to know of the session.
fn hello(id: &str, polls: bool, options: &HubOptions) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Hello<'a> {
        sid: &'a str,
        upgrades: &'a [&'a str],
        /// In milliseconds.
        ping_interval: u128,
        /// In milliseconds.
        ping_timeout: u128,
        /// In bytes.
        max_payload: usize,
    }
    // What is left of the silence is nearly all the client's.
    let pong_within = options.silence.saturating_sub(options.ping_every).mul_f32(0.85);
    let hello = Hello {
        sid: id,
        upgrades: if polls { &["websocket"] } else { &[] },
        ping_interval: options.ping_every.as_millis(),
        ping_timeout: pong_within.as_millis(),
        max_payload: options.message_bytes,
    };
    format!("0{}", serde_json::to_string(&hello).unwrap_or_default())
}
