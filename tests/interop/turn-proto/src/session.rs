//! One client of turn-client-proto on a wire, and its clock.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use turn_client_proto::api::{Socket5Tuple, TurnClientApi as _, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::client::TurnClient;
use turn_client_proto::stun::{Instant, agent::Transmit};
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::TransportType;
use turn_client_proto::udp::TurnClientUdp;

use crate::wire::{Wire, in_time};

pub const PATIENCE: Duration = Duration::from_secs(20);
const AT_ONCE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The client's time, which can be put forward: what it does after minutes, it then does at once.
pub struct Clock {
    began: std::time::Instant,
    ahead: Cell<Duration>,
}

impl Clock {
    pub fn start() -> Self {
        Self { began: std::time::Instant::now(), ahead: Cell::default() }
    }

    pub fn put_forward(&self, by: Duration) {
        self.ahead.set(self.ahead.get() + by);
    }

    pub fn now(&self) -> Instant {
        Instant::from_std(self.began) + self.ahead.get()
    }
}

pub struct Session<'a> {
    pub client: TurnClient,
    pub wire: &'a mut Wire,
    /// The connection for a peer's stream.
    beside: Option<TcpStream>,
    clock: &'a Clock,
    pub events: Vec<TurnEvent>,
    pub heard: Vec<(SocketAddr, Vec<u8>)>,
    pub is_over: bool,
    /// That many messages of the server's made no sense to the client.
    pub ignored: u32,
}

impl<'a> Session<'a> {
    pub fn allocate(transport: TransportType, wire: &'a mut Wire, clock: &'a Clock, config: TurnConfig) -> Self {
        let client = match transport {
            TransportType::Udp => TurnClientUdp::allocate(wire.local, wire.server, config).into(),
            TransportType::Tcp => TurnClientTcp::allocate(wire.local, wire.server, config).into(),
        };
        let (events, heard) = Default::default();
        Self { client, wire, beside: None, clock, events, heard, is_over: false, ignored: 0 }
    }

    /// Goes on until something has come about.
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let begin = std::time::Instant::now();
        while !is_so(self) {
            let ignored = self.ignored;
            let errors = &self.wire.notes.errors;
            assert!(begin.elapsed() < PATIENCE, "never: {what} ({errors:?}, {ignored} ignored, {:?})", self.events);
            self.step();
        }
    }

    /// Goes on until the client has asked all that it has to now, and is answered.
    pub fn settle(&mut self) {
        let begin = std::time::Instant::now();
        loop {
            let due = self.step();
            if due > self.clock.now() + AT_ONCE && self.wire.notes.is_answered() {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "unanswered");
        }
    }

    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    pub fn send(&mut self, transport: TransportType, to: SocketAddr, data: &[u8]) {
        let packet = self.client.send_to(transport, to, data, self.clock.now());
        let packet = packet.expect("there is a permission").expect("there is something to send").build();
        self.transmit(packet.from, &packet.data);
    }

    /// Lets the client do what it has to, and hear what there is. Says when it has to again.
    fn step(&mut self) -> Instant {
        let due = match self.client.poll(self.clock.now()) {
            TurnPollRet::WaitUntil(due) => due,
            TurnPollRet::AllocateTcpSocket { id, socket, peer_addr } => {
                self.connect(id, socket, peer_addr);
                self.clock.now()
            }
            TurnPollRet::Closed => {
                self.is_over = true;
                self.clock.now()
            }
            other => panic!("nobody asked for {other:?}"),
        };
        while let Some(packet) = self.client.poll_transmit(self.clock.now()) {
            self.transmit(packet.from, &packet.data);
        }
        self.events.extend(std::iter::from_fn(|| self.client.poll_event()));
        let on_wire = self.wire.receive(LOOK_EVERY).map(|packet| (packet, self.wire.local));
        if let Some((packet, local)) = on_wire.or_else(|| self.receive_beside()) {
            self.hear(packet, local);
            return self.clock.now();
        }
        due
    }

    fn hear(&mut self, packet: Vec<u8>, local: SocketAddr) {
        let packet = Transmit::new(packet, self.client.transport(), self.wire.server, local);
        match self.client.recv(packet, self.clock.now()) {
            TurnRecvRet::Handled => {}
            TurnRecvRet::PeerData(data) => self.heard.push((data.peer, data.data().to_vec())),
            TurnRecvRet::Ignored(_) => self.ignored += 1,
            TurnRecvRet::PeerIcmp { peer, .. } => panic!("{peer} is not there"),
        }
    }

    fn connect(&mut self, id: u32, control: Socket5Tuple, peer: SocketAddr) {
        let stream = TcpStream::connect(control.to).expect("the server listens");
        stream.set_read_timeout(Some(LOOK_EVERY)).expect("a time that is not zero");
        let local = stream.local_addr().expect("it is connected");
        let told = self.client.allocated_tcp_socket(id, control, peer, Some(local), self.clock.now());
        told.expect("it has asked for it");
        self.beside = Some(stream);
    }

    fn transmit(&mut self, from: SocketAddr, packet: &[u8]) {
        match &mut self.beside {
            Some(stream) if from != self.wire.local => stream.write_all(packet).expect("the server reads"),
            _ => self.wire.send(packet),
        }
    }

    fn receive_beside(&mut self) -> Option<(Vec<u8>, SocketAddr)> {
        let stream = self.beside.as_mut()?;
        let mut bytes = vec![0; 65_535];
        let length = in_time(stream.read(&mut bytes))?;
        bytes.truncate(length);
        Some((bytes, stream.local_addr().expect("it is connected")))
    }
}
