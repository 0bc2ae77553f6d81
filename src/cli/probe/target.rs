//! Which box is probed: a URL, and where its relay listens.

use std::net::{IpAddr, SocketAddr};

use hyper::http::uri::Authority;
use hyper::{Uri, http::uri::Scheme};
use rustls::pki_types::ServerName;
use thiserror::Error;

/// The port that a box listens on unless it was told otherwise.
const DEFAULT_PORT: u16 = 3478;
/// The port of a URL that names none.
const HTTPS_PORT: u16 = 443;

/// A name or an address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Target {
    /// Without brackets, in lower case.
    pub(super) host: String,
    pub(super) port: u16,
}

/// A text that names no box.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum TargetError {
    #[error("`{0}` is no address of a box: one such as https://192.168.1.5:3478")]
    Unreadable(String),
    #[error("`{0}` is not https: the box is asked over HTTPS, as in https://192.168.1.5:3478")]
    Scheme(String),
    #[error("the URL has a username or a password in it: give them by --user and --password-file")]
    Login,
}

impl Target {
    /// Reads `https://HOST[:PORT]`, whose path does not matter, or `HOST[:PORT]`.
    ///
    /// # Errors
    /// [`TargetError`] says what would be right.
    pub(super) fn parse(text: &str) -> Result<Self, TargetError> {
        if text.contains('@') {
            return Err(TargetError::Login);
        }
        let unreadable = || TargetError::Unreadable(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| unreadable())?;
        let default = match uri.scheme() {
            None => DEFAULT_PORT,
            Some(scheme) if *scheme == Scheme::HTTPS => HTTPS_PORT,
            Some(_) => return Err(TargetError::Scheme(text.to_owned())),
        };
        Self::of(uri.authority().ok_or_else(unreadable)?, default).ok_or_else(unreadable)
    }

    /// Reads the `HOST:PORT` of a TURN URI (RFC 7065) and its transport: `turn:` or `turns:`, with `?transport=`.
    pub(super) fn of_turn_uri(uri: &str) -> Option<(crate::turn::Transport, Self)> {
        use crate::turn::Transport;
        let (scheme, rest) = uri.split_once(':')?;
        let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
        let transport = match (scheme, query) {
            ("turns", "transport=tcp" | "") => Transport::Tls,
            ("turn", "transport=tcp") => Transport::Tcp,
            ("turn", "transport=udp" | "") => Transport::Udp,
            _ => return None,
        };
        Some((transport, Self::of(&authority.parse().ok()?, DEFAULT_PORT)?))
    }

    fn of(authority: &Authority, default: u16) -> Option<Self> {
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = match authority.as_str().rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((_, port)) => port.parse().ok().filter(|port| *port != 0)?,
            None => default,
        };
        let target = Self { host: host.to_ascii_lowercase(), port };
        target.server_name().is_some().then_some(target)
    }

    /// Where it is, if it is written as an address.
    pub(super) fn literal(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host.parse().ok()?, self.port))
    }

    /// What its certificate must be for. `None` for what is neither a name nor an address.
    pub(super) fn server_name(&self) -> Option<ServerName<'static>> {
        ServerName::try_from(self.host.clone()).ok()
    }

    /// `HOST:PORT`, as a Host header has it.
    pub(super) fn authority(&self) -> String {
        match self.literal() {
            Some(address) => address.to_string(),
            None => format!("{}:{}", self.host, self.port),
        }
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        let ip: IpAddr = address.ip().to_canonical();
        Self { host: ip.to_string(), port: address.port() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::Transport;

    #[test]
    fn a_box_is_named_by_a_url_or_by_host_and_port() {
        for (text, authority) in [
            ("https://192.168.1.5:3478", "192.168.1.5:3478"),
            ("https://Box.local:3478/r/kitchen", "box.local:3478"),
            ("https://calls.example", "calls.example:443"),
            ("https://[fd00::5]:3478/", "[fd00::5]:3478"),
            ("https://[fd00::5]", "[fd00::5]:443"),
            ("192.168.1.5", "192.168.1.5:3478"),
            ("box.local:443", "box.local:443"),
            ("[fd00::5]", "[fd00::5]:3478"),
        ] {
            assert_eq!(Target::parse(text).unwrap().authority(), authority, "{text}");
        }
    }

    #[test]
    fn what_names_no_box_is_refused_with_what_would() {
        for text in ["", "https://", "https://box:0", "https://box:99999", "/", "https://a b", "https://:3478"] {
            assert!(matches!(Target::parse(text), Err(TargetError::Unreadable(_))), "{text}");
        }
        assert!(matches!(Target::parse("http://box:3478"), Err(TargetError::Scheme(_))));
        let error = Target::parse("https://anna:secret@box").unwrap_err().to_string();
        assert!(error.contains("--password-file") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn what_the_box_tells_browsers_is_read() {
        for (uri, transport, authority) in [
            ("turn:192.168.1.5:3478?transport=udp", Transport::Udp, "192.168.1.5:3478"),
            ("turn:[fd00::5]:3478?transport=tcp", Transport::Tcp, "[fd00::5]:3478"),
            ("turns:box.local:3478?transport=tcp", Transport::Tls, "box.local:3478"),
        ] {
            let (found, target) = Target::of_turn_uri(uri).unwrap();
            assert_eq!((found, target.authority().as_str()), (transport, authority));
        }
        for other in ["stun:box:3478", "turn:", "turn:box:3478?transport=sctp", "turn"] {
            assert_eq!(Target::of_turn_uri(other), None, "{other}");
        }
    }
}
