//! A link to the box over UDP, TCP or TLS, that carries one STUN or TURN message at a time.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::trouble::Trouble;
use crate::stun::{NextMessage, next_message};
use crate::turn::Transport;

/// The longest datagram.
const DATAGRAM_BYTES: usize = 65_535;

/// A stream of bytes, encrypted or not.
pub(in crate::cli) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// How to get to one listener of the box.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Way {
    /// Over what.
    pub(in crate::cli) transport: Transport,
    /// Where it listens.
    pub(in crate::cli) server: SocketAddr,
    /// Whom a TLS client asks for.
    pub(in crate::cli) name: ServerName<'static>,
    /// How it greets.
    pub(in crate::cli) tls: Arc<ClientConfig>,
}

impl Way {
    /// Connects. Over UDP nothing is sent by that.
    ///
    /// # Errors
    /// [`Trouble::Silent`] at the deadline, [`Trouble::Broken`] when the far end or this system refuses.
    pub(in crate::cli) async fn open(&self, deadline: Instant) -> Result<Link, Trouble> {
        match timeout_at(deadline, self.connect()).await {
            Ok(opened) => opened.map_err(Trouble::Broken),
            Err(_) => Err(Trouble::Silent),
        }
    }

    async fn connect(&self) -> io::Result<Link> {
        if self.transport == Transport::Dtls {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "a probe speaks no DTLS"));
        }
        if self.transport == Transport::Udp {
            let socket = UdpSocket::bind(any(self.server.ip())).await?;
            socket.connect(self.server).await?;
            return Ok(Link::Datagrams(socket));
        }
        let tcp = TcpStream::connect(self.server).await?;
        tcp.set_nodelay(true)?;
        let local = tcp.local_addr()?;
        let io: Box<dyn Stream> = match self.transport {
            Transport::Tls => {
                Box::new(TlsConnector::from(Arc::clone(&self.tls)).connect(self.name.clone(), tcp).await?)
            }
            Transport::Tcp | Transport::Udp | Transport::Dtls => Box::new(tcp),
        };
        Ok(Link::Stream { io, local, read: Vec::new() })
    }
}

/// An open link.
pub(in crate::cli) enum Link {
    /// Connected to the box: nobody else's datagrams come in.
    Datagrams(UdpSocket),
    /// Messages one after the other (RFC 8656 section 12.5).
    Stream { io: Box<dyn Stream>, local: SocketAddr, read: Vec<u8> },
}

impl Link {
    /// Our own address on it.
    pub(super) fn local(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Datagrams(socket) => socket.local_addr(),
            Self::Stream { local, .. } => Ok(*local),
        }
    }

    /// Whether what was sent arrives by itself, so that it need not be sent again.
    pub(super) fn is_stream(&self) -> bool {
        match self {
            Self::Datagrams(_) => false,
            Self::Stream { .. } => true,
        }
    }

    /// Sends one message, whose length is a multiple of four, as all of STUN's are.
    pub(super) async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Datagrams(socket) => socket.send(message).await.map(drop),
            Self::Stream { io, .. } => {
                io.write_all(message).await?;
                io.flush().await
            }
        }
    }

    /// The next whole message. Nothing is lost when it is given up half-way.
    pub(super) async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let (io, read) = match self {
            Self::Datagrams(socket) => {
                let mut packet = vec![0; DATAGRAM_BYTES];
                let length = socket.recv(&mut packet).await?;
                packet.truncate(length);
                return Ok(packet);
            }
            Self::Stream { io, read, .. } => (io, read),
        };
        loop {
            match next_message(read) {
                NextMessage::Whole(length) => return Ok(read.drain(..length).collect()),
                NextMessage::Garbage => return Err(io::ErrorKind::InvalidData.into()),
                NextMessage::Partial if read.len() > 2 * DATAGRAM_BYTES => {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                NextMessage::Partial => {}
            }
            if io.read_buf(read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Any port of any address of the same family.
pub(super) fn any(of: IpAddr) -> SocketAddr {
    let unspecified: IpAddr = if of.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(unspecified, 0)
}
