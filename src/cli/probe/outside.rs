//! From outside the relay: a packet straight to the relayed address and back, and what NATs make of it.

use std::net::SocketAddr;

use stun::attributes::ATTR_XORMAPPED_ADDRESS;
use stun::message::{BINDING_REQUEST, Message};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::client::{Client, Login};
use super::clock::{Clock, Retransmission};
use super::link::{Way, any};
use super::trouble::Trouble;
use crate::stun::Frame;

/// What a peer who does not relay here says, and is told.
const GREETING: &[u8] = b"lanturn probe";

/// What came of it.
#[derive(Debug)]
pub(super) struct Outside {
    /// The peer's own address, as the listener sees it.
    pub(super) mapped: SocketAddr,
    /// The same as the relayed address sees it, if a packet got there.
    pub(super) at_relay: Option<SocketAddr>,
    /// Whether a packet came back.
    pub(super) is_answered: bool,
}

/// Lets a plain UDP socket of this machine talk to a relayed address. `way` is any by which the relay works, `server`
/// where a Binding over UDP is answered.
///
/// # Errors
/// [`Trouble`] when it could not be tried.
pub(super) async fn visit(
    way: &Way,
    server: SocketAddr,
    login: &Login,
    software: &str,
    clock: Clock,
) -> Result<Outside, Trouble> {
    let peer = UdpSocket::bind(any(server.ip())).await.map_err(Trouble::Broken)?;
    let mapped = binding(&peer, server, clock.step()).await?;
    let mut client = Client::new(way.open(clock.step()).await?, login.clone(), software);
    let relayed = client.allocate_like(server.ip(), clock.step()).await?;
    let tried = meet(&mut client, relayed, &peer, mapped, clock.step()).await;
    client.release(clock.step()).await;
    tried
}

async fn meet(
    client: &mut Client,
    relayed: SocketAddr,
    peer: &UdpSocket,
    mapped: SocketAddr,
    deadline: Instant,
) -> Result<Outside, Trouble> {
    client.permit(mapped, deadline).await?;
    let mut outside = Outside { mapped, at_relay: None, is_answered: false };
    let mut again = Retransmission::new();
    while Instant::now() < deadline && !outside.is_answered {
        let wait = again.next(deadline);
        peer.send_to(GREETING, relayed).await.map_err(Trouble::Broken)?;
        match client.receive(wait).await {
            Ok((from, data)) if data == GREETING => {
                outside.at_relay = Some(from);
                client.send(from, GREETING).await?;
                outside.is_answered = hears(peer, relayed, wait).await;
            }
            Ok(_) | Err(Trouble::Silent) => {}
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(outside)
}

async fn hears(peer: &UdpSocket, relayed: SocketAddr, deadline: Instant) -> bool {
    let mut packet = [0; 64];
    loop {
        match timeout_at(deadline, peer.recv_from(&mut packet)).await {
            Ok(Ok((length, from))) if from == relayed && &packet[..length] == GREETING => return true,
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return false,
        }
    }
}

/// Binding (RFC 8489 section 12) from a socket that is not connected: it goes on to talk to another port.
async fn binding(socket: &UdpSocket, server: SocketAddr, deadline: Instant) -> Result<SocketAddr, Trouble> {
    let mut request = Message::new();
    request.set_type(BINDING_REQUEST);
    request.new_transaction_id().map_err(|error| Trouble::Broken(std::io::Error::other(error)))?;
    request.write_header();
    let mut again = Retransmission::new();
    let mut packet = [0; 1500];
    loop {
        socket.send_to(&request.raw, server).await.map_err(Trouble::Broken)?;
        let wait = again.next(deadline);
        while let Ok(received) = timeout_at(wait, socket.recv_from(&mut packet)).await {
            let (length, from) = received.map_err(Trouble::Broken)?;
            let Ok(frame) = Frame::parse(&packet[..length]) else { continue };
            if from == server && frame.transaction_id() == request.transaction_id {
                return frame.xor_address(ATTR_XORMAPPED_ADDRESS).ok_or(Trouble::Garbled);
            }
        }
        if wait >= deadline {
            return Err(Trouble::Silent);
        }
    }
}
