//! A TCP allocation (RFC 6062), by which the client connects to peers. Peers that connect to it are left out: it awaits
//! ConnectionAttempt as a request, where the RFC has an indication.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use turn_client_proto::api::{TurnClientApi as _, TurnEvent};
use turn_client_proto::types::TransportType;
use turn_client_proto::types::message::CONNECT;

use crate::session::{PATIENCE, Session};

const BYTES: usize = 200_000;
/// The port of tcpmux, which nobody speaks any more.
const DISUSED: u16 = 1;

pub fn through(session: &mut Session<'_>, relayed: SocketAddr) {
    let peer = TcpListener::bind(SocketAddr::new(relayed.ip(), 0)).expect("an address of this machine");
    let address = peer.local_addr().expect("it is bound");
    let now = session.now();
    session.client.create_permission(TransportType::Tcp, address.ip(), now).expect("there is an allocation");
    let permitted = |event: &TurnEvent| matches!(event, TurnEvent::PermissionCreated(..));
    session.until("a permission", |session| session.events.iter().any(permitted));
    refused(session, relayed);
    let now = session.now();
    session.client.tcp_connect(address, now).expect("there is a permission");
    let connected = |event: &TurnEvent| matches!(event, TurnEvent::TcpConnected(at) if *at == address);
    session.until("a connection", |session| session.events.iter().any(connected));
    let (mut stream, from) = peer.accept().expect("it is connected");
    assert_eq!(from, relayed);
    stream.set_read_timeout(Some(PATIENCE)).expect("a time that is not zero");
    let there: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
    session.send(TransportType::Tcp, address, &there);
    let mut heard = vec![0; BYTES];
    stream.read_exact(&mut heard).expect("it is relayed");
    assert!(heard == there, "other bytes");
    let back: Vec<u8> = there.iter().map(|byte| !byte).collect();
    stream.write_all(&back).expect("it can be sent");
    let all = |session: &Session<'_>| session.heard.iter().map(|(_, data)| data.len()).sum::<usize>() >= BYTES;
    session.until("what the peer says", all);
    assert!(session.heard.iter().all(|(at, _)| *at == address));
    assert!(std::mem::take(&mut session.heard).into_iter().flat_map(|(_, data)| data).eq(back), "other bytes");
    crate::deleted(session);
    assert_eq!(stream.read(&mut heard).expect("it ends"), 0);
}

fn refused(session: &mut Session<'_>, relayed: SocketAddr) {
    let nobody = SocketAddr::new(relayed.ip(), DISUSED);
    let now = session.now();
    session.client.tcp_connect(nobody, now).expect("there is a permission");
    let failed = |event: &TurnEvent| matches!(event, TurnEvent::TcpConnectFailed(at) if *at == nobody);
    session.until("a failure", |session| session.events.iter().any(failed));
    assert_eq!(session.wire.notes.errors.last(), Some(&(CONNECT.value(), 447)));
}
