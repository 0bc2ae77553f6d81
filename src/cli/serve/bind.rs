//! Binding the one port: UDP and TCP on the same number, dual-stack where there are two stacks.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use thiserror::Error;

use super::super::interfaces;
use crate::{listener, relay};

/// How often to look for a port that is free for both, when any will do.
const TRIES: usize = 16;

/// Both sides of one listening address.
pub(super) struct Port {
    pub(super) udp: relay::Bound,
    pub(super) tcp: std::net::TcpListener,
}

impl Port {
    pub(super) fn address(&self) -> SocketAddr {
        self.udp.address()
    }
}

/// Why an address cannot be listened on.
#[derive(Debug, Error)]
pub(super) enum Error {
    #[error(
        "listen.addresses: {address} is in use by another program ({transport}): another port, or stop that program"
    )]
    Busy { address: SocketAddr, transport: &'static str },
    #[error("listen.addresses: {address} is not an address of this machine: one that is, or [::] for all")]
    NotOurs { address: SocketAddr },
    #[error("listen.addresses: port {} is for privileged programs ({transport}): a port from 1024 up, or the capability CAP_NET_BIND_SERVICE", address.port())]
    Privileged { address: SocketAddr, transport: &'static str },
    #[error("listen.addresses: {address} cannot be bound ({transport}): {source}")]
    Other { address: SocketAddr, transport: &'static str, source: io::Error },
}

/// Binds every address, for so many shards.
///
/// # Errors
/// [`Error`] names the first address that cannot be bound, and why.
pub(super) fn bind(addresses: &[SocketAddr], shards: usize) -> Result<Vec<Port>, Error> {
    addresses.iter().map(|&address| bind_one(address, shards)).collect()
}

fn bind_one(address: SocketAddr, shards: usize) -> Result<Port, Error> {
    let mut result = bind_both(address, shards);
    for _ in 1..TRIES {
        // The system chose a port that was free for UDP; for TCP it may not have been.
        if address.port() != 0 || !matches!(result, Err(Error::Busy { .. })) {
            break;
        }
        result = bind_both(address, shards);
    }
    match result {
        Err(Error::Other { source, .. }) if lacks_ipv6(address, &source) => {
            let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
            tracing::warn!("this machine has no IPv6: listening on {v4} instead of {address}");
            bind_one(v4, shards)
        }
        // IPv6 can be known to the kernel and yet be switched off: the wildcard then takes IPv4 alone.
        Ok(port) if is_wildcard_v6(address) && !interfaces::has_ipv6() => {
            tracing::warn!("this machine has no IPv6 address: {} serves IPv4 alone", port.address());
            Ok(port)
        }
        other => other,
    }
}

fn bind_both(address: SocketAddr, shards: usize) -> Result<Port, Error> {
    let udp = relay::bind(address, shards).map_err(|error| explain(address, "UDP", error))?;
    let tcp = listener::bind(udp.address()).map_err(|error| explain(udp.address(), "TCP", error))?;
    Ok(Port { udp, tcp })
}

fn explain(address: SocketAddr, transport: &'static str, source: io::Error) -> Error {
    let kind = source.kind();
    if kind == io::ErrorKind::AddrNotAvailable && !address.ip().is_unspecified() {
        Error::NotOurs { address }
    } else if kind == io::ErrorKind::AddrInUse {
        Error::Busy { address, transport }
    } else if kind == io::ErrorKind::PermissionDenied {
        Error::Privileged { address, transport }
    } else {
        Error::Other { address, transport, source }
    }
}

fn lacks_ipv6(address: SocketAddr, error: &io::Error) -> bool {
    let unsupported = error.raw_os_error() == Some(libc::EAFNOSUPPORT);
    is_wildcard_v6(address) && (unsupported || error.kind() == io::ErrorKind::AddrNotAvailable)
}

fn is_wildcard_v6(address: SocketAddr) -> bool {
    address.is_ipv6() && address.ip().is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(port: u16) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
    }

    #[test]
    fn both_sides_have_the_same_port() {
        let ports = bind(&[local(0)], 2).unwrap();
        assert_ne!(ports[0].address().port(), 0);
        assert_eq!(ports[0].tcp.local_addr().unwrap(), ports[0].address());
        assert_eq!(ports[0].udp.len(), 2);
    }

    #[test]
    fn a_busy_port_is_named_whoever_has_it() {
        let udp = std::net::UdpSocket::bind(local(0)).unwrap();
        let error = bind(&[udp.local_addr().unwrap()], 1).err().unwrap().to_string();
        assert!(error.contains("is in use by another program (UDP): another port"), "{error}");
        let tcp = std::net::TcpListener::bind(local(0)).unwrap();
        let error = bind(&[tcp.local_addr().unwrap()], 1).err().unwrap().to_string();
        assert!(error.contains("is in use by another program (TCP)"), "{error}");
        let other = bind(&[local(0)], 1).unwrap();
        let error = bind(&[other[0].address()], 1).err().unwrap().to_string();
        assert!(error.contains("is in use"), "a second lanturn does not share the port: {error}");
    }

    #[test]
    fn an_address_of_another_machine_is_named() {
        let error = bind(&["203.0.113.1:3478".parse().unwrap()], 1).err().unwrap().to_string();
        assert_eq!(
            error,
            "listen.addresses: 203.0.113.1:3478 is not an address of this machine: one that is, or [::] for all"
        );
    }

    #[test]
    fn a_machine_without_ipv6_is_recognised() {
        let unsupported = io::Error::from_raw_os_error(libc::EAFNOSUPPORT);
        assert!(lacks_ipv6("[::]:3478".parse().unwrap(), &unsupported));
        assert!(!lacks_ipv6("0.0.0.0:3478".parse().unwrap(), &unsupported));
        assert!(!lacks_ipv6("[fd00::1]:3478".parse().unwrap(), &unsupported));
        assert!(!lacks_ipv6("[::]:3478".parse().unwrap(), &io::ErrorKind::AddrInUse.into()));
    }
}
