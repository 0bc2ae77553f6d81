//! WebSocket frames by hand (RFC 6455 section 5.2), for what no library sends.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const FIN: u8 = 0x80;

/// A connection whose WebSocket is open.
pub struct Raw {
    pub stream: TcpStream,
}

impl Raw {
    /// Opens `/ws` over a connection without TLS, as this machine may.
    pub async fn open(mut stream: TcpStream, host: SocketAddr) -> Self {
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let head = format!("GET /ws HTTP/1.1\r\nHost: {host}\r\n{upgrade}{key}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(timeout(PATIENCE, stream.read_u8()).await.expect("no answer").unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
        Self { stream }
    }

    /// Sends bytes as they are. That the server has closed meanwhile is no fault.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Sends a message as one text frame.
    pub async fn say(&mut self, message: &Value) {
        self.send(&frame(FIN | TEXT, message.to_string().as_bytes())).await;
    }

    /// The next text message, or the code of the close frame, or `None` at an end without one.
    pub async fn hear(&mut self) -> Option<Result<Value, u16>> {
        loop {
            let (opcode, payload) = timeout(PATIENCE, self.next()).await.expect("nothing is said")?;
            match opcode {
                TEXT => return Some(Ok(serde_json::from_slice(&payload).unwrap())),
                CLOSE => return Some(Err(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code)))),
                _ => {}
            }
        }
    }

    /// The ids of the errors that it is told, up to the end, and the code of the close frame if there is one.
    pub async fn errors(&mut self) -> (Vec<String>, Option<u16>) {
        let mut ids = Vec::new();
        loop {
            match self.hear().await {
                Some(Ok(message)) if message["type"] == "error" => ids.push(message["id"].as_str().unwrap().into()),
                Some(Ok(_)) => {}
                Some(Err(code)) => return (ids, Some(code)),
                None => return (ids, None),
            }
        }
    }

    /// Waits until the server has closed.
    pub async fn ended(&mut self, within: Duration) {
        let mut waste = [0; 4096];
        let end = async { while matches!(self.stream.read(&mut waste).await, Ok(1..)) {} };
        timeout(within, end).await.expect("the connection stays open");
    }

    /// The opcode and the payload of the next frame. The server sends each message as one.
    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await.ok()?;
        let length = match self.stream.read_u8().await.ok()? {
            126 => u64::from(self.stream.read_u16().await.ok()?),
            127 => self.stream.read_u64().await.ok()?,
            short => u64::from(short),
        };
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((first & 0x0F, payload))
    }
}

/// A frame, masked with zeros.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(first, payload.len() as u64);
    bytes.extend_from_slice(payload);
    bytes
}

/// The beginning of a frame, up to its payload of so many bytes.
pub fn head(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(0x80 | length as u8),
        126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes
}
