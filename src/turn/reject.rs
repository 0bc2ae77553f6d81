//! Every way a request is refused, with the RFC's code and phrase for it, in one place.

use crate::stun::AttrType;

/// An error response in the making (RFC 8489 section 14.8, RFC 8656 section 19).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reject {
    /// 400: a required attribute is missing or cannot be read.
    BadRequest,
    /// 401: no credential, or one that does not verify.
    Unauthorized,
    /// 403: the policy refuses the peer address.
    Forbidden,
    /// 420: comprehension-required attributes that this server does not understand.
    UnknownAttribute(Vec<AttrType>),
    /// 437: an allocation where none may be, or none where one must be.
    AllocationMismatch,
    /// 438: the nonce is not one of ours for this client, or too old.
    StaleNonce,
    /// 440: the address family asked for cannot be relayed from here.
    AddressFamilyNotSupported,
    /// 441: the allocation is another user's.
    WrongCredentials,
    /// 442: a relay transport other than UDP.
    UnsupportedTransport,
    /// 443: a peer address of another family than the relayed address.
    PeerAddressFamilyMismatch,
    /// 486: the user or the source prefix has all it may have.
    AllocationQuotaReached,
    /// 508: the server has no room, or no port, for more.
    InsufficientCapacity,
}

impl Reject {
    /// The numeric code.
    pub fn code(&self) -> u16 {
        self.says().0
    }

    /// The RFC's phrase.
    pub fn reason(&self) -> &'static str {
        self.says().1
    }

    fn says(&self) -> (u16, &'static str) {
        match self {
            Self::BadRequest => (400, "Bad Request"),
            Self::Unauthorized => (401, "Unauthorized"),
            Self::Forbidden => (403, "Forbidden"),
            Self::UnknownAttribute(_) => (420, "Unknown Attribute"),
            Self::AllocationMismatch => (437, "Allocation Mismatch"),
            Self::StaleNonce => (438, "Stale Nonce"),
            Self::AddressFamilyNotSupported => (440, "Address Family not Supported"),
            Self::WrongCredentials => (441, "Wrong Credentials"),
            Self::UnsupportedTransport => (442, "Unsupported Transport Protocol"),
            Self::PeerAddressFamilyMismatch => (443, "Peer Address Family Mismatch"),
            Self::AllocationQuotaReached => (486, "Allocation Quota Reached"),
            Self::InsufficientCapacity => (508, "Insufficient Capacity"),
        }
    }

    /// Whether the answer carries a realm and a fresh nonce.
    pub(crate) fn challenges(&self) -> bool {
        matches!(self, Self::Unauthorized | Self::StaleNonce)
    }
}

impl From<crate::stun::Malformed> for Reject {
    /// Only an attribute of a request that is well-formed as a whole gets this far.
    fn from(_: crate::stun::Malformed) -> Self {
        Self::BadRequest
    }
}
