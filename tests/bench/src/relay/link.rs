//! The way from a client to its server: UDP, TCP or TLS.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::RcvBuf};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{
    cipher_suite::{TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS13_AES_128_GCM_SHA256},
    default_provider,
};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::turn;

/// Bytes that are read from a connection at a time.
const READ: usize = 64 * 1024;

/// What the kernel may hold for a client's connection, in bytes: the load is not to be what a server waits for.
const RECEIVE_BUFFER: usize = 1 << 20;

/// How a client comes.
#[derive(Clone, Debug)]
pub enum Transport {
    Udp,
    Tcp,
    Tls(Arc<ClientConfig>),
}

impl Transport {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls(_) => "TLS",
        }
    }

    /// With the cipher that browsers prefer, for servers with certificates of these authorities. TLS 1.2 as well, since
    /// Debian's coturn speaks no later one.
    pub fn tls(authorities: &[PathBuf]) -> Self {
        let mut roots = RootCertStore::empty();
        for ca in authorities {
            roots.add(CertificateDer::from_pem_file(ca).expect("the authority's certificate")).unwrap();
        }
        let cipher_suites = vec![TLS13_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256];
        let provider = CryptoProvider { cipher_suites, ..default_provider() };
        let config =
            ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions().unwrap();
        Self::Tls(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
    }

    /// Goes to a server.
    pub fn connect(&self, server: SocketAddr, patience: Duration) -> Link {
        let tls = match self {
            Self::Udp => return Link::datagrams(turn::socket(), server, patience),
            Self::Tcp => None,
            Self::Tls(config) => {
                let session = ClientConnection::new(Arc::clone(config), ServerName::from(server.ip()));
                Some(Box::new(session.expect("the session can begin")))
            }
        };
        let socket = TcpStream::connect(server).expect("the server listens");
        socket.set_nodelay(true).unwrap();
        setsockopt(&socket, RcvBuf, &RECEIVE_BUFFER).unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        Link::Stream(Stream { socket, tls, wire: vec![0; READ], received: Vec::new() })
    }
}

pub enum Link {
    Datagrams(UdpSocket),
    Stream(Stream),
}

impl Link {
    pub fn datagrams(socket: UdpSocket, server: SocketAddr, patience: Duration) -> Self {
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        Self::Datagrams(socket)
    }

    /// Sends a request and waits for a message.
    pub fn ask(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Datagrams(socket) => {
                let mut buffer = [0; 1500];
                socket.send(request)?;
                let length = socket.recv(&mut buffer)?;
                Ok(buffer[..length].to_vec())
            }
            Self::Stream(stream) => {
                stream.send(request, 1)?;
                loop {
                    if let Some(message) = stream.take_message() {
                        return Ok(message);
                    }
                    stream.receive()?;
                }
            }
        }
    }
}

/// A TCP connection, with a TLS session on it or without.
pub struct Stream {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    wire: Vec<u8>,
    received: Vec<u8>,
}

impl Stream {
    /// Sends a message so many times, together. With TLS, each is a record, as browsers have it.
    pub fn send(&mut self, message: &[u8], times: usize) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return self.socket.write_all(&message.repeat(times)) };
        while tls.is_handshaking() {
            tls.complete_io(&mut self.socket)?;
        }
        tls.set_buffer_limit(None);
        let mut records = Vec::with_capacity(times * (message.len() + 32));
        for _ in 0..times {
            tls.writer().write_all(message)?;
            while tls.wants_write() {
                tls.write_tls(&mut records)?;
            }
        }
        self.socket.write_all(&records)
    }

    /// How long a read may take.
    pub fn set_patience(&mut self, patience: Duration) {
        self.socket.set_read_timeout(Some(patience)).unwrap();
    }

    /// Reads once from the socket.
    fn receive(&mut self) -> io::Result<()> {
        let length = self.socket.read(&mut self.wire)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut read = &self.wire[..length];
        let Some(tls) = &mut self.tls else {
            self.received.extend_from_slice(read);
            return Ok(());
        };
        while !read.is_empty() {
            tls.read_tls(&mut read)?;
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let start = self.received.len();
            self.received.resize(start + state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(&mut self.received[start..])?;
        }
        Ok(())
    }

    /// Reads once, and says how many messages, all of one length, are there then. They are gone with that.
    pub fn receive_messages(&mut self, length: usize) -> io::Result<usize> {
        self.receive()?;
        let mut count = 0;
        while let Some(end) = message_end(&self.received[count * length..]) {
            assert_eq!(end, length, "something else has arrived");
            count += 1;
        }
        self.received.drain(..count * length);
        Ok(count)
    }

    fn take_message(&mut self) -> Option<Vec<u8>> {
        let end = message_end(&self.received)?;
        Some(self.received.drain(..end).collect())
    }
}

/// Where the first message ends: STUN, or ChannelData with its padding.
fn message_end(bytes: &[u8]) -> Option<usize> {
    let &[first, _, high, low, ..] = bytes else { return None };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let end = if first < 64 { 20 + length } else { 4 + length.next_multiple_of(4) };
    (bytes.len() >= end).then_some(end)
}
