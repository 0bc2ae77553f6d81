//! TURN over a stream as a `webrtc_util::Conn`: one message a packet.

use std::any::Any;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::Mutex;
use webrtc_util::{Conn, Error};

/// Frames messages on a stream (RFC 8656 section 12.5, RFC 8489 section 6.2.2).
pub struct StreamConn<S> {
    local: SocketAddr,
    remote: SocketAddr,
    read: Mutex<ReadHalf<S>>,
    write: Mutex<WriteHalf<S>>,
}

impl<S: AsyncRead + AsyncWrite> StreamConn<S> {
    pub fn new(stream: S, local: SocketAddr, remote: SocketAddr) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self { local, remote, read: Mutex::new(read), write: Mutex::new(write) }
    }
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Send + 'static> Conn for StreamConn<S> {
    async fn connect(&self, _: SocketAddr) -> Result<(), Error> {
        Ok(())
    }

    async fn recv(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut read = self.read.lock().await;
        read.read_exact(&mut buffer[..4]).await?;
        let length = usize::from(u16::from_be_bytes([buffer[2], buffer[3]]));
        let is_channel_data = buffer[0] & 0xC0 != 0;
        let whole = if is_channel_data { 4 + length.next_multiple_of(4) } else { 20 + length };
        read.read_exact(&mut buffer[4..whole]).await?;
        Ok(if is_channel_data { 4 + length } else { whole })
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        Ok((self.recv(buffer).await?, self.remote))
    }

    async fn send(&self, packet: &[u8]) -> Result<usize, Error> {
        let mut padded = packet.to_vec();
        padded.resize(packet.len().next_multiple_of(4), 0);
        let mut write = self.write.lock().await;
        write.write_all(&padded).await?;
        write.flush().await?;
        Ok(packet.len())
    }

    async fn send_to(&self, packet: &[u8], _: SocketAddr) -> Result<usize, Error> {
        self.send(packet).await
    }

    fn local_addr(&self) -> Result<SocketAddr, Error> {
        Ok(self.local)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        Some(self.remote)
    }

    async fn close(&self) -> Result<(), Error> {
        self.write.lock().await.shutdown().await?;
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        unreachable!("nobody asks what this is")
    }
}
