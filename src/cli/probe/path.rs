//! One way through the relay: a Binding, two allocations, and a packet from each to the other's relayed address.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::client::{Client, Login};
use super::clock::{Clock, Retransmission};
use super::link::Way;
use super::trouble::Trouble;

/// Bytes of the packet that goes through: as long as media is, so that a path that takes only short ones is found out.
const PACKET_BYTES: usize = 1000;

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum Stage {
    /// A TCP connection, and TLS where it is wanted.
    Connect,
    /// Binding.
    Binding,
    /// Allocate.
    Allocation,
    /// CreatePermission, then the packet.
    Packet,
}

/// What was found out, up to where it failed.
#[derive(Debug, Default)]
pub(in crate::cli) struct Walk {
    /// Our own address, as this machine sees it.
    pub(in crate::cli) local: Option<SocketAddr>,
    /// The same, as the box sees it.
    pub(in crate::cli) mapped: Option<SocketAddr>,
    /// Where the box relays for us.
    pub(in crate::cli) relayed: Option<SocketAddr>,
    /// From one client through the relay to the other, and back.
    pub(in crate::cli) round_trip: Option<Duration>,
    /// Where it ended, if that was not the end.
    pub(in crate::cli) failure: Option<(Stage, Trouble)>,
}

impl Walk {
    /// Whether a packet went through and back.
    pub(in crate::cli) fn is_through(&self) -> bool {
        self.round_trip.is_some()
    }
}

/// Where it ended, and why.
type Failure = (Stage, Trouble);

fn at(stage: Stage) -> impl Fn(Trouble) -> Failure {
    move |trouble| (stage, trouble)
}

/// Walks the whole way, or without a login up to the Binding. Whatever was allocated is given back.
pub(in crate::cli) async fn walk(way: &Way, login: Option<&Login>, software: &str, clock: Clock) -> Walk {
    let mut walk = Walk::default();
    let mut allocated = Vec::new();
    let login = login.cloned();
    if let Err(failure) = go(way, login, software, clock, &mut walk, &mut allocated).await {
        walk.failure = Some(failure);
    }
    for (client, _) in allocated {
        client.release(clock.step()).await;
    }
    walk
}

async fn go(
    way: &Way,
    login: Option<Login>,
    software: &str,
    clock: Clock,
    walk: &mut Walk,
    allocated: &mut Vec<(Client, SocketAddr)>,
) -> Result<(), Failure> {
    let has_login = login.is_some();
    let mut first = open(way, login.clone(), software, clock).await?;
    walk.local = first.local();
    match first.binding(clock.step()).await {
        Ok(mapped) => walk.mapped = Some(mapped),
        Err(trouble) => {
            if matches!(trouble, Trouble::Silent) {
                // The box takes no note of a Binding. Of this it does, and can tell whether anything arrives.
                let _ = first.allocate(clock.step()).await;
            }
            return Err((Stage::Binding, trouble));
        }
    }
    if !has_login {
        return Ok(());
    }
    let first_at = first.allocate(clock.step()).await.map_err(at(Stage::Allocation))?;
    walk.relayed = Some(first_at);
    allocated.push((first, first_at));
    let mut second = open(way, login, software, clock).await?;
    let second_at = second.allocate(clock.step()).await.map_err(at(Stage::Allocation))?;
    allocated.push((second, second_at));
    let [one, other] = &mut allocated[..] else { return Ok(()) };
    walk.round_trip = Some(pass(one, other, clock.step()).await.map_err(at(Stage::Packet))?);
    Ok(())
}

async fn open(way: &Way, login: Option<Login>, software: &str, clock: Clock) -> Result<Client, Failure> {
    let link = way.open(clock.step()).await.map_err(at(Stage::Connect))?;
    Ok(Client::new(link, login.unwrap_or_default(), software))
}

/// A packet from one to the other and back, sent again until it has come.
async fn pass(
    (one, one_at): &mut (Client, SocketAddr),
    (other, other_at): &mut (Client, SocketAddr),
    deadline: Instant,
) -> Result<Duration, Trouble> {
    let (one_at, other_at) = (*one_at, *other_at);
    one.permit(other_at, deadline).await?;
    other.permit(one_at, deadline).await?;
    let packet: Vec<u8> = (0..PACKET_BYTES).map(|_| rand::random()).collect();
    let mut again = Retransmission::new();
    loop {
        let start = Instant::now();
        let wait = again.next(deadline);
        let result = async {
            one.send(other_at, &packet).await?;
            expect(other, one_at, &packet, wait).await?;
            other.send(one_at, &packet).await?;
            expect(one, other_at, &packet, wait).await
        };
        match result.await {
            Ok(()) => return Ok(start.elapsed()),
            Err(Trouble::Silent) if wait < deadline => {}
            Err(trouble) => return Err(trouble),
        }
    }
}

async fn expect(client: &mut Client, from: SocketAddr, packet: &[u8], deadline: Instant) -> Result<(), Trouble> {
    loop {
        let (peer, data) = client.receive(deadline).await?;
        if (peer, &data[..]) == (from, packet) {
            return Ok(());
        }
    }
}
