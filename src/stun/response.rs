//! A signed answer to a control-plane request.

use std::net::SocketAddr;
use std::time::Duration;

use ::stun::attributes::{
    ATTR_ALTERNATE_DOMAIN, ATTR_ALTERNATE_SERVER, ATTR_CONNECTION_ID, ATTR_LIFETIME, ATTR_RESERVATION_TOKEN,
    ATTR_XOR_RELAYED_ADDRESS, ATTR_XORMAPPED_ADDRESS, AttrType,
};

use super::plain::{self, ERROR, SUCCESS};
use super::{ADDRESS_ERROR_CODE, ConnectionId, Frame, MOBILITY_TICKET, TransactionId, encode_address, integrity};

/// Room for the longest answer that is common, so that it never moves.
const COMMON: usize = 128;

/// An answer in the making.
#[derive(Debug)]
pub struct Response {
    raw: Vec<u8>,
    id: TransactionId,
    fingerprinted: bool,
    sha256: bool,
}

impl Response {
    /// A success response to the request.
    pub fn success(request: &Frame<'_>) -> Self {
        Self::new(request, SUCCESS)
    }

    /// An error response to the request, with its RFC code and phrase.
    pub fn error(request: &Frame<'_>, code: u16, reason: &str) -> Self {
        let mut response = Self::new(request, ERROR);
        plain::error_code(code, reason, &mut response.raw);
        response
    }

    fn new(request: &Frame<'_>, class: u16) -> Self {
        let mut raw = Vec::with_capacity(COMMON);
        plain::begin(request, class, &mut raw);
        let (id, sha256) = (request.transaction_id(), request.sha256().is_some());
        Self { raw, id, fingerprinted: request.is_fingerprinted(), sha256 }
    }

    /// Adds XOR-MAPPED-ADDRESS (RFC 8489 section 14.2).
    pub fn mapped_address(self, address: SocketAddr) -> Self {
        self.xor_address(ATTR_XORMAPPED_ADDRESS, address)
    }

    /// Adds XOR-RELAYED-ADDRESS (RFC 8656 section 18.5).
    pub fn relayed_address(self, address: SocketAddr) -> Self {
        self.xor_address(ATTR_XOR_RELAYED_ADDRESS, address)
    }

    /// Adds RESERVATION-TOKEN (RFC 8656 section 18.9).
    pub fn reservation_token(self, token: [u8; 8]) -> Self {
        self.with(ATTR_RESERVATION_TOKEN, &token)
    }

    /// Adds MOBILITY-TICKET (RFC 8016 section 5).
    pub fn mobility_ticket(self, ticket: &[u8]) -> Self {
        self.with(MOBILITY_TICKET, ticket)
    }

    /// Adds ALTERNATE-SERVER, and ALTERNATE-DOMAIN if the server has a name (RFC 8489 sections 14.15 and 14.16).
    pub fn alternate(self, server: SocketAddr, domain: Option<&str>) -> Self {
        let mut value = [0; 20];
        let length = encode_address(server, &mut value);
        let response = self.with(ATTR_ALTERNATE_SERVER, &value[..length]);
        match domain {
            Some(domain) => response.with(ATTR_ALTERNATE_DOMAIN, domain.as_bytes()),
            None => response,
        }
    }

    /// Adds ADDRESS-ERROR-CODE (RFC 8656 section 18.12): why there is no address of a family, which is 1 or 2.
    pub fn address_error(self, family: u8, code: u16, reason: &str) -> Self {
        let head = [family, 0, (code / 100) as u8, (code % 100) as u8];
        self.with(ADDRESS_ERROR_CODE, &[&head, reason.as_bytes()].concat())
    }

    /// Adds LIFETIME (RFC 8656 section 18.2), in whole seconds.
    pub fn lifetime(self, lifetime: Duration) -> Self {
        self.with(ATTR_LIFETIME, &(lifetime.as_secs() as u32).to_be_bytes())
    }

    /// Adds CONNECTION-ID (RFC 6062 section 6.2.1).
    pub fn connection_id(self, id: ConnectionId) -> Self {
        self.with(ATTR_CONNECTION_ID, &id.0.to_be_bytes())
    }

    /// Adds UNKNOWN-ATTRIBUTES (RFC 8489 section 14.13).
    pub fn unknown_attributes(mut self, list: &[AttrType]) -> Self {
        plain::unknown_attributes(list, &mut self.raw);
        self
    }

    /// Signs it as the request was signed, adds a FINGERPRINT if that had one, and appends it to `out`.
    pub fn sign(self, key: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.raw);
        if self.sha256 {
            integrity::sign_sha256(start, key, out);
        } else {
            integrity::sign_sha1(start, key, out);
        }
        if self.fingerprinted {
            plain::fingerprint(start, out);
        }
    }

    fn xor_address(self, kind: AttrType, address: SocketAddr) -> Self {
        let mut value = [0; 20];
        let length = super::encode_xor_address(address, self.id, &mut value);
        self.with(kind, &value[..length])
    }

    fn with(mut self, kind: AttrType, value: &[u8]) -> Self {
        plain::attribute(kind, value, &mut self.raw);
        self
    }
}
