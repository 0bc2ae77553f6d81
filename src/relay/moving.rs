//! Allocations that follow their client from one shard to another, with their relay sockets (RFC 8016).

use std::time::Instant;

use super::mailbox::Command;
use super::shard::Shard;
use super::udp::RelaySocket;
use crate::turn::{FiveTuple, Moving, Now, Step, Transport};

/// A packet that another shard is to look at.
#[derive(Debug)]
pub(super) struct Elsewhere {
    pub(super) from: FiveTuple,
    pub(super) packet: Box<[u8]>,
    /// The shard that it came in on, and that answers.
    pub(super) back: usize,
}

/// What comes back.
#[derive(Debug)]
pub(super) enum Settled {
    /// The allocations, each with its socket.
    Moved(Box<Moving>, Vec<Option<RelaySocket>>),
    /// A refusal.
    Refused(FiveTuple, Vec<u8>),
}

impl Shard {
    /// Looks at a packet of a client of another shard.
    pub(super) fn look(&mut self, Elsewhere { from, packet, back }: Elsewhere, now: Now) {
        let mut reply = Vec::new();
        let settled = match self.server.handle_client(from, &packet, now, &mut reply) {
            Step::Move(moving) => self.take_along(moving),
            Step::Reply => Settled::Refused(from, reply),
            // Its ticket was looked at before it came here: it names this shard, and is shown in a Refresh.
            Step::Done
            | Step::ReplyAs(_)
            | Step::Forward(_)
            | Step::Decrypt
            | Step::Open(_)
            | Step::Elsewhere(_)
            | Step::Connect(_)
            | Step::Bind(_)
            | Step::HandOver(_) => return,
        };
        self.mailboxes[back].command(Command::Settle(settled));
    }

    /// Takes allocations off this shard, with their sockets.
    pub(super) fn take_along(&mut self, moving: Box<Moving>) -> Settled {
        // What was sent before goes out by the sockets while they are here.
        if !self.out.is_empty() {
            self.out.flush(&self.batch, &mut self.sockets, &self.mailboxes);
        }
        let sockets = moving.ids().map(|id| self.sockets.take_relay(id)).collect();
        Settled::Moved(moving, sockets)
    }

    /// Whether a client is there, and speaks in messages.
    fn hears(&mut self, from: &FiveTuple) -> bool {
        match from.transport {
            Transport::Udp => true,
            Transport::Dtls => self.sockets.dtls.has(from),
            Transport::Tcp | Transport::Tls => {
                let stream = self.sockets.stream_of(from).and_then(|key| self.sockets.stream(key));
                stream.is_some_and(|stream| stream.spliced.is_none())
            }
        }
    }

    /// Puts allocations on this shard, and answers their client.
    pub(super) fn settle(&mut self, settled: Settled, now: Instant) {
        let replies = self.out.replies.len();
        let from = match settled {
            Settled::Refused(from, reply) => {
                self.out.replies.extend_from_slice(&reply);
                from
            }
            // Given back, all of it: whoever comes by that five-tuple next is somebody else.
            Settled::Moved(moving, _) if !self.hears(&moving.five_tuple()) => return,
            Settled::Moved(moving, sockets) => {
                let from = moving.five_tuple();
                let ids = self.server.settle(*moving, now, &mut self.out.replies);
                for (id, socket) in ids.into_iter().zip(sockets) {
                    let Some(socket) = socket else { continue };
                    if let Err(error) = self.sockets.insert_relay(id, socket) {
                        tracing::warn!(%error, "a relay socket cannot be polled");
                        self.server.disconnected(from);
                        break;
                    }
                }
                from
            }
        };
        if self.out.replies.len() > replies {
            self.out.reply(&from, replies, &self.batch, &mut self.sockets);
        }
        self.close_ended();
    }
}
