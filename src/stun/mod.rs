//! The STUN and TURN codec (RFC 8489, RFC 8656, RFC 6062).
//!
//! [`Frame`] and [`ChannelData`] borrow from the packet and allocate nothing. A frame is checked once, as strictly as the
//! RFC allows: trailing bytes, a length that is no multiple of four, a wrong FINGERPRINT and attributes behind
//! MESSAGE-INTEGRITY do not get past it. [`Request`] reads its attributes by type. Numbers, types and the checksum are those
//! of the `stun` crate, which also reads in tests what is written here.
//!
//! Pure: no clock, no sockets, no randomness.

mod address;
mod attributes;
mod behavior;
mod channel_data;
mod connection;
mod frame;
mod framing;
mod icmp;
mod integrity;
mod plain;
mod request;
mod response;
mod send_indication;
mod stream;
#[cfg(test)]
mod vectors;

pub use ::stun::agent::TransactionId;
pub use ::stun::attributes::AttrType;
pub use ::stun::message::Method;
use address::encode_address;
pub use address::{decode_xor_address, encode_xor_address};
pub use attributes::{
    ACCESS_TOKEN, ADDITIONAL_ADDRESS_FAMILY, ADDRESS_ERROR_CODE, CAN_FORBID_FRAGMENTS, DRAFT_ADDITIONAL_ADDRESS_FAMILY,
    MOBILITY_TICKET, THIRD_PARTY_AUTHORIZATION, is_known,
};
pub use behavior::{BehaviorAnswer, BehaviorRequest, behavior_success};
pub use channel_data::{CHANNEL_NUMBERS, ChannelData, ChannelNumber};
pub use connection::{ConnectionId, connection_attempt};
pub use frame::{Attribute, Class, Frame, Malformed};
pub use framing::{Framing, HEADROOM};
pub use icmp::Icmp;
pub use integrity::{PasswordAlgorithm, hmac_sha1, userhash};
pub use plain::{BINDING_SUCCESS, Refusal, binding_request, binding_success, refusal};
pub use request::Request;
pub use response::Response;
pub use send_indication::SendIndication;
pub use stream::{NextMessage, next_message};

/// The methods that the server knows.
pub mod method {
    pub use ::stun::message::{
        METHOD_ALLOCATE as ALLOCATE, METHOD_BINDING as BINDING, METHOD_CHANNEL_BIND as CHANNEL_BIND,
        METHOD_CONNECT as CONNECT, METHOD_CONNECTION_ATTEMPT as CONNECTION_ATTEMPT,
        METHOD_CONNECTION_BIND as CONNECTION_BIND, METHOD_CREATE_PERMISSION as CREATE_PERMISSION, METHOD_DATA as DATA,
        METHOD_REFRESH as REFRESH, METHOD_SEND as SEND,
    };
}

/// The fixed value at bytes 4 to 7 of every message (RFC 8489 section 5).
pub const MAGIC_COOKIE: [u8; 4] = ::stun::message::MAGIC_COOKIE.to_be_bytes();
/// Bytes of a message before its attributes (RFC 8489 section 5).
pub const HEADER_BYTES: usize = ::stun::message::MESSAGE_HEADER_SIZE;
/// Bytes of an attribute before its value (RFC 8489 section 14).
pub const ATTRIBUTE_HEADER_BYTES: usize = ::stun::message::ATTRIBUTE_HEADER_SIZE;

/// The length of a value with its padding to a multiple of four (RFC 8489 section 14).
pub const fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}
