//! Sessions with real clients at the other end, and a clock that the test turns.

mod hostile;
mod lifecycle;
mod panics;

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use dimpl::{Config, Dtls, DtlsCertificate, Output};

use super::*;
use crate::turn::Transport;

const LIMITS: Limits = Limits { sessions: 20, sessions_per_prefix: 6, half_open: 10, half_open_per_prefix: 4 };
const UNIX: u64 = 1_800_000_000;

/// What most servers here show.
static BOX: LazyLock<(DtlsCertificate, Arc<Identity>)> = LazyLock::new(|| {
    let made = certificate();
    let identity = identity(&made);
    (made, identity)
});

fn certificate() -> DtlsCertificate {
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    DtlsCertificate { certificate: made.cert.der().to_vec(), private_key: made.signing_key.serialize_der() }
}

fn identity(certificate: &DtlsCertificate) -> Arc<Identity> {
    Arc::new(Identity::new(&certificate.certificate, &certificate.private_key).unwrap())
}

fn five_tuple(client: &str) -> FiveTuple {
    let client: SocketAddr = client.parse().unwrap();
    FiveTuple::new(client, "203.0.113.5:3478".parse().unwrap(), Transport::Dtls)
}

/// A client of a library that knows nothing of ours.
struct Client {
    dtls: Dtls,
    from: FiveTuple,
    shown: Option<Vec<u8>>,
    heard: Vec<Vec<u8>>,
    is_open: bool,
    is_closed: bool,
}

impl Client {
    fn new(address: &str, now: Instant) -> Self {
        static CONFIG: LazyLock<Arc<Config>> =
            LazyLock::new(|| Arc::new(Config::builder().with_crypto_provider(provider()).build().unwrap()));
        Self::with(&CONFIG, address, now)
    }

    fn with(config: &Arc<Config>, address: &str, now: Instant) -> Self {
        let mut dtls = Dtls::new_12(Arc::clone(config), BOX.0.clone(), now);
        dtls.set_active(true);
        dtls.handle_timeout(now).unwrap();
        let from = five_tuple(address);
        Self { dtls, from, shown: None, heard: Vec::new(), is_open: false, is_closed: false }
    }

    fn say(&mut self, message: &[u8]) {
        self.dtls.send_application_data(message).unwrap();
    }

    /// What it sends.
    fn take(&mut self) -> Vec<Vec<u8>> {
        let (mut buffer, mut sent) = (vec![0; 70_000], Vec::new());
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => sent.push(packet.to_vec()),
                Output::ApplicationData(data) => self.heard.push(data.to_vec()),
                Output::PeerCert(der) => self.shown = Some(der.to_vec()),
                Output::Connected => self.is_open = true,
                Output::CloseNotify => self.is_closed = true,
                Output::Timeout(_) => return sent,
                Output::BufferTooSmall { .. } | Output::KeyingMaterial(..) | _ => {}
            }
        }
    }
}

/// The server's side.
struct World {
    sessions: Sessions,
    now: Now,
}

impl World {
    fn new() -> Self {
        Self::showing(&BOX.1)
    }

    fn showing(identity: &Arc<Identity>) -> Self {
        let sessions = Sessions::new(Some(Arc::clone(identity)), Bounds::new(LIMITS), &[5; 32]);
        Self { sessions, now: Now { instant: Instant::now(), unix: UNIX } }
    }

    fn client(&self, address: &str) -> Client {
        Client::new(address, self.now.instant)
    }

    fn wait(&mut self, time: Duration) {
        self.now.instant += time;
        self.now.unix += time.as_secs();
    }

    /// Delivers a datagram, and gives back the messages in it.
    fn deliver(&mut self, from: FiveTuple, datagram: &[u8]) -> Vec<Vec<u8>> {
        let mut memory = datagram.to_vec();
        let opened = self.sessions.receive(from, &mut memory, self.now);
        opened.into_iter().map(|range| memory[range].to_vec()).collect()
    }

    /// What it sends, and to whom.
    fn take(&mut self) -> Vec<(FiveTuple, Vec<u8>)> {
        let Outbox { bytes, datagrams } = std::mem::take(self.sessions.outbox());
        datagrams.into_iter().map(|(to, range)| (to, bytes[range].to_vec())).collect()
    }

    /// Carries everything to and fro until nobody has anything to say, and gives back what the client said.
    fn talk(&mut self, client: &mut Client) -> Vec<Vec<u8>> {
        let mut said = Vec::new();
        loop {
            let sent = client.take();
            for datagram in &sent {
                said.extend(self.deliver(client.from, datagram));
            }
            let answers = self.take();
            for (_, datagram) in answers.iter().filter(|(to, _)| *to == client.from) {
                // A client that is refused has an error to tell, which the test sees by its not being open.
                let _ = client.dtls.handle_packet(datagram);
            }
            if sent.is_empty() && answers.is_empty() {
                return said;
            }
        }
    }

    fn connect(&mut self, address: &str) -> Client {
        let mut client = self.client(address);
        self.talk(&mut client);
        assert!(client.is_open, "no session");
        client
    }

    fn count(&self, name: &str) -> u64 {
        self.sessions.counters().into_iter().find(|(each, _)| *each == name).unwrap().1
    }

    /// Whether nothing is left of anybody.
    fn is_empty(&self) -> bool {
        let Sessions { sessions, by_five_tuple, due, .. } = &self.sessions;
        sessions.is_empty() && by_five_tuple.is_empty() && due.is_empty()
    }
}
