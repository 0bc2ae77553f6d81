//! What carries the frames of one connection.

use futures_util::{Sink, Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

/// How much of what the client was still sending is read while it hears the last words, in bytes.
const MAX_PARTING_BYTES: usize = 1 << 20;

/// A WebSocket, or what stands for one.
pub(super) trait Wire:
    Stream<Item = Result<Message, tungstenite::Error>> + Sink<Message, Error = tungstenite::Error> + Unpin + Send
{
    /// Takes what the client was still sending, to its end and within bounds, and forgets it.
    fn drain(&mut self) -> impl Future<Output = ()> + Send;
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for WebSocketStream<S> {
    /// Closing a socket with unread bytes in it resets it, and the last words would be lost. So what the client was
    /// still sending is read, up to its own close frame, or to its end where frames cannot be told any more.
    async fn drain(&mut self) {
        loop {
            match self.next().await {
                Some(Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed)) => return,
                Some(Ok(_)) => {}
                // After an error there are no more frames, and perhaps more bytes.
                Some(Err(_)) | None => break,
            }
        }
        let mut waste = [0; 1024];
        let mut left = MAX_PARTING_BYTES;
        while let Ok(read @ 1..) = self.get_mut().read(&mut waste).await {
            match left.checked_sub(read) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }
}
