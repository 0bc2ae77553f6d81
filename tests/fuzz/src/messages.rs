//! What clients send.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use arbitrary::Arbitrary;
use lanturn::stun::{TransactionId, encode_xor_address};
use stun::attributes::{
    ATTR_CHANNEL_NUMBER, ATTR_DATA, ATTR_EVEN_PORT, ATTR_LIFETIME, ATTR_NONCE, ATTR_REALM,
    ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_REQUESTED_TRANSPORT, ATTR_USERNAME, ATTR_XOR_PEER_ADDRESS, AttrType,
};
use stun::integrity::MessageIntegrity;
use stun::message::{
    CLASS_INDICATION, CLASS_REQUEST, METHOD_ALLOCATE, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_REFRESH,
    METHOD_SEND, Message, MessageClass, MessageType, Method, Setter as _,
};

use crate::REALM;

/// A peer that a client may think of.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Peer {
    /// In the network that key-minted credentials may reach.
    Allowed {
        host: u8,
        port: u16,
    },
    /// Where a member of a room was seen.
    Member {
        number: u8,
        port: u16,
    },
    /// The relayed address of a client.
    Relayed {
        who: u8,
    },
    /// The box, at any port.
    Own {
        v6: bool,
        port: u16,
    },
    Any {
        ip: IpAddr,
        port: u16,
    },
}

/// A request in the making.
pub struct Asked(Message);

impl Asked {
    pub fn allocate(lifetime: Option<u32>, v6: Option<bool>, even: Option<bool>) -> Self {
        let mut asked = Self::new(METHOD_ALLOCATE, CLASS_REQUEST);
        asked.0.add(ATTR_REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
        asked.lifetime(lifetime);
        if let Some(v6) = v6 {
            asked.0.add(ATTR_REQUESTED_ADDRESS_FAMILY, &[1 + u8::from(v6), 0, 0, 0]);
        }
        if let Some(reserve) = even {
            asked.0.add(ATTR_EVEN_PORT, &[u8::from(reserve) << 7]);
        }
        asked
    }

    pub fn refresh(lifetime: Option<u32>) -> Self {
        let mut asked = Self::new(METHOD_REFRESH, CLASS_REQUEST);
        asked.lifetime(lifetime);
        asked
    }

    pub fn permit(peers: &[SocketAddr]) -> Self {
        let mut asked = Self::new(METHOD_CREATE_PERMISSION, CLASS_REQUEST);
        peers.iter().for_each(|peer| asked.peer(*peer));
        asked
    }

    pub fn bind(channel: u16, peer: SocketAddr) -> Self {
        let mut asked = Self::new(METHOD_CHANNEL_BIND, CLASS_REQUEST);
        let [high, low] = channel.to_be_bytes();
        asked.0.add(ATTR_CHANNEL_NUMBER, &[high, low, 0, 0]);
        asked.peer(peer);
        asked
    }

    pub fn send(peer: SocketAddr, data: &[u8]) -> Vec<u8> {
        let mut asked = Self::new(METHOD_SEND, CLASS_INDICATION);
        asked.peer(peer);
        asked.0.add(ATTR_DATA, data);
        asked.0.raw
    }

    /// The packet, signed.
    pub fn sign(mut self, username: &str, key: &[u8], nonce: &str) -> Vec<u8> {
        for (kind, text) in [(ATTR_USERNAME, username), (ATTR_REALM, REALM), (ATTR_NONCE, nonce)] {
            self.0.add(kind, text.as_bytes());
        }
        MessageIntegrity(key.to_vec()).add_to(&mut self.0).unwrap();
        self.0.raw
    }

    fn new(method: Method, class: MessageClass) -> Self {
        static REQUESTS: AtomicU64 = AtomicU64::new(1);
        let mut message = Message::new();
        message.transaction_id.0[..8].copy_from_slice(&REQUESTS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        message.typ = MessageType { method, class };
        message.write_header();
        Self(message)
    }

    fn lifetime(&mut self, lifetime: Option<u32>) {
        if let Some(seconds) = lifetime {
            self.0.add(ATTR_LIFETIME, &seconds.to_be_bytes());
        }
    }

    fn peer(&mut self, peer: SocketAddr) {
        let mut value = [0; 20];
        let length = encode_xor_address(peer, TransactionId(self.0.transaction_id.0), &mut value);
        self.add(ATTR_XOR_PEER_ADDRESS, &value[..length]);
    }

    fn add(&mut self, kind: AttrType, value: &[u8]) {
        self.0.add(kind, value);
    }
}
