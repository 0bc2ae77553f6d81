//! A client that changes its address and its transport, and keeps its allocation, whichever shard it comes in on.

use ::turn::proto::Protocol;
use ::turn::proto::reqtrans::RequestedTransport;
use stun::attributes::AttrType;
use stun::message::{METHOD_ALLOCATE, METHOD_REFRESH, Message, Setter};

use super::support::echo_at;
use super::support::server::{LOOPBACK, Server};
use super::support::stun::RawClient;
use super::support::turn_client::Over;

/// MOBILITY-TICKET (RFC 8016 section 5).
const MOBILITY_TICKET: AttrType = AttrType(0x8030);

struct Ticket(Vec<u8>);

impl Setter for Ticket {
    fn add_to(&self, message: &mut Message) -> Result<(), stun::Error> {
        message.add(MOBILITY_TICKET, &self.0);
        Ok(())
    }
}

#[tokio::test]
async fn an_allocation_follows_its_client_over_addresses_transports_and_shards() {
    let server = Server::start(LOOPBACK);
    let peer = echo_at("127.0.0.1:0").await;
    let (username, password) = server.credential("anna");
    let somewhere = async |over| RawClient::with(&server, server.address(), over, &username, &password).await;
    let mut client = somewhere(Over::Udp).await;
    let udp = RequestedTransport { protocol: Protocol(17) };
    let answer = client.ask(METHOD_ALLOCATE, &[&udp, &Ticket(Vec::new())]).await.unwrap();
    let mut ticket = answer.get(MOBILITY_TICKET).unwrap();
    client.permit(peer).await.unwrap();
    // The system picks the shard: of so many moves some are to the other one.
    for step in 0..12 {
        let mut there = somewhere([Over::Udp, Over::Tcp, Over::Tls(&[])][step % 3]).await;
        let answer = there.ask(METHOD_REFRESH, &[&Ticket(ticket)]).await.unwrap();
        ticket = answer.get(MOBILITY_TICKET).unwrap();
        there.round_trip(peer, format!("after {} moves", step + 1).as_bytes()).await;
        assert_eq!(client.refresh(600).await, Err(437), "where it was, it is no more");
        client = there;
    }
    assert_eq!(client.refresh(0).await, Ok(()));
    let mut late = somewhere(Over::Udp).await;
    assert_eq!(late.ask(METHOD_REFRESH, &[&Ticket(ticket)]).await.unwrap_err(), 437);
}
