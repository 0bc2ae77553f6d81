//! The two servers that are measured beside each other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::link::Transport;
use crate::options::Options;
use crate::server::{self, Server};

/// How everything is measured.
pub struct Bench {
    pub lanturn: PathBuf,
    /// Another lanturn that stands where coturn would.
    against: Option<PathBuf>,
    pub window: Duration,
    pub rounds: usize,
    /// A server that is there for its certificate, which coturn uses as well.
    authority: Server,
}

impl Bench {
    pub fn new(lanturn: &Path, options: &Options) -> Self {
        Self {
            lanturn: lanturn.into(),
            against: options.against.clone(),
            window: options.relay_window,
            rounds: options.rounds,
            authority: Server::lanturn(lanturn, 1),
        }
    }

    pub fn names(&self) -> [&'static str; 2] {
        ["lanturn", if self.against.is_some() { "the other lanturn" } else { "coturn" }]
    }

    /// Both, fresh, each with the servers' core.
    pub fn servers(&self) -> [Server; 2] {
        [Server::lanturn(&self.lanturn, 1), self.other()]
    }

    fn other(&self) -> Server {
        match &self.against {
            Some(program) => Server::lanturn(program, 1),
            None => Server::coturn(&self.authority.certificates()),
        }
    }

    /// How long each takes from its start to its first answer: lanturn once for the first time, and the middle ones of later starts.
    pub fn starts(&self) -> (Duration, [Duration; 2]) {
        let (first, again) = server::lanturn_starts(&self.lanturn);
        let other = match &self.against {
            Some(program) => server::lanturn_starts(program).1,
            None => server::coturn_starts(&self.authority.certificates()),
        };
        (first, [again, other])
    }

    /// The programs themselves.
    pub fn programs(&self) -> [PathBuf; 2] {
        [self.lanturn.clone(), self.against.clone().unwrap_or_else(server::coturn)]
    }

    /// TLS to a server of [`Bench::servers`].
    pub fn tls(&self, servers: &[Server; 2]) -> Transport {
        let own = servers.iter().filter_map(Server::authority);
        Transport::tls(&own.chain([self.authority.certificates().join("ca.pem")]).collect::<Vec<_>>())
    }

    /// Measures both, in rounds. Who is first changes from round to round.
    pub fn in_turns<S, T>(&self, subjects: &mut [S; 2], mut measure: impl FnMut(&mut S) -> T) -> [Vec<T>; 2] {
        let mut measured = [Vec::new(), Vec::new()];
        for round in 0..self.rounds {
            for turn in 0..2 {
                let index = (round + turn) % 2;
                measured[index].push(measure(&mut subjects[index]));
            }
        }
        measured
    }
}
