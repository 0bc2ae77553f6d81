//! Systems other than Linux: what `quinn-udp` receives together, and one datagram a system call on the way out.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use mio::net::UdpSocket;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};

use super::Sent;
use crate::relay::batch::Batch;
use crate::relay::departures::Run;

/// Receives into up to `most` free slots of the batch, without waiting, and says how many it took. There may always be
/// more, until it would block.
pub(super) fn receive(socket: &UdpSocket, state: &UdpSocketState, batch: &mut Batch, most: usize) -> io::Result<usize> {
    let mut meta = [RecvMeta::default(); BATCH_SIZE];
    let mut slots: Vec<_> = batch.slots().take(most.min(BATCH_SIZE)).map(IoSliceMut::new).collect();
    let count = state.recv(socket.into(), &mut slots, &mut meta)?;
    for RecvMeta { addr, len, stride, dst_ip, .. } in &meta[..count] {
        batch.push(*len, *stride, *addr, *dst_ip);
    }
    Ok(count)
}

/// Sends runs by one socket without waiting. `is_v6` says of which family it is.
pub(super) fn send<'a>(
    socket: &UdpSocket,
    state: &UdpSocketState,
    is_v6: bool,
    runs: impl Iterator<Item = Run<'a>>,
) -> Sent {
    let mut sent = Sent::default();
    for run in runs {
        let destination = match run.to {
            SocketAddr::V4(v4) if is_v6 => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            SocketAddr::V4(_) | SocketAddr::V6(_) => run.to,
        };
        for datagram in run.datagrams() {
            let contents = &datagram.concat()[..];
            let transmit = Transmit { destination, ecn: None, contents, segment_size: None, src_ip: run.from };
            sent.unsent += u64::from(state.try_send(socket.into(), &transmit).is_err());
        }
    }
    sent
}
