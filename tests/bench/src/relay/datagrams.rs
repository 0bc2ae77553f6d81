//! Bursts of datagrams, a system call each, so that the load costs as little as it can.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, sendmsg};

/// The most datagrams of one burst.
pub const MOST: usize = 32;
/// Longer than any that is sent here.
const DATAGRAM: usize = 2048;

pub struct Datagrams {
    sent: MultiHeaders<SockaddrStorage>,
    received: MultiHeaders<SockaddrStorage>,
    buffers: Vec<[u8; DATAGRAM]>,
}

impl Datagrams {
    pub fn new() -> Self {
        let headers = || MultiHeaders::preallocate(MOST, None);
        Self { sent: headers(), received: headers(), buffers: vec![[0; DATAGRAM]; MOST] }
    }

    /// Sends a packet so many times, each as a datagram of its own.
    pub fn send(&mut self, socket: &UdpSocket, to: Option<SocketAddr>, packet: &[u8], times: usize) -> io::Result<()> {
        let pieces = [[IoSlice::new(packet)]; MOST];
        let to = [to.map(SockaddrStorage::from); MOST];
        let mut left = times;
        while left > 0 {
            let flags = MsgFlags::empty();
            let done = sendmmsg(socket.as_raw_fd(), &mut self.sent, &pieces[..left], to, [], flags)?;
            left -= done.count();
        }
        Ok(())
    }

    /// Waits for a datagram, takes what else is there, up to `most`, and says how long each is.
    pub fn receive(&mut self, socket: &UdpSocket, most: usize) -> io::Result<impl Iterator<Item = usize>> {
        let mut pieces: Vec<[IoSliceMut<'_>; 1]> =
            self.buffers.iter_mut().take(most).map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        let received = recvmmsg(socket.as_raw_fd(), &mut self.received, &mut pieces, flags, None)?;
        Ok(received.map(|each| each.bytes).collect::<Vec<_>>().into_iter())
    }
}

/// Sends a packet so many times as one piece, which the kernel or a network card takes apart (UDP_SEGMENT).
pub fn send_joined(socket: &UdpSocket, packet: &[u8], times: usize) -> io::Result<()> {
    let pieces = vec![IoSlice::new(packet); times];
    let length = packet.len() as u16;
    let segment = [ControlMessage::UdpGsoSegments(&length)];
    sendmsg::<()>(socket.as_raw_fd(), &pieces, &segment, MsgFlags::empty(), None)?;
    Ok(())
}
