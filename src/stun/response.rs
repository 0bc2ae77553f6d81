//! A signed answer to a control-plane request, written by the `stun` and `turn::proto` crates.

use std::net::SocketAddr;
use std::time::Duration;

use ::stun::addr::MappedAddress;
use ::stun::attributes::{
    ATTR_ALTERNATE_DOMAIN, ATTR_ALTERNATE_SERVER, ATTR_CONNECTION_ID, ATTR_RESERVATION_TOKEN, ATTR_XOR_RELAYED_ADDRESS,
    ATTR_XORMAPPED_ADDRESS, AttrType,
};
use ::stun::error_code::{ErrorCode, ErrorCodeAttribute};
use ::stun::integrity::MessageIntegrity;
use ::stun::message::{CLASS_ERROR_RESPONSE, CLASS_SUCCESS_RESPONSE, Message, MessageClass, MessageType, Setter};
use ::stun::textattrs::{Nonce, Realm};
use ::stun::uattrs::UnknownAttributes;
use ::stun::xoraddr::XorMappedAddress;
use turn::proto::lifetime::Lifetime;

use super::{ADDRESS_ERROR_CODE, ConnectionId, Frame, MOBILITY_TICKET, integrity, plain};

/// An answer in the making.
#[derive(Debug)]
pub struct Response {
    message: Message,
    fingerprinted: bool,
    sha256: bool,
}

impl Response {
    /// A success response to the request.
    pub fn success(request: &Frame<'_>) -> Self {
        Self::new(request, CLASS_SUCCESS_RESPONSE)
    }

    /// An error response to the request, with its RFC code and phrase.
    pub fn error(request: &Frame<'_>, code: u16, reason: &str) -> Self {
        Self::new(request, CLASS_ERROR_RESPONSE)
            .with(ErrorCodeAttribute { code: ErrorCode(code), reason: reason.as_bytes().to_vec() })
    }

    fn new(request: &Frame<'_>, class: MessageClass) -> Self {
        let mut message = Message::new();
        message.typ = MessageType { method: request.method(), class };
        message.transaction_id = request.transaction_id();
        message.write_header();
        Self { message, fingerprinted: request.is_fingerprinted(), sha256: request.sha256().is_some() }
    }

    /// Adds XOR-MAPPED-ADDRESS (RFC 8489 section 14.2).
    pub fn mapped_address(self, address: SocketAddr) -> Self {
        self.address(address, ATTR_XORMAPPED_ADDRESS)
    }

    /// Adds XOR-RELAYED-ADDRESS (RFC 8656 section 18.5).
    pub fn relayed_address(self, address: SocketAddr) -> Self {
        self.address(address, ATTR_XOR_RELAYED_ADDRESS)
    }

    /// Adds RESERVATION-TOKEN (RFC 8656 section 18.9).
    pub fn reservation_token(mut self, token: [u8; 8]) -> Self {
        self.message.add(ATTR_RESERVATION_TOKEN, &token);
        self
    }

    /// Adds MOBILITY-TICKET (RFC 8016 section 5).
    pub fn mobility_ticket(mut self, ticket: &[u8]) -> Self {
        self.message.add(MOBILITY_TICKET, ticket);
        self
    }

    /// Adds ALTERNATE-SERVER, and ALTERNATE-DOMAIN if the server has a name (RFC 8489 sections 14.15 and 14.16).
    pub fn alternate(mut self, server: SocketAddr, domain: Option<&str>) -> Self {
        let address = MappedAddress { ip: server.ip(), port: server.port() };
        let added = address.add_to_as(&mut self.message, ATTR_ALTERNATE_SERVER);
        debug_assert!(added.is_ok(), "an address always fits");
        if let Some(domain) = domain {
            self.message.add(ATTR_ALTERNATE_DOMAIN, domain.as_bytes());
        }
        self
    }

    /// Adds ADDRESS-ERROR-CODE (RFC 8656 section 18.12): why there is no address of a family, which is 1 or 2.
    pub fn address_error(mut self, family: u8, code: u16, reason: &str) -> Self {
        let head = [family, 0, (code / 100) as u8, (code % 100) as u8];
        self.message.add(ADDRESS_ERROR_CODE, &[&head, reason.as_bytes()].concat());
        self
    }

    /// Adds LIFETIME (RFC 8656 section 18.2).
    pub fn lifetime(self, lifetime: Duration) -> Self {
        self.with(Lifetime(lifetime))
    }

    /// Adds CONNECTION-ID (RFC 6062 section 6.2.1).
    pub fn connection_id(mut self, id: ConnectionId) -> Self {
        self.message.add(ATTR_CONNECTION_ID, &id.0.to_be_bytes());
        self
    }

    /// Adds UNKNOWN-ATTRIBUTES (RFC 8489 section 14.13).
    pub fn unknown_attributes(self, list: Vec<AttrType>) -> Self {
        self.with(UnknownAttributes(list))
    }

    /// Adds REALM and NONCE, with which the client may ask again (RFC 8489 section 9.2.5).
    pub fn challenge(self, realm: &str, nonce: &str) -> Self {
        self.with(Realm::new(::stun::attributes::ATTR_REALM, realm.into()))
            .with(Nonce::new(::stun::attributes::ATTR_NONCE, nonce.into()))
    }

    /// Signs it as the request was signed, adds a FINGERPRINT if that had one, and appends it to `out`.
    pub fn sign(self, key: &[u8], out: &mut Vec<u8>) {
        let (start, fingerprinted) = (out.len(), self.fingerprinted);
        if self.sha256 {
            out.extend_from_slice(&self.message.raw);
            integrity::sign(start, key, out);
        } else {
            out.extend_from_slice(&self.with(MessageIntegrity(key.to_vec())).message.raw);
        }
        if fingerprinted {
            plain::fingerprint(start, out);
        }
    }

    fn address(mut self, address: SocketAddr, kind: AttrType) -> Self {
        let value = XorMappedAddress { ip: address.ip(), port: address.port() };
        let added = value.add_to_as(&mut self.message, kind);
        debug_assert!(added.is_ok(), "an address always fits");
        self
    }

    /// None of the setters used here can fail: each value is of a fixed size or bounded by the caller.
    fn with(mut self, value: impl Setter) -> Self {
        let added = value.add_to(&mut self.message);
        debug_assert!(added.is_ok(), "the attribute fits");
        self
    }
}
