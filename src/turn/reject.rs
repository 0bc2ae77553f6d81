//! Every way a request is refused, with the RFC's code and phrase for it, in one place.

use super::policy::Denied;
use crate::credentials;
use crate::sightings::Outcome;
use crate::stun::AttrType;

/// An error response in the making (RFC 8489 section 14.8, RFC 8656 section 19, RFC 6062 section 6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reject {
    /// 300: this box is full, and another is named (RFC 8489 section 10).
    TryAlternate,
    /// 400: a required attribute is missing or cannot be read.
    BadRequest,
    /// 401: no credential, or one that does not verify.
    Unauthorized(Unproven),
    /// 403: the policy refuses the peer address.
    Forbidden(Denied),
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
    /// 442: a relay transport other than UDP and TCP, or TCP for a client that comes by UDP.
    UnsupportedTransport,
    /// 443: a peer address of another family than the relayed address.
    PeerAddressFamilyMismatch,
    /// 446: a connection to this peer is there, or on its way.
    ConnectionExists,
    /// 447: the peer does not take the connection.
    ConnectionFailed,
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
            Self::TryAlternate => (300, "Try Alternate"),
            Self::BadRequest => (400, "Bad Request"),
            Self::Unauthorized(_) => (401, "Unauthorized"),
            Self::Forbidden(_) => (403, "Forbidden"),
            Self::UnknownAttribute(_) => (420, "Unknown Attribute"),
            Self::AllocationMismatch => (437, "Allocation Mismatch"),
            Self::StaleNonce => (438, "Stale Nonce"),
            Self::AddressFamilyNotSupported => (440, "Address Family not Supported"),
            Self::WrongCredentials => (441, "Wrong Credentials"),
            Self::UnsupportedTransport => (442, "Unsupported Transport Protocol"),
            Self::PeerAddressFamilyMismatch => (443, "Peer Address Family Mismatch"),
            Self::ConnectionExists => (446, "Connection Already Exists"),
            Self::ConnectionFailed => (447, "Connection Timeout or Failure"),
            Self::AllocationQuotaReached => (486, "Allocation Quota Reached"),
            Self::InsufficientCapacity => (508, "Insufficient Capacity"),
        }
    }

    /// The RFC's phrase for a code.
    pub(super) fn reason_of(code: u16) -> &'static str {
        if code == Self::AddressFamilyNotSupported.code() {
            Self::AddressFamilyNotSupported.reason()
        } else {
            Self::InsufficientCapacity.reason()
        }
    }

    /// As ADDRESS-ERROR-CODE says it of one family, where there is the other (RFC 8656 section 7.2): 440 or 508.
    pub(super) fn of_family(self) -> Self {
        if self == Self::AddressFamilyNotSupported { self } else { Self::InsufficientCapacity }
    }

    /// Whether the answer carries a realm and a fresh nonce.
    pub(crate) fn challenges(&self) -> bool {
        matches!(self, Self::Unauthorized(_) | Self::StaleNonce)
    }

    /// What whoever tests the way is told, in full.
    pub(super) fn outcome(&self) -> Outcome {
        if *self == Self::Unauthorized(Unproven::NoCredential) {
            return Outcome::Challenged;
        }
        let (reason, rule) = self.cause();
        Outcome::Refused { code: self.code(), reason, rule }
    }

    /// What counters name: the reason, and the rule of `relay.deny` or the like that says so, as it is written.
    pub(super) fn cause(&self) -> (&'static str, Option<String>) {
        let rule = if let Self::Forbidden(Denied::Rule(rule)) = self { Some(rule.to_string()) } else { None };
        (self.id(), rule)
    }

    fn id(&self) -> &'static str {
        match self {
            Self::Unauthorized(unproven) => unproven.id(),
            Self::Forbidden(denied) => denied.id(),
            Self::TryAlternate => "try-alternate",
            Self::BadRequest => "bad-request",
            Self::UnknownAttribute(_) => "unknown-attribute",
            Self::AllocationMismatch => "allocation-mismatch",
            Self::StaleNonce => "stale-nonce",
            Self::AddressFamilyNotSupported => "no-such-family",
            Self::WrongCredentials => "other-user",
            Self::UnsupportedTransport => "unsupported-transport",
            Self::PeerAddressFamilyMismatch => "other-family",
            Self::ConnectionExists => "connection-exists",
            Self::ConnectionFailed => "connection-failed",
            Self::AllocationQuotaReached => "quota",
            Self::InsufficientCapacity => "no-capacity",
        }
    }
}

/// Why a request proves nobody's identity. The answer does not say: only a log line does, and the sightings of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// It is not signed: so does every client ask first, to be told realm and nonce.
    NoCredential,
    /// It names another realm.
    WrongRealm,
    /// The username is none of ours.
    Unknown,
    /// The credential's time is over.
    Expired,
    /// The room that it was for has been left.
    Left,
    /// It is signed with another password than the username's.
    WrongPassword,
}

impl Unproven {
    fn id(self) -> &'static str {
        match self {
            Self::NoCredential => "no-credential",
            Self::WrongRealm => "wrong-realm",
            Self::Expired => "expired",
            // Who exists, and who is in a room, is nobody else's business.
            Self::Unknown | Self::Left | Self::WrongPassword => "wrong-credential",
        }
    }
}

impl From<credentials::Denied> for Reject {
    fn from(denied: credentials::Denied) -> Self {
        Self::Unauthorized(match denied {
            credentials::Denied::Unknown => Unproven::Unknown,
            credentials::Denied::Expired => Unproven::Expired,
            credentials::Denied::Left => Unproven::Left,
        })
    }
}

impl From<crate::stun::Malformed> for Reject {
    /// Only an attribute of a request that is well-formed as a whole gets this far.
    fn from(_: crate::stun::Malformed) -> Self {
        Self::BadRequest
    }
}
