//! Rooms over WebSocket: who is there, who is polite to whom, and signals from one member to another.
//!
//! [`message`], [`rooms`] and [`candidates`] are pure: bytes and an RNG in, effects out. [`hub`] shares one state
//! machine among all connections, and a dialect, such as [`native`], drives one connection against it: a file each.
//! The protocol itself is written down in `docs/protocol.md`.

pub mod candidates;
pub mod error;
pub mod hub;
pub mod message;
pub mod names;
pub mod native;
mod outbox;
mod pace;
pub mod rooms;

pub use error::{ErrorId, Refusal};
pub use hub::{Hub, HubOptions, Mint, Revoke, Session};
pub use message::{ClientMessage, LeaveReason, Myself, PeerEntry, PeerId, ServerMessage};
pub use names::{DisplayName, RoomName};
pub use rooms::{Effect, RoomLimits, Rooms};

#[cfg(test)]
mod protocol_tests;
