//! The binary against peers on this machine's loopback.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod acme;
mod apprtc;
mod ayame;
mod crowd;
mod dtls;
mod hostile;
mod http;
mod ipv6;
mod large;
mod lifecycle;
mod log;
mod matchbox;
mod mobility;
mod peerjs;
mod port;
mod probe;
mod proxy;
mod reload;
mod resume;
mod room_relay;
mod rooms;
mod self_test;
mod sites;
mod stacks;
mod start;
mod strangers;
mod tcp_allocations;
mod turn;
mod y_webrtc;
