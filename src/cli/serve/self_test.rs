//! The self-test: after `ready`, and when the machine's addresses have changed, clients of our own go through every listener,
//! before a user finds out what is wrong.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::live::{Fresh, unix_now};
use crate::cli::probe::{Clock, Context, Login, Walk, Way, curious, explain, walk};
use crate::config::{Limits, Quota};
use crate::credentials::mint;
use crate::turn::Transport;

/// The most addresses that are tried: a machine may have hundreds.
const MAX_ADDRESSES: usize = 8;
/// How long all ways to one address may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long its credential lasts, in seconds.
const TTL: u64 = 300;
/// Its two clients at once hold so many allocations.
const ALLOCATIONS: u32 = 2;
/// With less, in kbit/s, its own packets would not pass.
const BANDWIDTH: u32 = 64;
/// What its clients call themselves.
const NAME: &str = "lanturn self-test";

/// With what it allocates. `None` where the limits leave it no room: then it asks for Bindings alone.
pub(super) fn login(fresh: &Fresh, limits: &Limits) -> Option<Login> {
    let is_roomy = |quota: &Quota| {
        let enough = quota.allocations >= ALLOCATIONS && quota.permissions >= ALLOCATIONS;
        enough && (quota.bandwidth == 0 || quota.bandwidth >= BANDWIDTH)
    };
    let secret = fresh.loaded.secrets.minting();
    let credential = mint(secret, "self-test", unix_now(), TTL).ok()?;
    let login = Login { username: credential.username, password: credential.password };
    [&limits.user, &limits.prefix, &limits.total].into_iter().all(is_roomy).then_some(login)
}

/// Goes through every transport of every address, one after the other, and logs a line for each that fails, or one for
/// all that work.
pub(super) async fn run(addresses: Vec<SocketAddr>, login: Option<Login>) {
    let mut works = Vec::new();
    for &server in addresses.iter().take(MAX_ADDRESSES) {
        let clock = Clock::start(PATIENCE);
        let mut found = Vec::new();
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
            let Ok(tls) = curious(&[]) else { return };
            let way = Way { transport, server, name: ServerName::IpAddress(server.ip().into()), tls };
            found.push((transport, walk(&way, login.as_ref(), NAME, clock).await));
        }
        if !complain(server, &found) {
            works.push(server.to_string());
        }
    }
    if !works.is_empty() && works.len() == addresses.len().min(MAX_ADDRESSES) {
        let how = if login.is_some() { "a packet goes through the relay" } else { "Bindings are answered" };
        tracing::info!(
            "self-test: over UDP, TCP and TLS {how} at {}, from this machine; `lanturn probe` sees what is in between, \
             from another",
            works.join(", ")
        );
    }
}

/// Logs what does not work at an address, and says whether there was anything.
fn complain(server: SocketAddr, found: &[(Transport, Walk)]) -> bool {
    let others_work = found.iter().any(|(_, walk)| walk.mapped.is_some());
    for (transport, walk) in found {
        if let Some((stage, trouble)) = &walk.failure {
            let context = Context { transport: *transport, server, view: None, others_work, expiry: None };
            let (text, next) = explain(&context, *stage, trouble);
            let name = transport.name().to_uppercase();
            tracing::warn!("self-test: {name} does not work at {server}: {text}. What to do: {next}");
        }
    }
    found.iter().any(|(_, walk)| walk.failure.is_some())
}
