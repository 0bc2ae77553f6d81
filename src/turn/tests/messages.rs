//! Messages written and read by the other codec.

use std::net::SocketAddr;
use std::time::Duration;

use ::stun::agent::TransactionId;
pub(crate) use ::stun::attributes::{ATTR_MESSAGE_INTEGRITY, ATTR_NONCE, ATTR_REALM, ATTR_USERNAME, AttrType};
use ::stun::error_code::ErrorCodeAttribute;
use ::stun::fingerprint::FINGERPRINT;
pub(crate) use ::stun::message::*;
use ::stun::textattrs::TextAttribute;
use ::stun::xoraddr::XorMappedAddress;
use ::turn::proto::chandata::ChannelData;
use ::turn::proto::channum::ChannelNumber;
use ::turn::proto::data::Data;
use ::turn::proto::lifetime::Lifetime;
use ::turn::proto::peeraddr::PeerAddress;
use ::turn::proto::relayaddr::RelayedAddress;
use ::turn::proto::reqtrans::RequestedTransport;

use super::support::{Client, REALM, at};
use crate::turn::Delivery;

pub(crate) const UDP: u8 = 17;
pub(crate) const TCP: u8 = 6;

/// A message in the making.
#[derive(Clone)]
pub(crate) struct Asked(pub(crate) Message);

impl Asked {
    pub(crate) fn new(method: Method, class: MessageClass) -> Self {
        let mut message = Message::new();
        message.set_type(MessageType::new(method, class));
        message.new_transaction_id().unwrap();
        message.write_header();
        Self(message)
    }

    pub(crate) fn request(method: Method) -> Self {
        Self::new(method, CLASS_REQUEST)
    }

    pub(crate) fn with(mut self, attribute: impl Setter) -> Self {
        attribute.add_to(&mut self.0).unwrap();
        self
    }

    pub(crate) fn raw(mut self, kind: AttrType, value: &[u8]) -> Self {
        self.0.add(kind, value);
        self
    }

    pub(crate) fn text(self, kind: AttrType, text: &str) -> Self {
        self.raw(kind, text.as_bytes())
    }

    pub(crate) fn peer(self, peer: &str) -> Self {
        self.with(PeerAddress { ip: at(peer).ip(), port: at(peer).port() })
    }

    pub(crate) fn lifetime(self, seconds: u64) -> Self {
        self.with(Lifetime(Duration::from_secs(seconds)))
    }

    /// USERNAME, REALM and NONCE, without the proof.
    pub(crate) fn named(self, client: &Client) -> Self {
        self.text(ATTR_USERNAME, &client.username).text(ATTR_REALM, REALM).text(ATTR_NONCE, &client.nonce)
    }

    pub(crate) fn sign(self, client: &Client) -> Vec<u8> {
        self.named(client).with(client.key()).0.raw
    }

    pub(crate) fn fingerprint(self) -> Self {
        self.with(FINGERPRINT)
    }

    pub(crate) fn id(&self) -> TransactionId {
        self.0.transaction_id
    }
}

pub(crate) fn allocate() -> Asked {
    allocate_of(UDP)
}

pub(crate) fn allocate_of(protocol: u8) -> Asked {
    Asked::request(METHOD_ALLOCATE).with(RequestedTransport { protocol: ::turn::proto::Protocol(protocol) })
}

pub(crate) fn refresh(seconds: u64) -> Asked {
    Asked::request(METHOD_REFRESH).lifetime(seconds)
}

pub(crate) fn permit(peers: &[&str]) -> Asked {
    peers.iter().fold(Asked::request(METHOD_CREATE_PERMISSION), |asked, peer| asked.peer(peer))
}

pub(crate) fn bind(channel: u16, peer: &str) -> Asked {
    Asked::request(METHOD_CHANNEL_BIND).with(ChannelNumber(channel)).peer(peer)
}

pub(crate) fn send(peer: &str, data: &[u8]) -> Vec<u8> {
    Asked::new(METHOD_SEND, CLASS_INDICATION).peer(peer).with(Data(data.into())).0.raw
}

pub(crate) fn channel_data(channel: u16, data: &[u8]) -> Vec<u8> {
    let mut message = ChannelData { data: data.into(), number: ChannelNumber(channel), raw: Vec::new() };
    message.encode();
    message.raw.truncate(4 + data.len());
    message.raw
}

pub(crate) fn read(bytes: &[u8]) -> Message {
    let mut message = Message::new();
    message.unmarshal_binary(bytes).unwrap();
    assert_eq!(message.length as usize + MESSAGE_HEADER_SIZE, bytes.len());
    message
}

/// The error code, 0 for a success.
pub(crate) fn code(message: &Message) -> u16 {
    if message.typ.class == CLASS_SUCCESS_RESPONSE {
        return 0;
    }
    assert_eq!(message.typ.class, CLASS_ERROR_RESPONSE);
    let mut error = ErrorCodeAttribute::default();
    error.get_from(message).unwrap();
    error.code.0
}

pub(crate) fn text(message: &Message, kind: AttrType) -> String {
    TextAttribute::get_from_as(message, kind).unwrap().text
}

pub(crate) fn relayed(message: &Message) -> SocketAddr {
    let mut address = RelayedAddress::default();
    address.get_from(message).unwrap();
    SocketAddr::new(address.ip, address.port)
}

pub(crate) fn peer(message: &Message) -> SocketAddr {
    let mut address = PeerAddress::default();
    address.get_from(message).unwrap();
    SocketAddr::new(address.ip, address.port)
}

pub(crate) fn mapped(message: &Message) -> SocketAddr {
    let mut address = XorMappedAddress::default();
    address.get_from(message).unwrap();
    SocketAddr::new(address.ip, address.port)
}

pub(crate) fn lifetime(message: &Message) -> u64 {
    let mut lifetime = Lifetime::default();
    lifetime.get_from(message).unwrap();
    lifetime.0.as_secs()
}

/// The packet that a delivery makes of a payload.
pub(crate) fn delivered(delivery: &Delivery, data: &[u8]) -> Vec<u8> {
    [delivery.framing.head(), data, &[0; 3][..delivery.framing.padding()]].concat()
}

/// Peer and payload of a Data indication.
pub(crate) fn data_indication(packet: &[u8]) -> (SocketAddr, Vec<u8>) {
    let message = read(packet);
    assert_eq!(message.typ, MessageType::new(METHOD_DATA, CLASS_INDICATION));
    let (mut peer, mut data) = (PeerAddress::default(), Data::default());
    peer.get_from(&message).unwrap();
    data.get_from(&message).unwrap();
    (SocketAddr::new(peer.ip, peer.port), data.0)
}

pub(crate) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
