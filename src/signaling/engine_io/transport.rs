//! How the packets of one session travel: as text frames of a WebSocket, or by polling until a WebSocket takes over.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::{self, Message};

use super::outgoing::{Fault, Outgoing};
use crate::signaling::error::ErrorId;
use crate::signaling::wire::Wire;

/// The packet that ends a session.
const CLOSE: &str = "1";

/// Stands for a WebSocket.
pub(super) struct Transport<S> {
    /// Stays when a WebSocket has taken over, for what was posted before.
    polling: Option<Polling<S>>,
    ws: Option<WebSocketStream<S>>,
    /// Whether the WebSocket that took over has yet to be flushed.
    is_unflushed: bool,
}

/// The session's end of polling.
struct Polling<S> {
    /// What was posted. It may still come when a WebSocket has taken over.
    posted: mpsc::Receiver<String>,
    outgoing: Arc<Outgoing<S>>,
    /// How long something may wait to be fetched.
    patience: Duration,
    impatience: Option<Pin<Box<Sleep>>>,
}

impl<S> Drop for Polling<S> {
    fn drop(&mut self) {
        self.outgoing.end();
    }
}

impl<S> Transport<S> {
    /// Over a WebSocket from the start.
    pub(super) fn websocket(ws: WebSocketStream<S>) -> Self {
        Self { polling: None, ws: Some(ws), is_unflushed: false }
    }

    /// By polling, until a WebSocket takes over. What waits longer than `patience` to be fetched is of a client that does not read.
    pub(super) fn polling(posted: mpsc::Receiver<String>, outgoing: Arc<Outgoing<S>>, patience: Duration) -> Self {
        let polling = Polling { posted, outgoing, patience, impatience: None };
        Self { polling: Some(polling), ws: None, is_unflushed: false }
    }
}

impl<S> Polling<S> {
    /// Ready when something has waited for too long.
    fn poll_impatience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(since) = self.outgoing.since() else {
            self.impatience = None;
            return Poll::Pending;
        };
        let end = since + self.patience;
        let impatience = self.impatience.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if impatience.deadline() != end {
            impatience.as_mut().reset(end);
        }
        impatience.as_mut().poll(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    /// Takes the WebSocket that has come, if one has. What was not fetched yet goes over it.
    fn poll_change(&mut self, cx: &Context<'_>) -> Result<(), tungstenite::Error> {
        let (Some(polling), None) = (&self.polling, &self.ws) else {
            return Ok(());
        };
        if let Poll::Ready(change) = polling.outgoing.poll_change(cx) {
            let (mut ws, packets) = change.map_err(to_error)?;
            for packet in packets {
                // It is never blocked yet, and keeps in its buffer what it cannot write.
                Pin::new(&mut ws).start_send(Message::text(packet))?;
            }
            self.ws = Some(ws);
            self.is_unflushed = true;
        }
        Ok(())
    }
}

/// As a WebSocket would say it.
fn to_error(fault: Fault) -> tungstenite::Error {
    match fault {
        // By how much nobody asks.
        Fault::TooLong => CapacityError::MessageTooLong { size: usize::MAX, max_size: usize::MAX }.into(),
        Fault::Gone => tungstenite::Error::ConnectionClosed,
    }
}

/// The end of a client that does not fetch what it is told, and so cannot be told that either.
fn slow() -> tungstenite::Error {
    metrics::counter!("lanturn_signaling_refused_total", "reason" => ErrorId::SlowReader.id()).increment(1);
    to_error(Fault::Gone)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for Transport<S> {
    type Item = Result<Message, tungstenite::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(polling) = &mut this.polling {
            if let Poll::Ready(Some(packet)) = polling.posted.poll_recv(cx) {
                return Poll::Ready(Some(Ok(Message::text(packet))));
            }
            this.poll_change(cx)?;
        }
        let Some(ws) = &mut this.ws else {
            let is_slow = this.polling.as_mut().is_some_and(|polling| polling.poll_impatience(cx).is_ready());
            return if is_slow { Poll::Ready(Some(Err(slow()))) } else { Poll::Pending };
        };
        if this.is_unflushed {
            this.is_unflushed = Pin::new(&mut *ws).poll_flush(cx)?.is_pending();
        }
        Pin::new(ws).poll_next(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for Transport<S> {
    type Error = tungstenite::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_change(cx)?;
        let Self { ws, polling, .. } = &mut *self;
        match (ws, polling) {
            (Some(ws), _) => Pin::new(ws).poll_ready(cx),
            (None, Some(polling)) => polling.outgoing.poll_room(cx).map(Ok),
            (None, None) => Poll::Ready(Err(tungstenite::Error::ConnectionClosed)),
        }
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Self::Error> {
        let Self { ws, polling, .. } = &mut *self;
        match (ws, polling) {
            (Some(ws), _) => {
                let mut ws = Pin::new(ws);
                if message.is_close() {
                    ws.as_mut().start_send(Message::text(CLOSE))?;
                }
                ws.start_send(message)
            }
            (None, Some(polling)) => {
                match message {
                    Message::Text(text) => polling.outgoing.push(text.as_str().to_owned()),
                    Message::Close(_) => polling.outgoing.push(CLOSE.to_owned()),
                    Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                }
                Ok(())
            }
            (None, None) => Err(tungstenite::Error::ConnectionClosed),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let Self { ws, polling, .. } = &mut *self;
        match (ws, polling) {
            (Some(ws), _) => Pin::new(ws).poll_flush(cx),
            (None, polling) => {
                polling.iter().for_each(|polling| polling.outgoing.flush());
                Poll::Ready(Ok(()))
            }
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match &mut self.ws {
            Some(ws) => Pin::new(ws).poll_close(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for Transport<S> {
    async fn drain(&mut self) {
        let polls = self.ws.is_none();
        poll_fn(|cx| match (self.poll_change(cx), &self.ws, &self.polling) {
            (Ok(()), None, Some(polling)) => polling.outgoing.poll_fetched(cx),
            (Ok(()) | Err(_), _, _) => Poll::Ready(()),
        })
        .await;
        if let Some(ws) = &mut self.ws {
            // One that took over only now has not been closed yet.
            if polls && ws.close(None).await.is_err() {
                return;
            }
            ws.drain().await;
        }
    }
}
