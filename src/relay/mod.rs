//! The data plane: shards, each a thread with its own sockets and its own [`turn::Server`].
//!
//! ```text
//!  listening socket ─┐                 ┌─ relay sockets, one an allocation
//!  TCP/TLS streams ──┼─ Shard ─ Server ┼─ connections with peers, each spliced to a stream
//!  mailbox ──────────┘                 └─ hairpin: another client, or another shard's mailbox
//! ```
//!
//! Between receiving a packet and sending it on there is no lock, no queue and no task, but for the table of relayed
//! addresses, which a hairpin reads and only an allocation's beginning and end write. What a shard receives in one turn
//! stays in its batch, and is sent from there at the end of the turn, in runs as few and long as can be made of it. Only
//! a hairpin to another shard passes through a mailbox, and it is bounded: what does not fit is dropped and counted, as a
//! socket would do.

mod batch;
#[cfg(test)]
mod batching_tests;
mod connections;
mod departures;
mod dtls;
mod errors;
mod mailbox;
mod moving;
mod opening;
mod outbound;
mod peers;
mod shard;
mod sockets;
mod spares;
mod splice;
mod stream;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use ring::rand::{SecureRandom as _, SystemRandom};

use crate::credentials::RoomMember;
use crate::turn;
use dtls::{Bounds, Sessions};
pub use dtls::{Identity, Limits, provider as dtls_provider};
use mailbox::{Command, Mailbox};
use shard::Shard;
pub use sockets::covers;
pub use stream::{Adopted, Guard};
pub use udp::{Bound, bind};

/// The running data plane.
#[derive(Debug)]
pub struct Relay {
    mailboxes: Arc<[Mailbox]>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// Starts one thread for each listening socket of `bound`: all have the same number of them. Without an identity
    /// they speak no DTLS.
    ///
    /// # Errors
    /// When the system refuses a poll, a thread or randomness.
    pub fn start(
        bound: Vec<Bound>,
        options: &Arc<turn::Options>,
        shared: &turn::Shared,
        (identity, limits): (Option<Arc<Identity>>, Limits),
    ) -> io::Result<Self> {
        let count = bound.first().map_or(0, Bound::len);
        let mut listeners: Vec<Vec<udp::Listener>> = (0..count).map(|_| Vec::new()).collect();
        for bound in bound {
            for (listeners, listener) in listeners.iter_mut().zip(bound.into_listeners()) {
                listeners.push(listener?);
            }
        }
        let polls = (0..count).map(|_| mio::Poll::new()).collect::<io::Result<Vec<_>>>()?;
        let mailboxes = polls.iter().map(|poll| Mailbox::new(poll.registry())).collect::<io::Result<Arc<[_]>>>()?;
        let bounds = Bounds::new(limits);
        let (spares, mut threads) = (Arc::default(), Vec::new());
        for (index, (poll, listeners)) in polls.into_iter().zip(listeners).enumerate() {
            let id = turn::ShardId(index as u16);
            let server = turn::Server::new(id, Arc::clone(options), shared.clone(), seed()?, Instant::now());
            let sessions = Sessions::new(identity.clone(), Arc::clone(&bounds), &seed()?);
            let (mailboxes, spares) = (Arc::clone(&mailboxes), Arc::clone(&spares));
            let mut shard = Shard::new(index, server, poll, listeners, sessions, mailboxes, spares)?;
            let thread = std::thread::Builder::new().name(format!("shard-{index}"));
            threads.push(thread.spawn(move || {
                let fate = SharedFate;
                if let Err(error) = shard.run() {
                    tracing::error!(%error, shard = index, "a shard cannot go on");
                    return;
                }
                std::mem::forget(fate);
            })?);
        }
        Ok(Self { mailboxes, threads })
    }

    /// A handle for those who feed it.
    pub fn handle(&self) -> Handle {
        Handle { mailboxes: Arc::clone(&self.mailboxes) }
    }

    /// Ends every allocation and every thread.
    pub fn stop(self) {
        for mailbox in &*self.mailboxes {
            mailbox.command(Command::Stop);
        }
        for thread in self.threads {
            // A shard that panics ends the process, so there is no error to see here.
            let _ = thread.join();
        }
    }
}

/// A box that has lost a shard would look alive and lose calls: better that its supervisor starts it again. Forgotten
/// where a shard has ended as it was told to.
struct SharedFate;

impl Drop for SharedFate {
    fn drop(&mut self) {
        std::process::abort();
    }
}

fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed).map_err(|_| io::Error::other("the system gave no randomness"))?;
    Ok(seed)
}

/// Feeds the data plane. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    mailboxes: Arc<[Mailbox]>,
}

impl Handle {
    /// Gives a TURN connection to a shard, where it lives until it ends.
    pub fn adopt(&self, adopted: Adopted) {
        let index = adopted.shard_hint() % self.mailboxes.len();
        self.mailboxes[index].command(Command::Adopt(Box::new(adopted)));
    }

    /// Ends the allocations of a member who has left its room, within a second.
    pub fn revoke(&self, member: RoomMember) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.command_later(Command::Revoke(member)));
    }

    /// Replaces the options of every server.
    pub fn reconfigure(&self, options: &Arc<turn::Options>) {
        self.for_each(|| Command::Reconfigure(Arc::clone(options)));
    }

    /// Shows another certificate to those who come over DTLS from now on.
    pub fn show(&self, identity: Option<&Arc<Identity>>) {
        self.for_each(|| Command::Show(identity.cloned()));
    }

    fn for_each(&self, command: impl Fn() -> Command) {
        for mailbox in &*self.mailboxes {
            mailbox.command(command());
        }
    }
}

/// Where a packet came in, and where its answer leaves from.
fn server_address(local: SocketAddr, destination: Option<std::net::IpAddr>) -> SocketAddr {
    match destination {
        Some(ip) => SocketAddr::new(ip, local.port()),
        None => local,
    }
}
