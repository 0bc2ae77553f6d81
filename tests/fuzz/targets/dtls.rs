//! Datagrams from whoever, and clients that handshake among them, while time passes: nothing is kept of a client that has
//! not shown a cookie, sessions are bounded, nobody is heard to say what it has not said, and all is given back.
//!
//! The sessions are no public part of lanturn, so they are built in here once more.

#![no_main]

use lanturn::limit;
use libfuzzer_sys::fuzz_target;

/// What the sessions need of it.
mod turn {
    pub(crate) use lanturn::turn::{FiveTuple, Now, Transport};

    pub(crate) type FastMap<K, V> = std::collections::HashMap<K, V, foldhash::quality::RandomState>;
}

#[path = "../../../src/relay"]
mod relay {
    mod dtls;

    use std::collections::{HashSet, VecDeque};
    use std::net::SocketAddr;
    use std::sync::{Arc, LazyLock};
    use std::time::{Duration, Instant};

    use dimpl::{Config, Dtls, DtlsCertificate, Output};

    use self::dtls::{Bounds, Identity, Limits, Outbox, Sessions};
    use crate::limit::SourcePrefix;
    use crate::turn::{FiveTuple, Now, Transport};

    const LIMITS: Limits = Limits { sessions: 5, sessions_per_prefix: 3, half_open: 4, half_open_per_prefix: 2 };
    const CLIENTS: usize = 8;
    const UNIX: u64 = 1_800_000_000;
    /// All that any client ever says.
    const SAID: &[u8] = b"what a client says";

    /// ```text
    /// 0    1     2      3    4         5     6        8
    /// | op | who | from | at | change | cut | length | datagram
    /// ```
    pub(crate) struct Op<'a> {
        kind: u8,
        who: usize,
        from: usize,
        spoil: [u8; 3],
        datagram: &'a [u8],
    }

    impl<'a> Op<'a> {
        pub(crate) fn next(input: &mut &'a [u8]) -> Option<Self> {
            let (&[kind, who, from, at, change, cut, high, low], rest) = input.split_first_chunk()?;
            let (datagram, rest) = rest.split_at(usize::from(u16::from_be_bytes([high, low])).min(rest.len()));
            *input = rest;
            let index = |who: u8| usize::from(who) % CLIENTS;
            Some(Self { kind, who: index(who), from: index(from), spoil: [at, change, cut], datagram })
        }
    }

    struct Client {
        dtls: Dtls,
        waiting: VecDeque<Vec<u8>>,
        /// What it has sent so far.
        sent: Vec<Vec<u8>>,
        is_open: bool,
    }

    impl Client {
        fn new(now: Instant) -> Self {
            static SHOWN: LazyLock<DtlsCertificate> = LazyLock::new(certificate);
            static CONFIG: LazyLock<Arc<Config>> =
                LazyLock::new(|| Arc::new(Config::builder().with_crypto_provider(dtls::provider()).build().unwrap()));
            let mut dtls = Dtls::new_12(Arc::clone(&CONFIG), SHOWN.clone(), now);
            dtls.set_active(true);
            dtls.handle_timeout(now).unwrap();
            Self { dtls, waiting: VecDeque::new(), sent: Vec::new(), is_open: false }
        }

        /// The next datagram that it sends.
        fn take(&mut self) -> Option<Vec<u8>> {
            let mut buffer = [0; 2048];
            loop {
                match self.dtls.poll_output(&mut buffer) {
                    Output::Packet(packet) => self.waiting.push_back(packet.to_vec()),
                    Output::Connected => self.is_open = true,
                    Output::Timeout(_) | Output::BufferTooSmall { .. } => break,
                    _ => {}
                }
            }
            let next = self.waiting.pop_front()?;
            self.sent.push(next.clone());
            Some(next)
        }
    }

    pub(crate) struct World {
        sessions: Sessions,
        now: Now,
        clients: Vec<Client>,
        /// Who was asked for which cookie.
        asked: HashSet<(FiveTuple, Vec<u8>)>,
        has_begun: bool,
    }

    impl World {
        pub(crate) fn new() -> Self {
            let sessions = Sessions::new(Some(identity()), Bounds::new(LIMITS), &[5; 32]);
            let now = Now { instant: Instant::now(), unix: UNIX };
            let clients = (0..CLIENTS).map(|_| Client::new(now.instant)).collect();
            Self { sessions, now, clients, asked: HashSet::new(), has_begun: false }
        }

        pub(crate) fn apply(&mut self, Op { kind, who, from, spoil, datagram }: Op<'_>) {
            let [at, change, _] = spoil;
            match kind % 9 {
                0 => {
                    if let Some(datagram) = self.clients[who].take() {
                        self.deliver(from, &spoiled(datagram, spoil));
                    }
                }
                1 => {
                    let sent = &self.clients[who].sent;
                    if let Some(which) = usize::from(datagram.len() as u8).checked_rem(sent.len()) {
                        self.deliver(from, &spoiled(sent[which].clone(), spoil));
                    }
                }
                2 if !datagram.is_empty() => self.deliver(from, &spoiled(datagram.to_vec(), [0; 3])),
                3 if self.clients[who].is_open => {
                    // One that has closed has nothing to say.
                    let _ = self.clients[who].dtls.send_application_data(SAID);
                }
                4 => {
                    self.sessions.send(&five_tuple(who), [datagram, b"", &[at]]);
                    self.carry(None);
                }
                5 => self.clients[who] = Client::new(self.now.instant),
                6 => self.wait(Duration::from_millis(50) * u32::from(at)),
                7 => {
                    self.sessions.sweep(self.now.instant, |from| change >> (from.client.port() % 8) & 1 == 1);
                    self.carry(None);
                }
                8 => self.sessions.show(Some(identity()).filter(|_| at % 2 == 0)),
                _ => {}
            }
            self.check();
        }

        /// Everybody is silent for a minute, and then there is room for whoever comes.
        pub(crate) fn end(&mut self) {
            self.wait(Duration::from_secs(60));
            self.sessions.sweep(self.now.instant, |_| false);
            self.carry(None);
            assert!(self.sessions.len() == 0 && self.sessions.next_due().is_none());
            while self.sessions.take_ended().is_some() {}
            if self.has_begun {
                self.sessions.show(Some(identity()));
                self.clients[0] = Client::new(self.now.instant);
                let opened = self.opened();
                while let Some(datagram) = self.clients[0].take() {
                    self.deliver(0, &datagram);
                }
                assert!(self.clients[0].is_open && self.sessions.has(&five_tuple(0)));
                assert_eq!(self.opened(), opened + 1);
            }
        }

        fn opened(&self) -> u64 {
            self.sessions.counters().into_iter().find(|(name, _)| *name == "dtls_opened").unwrap().1
        }

        fn wait(&mut self, time: Duration) {
            self.now.instant += time;
            self.now.unix = self.now.unix + time.as_secs();
            self.sessions.expire(self.now.instant);
            assert!(self.sessions.next_due().is_none_or(|due| due > self.now.instant));
            self.carry(None);
            for client in &mut self.clients {
                // One whose handshake has taken too long is of no more use.
                let _ = client.dtls.handle_timeout(self.now.instant);
            }
        }

        fn deliver(&mut self, from: usize, datagram: &[u8]) {
            let from = five_tuple(from);
            let was_on = self.sessions.has(&from);
            let mut memory = datagram.to_vec();
            for message in self.sessions.receive(from, &mut memory, self.now) {
                assert_eq!(&memory[message], SAID);
            }
            if !was_on && self.sessions.has(&from) {
                let is_asked = |(to, cookie): &(FiveTuple, Vec<u8>)| {
                    *to == from && datagram.windows(cookie.len()).any(|bytes| bytes == cookie)
                };
                assert!(self.asked.iter().any(is_asked), "{from:?} has a session and has shown no cookie");
                self.has_begun = true;
            }
            let sent = self.carry(Some(from));
            assert!(was_on || self.sessions.has(&from) || sent <= datagram.len(), "{sent} bytes for {datagram:x?}");
        }

        /// Brings to clients what is sent, all of it to one if it is the answer to that one, and says how much that is.
        fn carry(&mut self, to: Option<FiveTuple>) -> usize {
            let Outbox { bytes, datagrams } = std::mem::take(self.sessions.outbox());
            for (client, range) in datagrams {
                assert!(to.is_none_or(|to| to == client));
                let datagram = &bytes[range];
                if let Some([22, .., 32]) = datagram.get(..28)
                    && datagram[13] == 3
                {
                    self.asked.insert((client, datagram[28..].to_vec()));
                }
                // It may be the answer to what somebody else has said.
                let _ = self.clients[usize::from(client.client.port() - 5000)].dtls.handle_packet(datagram);
            }
            bytes.len()
        }

        fn check(&mut self) {
            let on: Vec<_> = (0..CLIENTS).map(five_tuple).filter(|from| self.sessions.has(from)).collect();
            assert!(on.len() == self.sessions.len() && on.len() <= LIMITS.sessions as usize);
            let source = |from: &FiveTuple| SourcePrefix::from(from.client.ip());
            for one in &on {
                let of_it = on.iter().filter(|other| source(other) == source(one)).count();
                assert!(of_it <= LIMITS.sessions_per_prefix as usize);
            }
            while let Some(ended) = self.sessions.take_ended() {
                assert!((0..CLIENTS).any(|who| five_tuple(who) == ended));
            }
        }
    }

    /// Every other client comes from the same address.
    fn five_tuple(who: usize) -> FiveTuple {
        let client = SocketAddr::new([192, 0, 2, who as u8 % 2].into(), 5000 + who as u16);
        FiveTuple::new(client, "203.0.113.5:3478".parse().unwrap(), Transport::Dtls)
    }

    /// A datagram of which a byte is changed and the end is cut off, and that still seems to be DTLS.
    fn spoiled(mut datagram: Vec<u8>, [at, change, cut]: [u8; 3]) -> Vec<u8> {
        let length = datagram.len();
        datagram[usize::from(at) % length] ^= change;
        datagram.truncate(length.saturating_sub(cut.into()).max(1));
        datagram[0] = datagram[0].clamp(20, 63);
        datagram
    }

    fn certificate() -> DtlsCertificate {
        let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        DtlsCertificate { certificate: made.cert.der().to_vec(), private_key: made.signing_key.serialize_der() }
    }

    fn identity() -> Arc<Identity> {
        static SHOWN: LazyLock<Arc<Identity>> = LazyLock::new(|| {
            let made = certificate();
            Arc::new(Identity::new(&made.certificate, &made.private_key).unwrap())
        });
        Arc::clone(&SHOWN)
    }
}

fuzz_target!(|input: &[u8]| {
    let mut world = relay::World::new();
    let mut rest = input;
    while let Some(op) = relay::Op::next(&mut rest) {
        world.apply(op);
    }
    world.end();
});
