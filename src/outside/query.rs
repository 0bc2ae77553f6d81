//! Asking a STUN server at which address it sees this machine (RFC 8489 section 12).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use stun::attributes::ATTR_XORMAPPED_ADDRESS;
use thiserror::Error;
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::address::can_be_outside;
use crate::stun::{BINDING_SUCCESS, Frame, TransactionId, binding_request};

/// Requests are sent so often, the first wait is so long, and each that follows twice as long (RFC 8489 section 6.2.1).
const SENDS: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// No answer to a Binding is longer.
const MAX_ANSWER: usize = 1500;

/// Why a server has told nothing of use.
#[derive(Debug, Error)]
pub(super) enum QueryError {
    #[error("{server} cannot be found ({error}): the name of a STUN server with an IPv4 address in outside.stun")]
    Unknown { server: String, error: io::Error },
    #[error("{server} does not answer: another STUN server in outside.stun, or a firewall that lets UDP out")]
    Silent { server: String },
    #[error("{server} cannot be asked ({error}): a way to it, or another STUN server in outside.stun")]
    Unreachable { server: String, error: io::Error },
    #[error(
        "{server} sees {inner} at {mapped}, where nobody on the internet could send to: a STUN server outside of this \
         network in outside.stun"
    )]
    Useless { server: String, inner: Ipv4Addr, mapped: IpAddr },
}

impl QueryError {
    /// The outcome, as it is counted.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "unknown",
            Self::Silent { .. } => "silent",
            Self::Unreachable { .. } => "unreachable",
            Self::Useless { .. } => "useless",
        }
    }
}

/// At which address the server, given as `host:port`, sees this machine's address `inner`.
///
/// # Errors
/// [`QueryError`], after 8 s at the latest where the name is found at once.
pub(super) async fn ask(inner: Ipv4Addr, server: &str) -> Result<Ipv4Addr, QueryError> {
    let name = || server.to_owned();
    let found = lookup_host(server).await.map_err(|error| QueryError::Unknown { server: name(), error })?;
    let Some(address) = found.into_iter().find(SocketAddr::is_ipv4) else {
        let error = io::Error::other("it has no IPv4 address");
        return Err(QueryError::Unknown { server: name(), error });
    };
    let mapped = exchange(inner, address).await.map_err(|error| QueryError::Unreachable { server: name(), error })?;
    match mapped.map(|mapped| mapped.ip()) {
        None => Err(QueryError::Silent { server: name() }),
        Some(IpAddr::V4(mapped)) if can_be_outside(mapped) => Ok(mapped),
        Some(mapped) => Err(QueryError::Useless { server: name(), inner, mapped }),
    }
}

/// The mapped address, if the server tells one in time. Whoever else sends is not heard, for the socket is connected.
async fn exchange(inner: Ipv4Addr, server: SocketAddr) -> io::Result<Option<SocketAddr>> {
    let socket = UdpSocket::bind((inner, 0)).await?;
    socket.connect(server).await?;
    let id = TransactionId(rand::random());
    let request = binding_request(id);
    let mut wait = FIRST_WAIT;
    for _ in 0..SENDS {
        socket.send(&request).await?;
        let deadline = Instant::now() + wait;
        wait *= 2;
        let mut packet = [0; MAX_ANSWER];
        while let Ok(received) = timeout_at(deadline, socket.recv(&mut packet)).await {
            if let Some(mapped) = mapped(&packet[..received?], id) {
                return Ok(Some(mapped));
            }
        }
    }
    Ok(None)
}

/// What a success says, if it is the answer to that request.
fn mapped(packet: &[u8], id: TransactionId) -> Option<SocketAddr> {
    let frame = Frame::parse(packet).ok()?;
    let is_answer = frame.raw_type() == BINDING_SUCCESS && frame.transaction_id() == id;
    frame.xor_address(ATTR_XORMAPPED_ADDRESS).filter(|_| is_answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stun::binding_success;

    /// A server that answers the second request of each with what `answer` makes of it.
    async fn server(answer: fn(&[u8]) -> Vec<Vec<u8>>) -> String {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut packet = [0; MAX_ANSWER];
            for number in 1.. {
                let (length, from) = socket.recv_from(&mut packet).await.unwrap();
                for answer in answer(&packet[..length]).into_iter().filter(|_| number % 2 == 0) {
                    socket.send_to(&answer, from).await.unwrap();
                }
            }
        });
        address.to_string()
    }

    fn success(request: &[u8], mapped: &str) -> Vec<u8> {
        let mut out = Vec::new();
        binding_success(&Frame::parse(request).unwrap(), mapped.parse().unwrap(), &mut out);
        out
    }

    #[tokio::test]
    async fn a_lost_request_is_sent_again() {
        let server = server(|request| vec![success(request, "203.0.113.7:4000")]).await;
        assert_eq!(ask(Ipv4Addr::LOCALHOST, &server).await.unwrap(), Ipv4Addr::new(203, 0, 113, 7));
    }

    #[tokio::test]
    async fn what_answers_another_request_is_passed_over() {
        let server = server(|request| {
            let mut other = success(request, "203.0.113.66:4000");
            other[8] ^= 1;
            let mut error = success(request, "203.0.113.66:4000");
            error[1] |= 0x10;
            vec![b"junk".to_vec(), other, error, success(request, "203.0.113.7:4000")]
        });
        assert_eq!(ask(Ipv4Addr::LOCALHOST, &server.await).await.unwrap(), Ipv4Addr::new(203, 0, 113, 7));
    }

    #[tokio::test]
    async fn an_address_that_nobody_reaches_is_refused() {
        for mapped in [
            |request: &[u8]| vec![success(request, "192.168.1.1:4000")],
            |request: &[u8]| vec![success(request, "127.0.0.1:4000")],
            |request: &[u8]| vec![success(request, "[2001:db8::1]:4000")],
        ] {
            let error = ask(Ipv4Addr::LOCALHOST, &server(mapped).await).await.unwrap_err();
            assert_eq!(error.name(), "useless", "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_says_nothing_is_given_up() {
        let start = Instant::now();
        let error = ask(Ipv4Addr::LOCALHOST, &server(|_| Vec::new()).await).await.unwrap_err();
        assert_eq!((error.name(), start.elapsed().as_secs()), ("silent", 7), "{error}");
    }
}
