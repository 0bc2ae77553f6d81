//! What RFC 5780 adds to Binding, for clients that look how their NAT behaves.

use std::net::SocketAddr;

use ::stun::attributes::{
    ATTR_CHANGE_REQUEST, ATTR_MAPPED_ADDRESS, ATTR_OTHER_ADDRESS, ATTR_PADDING, ATTR_RESPONSE_ORIGIN,
    ATTR_RESPONSE_PORT, ATTR_XORMAPPED_ADDRESS,
};

use super::{ATTRIBUTE_HEADER_BYTES, AttrType, Frame, Malformed, encode_address, encode_xor_address, plain};

/// The flags of CHANGE-REQUEST (RFC 5780 section 7.2).
const CHANGE_IP: u8 = 4;
const CHANGE_PORT: u8 = 2;
/// Lower ones are services', and nobody's NAT maps to them.
const MIN_RESPONSE_PORT: u16 = 1024;
/// Its header and its value (RFC 8489 section 14.7).
const FINGERPRINT_BYTES: usize = 8;

/// What a Binding request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BehaviorRequest {
    /// CHANGE-REQUEST: that the answer comes from the other address.
    pub change_ip: bool,
    /// CHANGE-REQUEST: that it comes from the other port.
    pub change_port: bool,
    /// RESPONSE-PORT: the port that it goes to, 1024 or more.
    pub response_port: Option<u16>,
    /// The length of PADDING.
    pub padding: Option<usize>,
}

impl BehaviorRequest {
    /// The attributes that it understands and that [`super::is_known`] does not name, for they mean nothing elsewhere.
    pub const ATTRIBUTES: [AttrType; 3] = [ATTR_CHANGE_REQUEST, ATTR_RESPONSE_PORT, ATTR_PADDING];

    /// # Errors
    /// [`Malformed::Attribute`] for one of a wrong length, for a RESPONSE-PORT that is a service's, and for RESPONSE-PORT
    /// beside PADDING, with which others could be flooded (RFC 5780 section 10).
    pub fn read(frame: &Frame<'_>) -> Result<Self, Malformed> {
        let value = |kind| frame.get(kind).map(|attribute| attribute.value);
        let mut asked = Self { padding: value(ATTR_PADDING).map(<[u8]>::len), ..Self::default() };
        match value(ATTR_CHANGE_REQUEST) {
            None => {}
            Some(&[_, _, _, flags]) => {
                (asked.change_ip, asked.change_port) = (flags & CHANGE_IP != 0, flags & CHANGE_PORT != 0);
            }
            Some(_) => return Err(Malformed::Attribute),
        }
        match value(ATTR_RESPONSE_PORT) {
            None => {}
            // The two bytes behind the port are its padding, whether the length counts them or not.
            Some(&[high, low] | &[high, low, _, _]) => {
                let port = u16::from_be_bytes([high, low]);
                if port < MIN_RESPONSE_PORT || asked.padding.is_some() {
                    return Err(Malformed::Attribute);
                }
                asked.response_port = Some(port);
            }
            Some(_) => return Err(Malformed::Attribute),
        }
        Ok(asked)
    }

    /// Whether it asks for anything.
    pub fn is_plain(self) -> bool {
        self == Self::default()
    }
}

/// What the answer says.
#[derive(Clone, Copy, Debug)]
pub struct BehaviorAnswer {
    /// The address that the request came from.
    pub mapped: SocketAddr,
    /// RESPONSE-ORIGIN: the address that the answer comes from.
    pub origin: SocketAddr,
    /// OTHER-ADDRESS: the address that it would come from if both were changed.
    pub other: SocketAddr,
}

/// Appends the answer (RFC 5780 section 6.1). With PADDING it is at most as long as the request, so that no less than what
/// is sent to somebody must have been sent here first.
pub fn behavior_success(frame: &Frame<'_>, asked: BehaviorRequest, says: BehaviorAnswer, out: &mut Vec<u8>) {
    let start = plain::begin(frame, plain::SUCCESS, out);
    let mut value = [0; 20];
    let length = encode_xor_address(says.mapped, frame.transaction_id(), &mut value);
    plain::attribute(ATTR_XORMAPPED_ADDRESS, &value[..length], out);
    for (kind, address) in
        [(ATTR_MAPPED_ADDRESS, says.mapped), (ATTR_RESPONSE_ORIGIN, says.origin), (ATTR_OTHER_ADDRESS, says.other)]
    {
        let length = encode_address(address, &mut value);
        plain::attribute(kind, &value[..length], out);
    }
    if let Some(padding) = asked.padding {
        let behind = if frame.is_fingerprinted() { FINGERPRINT_BYTES } else { 0 };
        let room = frame.length().saturating_sub(out.len() - start + ATTRIBUTE_HEADER_BYTES + behind);
        let length = padding.min(room) / 4 * 4;
        plain::padding(ATTR_PADDING, length, out);
    }
    plain::end(frame, start, out);
}
