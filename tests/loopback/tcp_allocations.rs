//! TCP allocations (RFC 6062), over real sockets: both ways to a connection, and what goes through it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::support::PATIENCE;
use super::support::server::{LOOPBACK, Server};
use super::support::tcp_allocation::{Control, bind_request};
use super::support::turn_client::Over;
use super::support::web::{Stream, becomes, counted};

const OVERS: [Over; 2] = [Over::Tcp, Over::Tls(&[])];
/// How long nothing must come for it to be silence.
const SILENCE: Duration = Duration::from_millis(500);

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it takes too long")
}

async fn talk(one: &mut (impl Stream + ?Sized), other: &mut (impl Stream + ?Sized)) {
    for (bytes, back) in [(vec![1; 5], vec![2; 3]), (vec![3; 70_000], vec![4; 1])] {
        let mut heard = vec![0; bytes.len()];
        let (sent, read) = within(async { tokio::join!(one.write_all(&bytes), other.read_exact(&mut heard)) }).await;
        sent.and(read).unwrap();
        assert!(heard == bytes);
        let mut heard = vec![0; back.len()];
        other.write_all(&back).await.unwrap();
        within(one.read_exact(&mut heard)).await.unwrap();
        assert!(heard == back);
    }
}

#[tokio::test]
async fn a_client_connects_to_a_peer_and_both_talk() {
    let server = Server::start(LOOPBACK);
    for over in OVERS {
        let mut control = Control::new(&server, over).await;
        let relayed = control.allocate().await.unwrap();
        let (peers, peer) = listener().await;
        let id = control.connect(peer).await.unwrap();
        let (mut far, from) = peers.accept().await.unwrap();
        assert_eq!(from, relayed, "it leaves from the relayed address");
        far.write_all(b"early").await.unwrap();
        assert_eq!(control.connect(peer).await, Err(446));
        let mut near = control.bind(&server, over, id).await.unwrap();
        let mut early = [0; 5];
        within(near.read_exact(&mut early)).await.unwrap();
        assert_eq!(&early, b"early");
        talk(&mut near, &mut far).await;
        assert_eq!(control.bind(&server, over, id).await.err(), Some(400), "twice");
        talk(&mut far, &mut near).await;
    }
}

#[tokio::test]
async fn a_peer_connects_to_a_client_that_permits_it() {
    let server = Server::start(LOOPBACK);
    for over in OVERS {
        let mut control = Control::new(&server, over).await;
        let relayed = control.allocate().await.unwrap();
        let mut refused = TcpStream::connect(relayed).await.unwrap();
        assert_eq!(within(refused.read(&mut [0])).await.unwrap_or(0), 0, "closed at once");
        control.permit(relayed).await.unwrap();
        let mut far = TcpStream::connect(relayed).await.unwrap();
        let (peer, id) = within(control.attempt()).await;
        assert_eq!(peer, far.local_addr().unwrap());
        let mut near = control.bind(&server, over, id).await.unwrap();
        talk(&mut near, &mut far).await;
        talk(&mut far, &mut near).await;
    }
    let (at, give_up) = (server.address(), Instant::now() + PATIENCE);
    let line = |shard| format!("lanturn_relay_total{{event=\"connections_refused\",shard=\"{shard}\"}}");
    while counted(at, &line(0)).await + counted(at, &line(1)).await != 2 {
        assert!(Instant::now() < give_up, "what is refused is counted");
    }
}

#[tokio::test]
async fn a_connection_is_bound_on_whichever_shard_the_client_comes_in_on() {
    let server = Server::start(LOOPBACK);
    for over in OVERS {
        for (of_control, of_data) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let mut control = Control::on_shard(&server, over, of_control).await;
            control.allocate().await.unwrap();
            let (peers, peer) = listener().await;
            let id = control.connect(peer).await.unwrap();
            let (mut far, _) = peers.accept().await.unwrap();
            let mut near = control.bind_on_shard(&server, over, id, of_data).await.unwrap();
            talk(&mut near, &mut far).await;
            assert_eq!(control.bind_on_shard(&server, over, id, of_data).await.err(), Some(400));
        }
    }
}

#[tokio::test]
async fn what_follows_the_bind_at_once_is_for_the_peer() {
    let server = Server::start(LOOPBACK);
    for (over, of_data) in [(Over::Tcp, 0), (Over::Tcp, 1), (Over::Tls(&[]), 0), (Over::Tls(&[]), 1)] {
        for length in [1, 1000, 200_000] {
            let mut control = Control::on_shard(&server, over, 0).await;
            control.allocate().await.unwrap();
            let (peers, peer) = listener().await;
            let id = control.connect(peer).await.unwrap();
            let (mut far, _) = peers.accept().await.unwrap();
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut near = control.data_connection(&server, over, of_data).await;
            let request = [bind_request(&control, id), bytes.clone()].concat();
            let mut heard = vec![0; length];
            let both = async { tokio::join!(near.write_all(&request), far.read_exact(&mut heard)) };
            let (sent, read) = within(both).await;
            sent.unwrap();
            read.unwrap();
            assert!(heard == bytes, "{over:?} {length}");
        }
    }
}

#[tokio::test]
async fn a_side_that_ends_may_still_listen() {
    let server = Server::start(LOOPBACK);
    for over in OVERS {
        let mut control = Control::new(&server, over).await;
        control.allocate().await.unwrap();
        for client_first in [true, false] {
            let (peers, peer) = listener().await;
            let id = control.connect(peer).await.unwrap();
            let (far, _) = peers.accept().await.unwrap();
            let near = control.bind(&server, over, id).await.unwrap();
            let (mut first, mut second): (Box<dyn Stream>, Box<dyn Stream>) =
                if client_first { (near, Box::new(far)) } else { (Box::new(far), near) };
            first.write_all(b"that is all").await.unwrap();
            first.shutdown().await.unwrap();
            let mut heard = Vec::new();
            within(second.read_to_end(&mut heard)).await.unwrap();
            assert_eq!(heard, b"that is all");
            second.write_all(b"I see").await.unwrap();
            second.shutdown().await.unwrap();
            let mut heard = Vec::new();
            within(first.read_to_end(&mut heard)).await.unwrap();
            assert_eq!(heard, b"I see", "{over:?} {client_first}");
        }
    }
    becomes(server.address(), "lanturn_relay_connections{shard=\"0\"}", 0).await;
    becomes(server.address(), "lanturn_relay_connections{shard=\"1\"}", 0).await;
}

#[tokio::test]
async fn several_connections_of_one_allocation_do_not_mix() {
    let server = Server::start(LOOPBACK);
    let mut control = Control::new(&server, Over::Tcp).await;
    let relayed = control.allocate().await.unwrap();
    control.permit(relayed).await.unwrap();
    let (peers, peer) = listener().await;
    let mut pairs = Vec::new();
    for made in 0..10 {
        let (far, id) = if made % 2 == 0 {
            let far = TcpStream::connect(relayed).await.unwrap();
            (far, within(control.attempt()).await.1)
        } else if made == 1 {
            let id = control.connect(peer).await.unwrap();
            (peers.accept().await.unwrap().0, id)
        } else {
            let (others, other) = listener().await;
            let id = control.connect(other).await.unwrap();
            (others.accept().await.unwrap().0, id)
        };
        pairs.push((control.bind(&server, Over::Tcp, id).await.unwrap(), far));
    }
    for (number, (near, far)) in pairs.iter_mut().enumerate() {
        near.write_all(&[number as u8; 100]).await.unwrap();
        far.write_all(&[100 + number as u8; 100]).await.unwrap();
    }
    for (number, (near, far)) in pairs.iter_mut().enumerate() {
        let (mut from_near, mut from_far) = ([0; 100], [0; 100]);
        within(far.read_exact(&mut from_near)).await.unwrap();
        within(near.read_exact(&mut from_far)).await.unwrap();
        assert_eq!((from_near, from_far), ([number as u8; 100], [100 + number as u8; 100]));
    }
    // With the control connection ends all of it.
    drop(control);
    for (near, far) in &mut pairs {
        assert_eq!(within(near.read(&mut [0])).await.unwrap_or(0), 0);
        assert_eq!(within(far.read(&mut [0])).await.unwrap_or(0), 0);
    }
    let late = TcpStream::connect(relayed).await;
    assert!(late.is_err(), "nobody listens there any more");
}

#[tokio::test]
async fn a_peer_that_does_not_take_the_connection_is_447() {
    let server = Server::start(LOOPBACK);
    let mut control = Control::new(&server, Over::Tcp).await;
    control.allocate().await.unwrap();
    let (peers, peer) = listener().await;
    drop(peers);
    assert_eq!(control.connect(peer).await, Err(447));
    assert_eq!(control.connect(peer).await, Err(447), "and may be asked again");
}

/// What fits between two who are connected by way of the box: their sockets' buffers, the box's own, and what it keeps
/// itself. The kernel's are a few MiB each at most, which is no memory of the box's.
#[tokio::test]
async fn a_slow_reader_slows_down_the_writer() {
    const MUCH: usize = 256 << 20;
    /// Of lanturn's own memory, in KiB. It keeps 64 KiB in each direction, and twice that for the first.
    const GROWTH: u64 = 4096;
    let server = Server::start(LOOPBACK);
    for over in OVERS {
        let mut control = Control::new(&server, over).await;
        control.allocate().await.unwrap();
        for client_writes in [true, false] {
            let (peers, peer) = listener().await;
            let id = control.connect(peer).await.unwrap();
            let (far, _) = peers.accept().await.unwrap();
            let near = control.bind(&server, over, id).await.unwrap();
            let (mut writer, mut reader): (Box<dyn Stream>, Box<dyn Stream>) =
                if client_writes { (near, Box::new(far)) } else { (Box::new(far), near) };
            // Once through, so that what is needed at all is there.
            writer.write_all(b"x").await.unwrap();
            within(reader.read_exact(&mut [0])).await.unwrap();
            let (before, chunk, mut written) = (server.memory(), vec![7; 64 * 1024], 0);
            while written < MUCH
                && let Ok(sent) = timeout(SILENCE, writer.write(&chunk)).await
            {
                written += sent.unwrap();
            }
            assert!(written < MUCH, "nothing slowed it down");
            let grown = server.memory().saturating_sub(before);
            assert!(grown < GROWTH, "{grown} KiB for {written} bytes");
            // And nothing of it is lost.
            let mut heard = vec![0; written];
            // A TLS client may hold the last of it itself.
            let (flushed, read) = within(async { tokio::join!(writer.flush(), reader.read_exact(&mut heard)) }).await;
            flushed.unwrap();
            read.unwrap();
            assert!(heard.iter().all(|byte| *byte == 7));
        }
    }
}

#[tokio::test]
async fn bandwidth_is_held_to_without_loss() {
    // 8,000 kbit/s are 1,000,000 bytes a second.
    let server = Server::start(&format!("{LOOPBACK}[limits.user]\nbandwidth = 8000\n"));
    let mut control = Control::new(&server, Over::Tcp).await;
    control.allocate().await.unwrap();
    let (peers, peer) = listener().await;
    let id = control.connect(peer).await.unwrap();
    let (mut far, _) = peers.accept().await.unwrap();
    let mut near = control.bind(&server, Over::Tcp, id).await.unwrap();
    let (bytes, mut heard) = (vec![5; 2_000_000], vec![0; 2_000_000]);
    let start = Instant::now();
    let (sent, read) = within(async { tokio::join!(near.write_all(&bytes), far.read_exact(&mut heard)) }).await;
    sent.unwrap();
    read.unwrap();
    assert!(heard == bytes);
    let took = start.elapsed();
    assert!((Duration::from_millis(1500)..Duration::from_secs(8)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn two_clients_of_one_room_connect_by_their_relayed_addresses() {
    let server = Server::start("listen.addresses = ['127.0.0.1:0']\nlisten.shards = 2\n");
    let mut members = Vec::new();
    for (room, name) in [("kitchen", "Anna"), ("kitchen", "Ben"), ("cellar", "Eve")] {
        let (member, joined) = super::support::room::Member::join(&server, server.address(), room, name).await;
        let mut control = Control::of_member(&server, Over::Tcp, &joined).await;
        let relayed = control.allocate().await.unwrap();
        members.push((member, control, relayed));
    }
    let [(_, anna, at_anna), (_, ben, at_ben), (_, eve, at_eve)] = &mut members[..] else { unreachable!() };
    ben.permit(*at_anna).await.unwrap();
    let id = anna.connect(*at_ben).await.unwrap();
    let (peer, other) = within(ben.attempt()).await;
    assert_eq!(peer, *at_anna);
    let mut near = anna.bind(&server, Over::Tcp, id).await.unwrap();
    let mut far = ben.bind(&server, Over::Tcp, other).await.unwrap();
    talk(&mut near, &mut far).await;
    assert_eq!(eve.connect(*at_ben).await, Err(403));
    assert_eq!(anna.connect(*at_eve).await, Err(403));
    let (_service, at_service) = listener().await;
    assert_eq!(anna.connect(at_service).await, Err(403), "the box is no peer");
    assert_eq!(anna.connect(server.address()).await, Err(403));
}
