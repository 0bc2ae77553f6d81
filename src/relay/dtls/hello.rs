//! The first message of a client, which is answered without a session (RFC 6347 sections 4.1, 4.2.1 and 4.2.2).
//!
//! ```text
//! record:     | type 22 | version 2 | epoch 2 | sequence 6 | length 2 |
//! handshake:  | type 1  | length 3  | message sequence 2 | fragment offset 3 | fragment length 3 |
//! hello:      | version 2 | random 32 | session id 0..=32 | cookie 0..=255 | cipher suites | ...
//! ```
//! Session id and cookie have a byte before them with their length, the cipher suites two.

use std::ops::Range;

use super::cookie::Cookie;

const RECORD: usize = 13;
const HANDSHAKE: usize = 12;
const TYPE_HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;
const TYPE_ALERT: u8 = 21;
/// DTLS 1.0, which what is said before there is a session names whatever is spoken later.
const FIRST_VERSION: [u8; 2] = [0xFE, 0xFF];
/// Versions of DTLS count down.
const DTLS_1_2: [u8; 2] = [0xFE, 0xFD];
/// ECDHE with ECDSA and ChaCha20-Poly1305 (RFC 7905 section 4).
const CHACHA_20: [u8; 2] = [0xCC, 0xA9];

/// Why a client gets no session (RFC 5246 section 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alert {
    HandshakeFailure = 40,
    ProtocolVersion = 70,
}

/// A ClientHello that begins a datagram, whole and in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientHello<'a> {
    record: &'a [u8],
    pub(super) random: [u8; 32],
    cookie: Range<usize>,
    suites: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// None when it is something else. One in fragments is none: a cookie cannot be asked for without keeping them.
    pub(super) fn parse(datagram: &'a [u8]) -> Option<Self> {
        // Of all that comes, most is encrypted, and ends here.
        if datagram.first() != Some(&TYPE_HANDSHAKE) {
            return None;
        }
        let length = usize::from(u16::from_be_bytes(*datagram.get(11..RECORD)?.first_chunk()?));
        let record = datagram.get(..RECORD + length)?;
        let body = record.get(RECORD + HANDSHAKE..)?;
        let (message, fragment) = (&record[RECORD..], &record[RECORD + 6..RECORD + HANDSHAKE]);
        let is_whole =
            message[1..4] == fragment[3..] && fragment[..3] == [0; 3] && big(&message[1..4]) == body.len() as u64;
        let is_clear = record[1] == 0xFE && record[3..5] == [0; 2];
        if !is_clear || message[0] != CLIENT_HELLO || !is_whole {
            return None;
        }
        let random = *body.get(2..)?.first_chunk()?;
        let session_id = short(record, RECORD + HANDSHAKE + 34, 1)?;
        let cookie = short(record, session_id.end, 1)?;
        let suites = short(record, cookie.end, 2)?;
        Some(Self { record, random, suites: &record[suites], cookie })
    }

    pub(super) fn cookie(&self) -> &'a [u8] {
        &self.record[self.cookie.clone()]
    }

    /// Whether it is one of DTLS 1.2, which a client of 1.3 offers too.
    pub(super) fn is_1_2(&self) -> bool {
        self.record[RECORD + HANDSHAKE..].starts_with(&DTLS_1_2)
    }

    /// The record that it is in, without what may come behind it in the datagram.
    pub(super) fn record(&self) -> &'a [u8] {
        self.record
    }

    /// The number of its record.
    pub(super) fn sequence(&self) -> u64 {
        big(&self.record[5..11])
    }

    pub(super) fn offers_chacha_20(&self) -> bool {
        self.suites.chunks_exact(2).any(|suite| suite == CHACHA_20)
    }

    /// The HelloVerifyRequest that answers it. It is shorter than any ClientHello.
    pub(super) fn verify(&self, cookie: &Cookie) -> Vec<u8> {
        let body = [&FIRST_VERSION[..], &[cookie.len() as u8], cookie].concat();
        let length = [0, 0, body.len() as u8];
        let message_sequence = &self.record[RECORD + 4..RECORD + 6];
        let handshake = [&[HELLO_VERIFY_REQUEST][..], &length, message_sequence, &[0; 3], &length, &body].concat();
        self.answer(TYPE_HANDSHAKE, &handshake)
    }

    /// The end of it.
    pub(super) fn refuse(&self, why: Alert) -> Vec<u8> {
        const FATAL: u8 = 2;
        self.answer(TYPE_ALERT, &[FATAL, why as u8])
    }

    /// A record with the number of the one that it answers, so that nobody need remember which numbers were used.
    fn answer(&self, record_type: u8, content: &[u8]) -> Vec<u8> {
        let length = [0, content.len() as u8];
        [&[record_type][..], &FIRST_VERSION, &[0; 2], &self.record[5..11], &length, content].concat()
    }

    /// The same as the client said first, before it had a cookie.
    pub(super) fn without_cookie(&self) -> Vec<u8> {
        let mut first = self.record.to_vec();
        first[self.cookie.start - 1] = 0;
        first.drain(self.cookie.clone());
        let length = (first.len() - RECORD) as u16;
        first[11..RECORD].copy_from_slice(&length.to_be_bytes());
        first[5..11].fill(0);
        let body = u32::from(length) - HANDSHAKE as u32;
        for at in [RECORD + 1, RECORD + 9] {
            first[at..at + 3].copy_from_slice(&body.to_be_bytes()[1..]);
        }
        first[RECORD + 4..RECORD + 6].fill(0);
        first
    }
}

/// Adds to the numbers of all records in the clear: those of the first ServerHello on must go on from that of the
/// ClientHello, or a client that had to repeat itself takes them for old ones.
pub(super) fn renumber(datagram: &mut [u8], by: u64) {
    let mut rest = datagram;
    while let Some((head, behind)) = rest.split_first_chunk_mut::<RECORD>() {
        if head[3..5] == [0; 2] {
            let sequence = big(&head[5..11]).wrapping_add(by);
            head[5..11].copy_from_slice(&sequence.to_be_bytes()[2..]);
        }
        let length = usize::from(u16::from_be_bytes([head[11], head[12]])).min(behind.len());
        rest = &mut behind[length..];
    }
}

fn big(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

/// Where a field stands whose length stands before it, in so many bytes.
fn short(bytes: &[u8], at: usize, length_bytes: usize) -> Option<Range<usize>> {
    let start = at + length_bytes;
    let end = start + big(bytes.get(at..start)?) as usize;
    (end <= bytes.len()).then_some(start..end)
}
