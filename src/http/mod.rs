//! The web side of the one port: the page, ICE configuration and credentials, and the way in to the rooms.
//!
//! [`Web::serve`] drives one HTTP connection (h1 or h2, TLS or not). Each request is checked for the host it names,
//! sent to HTTPS if it came without, and then answered: `/ws` by `upgrade`, all else by warp filters (`routes`).

mod answer;
mod assets;
mod errors;
mod gate;
mod headers;
mod ice;
mod live;
mod origin;
mod routes;
mod turn_rest;
mod upgrade;
mod web;

pub use live::{Issuer, Live};
pub use web::{Options, Peer, Web};
