//! Which host a request names, and which site's page sent it.
//!
//! A page of any site can have its own name resolve to this box (DNS rebinding), so names are checked against a list.
//! Addresses cannot be rebound.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::Request;
use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::http::uri::Authority;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The host that a request names, found to be ours: `name`, `name:port`, `192.0.2.1:port` or `[2001:db8::1]:port`, in
/// lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host(String);

impl Host {
    /// Reads `:authority` (RFC 9113 section 8.3.1) or `Host`. `None` when it is missing, ambiguous or not ours.
    pub(super) fn of<B>(request: &Request<B>, names: &[String]) -> Option<Self> {
        let mut hosts = request.headers().get_all(HOST).iter();
        let header = hosts.next().map(|value| value.to_str()).transpose().ok()?;
        if hosts.next().is_some() {
            return None;
        }
        let authority = request.uri().authority().map(Authority::as_str);
        let text = match (authority, header) {
            (Some(authority), Some(header)) if !authority.eq_ignore_ascii_case(header) => return None,
            (Some(text), _) | (None, Some(text)) => text.to_ascii_lowercase(),
            (None, None) => return None,
        };
        let parsed: Authority = text.parse().ok()?;
        let port = text.strip_prefix(parsed.host())?;
        let is_plain = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        let is_ours = is_plain && is_our_name(parsed.host(), names);
        if is_ours { Some(Self(text)) } else { None }
    }

    /// The name without the port. `None` for a literal address.
    pub(super) fn name(&self) -> Option<String> {
        let host = self.0.parse::<Authority>().ok()?.host().to_owned();
        if literal(&host).is_some() { None } else { Some(host) }
    }

    /// The literal address. `None` for a name.
    pub(super) fn literal(&self) -> Option<IpAddr> {
        literal(self.0.parse::<Authority>().ok()?.host())
    }

    /// Whether it names this very machine, as only a browser on it would.
    pub(super) fn is_local(&self) -> bool {
        self.name().is_some_and(|name| name == "localhost") || self.literal().is_some_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_our_name(name: &str, names: &[String]) -> bool {
    let bare = name.strip_suffix('.').unwrap_or(name);
    literal(name).is_some() || bare == "localhost" || names.iter().any(|ours| ours.eq_ignore_ascii_case(bare))
}

fn literal(name: &str) -> Option<IpAddr> {
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => name.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// The site whose page sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    /// One of our own pages.
    Own,
    /// A site on the allow-list.
    Allowed,
    /// Another site.
    Other,
    /// No page, or a browser that does not say.
    Unknown,
}

impl Site {
    /// `allowed` are origins in full, such as `https://example.org`.
    pub(super) fn of(headers: &HeaderMap, host: &Host, is_tls: bool, allowed: &[String]) -> Self {
        let Some(origin) = headers.get(ORIGIN) else {
            return match headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes()) {
                Some(b"same-origin") => Self::Own,
                Some(b"cross-site" | b"same-site") => Self::Other,
                Some(_) | None => Self::Unknown,
            };
        };
        let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
        // Without TLS here there may be TLS in front of us, on this machine.
        let is_own = match origin.split_once("://") {
            Some(("https", rest)) => rest == host.0,
            Some(("http", rest)) => !is_tls && rest == host.0,
            Some(_) | None => false,
        };
        if is_own {
            Self::Own
        } else if allowed.iter().any(|site| site.eq_ignore_ascii_case(&origin)) {
            Self::Allowed
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(value: &str) -> Option<Host> {
        let names = ["Box".to_owned(), "box.local".into()];
        Host::of(&Request::builder().uri("/").header(HOST, value).body(()).unwrap(), &names)
    }

    #[test]
    fn only_our_names_and_addresses_are_ours() {
        for ours in
            ["box:3478", "BOX.local", "box.local.:1", "localhost", "192.168.1.5:3478", "[fd00::2]:3478", "[::1]"]
        {
            assert!(host(ours).is_some(), "{ours}");
        }
        for other in ["evil.example", "box.evil.example", "user@box", "0x7f.1", "", "box:port", "[fd00::2", "a b", "1"]
        {
            assert!(host(other).is_none(), "{other}");
        }
    }

    #[test]
    fn two_hosts_in_one_request_are_no_host() {
        let request = Request::builder().uri("/").header(HOST, "localhost").header(HOST, "localhost");
        assert_eq!(Host::of(&request.body(()).unwrap(), &[]), None);
        let request = Request::builder().uri("http://localhost/").header(HOST, "127.0.0.1").body(()).unwrap();
        assert_eq!(Host::of(&request, &[]), None);
    }

    #[test]
    fn only_this_machine_is_local() {
        assert!(host("localhost:3478").unwrap().is_local());
        assert!(host("127.0.0.1:3478").unwrap().is_local());
        assert!(host("[::1]:3478").unwrap().is_local());
        assert!(!host("box:3478").unwrap().is_local());
        assert!(!host("192.168.1.5").unwrap().is_local());
    }

    fn site(origin: &str, is_tls: bool) -> Site {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, origin.parse().unwrap());
        Site::of(&headers, &host("box:3478").unwrap(), is_tls, &["https://friend.example".into()])
    }

    #[test]
    fn a_page_is_ours_by_its_whole_origin() {
        assert_eq!(site("https://box:3478", true), Site::Own);
        assert_eq!(site("http://box:3478", true), Site::Other);
        assert_eq!(site("http://box:3478", false), Site::Own);
        assert_eq!(site("https://friend.example", true), Site::Allowed);
        for other in ["https://box", "https://box:3478.evil.example", "null", "https://friend.example.evil"] {
            assert_eq!(site(other, true), Site::Other, "{other}");
        }
    }

    #[test]
    fn without_an_origin_the_browser_may_still_say() {
        let mut headers = HeaderMap::new();
        let of = |headers: &HeaderMap| Site::of(headers, &host("box").unwrap(), true, &[]);
        assert_eq!(of(&headers), Site::Unknown);
        headers.insert(SEC_FETCH_SITE, "same-origin".parse().unwrap());
        assert_eq!(of(&headers), Site::Own);
        for other in ["cross-site", "same-site"] {
            headers.insert(SEC_FETCH_SITE, other.parse().unwrap());
            assert_eq!(of(&headers), Site::Other, "{other}");
        }
        headers.insert(SEC_FETCH_SITE, "none".parse().unwrap());
        assert_eq!(of(&headers), Site::Unknown, "its user typed the address");
    }
}
