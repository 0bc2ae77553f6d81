//! Which attributes the server understands.

use stun::attributes::*;

/// ACCESS-TOKEN (RFC 7635 section 6.2).
pub const ACCESS_TOKEN: AttrType = AttrType(0x001B);
/// THIRD-PARTY-AUTHORIZATION (RFC 7635 section 6.1).
pub const THIRD_PARTY_AUTHORIZATION: AttrType = AttrType(0x802E);
/// MOBILITY-TICKET (RFC 8016 section 5).
pub const MOBILITY_TICKET: AttrType = AttrType(0x8030);
/// ADDITIONAL-ADDRESS-FAMILY (RFC 8656 section 18.11).
pub const ADDITIONAL_ADDRESS_FAMILY: AttrType = AttrType(0x8000);
/// The same, as coturn and its client up to 4.6 have it: by the number of the draft.
pub const DRAFT_ADDITIONAL_ADDRESS_FAMILY: AttrType = AttrType(0x8032);
/// ADDRESS-ERROR-CODE (RFC 8656 section 18.12).
pub const ADDRESS_ERROR_CODE: AttrType = AttrType(0x8001);

/// Whether a comprehension-required attribute is one that this server understands. Any other makes the answer a
/// 420 with UNKNOWN-ATTRIBUTES (RFC 8489 section 6.3.1).
pub fn is_known(attribute: AttrType) -> bool {
    matches!(
        attribute,
        ATTR_MAPPED_ADDRESS
            | ATTR_USERNAME
            | ATTR_MESSAGE_INTEGRITY
            | ATTR_MESSAGE_INTEGRITY_SHA256
            | ATTR_PASSWORD_ALGORITHM
            | ATTR_USER_HASH
            | ACCESS_TOKEN
            | ATTR_ERROR_CODE
            | ATTR_UNKNOWN_ATTRIBUTES
            | ATTR_REALM
            | ATTR_NONCE
            | ATTR_XORMAPPED_ADDRESS
            | ATTR_PRIORITY
            | ATTR_USE_CANDIDATE
            | ATTR_CHANNEL_NUMBER
            | ATTR_CONNECTION_ID
            | ATTR_LIFETIME
            | ATTR_XOR_PEER_ADDRESS
            | ATTR_DATA
            | ATTR_XOR_RELAYED_ADDRESS
            | ATTR_EVEN_PORT
            | ATTR_RESERVATION_TOKEN
            | ATTR_REQUESTED_TRANSPORT
            | ATTR_REQUESTED_ADDRESS_FAMILY
    )
}
