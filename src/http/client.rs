//! Who a request is from: whoever is at the other end of the connection, or whoever a reverse proxy there speaks for.

use std::net::SocketAddr;

use hyper::header::{HeaderMap, HeaderName};

use super::web::{Inner, Peer};
use crate::proxies::Forwarded;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client of one request. One connection of a proxy carries the requests of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// Our address on the connection.
    pub(super) local: SocketAddr,
    /// The client's own address. Its port is 0 if only the proxy knows it.
    pub(super) remote: SocketAddr,
    /// Whether it came over TLS, here or as far as the proxy.
    pub(super) tls: bool,
    /// Whether it came through a proxy, believed or not. Then it is not on this machine, though the proxy may be.
    pub(super) is_proxied: bool,
    /// Whether `remote` is a proxy that is not believed, or does not say whom it speaks for.
    pub(super) is_hidden: bool,
}

impl Client {
    /// Reads the headers that a believed proxy adds. Anyone else's are counted and ignored, except that whoever sends
    /// them forwards for someone.
    pub(super) fn of(peer: Peer, headers: &HeaderMap, inner: &Inner) -> Self {
        let Peer { local, remote, tls } = peer;
        let hidden = Self { local, remote, tls, is_proxied: true, is_hidden: true };
        let proxies = &inner.options.proxies;
        if !proxies.contains(remote.ip()) {
            let is_proxied = headers.contains_key(FORWARDED_FOR);
            if is_proxied {
                count("untrusted");
            }
            return Self { is_proxied, is_hidden: is_proxied, ..hidden };
        }
        let lines = headers.get_all(FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or("not ASCII"));
        let found = match proxies.client(lines) {
            Forwarded::For(remote) => Self { remote, is_hidden: false, ..hidden },
            Forwarded::Unsaid => {
                count("missing");
                inner.silent_proxy.call_once(|| warn(remote, "sends no X-Forwarded-For"));
                hidden
            }
            Forwarded::Malformed => {
                count("malformed");
                inner.silent_proxy.call_once(|| warn(remote, "sends an X-Forwarded-For that is no list of addresses"));
                hidden
            }
        };
        Self { tls: scheme(headers).map_or(tls, |scheme| scheme == "https"), ..found }
    }
}

/// What the believed proxy says that it was asked over. It may have added that at the right, and then what stands left of
/// it may be the client's own invention.
fn scheme(headers: &HeaderMap) -> Option<String> {
    let said = headers.get_all(FORWARDED_PROTO).iter().next_back()?.to_str().ok()?;
    let last = said.rsplit(',').map(str::trim).find(|entry| !entry.is_empty())?.to_ascii_lowercase();
    matches!(last.as_str(), "https" | "http").then_some(last)
}

fn count(reason: &'static str) {
    metrics::counter!("lanturn_forwarded_for_unused_total", "reason" => reason).increment(1);
}

/// Worth waking someone: until this is set right, all clients share one rate.
fn warn(proxy: SocketAddr, fault: &str) {
    tracing::warn!("{}, of listen.proxies, {fault}: all its clients count as one", proxy.ip());
}
