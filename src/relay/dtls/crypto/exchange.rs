//! Ephemeral key exchange (RFC 8422).

use dimpl::crypto::{ActiveKeyExchange, Buf, NamedGroup, SupportedKxGroup};
use dimpl::{CryptoError, CryptoOperation};
use ring::agreement::{self, Algorithm, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::rand::SystemRandom;

/// A group that both sides may agree on.
#[derive(Debug)]
pub(super) struct Group {
    name: NamedGroup,
    algorithm: &'static Algorithm,
}

pub(super) static X25519: Group = Group { name: NamedGroup::X25519, algorithm: &agreement::X25519 };
pub(super) static P256: Group = Group { name: NamedGroup::Secp256r1, algorithm: &agreement::ECDH_P256 };
pub(super) static P384: Group = Group { name: NamedGroup::Secp384r1, algorithm: &agreement::ECDH_P384 };

#[derive(Debug)]
struct Exchange {
    group: &'static Group,
    private: EphemeralPrivateKey,
    public: Buf,
}

impl SupportedKxGroup for Group {
    fn name(&self) -> NamedGroup {
        self.name
    }

    fn start_exchange(&self, mut buf: Buf) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        let failed = |_| CryptoError::OperationFailed(CryptoOperation::StartKeyExchange);
        let private = EphemeralPrivateKey::generate(self.algorithm, &SystemRandom::new()).map_err(failed)?;
        buf.clear();
        buf.extend_from_slice(private.compute_public_key().map_err(failed)?.as_ref());
        let group = [&X25519, &P256, &P384].into_iter().find(|group| group.name == self.name);
        let group = group.ok_or(CryptoError::UnsupportedKeyExchangeGroup(self.name))?;
        Ok(Box::new(Exchange { group, private, public: buf }))
    }
}

impl ActiveKeyExchange for Exchange {
    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn complete(self: Box<Self>, peer_pub: &[u8], out: &mut Buf) -> Result<(), CryptoError> {
        let Self { group, private, public: _ } = *self;
        let peer = UnparsedPublicKey::new(group.algorithm, peer_pub);
        let agreed = agree_ephemeral(private, &peer, |secret| {
            out.clear();
            out.extend_from_slice(secret);
        });
        agreed.map_err(|_| CryptoError::InvalidPublicKey(group.name))
    }

    fn group(&self) -> NamedGroup {
        self.group.name
    }
}
