//! The long-term credential mechanism (RFC 8489 section 9.2.4), and access tokens (RFC 7635).

use std::time::Duration;

use stun::attributes::{ATTR_NONCE, ATTR_REALM, ATTR_USER_HASH, ATTR_USERNAME};

use super::allocation::Owner;
use super::five_tuple::FiveTuple;
use super::reject::{Reject, Unproven};
use super::server::Server;
use super::time::Now;
use crate::credentials::{IntegrityKey, Scope, Token};
use crate::stun::{ACCESS_TOKEN, Frame, PasswordAlgorithm, Request};

impl Server {
    /// Who signed a request. `about` made the allocation that it is about. What is wrong is looked for in the order of
    /// RFC 8489 section 9.2.4, and the nonce comes last.
    ///
    /// # Errors
    /// 401 when MESSAGE-INTEGRITY does not verify, 400 when what goes with it is missing, 438 for a nonce that is not
    /// ours, not this client's or too old. Without MESSAGE-INTEGRITY it does not get here.
    pub(super) fn authenticate(
        &self,
        from: FiveTuple,
        about: Option<&Owner>,
        request: &Request<'_>,
        now: Now,
    ) -> Result<Owner, Reject> {
        let frame = *request.frame();
        let text = |kind| frame.text(kind).ok_or(Reject::BadRequest);
        let (username, realm, nonce) = (self.username(&frame), text(ATTR_REALM)?, text(ATTR_NONCE)?);
        let Some(username) = username? else { return Err(Reject::Unauthorized(Unproven::Unknown)) };
        let owner = match frame.get(ACCESS_TOKEN) {
            Some(token) => self.bearer(username, token.value, request, now)?,
            None => self.long_term(username, realm, about, request, now)?,
        };
        let control = self.control_of(from, &frame);
        // A client may go on with the nonce of the connection that it has its allocation by.
        let is_fresh = [from, control].iter().any(|each| self.shared.nonces.is_fresh(nonce, each.client, now.unix));
        if is_fresh { Ok(owner) } else { Err(Reject::StaleNonce) }
    }

    /// Whoever knows a password.
    fn long_term(
        &self,
        username: &str,
        realm: &str,
        about: Option<&Owner>,
        request: &Request<'_>,
        now: Now,
    ) -> Result<Owner, Reject> {
        let algorithm = request.password_algorithm()?.unwrap_or(PasswordAlgorithm::Md5);
        if realm != self.options.verifier.realm() {
            return Err(Reject::Unauthorized(Unproven::WrongRealm));
        }
        let wrong_password = Reject::Unauthorized(Unproven::WrongPassword);
        if let Some(owner) = self.known_owner(about, username, now).filter(|owner| owner.key.algorithm() == algorithm) {
            return if request.is_signed_with(owner.key.bytes()) { Ok(owner) } else { Err(wrong_password) };
        }
        let (scope, keys) = self.options.verifier.keys(username, algorithm, now.unix)?;
        let key = keys.into_iter().find(|key| request.is_signed_with(key.bytes())).ok_or(wrong_password)?;
        Ok(Owner { username: username.to_owned(), key, scope, until: None })
    }

    /// Whoever holds an access token (RFC 7635 section 4.1): USERNAME says which key it was made with.
    fn bearer(&self, kid: &str, sealed: &[u8], request: &Request<'_>, now: Now) -> Result<Owner, Reject> {
        let verifier = &self.options.verifier;
        let Token { key, ends, since: _ } = verifier.tokens().open(kid, sealed, verifier.realm(), now.unix)?;
        // coturn and its client sign with the first 16 bytes of a key of whatever length.
        let short = IntegrityKey::given(&key.bytes()[..16]);
        let signed = [key, short].into_iter().find(|key| request.is_signed_with(key.bytes()));
        let key = signed.ok_or(Reject::Unauthorized(Unproven::WrongPassword))?;
        let until = now.instant + Duration::from_secs(ends.saturating_sub(now.unix));
        Ok(Owner { username: kid.to_owned(), key, scope: Scope::Policy, until: Some(until) })
    }

    /// USERNAME, or whom USERHASH stands for: `None` if for nobody.
    ///
    /// # Errors
    /// 400 when neither is there.
    fn username<'a>(&'a self, frame: &Frame<'a>) -> Result<Option<&'a str>, Reject> {
        match frame.get(ATTR_USER_HASH) {
            Some(hash) => Ok(self.options.verifier.of_hash(hash.value)),
            None => frame.text(ATTR_USERNAME).map(Some).ok_or(Reject::BadRequest),
        }
    }

    /// The owner of the allocation, when the request names the same user: a call that is longer than its credential
    /// lasts goes on, but not longer than its room membership.
    fn known_owner(&self, about: Option<&Owner>, username: &str, now: Now) -> Option<Owner> {
        let owner = about?;
        if owner.username != username || owner.until.is_some_and(|until| until <= now.instant) {
            return None;
        }
        match owner.scope {
            Scope::Policy | Scope::Page => Some(owner.clone()),
            Scope::Room(member) => self.options.verifier.memberships().is_member(member).then(|| owner.clone()),
        }
    }
}
