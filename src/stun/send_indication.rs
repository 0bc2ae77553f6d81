//! What a Send indication asks for, read in one go: for some clients each packet is one.

use std::net::SocketAddr;
use std::ops::Range;

use ::stun::attributes::{ATTR_DATA, ATTR_DONT_FRAGMENT, ATTR_XOR_PEER_ADDRESS};

use super::{Frame, is_known};

/// A Send indication (RFC 8656 section 11.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendIndication {
    /// XOR-PEER-ADDRESS, canonical.
    pub peer: SocketAddr,
    /// Where the value of DATA is in the packet.
    pub data: Range<usize>,
    /// Whether DONT-FRAGMENT is there.
    pub dont_fragment: bool,
}

impl SendIndication {
    /// `None` where XOR-PEER-ADDRESS or DATA is missing or cannot be read, or an attribute is there that has to be
    /// understood and is not: such a message is dropped (RFC 8656 section 11.2, RFC 8489 section 6.3.2). Of attributes that
    /// are repeated the first counts.
    pub fn read(frame: &Frame<'_>) -> Option<Self> {
        let (mut peer, mut data, mut dont_fragment) = (None, None, false);
        for attribute in frame.attributes() {
            match attribute.kind {
                ATTR_XOR_PEER_ADDRESS if peer.is_none() => peer = Some(frame.decode_address(attribute)?),
                ATTR_DATA if data.is_none() => data = Some(attribute.offset..attribute.offset + attribute.value.len()),
                ATTR_DONT_FRAGMENT => dont_fragment = true,
                _ => {}
            }
            if attribute.kind.required() && !is_known(attribute.kind) {
                return None;
            }
        }
        Some(Self { peer: peer?, data: data?, dont_fragment })
    }
}
