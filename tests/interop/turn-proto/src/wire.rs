//! The socket between client and server, which notes what goes over it.

use std::io::{ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use turn_client_proto::types::TransportType;

use crate::notes::Notes;

/// Bytes before a message's attributes, and before a channel's data.
const HEADERS: [usize; 2] = [20, 4];

pub struct Wire {
    socket: Socket,
    pub local: SocketAddr,
    pub server: SocketAddr,
    pub notes: Notes,
}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream, Vec<u8>),
}

impl Wire {
    pub fn over(transport: TransportType, server: SocketAddr) -> Result<Self> {
        let (socket, local) = match transport {
            TransportType::Udp => {
                let socket = UdpSocket::bind(SocketAddr::new(server.ip(), 0))?;
                socket.connect(server)?;
                let local = socket.local_addr()?;
                (Socket::Udp(socket), local)
            }
            TransportType::Tcp => {
                let stream = TcpStream::connect(server)?;
                stream.set_nodelay(true)?;
                let local = stream.local_addr()?;
                (Socket::Tcp(stream, Vec::new()), local)
            }
        };
        Ok(Self { socket, local, server, notes: Notes::default() })
    }

    pub fn send(&mut self, packet: &[u8]) {
        self.notes.sent(packet);
        match &mut self.socket {
            Socket::Udp(socket) => socket.send(packet).map(drop),
            Socket::Tcp(stream, _) => stream.write_all(packet),
        }
        .expect("the server listens");
    }

    /// The next packet, or none within that time. What answers nothing is an answer that came twice, and left out.
    pub fn receive(&mut self, patience: Duration) -> Option<Vec<u8>> {
        let packet = match &mut self.socket {
            Socket::Udp(socket) => {
                socket.set_read_timeout(Some(patience)).expect("a time that is not zero");
                let mut packet = vec![0; 65_535];
                in_time(socket.recv(&mut packet)).map(|length| packet[..length].to_vec())
            }
            Socket::Tcp(stream, waiting) => {
                stream.set_read_timeout(Some(patience)).expect("a time that is not zero");
                next_of(waiting).or_else(|| {
                    let mut bytes = vec![0; 65_535];
                    let length = in_time(stream.read(&mut bytes))?;
                    assert!(length > 0, "the server has closed the connection");
                    waiting.extend_from_slice(&bytes[..length]);
                    next_of(waiting)
                })
            }
        };
        packet.filter(|packet| self.notes.received(packet))
    }
}

/// How many bytes came, if any did before the time was over.
pub fn in_time(result: Result<usize>) -> Option<usize> {
    match result {
        Ok(length) => Some(length),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => panic!("{error}"),
    }
}

/// The first message or channel's data in a stream (RFC 8656 section 12.5), when all of it is there.
fn next_of(waiting: &mut Vec<u8>) -> Option<Vec<u8>> {
    let header = HEADERS[usize::from(*waiting.first()? & 0xC0 == 0x40)];
    let length = usize::from(u16::from_be_bytes([*waiting.get(2)?, *waiting.get(3)?]));
    let whole = header + length.next_multiple_of(4);
    (waiting.len() >= whole).then(|| waiting.drain(..whole).collect())
}
