//! What can go wrong on a link.

use std::io;

use thiserror::Error;

/// Why a request came to nothing.
#[derive(Debug, Error)]
pub(in crate::cli) enum Trouble {
    /// Nothing came back in time.
    #[error("no answer came in time")]
    Silent,
    /// The answer is an error response (RFC 8489 section 14.8).
    #[error("refused with {code} {reason}")]
    Refused {
        /// 300 to 699.
        code: u16,
        /// The phrase that came with it, printable.
        reason: String,
    },
    /// The connection could not be made or has ended.
    #[error("{}", plain(.0))]
    Broken(io::Error),
    /// What came back is no answer to what was asked.
    #[error("the answer makes no sense: this is no STUN server")]
    Garbled,
}

impl Trouble {
    /// Whether the system says that there is nobody.
    pub(in crate::cli) fn is_refused_connection(&self) -> bool {
        matches!(self, Self::Broken(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// Whether there is no way to the box at all.
    pub(in crate::cli) fn is_unreachable(&self) -> bool {
        let kinds = [io::ErrorKind::HostUnreachable, io::ErrorKind::NetworkUnreachable];
        matches!(self, Self::Broken(error) if kinds.contains(&error.kind()))
    }
}

/// An error of the system, in words that need no manual.
pub(in crate::cli) fn plain(error: &io::Error) -> String {
    use io::ErrorKind;
    let kind = error.kind();
    if kind == ErrorKind::ConnectionRefused {
        "the connection was refused".into()
    } else if kind == ErrorKind::ConnectionReset || kind == ErrorKind::BrokenPipe {
        "the connection was cut off".into()
    } else if kind == ErrorKind::UnexpectedEof {
        "the connection was closed".into()
    } else if kind == ErrorKind::HostUnreachable || kind == ErrorKind::NetworkUnreachable {
        "this machine has no way to that address".into()
    } else {
        error.to_string()
    }
}
