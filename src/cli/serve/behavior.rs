//! Binding what NAT behaviour discovery needs beside the addresses that are listened on anyway (RFC 5780 section 6).

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

use crate::config::Listen;
use crate::{relay, turn};

/// Why one of the four addresses cannot be had.
#[derive(Debug, Error)]
pub(super) enum Error {
    #[error("listen.behavior_discovery: {0} is in use by another program (UDP): another port, or stop that program")]
    Busy(SocketAddr),
    #[error("listen.behavior_discovery: {0} is not an address of this machine: one that is, or none")]
    NotOurs(SocketAddr),
    #[error("listen.behavior_discovery: {0} cannot be bound (UDP): {1}")]
    Other(SocketAddr, io::Error),
}

/// What was configured, as the server has it.
pub(super) fn addresses(listen: &Listen) -> Option<turn::BehaviorAddresses> {
    listen.behavior.map(|[one, two]| turn::BehaviorAddresses::new(one, two))
}

/// Binds those of the four addresses that are not listened on.
///
/// # Errors
/// [`Error`] names the first that cannot be bound, and why.
pub(super) fn bind(listen: &Listen, listening: &[SocketAddr]) -> Result<Vec<relay::Bound>, Error> {
    let all = addresses(listen).into_iter().flat_map(|addresses| addresses.all());
    let lacking = all.filter(|&address| !listening.iter().any(|&local| relay::covers(local, address)));
    lacking.map(|address| relay::bind(address, listen.shards).map_err(|error| explain(address, error))).collect()
}

fn explain(address: SocketAddr, source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::AddrInUse {
        Error::Busy(address)
    } else if source.kind() == io::ErrorKind::AddrNotAvailable {
        Error::NotOurs(address)
    } else {
        Error::Other(address, source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(behavior: &str) -> Listen {
        let text = format!("[listen]\nshards = 2\nbehavior_discovery = {behavior}\n");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        crate::config::load_from(Some(file.path()), []).unwrap().0.listen
    }

    #[test]
    fn only_what_is_not_there_is_bound() {
        let there = relay::bind("[::]:0".parse().unwrap(), 2).unwrap().address();
        let port = there.port();
        let free = std::net::UdpSocket::bind("127.0.0.2:0").unwrap().local_addr().unwrap().port();
        assert!(bind(&listen("[]"), &[there]).unwrap().is_empty());
        let bound = bind(&listen(&format!("['127.0.0.1:{port}', '127.0.0.2:{free}']")), &[there]).unwrap();
        let more: Vec<_> = bound.iter().map(|bound| (bound.address().to_string(), bound.len())).collect();
        assert_eq!(more, [(format!("127.0.0.2:{free}"), 2), (format!("127.0.0.1:{free}"), 2)]);
    }

    #[test]
    fn what_cannot_be_bound_is_named() {
        let other = std::net::UdpSocket::bind("127.0.0.2:0").unwrap();
        let taken = other.local_addr().unwrap();
        let error = |behavior: String| bind(&listen(&behavior), &[]).unwrap_err().to_string();
        assert_eq!(
            error(format!("['127.0.0.1:9478', '{taken}']")),
            format!(
                "listen.behavior_discovery: {taken} is in use by another program (UDP): another port, or stop that program"
            )
        );
        assert_eq!(
            error("['203.0.113.5:9478', '127.0.0.2:9479']".into()),
            "listen.behavior_discovery: 203.0.113.5:9478 is not an address of this machine: one that is, or none"
        );
    }
}
