//! The rules themselves.

use crate::names::{self, FullPath};

/// Bytes and time in, effects out.
const PURE: [&str; 28] = [
    "stun",
    "turn",
    "credentials",
    "limit",
    "proxies",
    "sightings",
    "signaling::apprtc::wire",
    "signaling::ayame::wire",
    "signaling::budget",
    "signaling::call",
    "signaling::candidates",
    "signaling::codelab::socket_io",
    "signaling::codelab::words",
    "signaling::engine_io::payload",
    "signaling::error",
    "signaling::mailbox",
    "signaling::matchbox::groups",
    "signaling::matchbox::wire",
    "signaling::message",
    "signaling::names",
    "signaling::pace",
    "signaling::payload",
    "signaling::peerjs::directory",
    "signaling::peerjs::wire",
    "signaling::request",
    "signaling::room",
    "signaling::rooms",
    "signaling::y_webrtc::wire",
];

/// What a pure core may not name: I/O, the clock, randomness of its own.
const IMPURE: [&str; 44] = [
    "tokio",
    "tokio_rustls",
    "tokio_tungstenite",
    "futures_util",
    "mio",
    "socket2",
    "quinn_udp",
    "hyper",
    "hyper_util",
    "warp",
    "rustls",
    "webrtc_util",
    "metrics",
    "metrics_exporter_prometheus",
    "if_addrs",
    "hostname",
    "turn::server",
    "turn::client",
    "turn::auth",
    "turn::allocation",
    "turn::relay",
    "stun::client",
    "stun::agent::Agent",
    "stun::agent::TransactionId::new",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::os",
    "std::time::Instant::now",
    "std::time::SystemTime",
    "time::OffsetDateTime::now_utc",
    "std::fs",
    "std::io::stdout",
    "std::io::stderr",
    "std::io::stdin",
    "std::thread",
    "std::env",
    "std::process",
    "rand::rng",
    "rand::random",
    "rand::rngs::OsRng",
    "rand::rngs::ThreadRng",
    "ring::rand::SystemRandom",
];

/// Old and other names of the same.
const IMPURE_TOO: [&str; 4] = ["rand::thread_rng", "rand::random_range", "rand::fill", "libc"];

/// Functions that ask the system for randomness, whatever they belong to.
const SEEDS: [&str; 3] = ["from_os_rng", "try_from_os_rng", "from_entropy"];

/// Modules of ours that do I/O or wire it, in full.
const OUR_IO: [&str; 10] = [
    "crate::relay",
    "crate::listener",
    "crate::tls",
    "crate::http",
    "crate::cli",
    "crate::config",
    "crate::metrics",
    "crate::files",
    "crate::outside",
    "crate::web",
];

/// The one module where `relay` and `signaling` meet.
const WIRING: &str = "cli::serve";

/// What a file of the module `module` does against the rules.
pub(crate) fn check(module: &[String], text: &str) -> syn::Result<Vec<String>> {
    let named = names::named(module, text)?;
    let module = module.join("::");
    let mut broken = Broken { named: &named, found: Vec::new() };
    if PURE.iter().any(|pure| within(&module, pure)) {
        let rule = "a pure core has no I/O, no clock and no randomness of its own";
        broken.refuse(&IMPURE, rule);
        broken.refuse(&IMPURE_TOO, rule);
        let seeds = named.iter().filter(|path| path.last().is_some_and(|last| SEEDS.contains(&last.as_str())));
        broken.refuse(&seeds.map(|path| path.join("::")).collect::<Vec<_>>(), rule);
        broken.refuse(&OUR_IO, "I/O imports cores, never the other way round");
        let signaling = named.iter().filter(|path| names_it(path, "crate::signaling")).map(|path| path.join("::"));
        let pure = |path: &String| PURE.iter().any(|pure| within(path, &format!("crate::{pure}")));
        let rule = "of signaling, a pure core may name the pure modules";
        broken.refuse(&signaling.filter(|path| !pure(path)).collect::<Vec<_>>(), rule);
    }
    if within(&module, "relay") {
        broken.refuse(&["crate::signaling"], "relay and signaling meet only in cli::serve");
    }
    if within(&module, "signaling") {
        broken.refuse(&["crate::relay"], "relay and signaling meet only in cli::serve");
    }
    let both = ["crate::relay", "crate::signaling"].iter().all(|one| named.iter().any(|path| names_it(path, one)));
    if both && !within(&module, WIRING) && !within(&module, "relay") && !within(&module, "signaling") {
        broken.refuse(&["crate::relay", "crate::signaling"], "relay and signaling meet only in cli::serve");
    }
    if !within(&module, "cli") && !within(&module, "config") {
        broken.refuse(&["crate::config"], "only cli sees the settings");
    }
    if within(&module, "http") {
        broken.refuse(&["crate::turn", "crate::relay", "turn"], "http names neither turn nor relay");
    }
    if within(&module, "metrics") {
        let ours = named.iter().map(|path| path.join("::")).filter(|path| within(path, "crate"));
        let ours: Vec<String> = ours.filter(|path| !within(path, "crate::metrics")).collect();
        broken.refuse(&ours, "metrics imports nothing of ours");
    }
    Ok(broken.found)
}

/// What a file names, and which of it is against a rule.
struct Broken<'a> {
    named: &'a [FullPath],
    found: Vec<String>,
}

impl Broken<'_> {
    fn refuse(&mut self, forbidden: &[impl AsRef<str>], rule: &str) {
        for path in self.named {
            let complaint = format!("names {}: {rule}", path.join("::"));
            let bad = forbidden.iter().any(|forbidden| names_it(path, forbidden.as_ref()));
            if bad && !self.found.contains(&complaint) {
                self.found.push(complaint);
            }
        }
    }
}

/// Whether `inner` is `outer` or a part of it.
fn within(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether a path names `forbidden` or something in it. A glob names all that is beneath it.
fn names_it(path: &FullPath, forbidden: &str) -> bool {
    let full = path.join("::");
    let beneath = full.strip_suffix("::*").is_some_and(|base| within(forbidden, base));
    beneath || within(&full, forbidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(module: &str, text: &str) -> Vec<String> {
        let module: Vec<String> = module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        check(&module, text).unwrap()
    }

    #[test]
    fn a_pure_core_with_io_a_clock_or_randomness_is_found_however_it_is_written() {
        for text in [
            "use tokio::net::UdpSocket;",
            "use std::net::{IpAddr, UdpSocket};",
            "fn f() { let _ = std::net::TcpStream::connect(\"\"); }",
            "use std::time::Instant; fn f() { Instant::now(); }",
            "use std::time; fn f() { time::Instant::now(); }",
            "use time::Instant as I; use std::time; fn f() { I::now(); }",
            "use std::time::{self as t}; fn f() { t::Instant::now(); }",
            "use std::time::Instant as Clock; fn f() { Clock::now(); }",
            "fn f() -> std::time::SystemTime { todo!() }",
            "use std::time::*;",
            "use rand::{SeedableRng, rngs::StdRng}; fn f() { StdRng::from_os_rng(); }",
            "use stun::agent::TransactionId; fn f() { TransactionId::new(); }",
            "use rand as dice; fn f() { dice::rng(); }",
            "fn f() { let x: u8 = rand::random(); }",
            "use ring::rand::SystemRandom;",
            "use std::{fs, io};",
            "fn f() { ::std::thread::yield_now(); }",
            "extern crate mio as m; fn f() { m::Poll::new(); }",
            "fn f() { assert!(std::env::var(\"X\").is_ok()); }",
            "fn f() { println!(\"{:?}\", vec![{ ::std::fs::read(\"x\") }]); }",
            "use std::time::Instant; fn f() { dbg!(Instant::now()); }",
            "#[tokio::main] async fn f() {}",
            "#[cfg_attr(unix, tokio::test)] fn f() {}",
            "struct S<T: quinn_udp::X>(T);",
            "mod inner { use super::super::super::relay::Shard; }",
            "use turn::server::Server;",
            "use metrics::counter;",
            "use crate::*;",
            "use crate::relay::Shard;",
            "use super::super::listener;",
            "use crate::config::Settings;",
            "fn f(_: crate::tls::Identity) {}",
            "use crate::signaling::hub::Hub;",
            "use crate::signaling::{message, native};",
            "use crate::signaling::*;",
        ] {
            for module in ["turn::allocate", "signaling::rooms"] {
                assert!(!broken(module, text).is_empty(), "{module}: {text}");
            }
        }
        for module in ["stun", "turn", "credentials::mint", "limit", "signaling::message", "signaling::rooms::room"] {
            assert!(!broken(module, "use tokio::sync::mpsc;").is_empty(), "{module}");
        }
    }

    #[test]
    fn what_a_pure_core_may_do_is_let_through() {
        for text in [
            "use std::net::{IpAddr, SocketAddr}; use std::time::{Duration, Instant}; fn f(now: Instant) {}",
            "use turn::proto::lifetime::Lifetime; use stun::message::Message;",
            "use rand::RngCore; fn f(rng: &mut impl RngCore) { rng.next_u32(); }",
            "use crate::signaling::message::Message; use crate::credentials::Secret;",
            "use crate::signaling::names::RoomName; use stun::agent::TransactionId;",
            "use rand::{SeedableRng, rngs::StdRng}; fn f(seed: [u8; 32]) { StdRng::from_seed(seed); }",
            "use super::rule::PeerRule;",
            "use std::collections::hash_map::RandomState;",
            "/// See tokio::net and std::fs.\nfn f() { let _ = \"std::fs::read\"; }",
            "fn now() {} fn f() { now(); }",
            "fn f(hostname: u8, metrics: u8) { g(hostname, metrics); vec![metrics]; }",
            "#[cfg(test)] mod tests { use std::fs; fn f() { tokio::spawn(x); crate::relay::go(); } }",
            "#[cfg(all(test, unix))] mod tests { use std::fs; }",
        ] {
            assert_eq!(broken("turn::allocate", text), Vec::<String>::new(), "{text}");
        }
        assert!(!broken("turn", "#[cfg(not(test))] use std::fs;").is_empty());
        assert!(broken("relay", "use tokio::net::UdpSocket; use std::time::Instant;").is_empty());
        assert!(broken("signaling::hub", "use tokio::sync::mpsc;").is_empty());
    }

    #[test]
    fn relay_and_signaling_meet_only_in_serve() {
        let both = "use crate::relay::Relay; use crate::signaling::hub::Hub;";
        assert!(broken("cli::serve", both).is_empty());
        for module in ["cli", "cli::check", "listener", ""] {
            assert!(!broken(module, both).is_empty(), "{module}");
        }
        assert!(!broken("relay::shard", "use crate::signaling::message::Message;").is_empty());
        assert!(!broken("signaling::hub", "fn f(_: crate::relay::Shard) {}").is_empty());
        assert!(broken("listener", "use crate::relay::Relay; use crate::http::Web;").is_empty());
    }

    #[test]
    fn only_cli_sees_the_settings() {
        for module in ["http", "relay", "tls", "listener", "signaling::hub"] {
            assert!(!broken(module, "use crate::config::Settings;").is_empty(), "{module}");
        }
        assert!(broken("cli::serve", "use crate::config::Settings;").is_empty());
        assert!(broken("config::validate", "use super::Settings;").is_empty());
    }

    #[test]
    fn http_names_neither_turn_nor_relay() {
        for text in ["use crate::turn::PeerRule;", "use crate::relay;", "use turn::proto;", "use crate::{turn as t};"] {
            assert!(!broken("http::ice", text).is_empty(), "{text}");
        }
        let own = "mod turn; fn f() { turn::route(); let relay = 1; g(relay, turn); format!(\"{}\", turn); }";
        assert_eq!(broken("http", own), Vec::<String>::new());
        assert!(broken("http", "use crate::{credentials, metrics, signaling::hub::Hub};").is_empty());
    }

    #[test]
    fn metrics_imports_nothing_of_ours() {
        for text in ["use crate::limit::RateLimit;", "use super::turn;", "fn f() { crate::limit::f(); }"] {
            assert!(!broken("metrics", text).is_empty(), "{text}");
        }
        assert!(broken("metrics", "mod inner; use self::inner::X; fn f() { inner::f(); }").is_empty());
        assert!(broken("metrics", "use metrics_exporter_prometheus::PrometheusBuilder;").is_empty());
    }
}
