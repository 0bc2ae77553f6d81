//! What is measured: each dialect of lanturn, and the servers of Node.js.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Measured;
use super::dialect::Dialect;
use crate::cost::Cost;
use crate::server::Server;
use crate::{ROUNDS, machine};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Lanturn,
    SocketIo,
    PeerServer,
}

/// A server, asked in one of the dialects that it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    program: Program,
    pub dialect: Dialect,
}

/// lanturn's first.
pub const SUBJECTS: [Subject; 5] = [
    Subject { program: Program::Lanturn, dialect: Dialect::Native },
    Subject { program: Program::Lanturn, dialect: Dialect::SocketIo },
    Subject { program: Program::Lanturn, dialect: Dialect::PeerJs },
    Subject { program: Program::SocketIo, dialect: Dialect::SocketIo },
    Subject { program: Program::PeerServer, dialect: Dialect::PeerJs },
];

/// How it is measured.
pub struct Bench {
    lanturn: PathBuf,
    window: Duration,
    /// The one that the servers run on, if the load has another one.
    pub core: Option<usize>,
    /// A server that is there for its certificate.
    authority: Server,
}

impl Subject {
    /// Which of the [`SUBJECTS`] stands beside it, if it is lanturn.
    pub fn beside(self) -> Option<usize> {
        let beside = match (self.program, self.dialect) {
            (Program::Lanturn, Dialect::Native | Dialect::SocketIo) => Program::SocketIo,
            (Program::Lanturn, Dialect::PeerJs) => Program::PeerServer,
            (Program::SocketIo | Program::PeerServer, _) => return None,
        };
        SUBJECTS.iter().position(|subject| subject.program == beside)
    }

    pub fn name(self) -> &'static str {
        match self.program {
            Program::Lanturn => "lanturn",
            Program::SocketIo => "socket.io",
            Program::PeerServer => "PeerServer",
        }
    }

    fn blame(self, error: &io::Error) -> io::Error {
        io::Error::other(format!("{}, {}: {error}", self.name(), self.dialect.name()))
    }
}

impl Bench {
    /// Keeps this process, and all that it starts, off the servers' core if there are two.
    pub fn new(lanturn: &Path, window: Duration) -> Self {
        machine::leave_server_core();
        let core = machine::server_core();
        Self { lanturn: lanturn.into(), window, core, authority: Server::rooms(lanturn, core) }
    }

    pub fn start(&self, subject: Subject) -> Server {
        match subject.program {
            Program::Lanturn => Server::rooms(&self.lanturn, self.core),
            Program::SocketIo => Server::node("socket-io.js", None, self.core),
            Program::PeerServer => Server::node("peer.js", None, self.core),
        }
    }

    /// A server that speaks TLS, and whom to trust for that.
    pub fn start_tls(&self, subject: Subject) -> (Server, PathBuf) {
        let certificates = self.authority.certificates();
        let server = match subject.program {
            Program::Lanturn => self.start(subject),
            Program::SocketIo => Server::node("socket-io.js", Some(&certificates), self.core),
            Program::PeerServer => Server::node("peer.js", Some(&certificates), self.core),
        };
        let own = if subject.program == Program::Lanturn { server.certificates() } else { certificates };
        (server, own.join("ca.pem"))
    }

    /// Measures each, in rounds.
    pub fn in_turns(&self, measure: fn(Dialect, &Server, Duration) -> io::Result<Cost>) -> io::Result<Measured<Cost>> {
        let servers = SUBJECTS.map(|subject| self.start(subject));
        let mut costs = vec![Cost::default(); SUBJECTS.len()];
        for _ in 0..ROUNDS {
            for ((subject, server), sum) in SUBJECTS.iter().zip(&servers).zip(&mut costs) {
                sum.add(measure(subject.dialect, server, self.window).map_err(|error| subject.blame(&error))?);
            }
        }
        Ok(costs)
    }

    /// Measures each once.
    pub fn each<T>(&self, measure: impl Fn(Subject) -> io::Result<T>) -> io::Result<Measured<T>> {
        SUBJECTS.iter().map(|&subject| measure(subject).map_err(|error| subject.blame(&error))).collect()
    }
}
