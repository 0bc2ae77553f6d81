//! The values of single keys: text in, a value or what is wrong out.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

use crate::turn::PeerRule;

/// Of a name in the DNS (RFC 1035 section 2.3.4), with room for a number that tells it from another's.
const MAX_LABEL: usize = 59;

/// What is wrong with a value, and what would be right.
pub(super) type Wrong = (String, String);

fn wrong(wrong: impl Into<String>, right: impl Into<String>) -> Wrong {
    (wrong.into(), right.into())
}

pub(super) fn socket_address(text: &str) -> Result<SocketAddr, Wrong> {
    let right = "an address and a port, such as [::]:3478 or 192.168.1.5:443";
    text.parse().map_err(|_| wrong(format!("`{text}` is no socket address"), right))
}

/// Two addresses and two ports (RFC 5780 section 6), or none.
pub(super) fn behavior(list: &[String]) -> Result<Option<[SocketAddr; 2]>, Wrong> {
    let right =
        "two addresses of this machine with another port each, such as 203.0.113.5:3478 and 203.0.113.6:3479, or none";
    let canonical = |text: &String| socket_address(text).map(|at| SocketAddr::new(at.ip().to_canonical(), at.port()));
    let list = list.iter().map(canonical).collect::<Result<Vec<_>, _>>()?;
    let unfit = |at: &&SocketAddr| at.ip().is_unspecified() || at.ip().is_multicast() || at.port() == 0;
    if let Some(unfit) = list.iter().find(unfit) {
        return Err(wrong(format!("`{unfit}` is no single address and port"), right));
    }
    match list[..] {
        [] => Ok(None),
        [one, two] if one.is_ipv4() != two.is_ipv4() => Err(wrong("has an IPv4 and an IPv6 address", right)),
        [one, two] if one.ip() == two.ip() => Err(wrong(format!("has `{}` twice", one.ip()), right)),
        [one, two] if one.port() == two.port() => Err(wrong(format!("has port {} twice", one.port()), right)),
        [one, two] => Ok(Some([one, two])),
        _ => Err(wrong(format!("has {} addresses", list.len()), right)),
    }
}

/// The address of a reverse proxy, or a network of them.
pub(super) fn proxy(text: &str) -> Result<IpNet, Wrong> {
    let right = "the address of a proxy or a network of proxies, such as 192.168.1.2 or 172.16.0.0/12";
    let single = || text.parse::<IpAddr>().map(|ip| IpNet::from(ip.to_canonical()));
    let net = text.parse::<IpNet>().or_else(|_| single());
    let net = net.map_err(|_| wrong(format!("`{text}` is no address and no network"), right))?;
    if net != net.trunc() {
        let right = format!("{}, or another prefix length", net.trunc());
        return Err(wrong(format!("`{text}` has bits set beyond the prefix"), right));
    }
    if net.prefix_len() == 0 {
        return Err(wrong(format!("`{text}` is everybody, who could then pass for anybody"), right));
    }
    if net.addr().to_canonical() != net.addr() {
        return Err(wrong(format!("`{text}` is IPv4 written as IPv6"), "such as 172.16.0.0/12"));
    }
    Ok(net)
}

/// A label of a name in `.local`, or nothing.
pub(super) fn label(text: &str) -> Result<Option<String>, Wrong> {
    let fits = text.len() <= MAX_LABEL && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !fits || text.starts_with('-') || text.ends_with('-') {
        let right = "up to 59 letters, digits and hyphens, such as lanturn, or nothing";
        return Err(wrong(format!("`{text}` is no name for a machine"), right));
    }
    Ok(Some(text.to_ascii_lowercase()).filter(|name| !name.is_empty()))
}

/// A unicast address that can be told to others, in its canonical form.
pub(super) fn unicast(text: &str) -> Result<IpAddr, Wrong> {
    let right = "an address of a network card, such as 192.168.1.5 or fd00::5";
    let ip: IpAddr = text.parse().map_err(|_| wrong(format!("`{text}` is no IP address"), right))?;
    let ip = ip.to_canonical();
    let broadcast = IpAddr::from([255; 4]);
    if ip.is_unspecified() || ip.is_multicast() || ip == broadcast {
        return Err(wrong(format!("`{text}` is not the address of one machine"), right));
    }
    Ok(ip)
}

pub(super) fn external(from: &str, to: &str) -> Result<(IpAddr, IpAddr), Wrong> {
    let (from, to) = (unicast(from)?, unicast(to)?);
    if from.is_ipv4() != to.is_ipv4() {
        return Err(wrong(format!("`{from}` and `{to}` are of two families"), "both IPv4 or both IPv6"));
    }
    Ok((from, to))
}

pub(super) fn ports(text: &str) -> Result<RangeInclusive<u16>, Wrong> {
    let right = "first and last port, from 1 to 65535, such as 49152-65535";
    let range = text.split_once('-').and_then(|(low, high)| Some((port(low)?, port(high)?)));
    let (low, high) = range.ok_or_else(|| wrong(format!("`{text}` is no range of ports"), right))?;
    if low > high {
        return Err(wrong(format!("`{text}` ends before it begins"), format!("{high}-{low}")));
    }
    Ok(low..=high)
}

fn port(text: &str) -> Option<u16> {
    text.trim().parse().ok().filter(|port| *port != 0)
}

pub(super) fn peer_rule(text: &str) -> Result<PeerRule, Wrong> {
    text.parse::<PeerRule>().map_err(|error| {
        let text_of_error = error.to_string();
        let (what, right) = text_of_error.split_once(": ").unwrap_or((&text_of_error, ""));
        wrong(format!("`{text}` {what}"), right)
    })
}

/// A length of time within `range`, in whole seconds.
pub(super) fn duration(text: &str, range: RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    let (low, high) = (humantime::format_duration(*range.start()), humantime::format_duration(*range.end()));
    let right = format!("a number with a unit, from {low} to {high}, such as 10s, 5min or 1h");
    let value = humantime::parse_duration(text).map_err(|_| wrong(format!("`{text}` is no length of time"), &right))?;
    if value.subsec_nanos() != 0 || !range.contains(&value) {
        return Err(wrong(format!("`{text}` is out of range"), right));
    }
    Ok(value)
}

pub(super) fn number(value: u32, range: RangeInclusive<u32>) -> Result<u32, Wrong> {
    if range.contains(&value) {
        return Ok(value);
    }
    let right = if *range.end() == u32::MAX {
        format!("{} or more", range.start())
    } else {
        format!("from {} to {}", range.start(), range.end())
    };
    Err(wrong(format!("{value} is out of range"), right))
}

/// REALM: fewer than 128 characters (RFC 8489 section 14.9), in a form that needs no quoting.
pub(super) fn realm(text: &str) -> Result<String, Wrong> {
    let plain = !text.is_empty() && text.chars().count() < 128 && text.trim() == text;
    if plain && !text.chars().any(|c| c.is_control() || c == '"' || c == '\\') {
        return Ok(text.into());
    }
    Err(wrong(format!("`{text}` is no realm"), "1 to 127 characters without quotes or backslashes, such as lanturn"))
}

/// USERNAME of a static user. A colon would make it look like a credential with an expiry.
pub(super) fn user_name(text: &str) -> Result<String, Wrong> {
    let plain = !text.is_empty() && text.len() <= 256 && !text.chars().any(|c| c.is_control() || c == ':');
    if plain {
        return Ok(text.into());
    }
    Err(wrong(format!("`{text}` is no user name"), "1 to 256 characters without a colon, such as camera"))
}

pub(super) fn path(text: &str) -> Result<std::path::PathBuf, Wrong> {
    if text.is_empty() { Err(wrong("is empty", "the name of a file or directory")) } else { Ok(text.into()) }
}

/// A DNS name or an IP address without a port, in lowercase.
pub(super) fn host(text: &str) -> Result<String, Wrong> {
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(ip.to_canonical().to_string());
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if is_dns_name(&name) {
        return Ok(name);
    }
    Err(wrong(format!("`{text}` is no host name"), "a name or an address without a port, such as calls.example.org"))
}

/// A STUN server as `host:port`, at the port of RFC 8489 section 18.6 unless it names another.
pub(super) fn stun_server(text: &str) -> Result<String, Wrong> {
    let right = "a name or an IPv4 address, and a port, such as stun.example.org:3478";
    let error = || wrong(format!("`{text}` is no STUN server"), right);
    let (name, port) = match text.rsplit_once(':') {
        Some((name, digits)) => (name, port(digits).ok_or_else(error)?),
        None => (text, 3478),
    };
    let name = host(name).map_err(|_| error())?;
    if name.contains(':') { Err(error()) } else { Ok(format!("{name}:{port}")) }
}

fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        let edge = label.starts_with('-') || label.ends_with('-');
        !edge && (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    name.len() <= 253 && !number && name.split('.').all(label)
}

/// An origin as a browser sends it (RFC 6454 section 7): scheme, host, and a port that is not the scheme's own.
pub(super) fn origin(text: &str) -> Result<String, Wrong> {
    let error =
        || wrong(format!("`{text}` is no origin"), "scheme and host without a path, such as https://example.org");
    let lower = text.to_ascii_lowercase();
    let (scheme, rest) = lower.split_once("://").ok_or_else(error)?;
    let own_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return Err(error()),
    };
    let colon = rest.rfind(':').filter(|at| !rest[*at..].contains(']'));
    let (name, port) = match colon {
        Some(at) => (&rest[..at], Some(port(&rest[at + 1..]).ok_or_else(error)?)),
        None => (rest, None),
    };
    let name = host(name).map_err(|_| error())?;
    let name = if name.contains(':') { format!("[{name}]") } else { name };
    Ok(match port.filter(|port| *port != own_port) {
        Some(port) => format!("{scheme}://{name}:{port}"),
        None => format!("{scheme}://{name}"),
    })
}
