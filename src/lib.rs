//! lanturn gets any two browsers connected: a STUN/TURN relay, an ICE-configuration and credential endpoint, a
//! WebSocket room signaler and a call page, on one port.
//!
//! # Architecture
//!
//! Pure cores, thin I/O. A core takes bytes and time and gives back what is to be done; it never reads a clock, opens
//! a socket or starts a task.
//!
//! | core | what it knows |
//! |---|---|
//! | [`stun`] | how messages are written and read |
//! | [`turn`] | who may relay what to whom: [`turn::Server`] |
//! | [`credentials`] | how a password is made and checked, and who is in which room |
//! | [`limit`] | how often a source may ask |
//! | [`proxies`] | who stands behind a reverse proxy |
//! | [`sightings`] | what was seen of those who test their way |
//! | [`signaling`], its messages and rooms | who is in a room, and what they tell each other |
//!
//! Around them:
//!
//! - [`relay`] is the data plane: shards, each a thread with its own sockets and its own [`turn::Server`].
//! - [`listener`] is the one TCP port: it finds out what a connection speaks and hands it on.
//! - [`tls`] makes and loads the certificate, and orders one from a public authority.
//! - [`http`] serves the page, the credentials, and the way in to the rooms.
//! - [`signaling`], its hub, keeps the connections of those who are in a room.
//! - [`discovery`] lets others on the local network find it by name.
//! - [`outside`] finds out, from behind a NAT, where others see it, and has the router let them in.
//! - [`metrics`] collects what the others count.
//! - [`config`] reads the configuration, and [`cli`] alone sees all of it: `cli::serve` puts the parts together.
//!
//! ## The walk of a packet
//!
//! A datagram arrives on the listening socket of a [`relay`] shard. The shard asks its [`turn::Server`], which looks
//! up the [`turn::FiveTuple`] and answers with a [`turn::Step`]: nothing, a reply, or a [`turn::Forward`] that says
//! which bytes of the packet go where. At the end of the turn they are sent on from where they
//! were received, those of one length to one destination as one. What is DTLS is decrypted first, where it stands, and
//! then goes the same way.
//!
//! ## The walk of a message
//!
//! A browser opens `/ws` and says `join`. The [`signaling`] hub adds it to the room, mints a credential named after
//! the membership, and tells [`credentials::Memberships`] where the member was seen. Each signal is searched for
//! candidate addresses before it is delivered, so that the relay lets the room's members, and nobody else, reach them.

pub mod cli;
pub mod config;
pub mod credentials;
pub mod discovery;
mod files;
pub mod http;
pub mod limit;
pub mod listener;
pub mod metrics;
pub mod outside;
pub mod proxies;
pub mod relay;
pub mod sightings;
pub mod signaling;
pub mod stun;
pub mod tls;
pub mod turn;
