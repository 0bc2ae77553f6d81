//! One direction of traffic: a burst is sent, and the next one when it has arrived.

use std::io;
use std::net::UdpSocket;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::datagrams::{self, Datagrams};
use super::turn::Client;
use crate::cost::Cost;
use crate::server::{self, Server};

/// Packets that a flow has under way at a time.
pub const WINDOW: usize = 32;
/// The same of one over TCP or TLS: coturn drops what more than 32 KiB of would wait for a client.
pub const STREAM_WINDOW: usize = 16;
/// How long to wait for a packet before it counts as lost.
pub const LOST: Duration = Duration::from_millis(200);

/// Where packets go in or come out.
pub enum End {
    Datagrams(UdpSocket),
    /// The same, for sending several as one.
    Joined(UdpSocket),
    /// A client's connection.
    Stream(Box<Client>),
}

/// Something that sends bursts and waits for them.
pub trait Traffic: Send {
    /// How many packets are a burst.
    fn window(&self) -> usize;

    /// Sends one burst.
    fn send(&mut self, datagrams: &mut Datagrams) -> io::Result<()>;

    /// Waits for a part of it, of at most so many packets, and says how many there were.
    fn receive(&mut self, datagrams: &mut Datagrams, most: usize) -> io::Result<usize>;
}

/// One direction of traffic.
pub struct Flow {
    pub from: End,
    pub to: End,
    pub packet: Vec<u8>,
    /// How long what arrives is, at least and at most. On a stream only the least counts.
    pub arrives: (usize, usize),
    /// Whose allocations carry it.
    pub clients: Vec<Client>,
}

impl Traffic for Flow {
    fn window(&self) -> usize {
        let streams = [&self.from, &self.to].into_iter().any(|end| matches!(end, End::Stream(_)));
        if streams { STREAM_WINDOW } else { WINDOW }
    }

    fn send(&mut self, datagrams: &mut Datagrams) -> io::Result<()> {
        let window = self.window();
        match &mut self.from {
            End::Datagrams(socket) => datagrams.send(socket, None, &self.packet, window),
            End::Joined(socket) => datagrams::send_joined(socket, &self.packet, window),
            End::Stream(client) => client.stream().send(&self.packet, window),
        }
    }

    fn receive(&mut self, datagrams: &mut Datagrams, most: usize) -> io::Result<usize> {
        let (least, longest) = self.arrives;
        match &mut self.to {
            End::Datagrams(socket) | End::Joined(socket) => {
                let lengths = datagrams.receive(socket, most)?;
                Ok(lengths.inspect(|length| assert!((least..=longest).contains(length), "{length} bytes")).count())
            }
            End::Stream(client) => client.stream().receive_messages(least),
        }
    }
}

/// Sends and receives until it is told to stop. Says how many packets arrived and were lost while it counted.
fn run(traffic: &mut impl Traffic, ready: &Barrier, counts: &AtomicBool, stop: &AtomicBool) -> (u64, u64) {
    let (mut arrived, mut lost, mut datagrams) = (0, 0, Datagrams::new());
    ready.wait();
    while !stop.load(Ordering::Relaxed) {
        let counted = u64::from(counts.load(Ordering::Relaxed));
        traffic.send(&mut datagrams).expect("loopback takes it");
        let mut left = traffic.window();
        while left > 0 {
            match traffic.receive(&mut datagrams, left) {
                Ok(count) => {
                    // What counts as lost already may still come.
                    left = left.saturating_sub(count);
                    arrived += counted * count as u64;
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    lost += counted * left as u64;
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    (arrived, lost)
}

impl End {
    /// Before it is received from.
    pub fn patient(self) -> Self {
        match self {
            Self::Datagrams(socket) | Self::Joined(socket) => {
                socket.set_read_timeout(Some(LOST)).unwrap();
                Self::Datagrams(socket)
            }
            Self::Stream(mut client) => {
                client.stream().set_patience(LOST);
                Self::Stream(client)
            }
        }
    }
}

/// Runs all of it for a while, after a short time that does not count.
pub fn measure(traffic: &mut [impl Traffic], server: &Server, window: Duration) -> Cost {
    let (counts, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let ready = Barrier::new(traffic.len() + 1);
    let cost = std::thread::scope(|scope| {
        let threads: Vec<_> =
            traffic.iter_mut().map(|each| scope.spawn(|| run(each, &ready, &counts, &stop))).collect();
        ready.wait();
        std::thread::sleep(window / 5);
        counts.store(true, Ordering::Relaxed);
        let (start, before, own) = (Instant::now(), server.cpu(), server::own_cpu());
        std::thread::sleep(window);
        let (wall, cpu, generator) = (start.elapsed(), server.cpu() - before, server::own_cpu() - own);
        stop.store(true, Ordering::Relaxed);
        let mut cost = Cost { cpu, wall, generator, ..Cost::default() };
        for thread in threads {
            let (packets, lost) = thread.join().expect("a flow has failed");
            cost.count += packets;
            cost.lost += lost;
        }
        cost
    });
    assert!(cost.count > 0, "nothing arrives");
    cost
}
