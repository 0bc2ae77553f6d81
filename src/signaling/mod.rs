//! Rooms over WebSocket: who is there, who is polite to whom, and signals from one member to another.
//!
//! [`message`], [`request`], [`rooms`], [`mailbox`] and [`candidates`] are pure: bytes and an RNG in, effects out.
//! [`hub`] shares one state machine among all connections and [`session`] is one connection's part in it. [`socket`]
//! drives one connection against it, in the words of a dialect such as [`native`]: a file each. What carries the frames
//! is a WebSocket, or what stands for one ([`engine_io`]). The protocol itself is written down in `docs/protocol.md`.

pub mod apprtc;
pub mod ayame;
mod budget;
mod call;
pub mod candidates;
pub mod codelab;
mod deadlines;
mod dialect;
pub mod engine_io;
pub mod error;
pub mod hub;
pub mod mailbox;
pub mod matchbox;
pub mod message;
pub mod names;
pub mod native;
mod outbox;
mod pace;
pub mod payload;
pub mod peerjs;
pub mod request;
mod room;
pub mod rooms;
pub mod session;
mod slots;
pub mod socket;
mod wire;
pub mod y_webrtc;

pub use error::{ErrorId, Refusal};
pub use hub::{Grants, Hub, HubOptions, Revoke};
pub use message::{
    Capacity, Joined, LeaveReason, Myself, PeerEntry, PeerId, Places, ResumeOffer, ResumeToken, Role, RoomState,
    ServerMessage,
};
pub use names::{DisplayName, Pin, RoomName};
pub use outbox::Next;
pub use payload::Payload;
pub use request::{ClientMessage, Join};
pub use rooms::{Effect, Entrant, FirstOffer, RoomLimits, Rooms};
pub use session::Session;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod protocol_tests;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod testing;
