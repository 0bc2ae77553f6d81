//! A control-plane request.

use std::net::SocketAddr;
use std::time::Duration;

use ::stun::attributes::{
    ATTR_CHANNEL_NUMBER, ATTR_EVEN_PORT, ATTR_LIFETIME, ATTR_PASSWORD_ALGORITHM, ATTR_PASSWORD_ALGORITHMS,
    ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_REQUESTED_TRANSPORT, ATTR_RESERVATION_TOKEN, ATTR_XOR_PEER_ADDRESS, AttrType,
};

use super::{
    ADDITIONAL_ADDRESS_FAMILY, ChannelNumber, DRAFT_ADDITIONAL_ADDRESS_FAMILY, Frame, Malformed, PasswordAlgorithm,
    integrity,
};

/// A request whose attributes are read by type. An attribute that is there but cannot be read is an error, one that
/// is not there is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    frame: Frame<'a>,
}

impl<'a> Request<'a> {
    /// Reads a frame as a request.
    pub fn new(frame: Frame<'a>) -> Self {
        Self { frame }
    }

    /// The frame that it is read from.
    pub fn frame(&self) -> &Frame<'a> {
        &self.frame
    }

    /// Whether MESSAGE-INTEGRITY-SHA256, or MESSAGE-INTEGRITY where there is none, was made with this key (RFC 8489 sections
    /// 14.5 and 14.6).
    pub fn is_signed_with(&self, key: &[u8]) -> bool {
        integrity::verifies(&self.frame, key)
    }

    /// How the key is made (RFC 8489 section 9.2.4). `None` without a PASSWORD-ALGORITHM: then it is MD5.
    ///
    /// # Errors
    /// [`Malformed::Attribute`] when PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS are not both there, the list is not the one
    /// that was offered, or the one is not of the list: somebody in between may want a weaker one.
    pub fn password_algorithm(&self) -> Result<Option<PasswordAlgorithm>, Malformed> {
        let value = |kind| self.frame.get(kind).map(|attribute| attribute.value);
        match (value(ATTR_PASSWORD_ALGORITHM), value(ATTR_PASSWORD_ALGORITHMS)) {
            (None, None) => Ok(None),
            (Some(one), Some(list)) if list == PasswordAlgorithm::OFFERED => {
                PasswordAlgorithm::read(one).map(Some).ok_or(Malformed::Attribute)
            }
            (Some(_) | None, _) => Err(Malformed::Attribute),
        }
    }

    /// LIFETIME (RFC 8656 section 18.2).
    ///
    /// # Errors
    /// [`Malformed::Attribute`]
    pub fn lifetime(&self) -> Result<Option<Duration>, Malformed> {
        Ok(self.word(ATTR_LIFETIME)?.map(|seconds| Duration::from_secs(u32::from_be_bytes(seconds).into())))
    }

    /// REQUESTED-TRANSPORT as an IP protocol number (RFC 8656 section 18.7).
    ///
    /// # Errors
    /// [`Malformed::Attribute`]
    pub fn requested_transport(&self) -> Result<Option<u8>, Malformed> {
        Ok(self.word(ATTR_REQUESTED_TRANSPORT)?.map(|[protocol, ..]| protocol))
    }

    /// REQUESTED-ADDRESS-FAMILY (RFC 8656 section 18.8): 1 for IPv4, 2 for IPv6.
    ///
    /// # Errors
    /// [`Malformed::Attribute`] also for another family, which the caller answers with 440.
    pub fn requested_address_family(&self) -> Result<Option<u8>, Malformed> {
        match self.word(ATTR_REQUESTED_ADDRESS_FAMILY)? {
            None => Ok(None),
            Some([family @ 1..=2, ..]) => Ok(Some(family)),
            Some(_) => Err(Malformed::Attribute),
        }
    }

    /// EVEN-PORT (RFC 8656 section 18.6): whether the next higher port is to be reserved as well.
    ///
    /// # Errors
    /// [`Malformed::Attribute`]
    pub fn even_port(&self) -> Result<Option<bool>, Malformed> {
        match self.frame.get(ATTR_EVEN_PORT).map(|attribute| attribute.value) {
            None => Ok(None),
            Some(&[flags]) => Ok(Some(flags & 0x80 != 0)),
            Some(_) => Err(Malformed::Attribute),
        }
    }

    /// RESERVATION-TOKEN (RFC 8656 section 18.9).
    ///
    /// # Errors
    /// [`Malformed::Attribute`]
    pub fn reservation_token(&self) -> Result<Option<[u8; 8]>, Malformed> {
        let token = self.frame.get(ATTR_RESERVATION_TOKEN);
        token.map(|token| token.value.try_into().map_err(|_| Malformed::Attribute)).transpose()
    }

    /// ADDITIONAL-ADDRESS-FAMILY (RFC 8656 section 18.11): 2, which is IPv6.
    ///
    /// # Errors
    /// [`Malformed::Attribute`] also for another family.
    pub fn additional_address_family(&self) -> Result<Option<u8>, Malformed> {
        let one = self.frame.get(ADDITIONAL_ADDRESS_FAMILY);
        let one = one.or_else(|| self.frame.get(DRAFT_ADDITIONAL_ADDRESS_FAMILY));
        match one.map(|attribute| attribute.value) {
            None => Ok(None),
            Some(&[2, _, _, _]) => Ok(Some(2)),
            Some(_) => Err(Malformed::Attribute),
        }
    }

    /// CHANNEL-NUMBER (RFC 8656 section 18.1).
    ///
    /// # Errors
    /// [`Malformed::Attribute`] also for a number that no channel may have.
    pub fn channel_number(&self) -> Result<Option<ChannelNumber>, Malformed> {
        let Some([high, low, ..]) = self.word(ATTR_CHANNEL_NUMBER)? else { return Ok(None) };
        ChannelNumber::new(u16::from_be_bytes([high, low])).map(Some).ok_or(Malformed::Attribute)
    }

    /// Every XOR-PEER-ADDRESS (RFC 8656 section 18.3), in order: CreatePermission carries several.
    ///
    /// # Errors
    /// [`Malformed::Attribute`]
    pub fn peer_addresses(&self) -> Result<Vec<SocketAddr>, Malformed> {
        let peers = self.frame.attributes().filter(|attribute| attribute.kind == ATTR_XOR_PEER_ADDRESS);
        peers.map(|peer| self.frame.decode_address(peer).ok_or(Malformed::Attribute)).collect()
    }

    /// The value of an attribute that has four bytes.
    fn word(&self, kind: AttrType) -> Result<Option<[u8; 4]>, Malformed> {
        let attribute = self.frame.get(kind);
        attribute.map(|attribute| attribute.value.try_into().map_err(|_| Malformed::Attribute)).transpose()
    }
}
