//! TURN credentials: who may relay, and to where.
//!
//! Pure: bytes and time in, values out. Three kinds of credential share one wire form, the time-limited
//! username and password of draft-uberti-behave-turn-rest-00:
//!
//! | username | made for | may relay to |
//! |---|---|---|
//! | `expiry:id` | whoever holds an API key | what `relay.allow` names |
//! | `expiry:page:…` | a same-origin page without a key | other relayed addresses of this box |
//! | `expiry:room:ROOM:MEMBER` | a member of a room, on joining | what members of that room signalled or were seen at |
//!
//! A fourth kind, the static user of `credentials.users`, has a fixed name and password, and a fifth, whoever holds an access
//! token ([`TokenKeys`]), is vouched for by another server: both may relay to what `relay.allow` names. Invites, which let
//! somebody into a room, are signed with the same secrets.

mod ice;
mod invite;
mod keys;
mod memberships;
mod mint;
mod secret;
pub(crate) mod token;
mod verify;

pub use ice::{IceServer, Reach, ice_servers};
pub use invite::{mint_invite, verify_invite};
pub use keys::{ApiKeys, ApiKeysError};
pub use memberships::{MAX_OFFERED, MAX_SEEN, MemberTag, Memberships, RoomMember, RoomTag};
pub(crate) use mint::minted_id;
pub use mint::{Credential, MintError, mint, mint_for_member, mint_for_page};
pub use secret::{Secret, Secrets, SecretsError};
pub use token::{Token, TokenKeys, TokenKeysError};
pub use verify::{Denied, IntegrityKey, Scope, StaticUser, Verifier};
