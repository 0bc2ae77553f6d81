//! The web side of the one port: the page, ICE configuration and credentials, and the way in to the rooms.
//!
//! [`Web::serve`] drives one HTTP connection (h1 or h2, TLS or not). Each request is asked who its `client` is, checked
//! for the host it names, sent to HTTPS if it came without (`plain`), and then answered: WebSockets by `upgrade`,
//! Socket.IO by `socketio`, all else by warp filters (`routes`). The `forms` are those in which programs ask for
//! credentials, a file each; all come to `issue`.

mod answer;
mod apprtc;
mod assets;
mod authority;
mod body;
mod client;
mod cloudflare;
mod errors;
mod forms;
mod gate;
mod google;
mod greeting;
mod headers;
mod ice;
mod issue;
mod live;
mod metered;
mod origin;
mod peerjs;
mod plain;
mod probe;
mod qr;
mod routes;
mod socketio;
mod turn_rest;
mod twilio;
mod upgrade;
mod web;

pub use authority::Authority;
pub use live::{Issuer, Live, Public};
pub use upgrade::socket_paths;
pub use web::{Options, Peer, Web};
