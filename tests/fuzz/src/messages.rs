//! What clients send.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use arbitrary::Arbitrary;
use lanturn::stun::{ADDITIONAL_ADDRESS_FAMILY, ConnectionId, MOBILITY_TICKET, TransactionId, encode_xor_address};
use stun::attributes::{
    ATTR_CHANNEL_NUMBER, ATTR_CONNECTION_ID, ATTR_DATA, ATTR_EVEN_PORT, ATTR_LIFETIME, ATTR_NONCE, ATTR_REALM,
    ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_REQUESTED_TRANSPORT, ATTR_RESERVATION_TOKEN, ATTR_USERNAME,
    ATTR_XOR_PEER_ADDRESS, AttrType,
};
use stun::integrity::MessageIntegrity;
use stun::message::{
    CLASS_INDICATION, CLASS_REQUEST, METHOD_ALLOCATE, METHOD_CHANNEL_BIND, METHOD_CONNECT, METHOD_CONNECTION_BIND,
    METHOD_CREATE_PERMISSION, METHOD_REFRESH, METHOD_SEND, Message, MessageClass, MessageType, Method, Setter as _,
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

/// What a client may want of an allocation.
#[derive(Arbitrary, Clone, Copy, Debug, Default)]
pub struct Wish {
    pub lifetime: Option<u32>,
    pub v6: Option<bool>,
    /// EVEN-PORT, and whether the port after it is to be held back.
    pub even: Option<bool>,
    /// ADDITIONAL-ADDRESS-FAMILY.
    pub both: bool,
    /// MOBILITY-TICKET.
    pub mobile: bool,
    pub tcp: bool,
}

/// A request in the making.
pub struct Asked(Message);

impl Asked {
    pub fn allocate(wish: Wish) -> Self {
        let Wish { lifetime, v6, even, both, mobile, tcp } = wish;
        let mut asked = Self::new(METHOD_ALLOCATE, CLASS_REQUEST);
        asked.add(ATTR_REQUESTED_TRANSPORT, &[if tcp { 6 } else { 17 }, 0, 0, 0]);
        asked.lifetime(lifetime);
        asked.family(v6);
        if let Some(reserve) = even {
            asked.add(ATTR_EVEN_PORT, &[u8::from(reserve) << 7]);
        }
        if both {
            asked.add(ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);
        }
        if mobile {
            asked.add(MOBILITY_TICKET, &[]);
        }
        asked
    }

    /// An Allocate for the port that is held back under a token.
    pub fn reserved(token: &[u8], mobile: bool) -> Self {
        let mut asked = Self::allocate(Wish { mobile, ..Wish::default() });
        asked.add(ATTR_RESERVATION_TOKEN, token);
        asked
    }

    pub fn refresh(lifetime: Option<u32>, v6: Option<bool>) -> Self {
        let mut asked = Self::new(METHOD_REFRESH, CLASS_REQUEST);
        asked.lifetime(lifetime);
        asked.family(v6);
        asked
    }

    /// A Refresh that takes an allocation along.
    pub fn moving(ticket: &[u8], lifetime: Option<u32>) -> Self {
        let mut asked = Self::refresh(lifetime, None);
        asked.add(MOBILITY_TICKET, ticket);
        asked
    }

    pub fn connect(peer: SocketAddr) -> Self {
        let mut asked = Self::new(METHOD_CONNECT, CLASS_REQUEST);
        asked.peer(peer);
        asked
    }

    pub fn bind_connection(id: ConnectionId) -> Self {
        let mut asked = Self::new(METHOD_CONNECTION_BIND, CLASS_REQUEST);
        asked.add(ATTR_CONNECTION_ID, &id.0.to_be_bytes());
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

    fn family(&mut self, v6: Option<bool>) {
        if let Some(v6) = v6 {
            self.add(ATTR_REQUESTED_ADDRESS_FAMILY, &[1 + u8::from(v6), 0, 0, 0]);
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
