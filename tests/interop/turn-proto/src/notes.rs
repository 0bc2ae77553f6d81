//! What went over the wire, as far as the client does not tell.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use turn_client_proto::stun::types::attribute::{
    ErrorCode, MessageIntegrity, MessageIntegritySha256, PasswordAlgorithm, PasswordAlgorithms, Userhash, Username,
};
use turn_client_proto::stun::types::message::{Message, MessageClass, TransactionId};
use turn_client_proto::stun::types::prelude::AttributeStaticType as _;

#[derive(Default)]
pub struct Notes {
    /// Requests without an answer, and whether they are signed.
    open: HashMap<TransactionId, bool>,
    /// Successes, by method.
    pub successes: BTreeMap<u16, u32>,
    /// Errors, as method and code.
    pub errors: Vec<(u16, u16)>,
    /// How requests and what answers them were authenticated.
    pub proofs: BTreeSet<String>,
    /// Indications and channel data, both ways.
    pub indications: [u32; 2],
    pub channel_data: [u32; 2],
}

impl Notes {
    pub fn sent(&mut self, packet: &[u8]) {
        let Some(message) = self.message(packet, 0) else { return };
        let proof = proof_of(&message);
        self.open.insert(message.transaction_id(), proof.is_some());
        self.proofs.extend(proof.map(|proof| format!("asked: {proof}")));
    }

    /// False for an answer to nothing that is open.
    pub fn received(&mut self, packet: &[u8]) -> bool {
        let Some(message) = self.message(packet, 1) else { return true };
        let Some(signed) = self.open.remove(&message.transaction_id()) else { return false };
        let method = message.method().value();
        if message.has_class(MessageClass::Success) {
            *self.successes.entry(method).or_default() += 1;
        } else {
            let code = message.attribute::<ErrorCode>().expect("an error has a code").code();
            self.errors.push((method, code));
            // Who is not known, or comes with an old nonce, cannot be answered with a proof.
            if code == ErrorCode::UNAUTHORIZED || code == ErrorCode::STALE_NONCE {
                return true;
            }
        }
        assert!(signed, "only a 401 answers what is not signed: {message}");
        let proof = proof_of(&message).unwrap_or_else(|| panic!("without a proof: {message}"));
        self.proofs.insert(format!("answered: {proof}"));
        true
    }

    pub fn is_answered(&self) -> bool {
        self.open.is_empty()
    }

    pub fn successes_of(&self, method: u16) -> u32 {
        self.successes.get(&method).copied().unwrap_or(0)
    }

    /// A request or an answer to one. All else is counted.
    fn message<'a>(&mut self, packet: &'a [u8], way: usize) -> Option<Message<'a>> {
        if packet[0] & 0xC0 == 0x40 {
            self.channel_data[way] += 1;
            return None;
        }
        let message = Message::from_bytes(packet).expect("a whole message");
        if message.has_class(MessageClass::Indication) {
            self.indications[way] += 1;
            return None;
        }
        Some(message)
    }
}

/// The names of what authenticates a message. None if nothing does.
fn proof_of(message: &Message<'_>) -> Option<String> {
    let kinds =
        [(Username::TYPE, "USERNAME"), (Userhash::TYPE, "USERHASH"), (PasswordAlgorithms::TYPE, "PASSWORD-ALGORITHMS")];
    let mut parts: Vec<String> = Vec::new();
    parts.extend(kinds.iter().filter(|(kind, _)| message.has_attribute(*kind)).map(|(_, name)| (*name).to_owned()));
    if let Ok(chosen) = message.attribute::<PasswordAlgorithm>() {
        parts.push(format!("PASSWORD-ALGORITHM {:?}", chosen.algorithm()));
    }
    let macs =
        [(MessageIntegrity::TYPE, "MESSAGE-INTEGRITY"), (MessageIntegritySha256::TYPE, "MESSAGE-INTEGRITY-SHA256")];
    let macs: Vec<&str> = macs.iter().filter(|(kind, _)| message.has_attribute(*kind)).map(|(_, name)| *name).collect();
    parts.extend(macs.iter().map(|name| (*name).to_owned()));
    (!macs.is_empty()).then(|| parts.join(", "))
}
