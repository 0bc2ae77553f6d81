//! One client's session.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::crypto::{CryptoProvider, Dtls12CipherSuite};
use dimpl::{Config, Dtls, DtlsCertificate, Error, Output};
use thiserror::Error as ThisError;

use super::bounds::Ticket;
use super::cookie::Cookie;
use super::crypto;
use super::hello::{ClientHello, renumber};
use crate::turn::FiveTuple;

/// The most plaintext of a record (RFC 6347 section 4.1), in bytes.
pub(super) const MAX_PLAINTEXT: usize = 1 << 14;
/// Room for a record and what goes around it, in bytes.
pub(super) const MAX_DATAGRAM: usize = MAX_PLAINTEXT + 512;
/// The longest datagram of a handshake, in bytes: it passes wherever IPv6 does.
const HANDSHAKE_MTU: usize = 1200;
/// How long a handshake may take.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// The most messages under one key whose nonces are random 64 bits each: two are the same then by a chance of 1 in 500.
const MOST_RANDOM_NONCES: u64 = 1 << 28;

/// The certificate that sessions show, and how they are spoken.
#[derive(Debug)]
pub struct Identity {
    certificate: DtlsCertificate,
    config: Arc<Config>,
    chacha_20: Arc<Config>,
}

impl Identity {
    /// From a certificate and its private key, both in DER.
    ///
    /// # Errors
    /// When the key is no ECDSA key on P-256 or P-384: nothing else is spoken here.
    pub fn new(certificate: &[u8], key: &[u8]) -> Result<Self, Error> {
        Self::with(&crypto::provider(), certificate, key)
    }

    pub(super) fn with(provider: &CryptoProvider, certificate: &[u8], key: &[u8]) -> Result<Self, Error> {
        provider.key_provider.load_private_key(key).map_err(Error::CryptoError)?;
        let config = || {
            Config::builder()
                .with_crypto_provider(provider.clone())
                .mtu(HANDSHAKE_MTU)
                .handshake_timeout(HANDSHAKE_DEADLINE)
                .require_client_certificate(false)
        };
        // AES-GCM takes a random nonce of 64 bits for each record here, and would meet one again after some billions.
        // ChaCha20 counts: who offers it gets it.
        let chacha_20 = config().dtls12_cipher_suites(&[Dtls12CipherSuite::ECDHE_ECDSA_CHACHA20_POLY1305_SHA256]);
        Ok(Self {
            certificate: DtlsCertificate { certificate: certificate.to_vec(), private_key: key.to_vec() },
            config: Arc::new(config().build()?),
            chacha_20: Arc::new(chacha_20.build()?),
        })
    }
}

/// Why a session is no more.
#[derive(Debug, ThisError)]
pub(super) enum Failure {
    #[error(transparent)]
    Dtls(#[from] Error),
    #[error("its library panicked")]
    Panicked,
    #[error("its key has been used for as many records as it may be")]
    UsedUp,
}

/// Calls into the library. Should it panic, that is the end of one session, and not of the server.
fn guard<T>(call: impl FnOnce() -> T) -> Result<T, Failure> {
    // Nothing calls again into what has panicked.
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| Failure::Panicked)
}

/// A session, from the ClientHello with its cookie on.
#[derive(Debug)]
pub(super) struct Session {
    dtls: Dtls,
    pub(super) from: FiveTuple,
    /// What the client said first: who repeats it is no other client.
    pub(super) random: [u8; 32],
    pub(super) ticket: Ticket,
    /// When it is down to have something to do.
    pub(super) scheduled: Option<Instant>,
    /// When it began, had its last message from the client, or was last seen with an allocation.
    pub(super) used_at: Instant,
    /// How many messages it may still send, if its cipher draws a random nonce for each.
    pub(super) left: Option<u64>,
    /// What the numbers of its records in the clear are short of those that the client expects.
    renumber: u64,
}

/// What a session has brought forth.
#[derive(Debug, Default)]
pub(super) struct Drained {
    /// Where in the datagram that was received there are messages now.
    pub(super) opened: Vec<Range<usize>>,
    /// Messages for which it has no room.
    pub(super) lost: u64,
    /// When it has something to do next, while it is half open.
    pub(super) due: Option<Instant>,
    /// Whether the client has closed it.
    pub(super) is_closed: bool,
}

impl Session {
    /// For a client whose cookie is right. What it answers is to be drained.
    ///
    /// # Errors
    /// When the client offers nothing that is spoken here.
    pub(super) fn new(
        identity: &Identity,
        from: FiveTuple,
        hello: &ClientHello<'_>,
        ticket: Ticket,
        now: Instant,
    ) -> Result<Self, Failure> {
        let config = if hello.offers_chacha_20() { &identity.chacha_20 } else { &identity.config };
        let mut dtls = guard(|| Dtls::new_12(Arc::clone(config), identity.certificate.clone(), now))?;
        guard(|| dtls.handle_timeout(now))??;
        if let Some(cookie) = hello.cookie().first_chunk() {
            catch_up(&mut dtls, hello, cookie)?;
        }
        Ok(Self {
            dtls,
            from,
            random: hello.random,
            ticket,
            scheduled: None,
            used_at: now,
            left: (!hello.offers_chacha_20()).then_some(MOST_RANDOM_NONCES),
            renumber: hello.sequence().saturating_sub(1),
        })
    }

    /// Takes a datagram.
    ///
    /// # Errors
    /// When the session is no more.
    pub(super) fn receive(&mut self, datagram: &[u8], now: Instant) -> Result<(), Failure> {
        self.expire(now)?;
        Ok(guard(|| self.dtls.handle_packet(datagram))??)
    }

    /// Does what is due.
    ///
    /// # Errors
    /// When the session is no more.
    pub(super) fn expire(&mut self, now: Instant) -> Result<(), Failure> {
        Ok(guard(|| self.dtls.handle_timeout(now))??)
    }

    /// Takes a message for the client, up to [`MAX_PLAINTEXT`] bytes.
    ///
    /// # Errors
    /// When the session is no more, or has used up its key: its client then begins another.
    pub(super) fn send(&mut self, message: &[u8]) -> Result<(), Failure> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or(Failure::UsedUp)?;
        }
        guard(|| self.dtls.send_application_data(message))??;
        Ok(())
    }

    /// Has it say goodbye, if the handshake has ended.
    ///
    /// # Errors
    /// When it cannot even be asked what it has to say.
    pub(super) fn close(&mut self) -> Result<(), Failure> {
        // One that is no more has nothing to say.
        guard(|| self.dtls.close()).map(drop)
    }

    /// Takes out everything: datagrams to `send`, and messages into the memory of the datagram that they came in,
    /// where they always have room, unless they had to wait for others.
    ///
    /// # Errors
    /// When the session is no more.
    pub(super) fn drain(
        &mut self,
        scratch: &mut [u8],
        memory: &mut [u8],
        mut send: impl FnMut(&[u8]),
    ) -> Result<Drained, Failure> {
        let (mut drained, mut used) = (Drained::default(), 0);
        loop {
            match guard(|| self.dtls.poll_output(scratch))? {
                Output::Packet(packet) => {
                    let length = packet.len();
                    if self.renumber > 0 {
                        renumber(&mut scratch[..length], self.renumber);
                    }
                    send(&scratch[..length]);
                }
                Output::ApplicationData(message) => match memory.get_mut(used..used + message.len()) {
                    Some(room) => {
                        room.copy_from_slice(message);
                        drained.opened.push(used..used + message.len());
                        used += message.len();
                    }
                    None => drained.lost += 1,
                },
                Output::Connected => self.ticket.opened(),
                Output::CloseNotify => drained.is_closed = true,
                Output::Timeout(due) => {
                    drained.due = self.ticket.is_half_open().then_some(due);
                    return Ok(drained);
                }
                Output::BufferTooSmall { .. } => {
                    drained.is_closed = true;
                    return Ok(drained);
                }
                Output::PeerCert(_) | Output::KeyingMaterial(..) | _ => {}
            }
        }
    }
}

/// Says to a new session what the client has said to nobody in particular, and what it says now.
fn catch_up(dtls: &mut Dtls, hello: &ClientHello<'_>, cookie: &Cookie) -> Result<(), Failure> {
    crypto::with_cookie(*cookie, || {
        guard(|| dtls.handle_packet(&hello.without_cookie()))??;
        // The client has had this answer.
        while !guard(|| matches!(dtls.poll_output(&mut [0; HANDSHAKE_MTU]), Output::Timeout(_)))? {}
        Ok(guard(|| dtls.handle_packet(hello.record()))??)
    })
}
