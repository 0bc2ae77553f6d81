//! What does this connection speak?

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Ends, Routes, Ticket, Tls, TurnConnection, WebConnection, WebStream};

/// How long a client may take over its first byte.
const FIRST_BYTE: Duration = Duration::from_secs(10);
/// How long a client may take over its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// TURN inside TLS (RFC 7443).
const ALPN_TURN: &[u8] = b"stun.turn";
const ALPN_WEB: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// An authority that validates a name (RFC 8737 section 6.2).
const ALPN_ACME: &[u8] = b"acme-tls/1";

/// Why a connection ended before it was known what it speaks.
#[derive(Debug, Error)]
pub(super) enum Closed {
    #[error("too many half-open connections, and this was the oldest")]
    Evicted,
    #[error("nothing came within {} seconds", FIRST_BYTE.as_secs())]
    Silent,
    #[error("the TLS handshake took over {} seconds", HANDSHAKE.as_secs())]
    SlowHandshake,
    #[error("the TLS handshake failed: {0}")]
    Handshake(io::Error),
    #[error("its first byte {0:#04x} is of no protocol here")]
    FirstByte(u8),
    #[error("it ended before it said anything")]
    Ended,
}

impl Closed {
    /// The label that a counter has for it.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Silent => "silent",
            Self::SlowHandshake => "slow-handshake",
            Self::Handshake(_) => "handshake",
            Self::FirstByte(_) => "first-byte",
            Self::Ended => "ended",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Turn,
    Http,
    Tls,
}

impl Speaks {
    /// The first byte of a connection (RFC 7983 for the first two).
    fn from_first_byte(byte: u8) -> Result<Self, Closed> {
        match byte {
            0..=3 => Ok(Self::Turn),
            0x16 => Ok(Self::Tls),
            b'A'..=b'Z' | b'a'..=b'z' => Ok(Self::Http),
            other => Err(Closed::FirstByte(other)),
        }
    }
}

/// Finds out and hands the connection over. Ends when a web connection does, and at once when it is a TURN one.
pub(super) async fn route(
    stream: TcpStream,
    ends: Ends,
    ticket: Ticket,
    tls: &Tls,
    routes: &dyn Routes,
) -> Result<(), Closed> {
    let mut first = [0];
    let peeked = timeout(FIRST_BYTE, stream.peek(&mut first)).await.map_err(|_| Closed::Silent)?;
    if !matches!(peeked, Ok(1)) {
        return Err(Closed::Ended);
    }
    match Speaks::from_first_byte(first[0])? {
        Speaks::Tls => route_tls(stream, ends, ticket, tls, routes).await,
        Speaks::Turn => {
            let socket = stream.into_std().map_err(|_| Closed::Ended)?;
            ticket.opened();
            routes.turn(TurnConnection { socket, tls: None, ends, ticket });
            Ok(())
        }
        Speaks::Http => {
            let ticket = Arc::new(ticket);
            let io = WebStream::plain(stream, Arc::clone(&ticket));
            routes.web(WebConnection { io, tls: false, ends, ticket }).await;
            Ok(())
        }
    }
}

async fn route_tls(
    stream: TcpStream,
    ends: Ends,
    ticket: Ticket,
    tls: &Tls,
    routes: &dyn Routes,
) -> Result<(), Closed> {
    let mut stream = timeout(HANDSHAKE, handshake(stream, tls)).await.map_err(|_| Closed::SlowHandshake)??;
    let speaks = match stream.get_ref().1.alpn_protocol() {
        Some(ALPN_TURN) => Speaks::Turn,
        // The authority has seen all that there is to see.
        Some(ALPN_ACME) => {
            let _ = timeout(HANDSHAKE, stream.shutdown()).await;
            return Ok(());
        }
        Some(_) => Speaks::Http,
        None => {
            let first = timeout(FIRST_BYTE, stream.fill_buf()).await.map_err(|_| Closed::Silent)?;
            let &byte = first.ok().and_then(<[u8]>::first).ok_or(Closed::Ended)?;
            Speaks::from_first_byte(byte)?
        }
    };
    match speaks {
        Speaks::Turn => {
            let (socket, session) = stream.into_inner();
            let socket = socket.into_std().map_err(|_| Closed::Ended)?;
            ticket.opened();
            routes.turn(TurnConnection { socket, tls: Some(session), ends, ticket });
        }
        Speaks::Http => {
            let ticket = Arc::new(ticket);
            let io = WebStream::tls(stream, Arc::clone(&ticket));
            routes.web(WebConnection { io, tls: true, ends, ticket }).await;
        }
        Speaks::Tls => return Err(Closed::FirstByte(0x16)),
    }
    Ok(())
}

async fn handshake(stream: TcpStream, tls: &Tls) -> Result<TlsStream<TcpStream>, Closed> {
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(Closed::Handshake)?;
    let config = config_for(tls, hello.client_hello().alpn());
    hello.into_stream(Arc::clone(config)).await.map_err(Closed::Handshake)
}

/// By what a client offers. An authority that validates offers its protocol and no other (RFC 8737 section 3).
fn config_for<'a, 'b>(tls: &'a Tls, offered: Option<impl Iterator<Item = &'b [u8]>>) -> &'a Arc<ServerConfig> {
    let Some(offered) = offered else { return &tls.alpn };
    let mut offered = offered.peekable();
    let first = offered.next();
    if first == Some(ALPN_ACME) && offered.peek().is_none() {
        return &tls.challenge;
    }
    let known = |id: &[u8]| id == ALPN_TURN || ALPN_WEB.contains(&id);
    if first.into_iter().chain(offered).any(known) { &tls.alpn } else { &tls.bare }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_decides() {
        let expected = |byte: u8| match byte {
            0..=3 => Some(Speaks::Turn),
            0x16 => Some(Speaks::Tls),
            _ if byte.is_ascii_alphabetic() => Some(Speaks::Http),
            _ => None,
        };
        for byte in 0..=u8::MAX {
            assert_eq!(Speaks::from_first_byte(byte).ok(), expected(byte), "{byte:#x}");
        }
    }
}
