//! A WebSocket client (RFC 6455), over plain TCP or TLS: as much of one as a load needs.

use std::io::{self, Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How long a server may take over an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Any key does, but none that is zero: what is masked with that need not be unmasked.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Where the server is, and whom to trust if it speaks TLS.
#[derive(Clone)]
pub struct Door {
    pub address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

/// A WebSocket, at first one that waits for what it reads.
pub struct Socket {
    wire: Wire,
    received: Vec<u8>,
    /// Where in `received` the next frame begins.
    start: usize,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Door {
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    pub fn tls(address: SocketAddr, ca: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).expect("the authority's certificate")).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Self { address, tls: Some(Arc::new(config)) }
    }

    /// Opens a WebSocket.
    pub fn open(&self, path: &str) -> io::Result<Socket> {
        let tcp = TcpStream::connect(self.address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        let wire = match &self.tls {
            None => Wire::Plain(tcp),
            Some(config) => {
                let name = ServerName::from(self.address.ip());
                let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
                Wire::Tls(Box::new(StreamOwned::new(session, tcp)))
            }
        };
        let mut socket = Socket { wire, received: Vec::new(), start: 0 };
        socket.upgrade(path, self.address)?;
        Ok(socket)
    }
}

impl Socket {
    /// A text frame, ready to be sent.
    pub fn frame(text: &str) -> Vec<u8> {
        frame(TEXT, text.as_bytes())
    }

    pub fn send(&mut self, text: &str) -> io::Result<()> {
        self.send_frame(&Self::frame(text))
    }

    pub fn send_frame(&mut self, frame: &[u8]) -> io::Result<()> {
        match &mut self.wire {
            Wire::Plain(stream) => stream.write_all(frame),
            Wire::Tls(stream) => stream.write_all(frame).and_then(|()| stream.flush()),
        }
    }

    /// Waits for the next text.
    pub fn next_text(&mut self) -> io::Result<String> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(text) = self.take_text()? {
                return Ok(String::from_utf8_lossy(text).into_owned());
            }
            self.receive(&mut buffer)?;
        }
    }

    /// The next text among what was received. Pings are answered on the way.
    pub fn take_text(&mut self) -> io::Result<Option<&[u8]>> {
        while let Some((opcode, payload)) = self.take_frame() {
            match opcode {
                TEXT => return Ok(Some(&self.received[payload])),
                PING => {
                    let pong = frame(PONG, &self.received[payload]);
                    self.send_frame(&pong)?;
                }
                CLOSE => return Err(io::Error::other("the server closes the WebSocket")),
                other => return Err(io::Error::other(format!("a frame of opcode {other}"))),
            }
        }
        Ok(None)
    }

    /// Reads once. Says whether there may be more.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let length = match &mut self.wire {
            Wire::Plain(stream) => stream.read(buffer)?,
            Wire::Tls(stream) => stream.read(buffer)?,
        };
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.received.drain(..self.start);
        self.start = 0;
        self.received.extend_from_slice(&buffer[..length]);
        Ok(length == buffer.len() || matches!(self.wire, Wire::Tls(_)))
    }

    /// From now on nothing waits.
    pub fn set_nonblocking(&mut self) -> io::Result<()> {
        self.received.shrink_to_fit();
        self.tcp().set_nonblocking(true)
    }

    /// Says goodbye, and waits until the server has ended it.
    pub fn close(mut self) -> io::Result<()> {
        self.send_frame(&frame(CLOSE, &1000_u16.to_be_bytes()))?;
        let mut waste = [0; 4096];
        while self.receive(&mut waste).is_ok() {
            if self.take_frame().is_some_and(|(opcode, _)| opcode == CLOSE) {
                break;
            }
        }
        Ok(())
    }

    fn upgrade(&mut self, path: &str, host: SocketAddr) -> io::Result<()> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bGFudHVybidzIGJlbmNoIQ==\r\n\r\n"
        );
        self.send_frame(request.as_bytes())?;
        let mut buffer = [0; 4096];
        let end = loop {
            self.receive(&mut buffer)?;
            if let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        if !self.received.starts_with(b"HTTP/1.1 101 ") {
            let head = String::from_utf8_lossy(&self.received[..end]);
            return Err(io::Error::other(format!("{path}: {}", head.lines().next().unwrap_or_default())));
        }
        self.start = end;
        Ok(())
    }

    /// The next whole frame. Servers do not mask theirs, and what is not split up here need not be put together.
    fn take_frame(&mut self) -> Option<(u8, Range<usize>)> {
        let rest = &self.received[self.start..];
        let (&first, &second) = (rest.first()?, rest.get(1)?);
        assert!(first & 0x80 != 0 && second < 128, "a frame that no server here would send");
        let (head, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes(rest.get(2..4)?.try_into().unwrap()))),
            127 => (10, u64::from_be_bytes(rest.get(2..10)?.try_into().unwrap()) as usize),
            short => (2, usize::from(short)),
        };
        if rest.len() < head + length {
            return None;
        }
        let begin = self.start + head;
        self.start = begin + length;
        Some((first & 0x0F, begin..self.start))
    }

    fn tcp(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => &stream.sock,
        }
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.tcp().as_raw_fd()
    }
}

fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        longer => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(longer).expect("a message under 64 KiB").to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}
