//! The whole server against the RFCs, through the other codec: one file a method, and one a promise of ours.

mod allocate;
mod authentication;
mod behavior;
mod channels;
mod connections;
mod data;
mod denied;
mod families;
mod fragments;
mod hairpin;
mod icmp;
pub(crate) mod messages;
mod mobility;
mod model;
mod permissions;
mod probes;
mod quotas;
mod refresh;
mod reservations;
mod strangers;
pub(crate) mod support;
mod tokens;
