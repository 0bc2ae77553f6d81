//! One connection's part in the rooms, whatever its dialect.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::{ErrorId, Refusal};
use super::hub::{Hub, Sender};
use super::message::{LeaveReason, PeerId, ResumeToken, Role, ServerMessage};
use super::names::{DisplayName, Pin, RoomName};
use super::outbox::{Next, Outbox};
use super::pace::{Pace, Paced};
use super::payload::Payload;
use super::rooms::Entrant;
use crate::credentials::{IceServer, Reach, RoomMember};

/// One connection's part in the rooms. Dropping it ends its membership.
#[derive(Debug)]
pub struct Session {
    hub: Arc<Hub>,
    remote: IpAddr,
    reach: Reach,
    outbox: Outbox,
    holder: u64,
    pace: Pace,
    since: Instant,
    member: Option<RoomMember>,
    can_resume: bool,
    /// Whether what it resumes with ends with the client's page.
    pub(super) forgets: bool,
    is_stream: bool,
    /// Whether its place among the connections is another's by now.
    is_place_lent: bool,
}

impl Session {
    pub(super) fn new(hub: Arc<Hub>, remote: IpAddr, reach: Reach) -> Self {
        let outbox = hub.outbox(remote.into());
        let pace = Pace::new(hub.options().message_rate);
        let since = Instant::now();
        Self {
            hub,
            remote,
            reach,
            outbox,
            holder: 0,
            pace,
            since,
            member: None,
            can_resume: false,
            forgets: false,
            is_stream: false,
            is_place_lent: false,
        }
    }

    /// The hub it is of.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Where it comes from.
    pub fn remote(&self) -> IpAddr {
        self.remote
    }

    /// Of a connection that is one stream among others of an h2 connection (RFC 8441).
    pub fn on_stream(mut self) -> Self {
        self.is_stream = true;
        self
    }

    /// Whether a client that closes as a page does that goes away (RFC 6455 section 7.4.1) may come back. One that has
    /// forgotten by then with what cannot.
    pub(super) fn may_come_back(&self) -> bool {
        self.can_resume() && !self.forgets
    }

    /// Whether an end without a word is the doing of the client's browser. Over h2 a stream that ends while its connection
    /// goes on was cancelled (RFC 8441 section 5), as Chromium does for a page that has crashed. Elsewhere, and when the
    /// whole connection is gone, it may as well be the network.
    pub(super) fn is_ended_by_client(&self) -> bool {
        self.is_stream && !self.may_come_back()
    }

    /// Whether another connection can go on with its membership.
    pub(super) fn can_resume(&self) -> bool {
        self.can_resume && !self.hub.options().resume_window.is_zero()
    }

    /// Who it is in its room, if it is in one.
    pub fn id(&self) -> Option<PeerId> {
        self.member.map(|member| PeerId(member.member))
    }

    /// The same, and in which room.
    pub(super) fn member(&self) -> Option<RoomMember> {
        self.member
    }

    /// What waits for it, for who is to read or fill it besides.
    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Another part in the rooms for the same connection, which takes a place of its own. `None` when there is none.
    pub(super) fn another(&self) -> Option<Self> {
        self.hub.connect(self.remote, self.reach.clone())
    }

    /// Whether it is in a room.
    pub fn is_member(&self) -> bool {
        self.member.is_some()
    }

    /// Enters a room. `joined` is the first thing the room says. With `resume` in the entrant, events are kept until
    /// [`ack`](Self::ack).
    ///
    /// # Errors
    /// [`ErrorId::AlreadyJoined`], [`ErrorId::RateLimited`] for too many wrong PINs, or what
    /// [`Rooms::join`](super::Rooms::join) says.
    pub fn join(&mut self, room: &RoomName, entrant: Entrant, invite: Option<&str>) -> Result<PeerId, ErrorId> {
        if self.member.is_some() {
            return Err(ErrorId::AlreadyJoined);
        }
        self.check_hold()?;
        let can_resume = entrant.resume_window.is_some();
        let member = self.hub.enter((self.remote, &self.reach, &self.outbox), room, entrant, invite)?;
        if can_resume {
            self.outbox.keep();
        }
        self.can_resume = can_resume;
        self.member = Some(member);
        Ok(PeerId(member.member))
    }

    /// Somebody as this connection would enter, listed and without a name.
    pub fn entrant(&self) -> Entrant {
        Entrant::new(self.remote.into())
    }

    /// Goes on with a membership whose connection dropped, from the event after `last`; with `None`, anew. `attempt` is
    /// the client's own number for this, if it has one.
    ///
    /// # Errors
    /// [`ErrorId::AlreadyJoined`], [`ErrorId::Gone`] when that cannot be, or [`ErrorId::Replaced`] when a later attempt
    /// came before this one.
    pub fn resume(
        &mut self,
        token: Option<ResumeToken>,
        last: Option<u64>,
        attempt: Option<u64>,
    ) -> Result<(), ErrorId> {
        if self.member.is_some() {
            return Err(ErrorId::AlreadyJoined);
        }
        self.check_hold()?;
        let token = token.ok_or(ErrorId::Gone)?;
        let (member, outbox, holder) = self.hub.resume((self.remote, &self.reach), token, last, attempt)?;
        (self.outbox, self.holder) = (outbox, holder);
        (self.member, self.can_resume) = (Some(member), true);
        metrics::counter!("lanturn_resumed_total").increment(1);
        Ok(())
    }

    /// Sends something to one other member, in its epoch `epoch` if given. The addresses it offers may be relayed to
    /// before it arrives.
    ///
    /// # Errors
    /// [`ErrorId::JoinFirst`], or what [`Rooms::signal`](super::Rooms::signal) says.
    pub fn signal(&mut self, to: PeerId, epoch: Option<u32>, data: Payload) -> Result<(), ErrorId> {
        self.signal_once(None, to, epoch, data)
    }

    /// As [`signal`](Self::signal), but nothing when the client has said something with this number or a higher one
    /// before: it does not know whether what it says again had arrived.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub fn signal_once(
        &mut self,
        number: Option<u64>,
        to: PeerId,
        epoch: Option<u32>,
        data: Payload,
    ) -> Result<(), ErrorId> {
        self.hub.pass(self.sender(number)?, to, epoch, data)
    }

    /// Sends something to everybody else in the room. Says who did not get it, because too much waits for them.
    ///
    /// # Errors
    /// [`ErrorId::JoinFirst`].
    pub fn broadcast(&self, data: &Payload) -> Result<Vec<PeerId>, ErrorId> {
        self.broadcast_once(None, data)
    }

    /// As [`broadcast`](Self::broadcast) and [`signal_once`](Self::signal_once).
    ///
    /// # Errors
    /// [`ErrorId::JoinFirst`].
    pub fn broadcast_once(&self, number: Option<u64>, data: &Payload) -> Result<Vec<PeerId>, ErrorId> {
        self.hub.pass_to_all(self.sender(number)?, data)
    }

    /// Takes another display name.
    ///
    /// # Errors
    /// [`ErrorId::JoinFirst`].
    pub fn rename(&mut self, name: Option<DisplayName>) -> Result<(), ErrorId> {
        let id = self.joined()?;
        self.hub.change(|rooms| rooms.rename(id, name))
    }

    /// Locks or unlocks the room.
    ///
    /// # Errors
    /// [`ErrorId::JoinFirst`], [`ErrorId::NotAllowed`].
    pub fn lock(&mut self, is_locked: bool) -> Result<(), ErrorId> {
        let id = self.joined()?;
        self.hub.change(|rooms| rooms.lock(id, is_locked))
    }

    /// Gives the room another PIN, or none.
    ///
    /// # Errors
    /// [`ErrorId::JoinFirst`], [`ErrorId::NotAllowed`].
    pub fn set_pin(&mut self, pin: Option<Pin>) -> Result<(), ErrorId> {
        let id = self.joined()?;
        self.hub.change(|rooms| rooms.set_pin(id, pin))
    }

    /// Sends somebody away.
    ///
    /// # Errors
    /// [`ErrorId::JoinFirst`], [`ErrorId::NotAllowed`], [`ErrorId::NoSuchPeer`].
    pub fn kick(&mut self, id: PeerId) -> Result<(), ErrorId> {
        self.hub.kick(self.joined()?, id)
    }

    /// Has an invite made, which comes as a message.
    ///
    /// # Errors
    /// [`ErrorId::JoinFirst`], [`ErrorId::NotAllowed`].
    pub fn invite(&mut self, role: Role, ttl: Duration) -> Result<(), ErrorId> {
        let invite = self.hub.invite(self.joined()?, role, ttl)?;
        self.tell(invite);
        Ok(())
    }

    /// Has events held back, or no longer.
    pub fn hold(&self, is_held: bool) {
        self.outbox.hold(self.holder, is_held);
    }

    /// The client has every event up to `number`.
    pub fn ack(&self, number: u64) {
        self.outbox.ack(self.holder, number);
    }

    /// The number of the last event that [`next`](Self::next) gave.
    pub fn last_sent(&self) -> u64 {
        self.outbox.last_sent()
    }

    /// Another way to use the membership, if there is one.
    pub(super) fn handle(&self) -> Option<Handle> {
        let (hub, outbox, holder) = (Arc::clone(&self.hub), self.outbox.clone(), self.holder);
        self.member.map(|member| Handle { hub, member, outbox, holder })
    }

    /// Queues a new credential for this member, if it has had one, with whether ICE is to restart. Says for how many
    /// seconds it lasts.
    pub fn refresh(&self, restart: bool) -> Option<u64> {
        let member = self.member.filter(|member| self.hub.has_credential(*member))?;
        let (ice_servers, ttl) = self.hub.grants().ice_servers(member, &self.reach);
        self.tell(ServerMessage::IceServers { ice_servers, ttl, restart });
        Some(ttl)
    }

    /// Leaves the room, if in one.
    pub fn leave(&mut self, reason: LeaveReason) {
        if let Some(member) = self.member.take() {
            self.hub.remove(member, (&self.outbox, self.holder), reason);
            if self.outbox.is_held_by(self.holder) {
                self.outbox.renew();
            }
        }
    }

    /// After the connection dropped, waits for another one to go on with the membership. Ends it when none comes in
    /// time.
    pub async fn linger(mut self) {
        let window = self.hub.options().resume_window;
        let Some(id) = self.id().filter(|_| self.can_resume()) else {
            return;
        };
        self.hub.away(id, (&self.outbox, self.holder));
        self.is_place_lent = self.hub.lend_place(self.remote.into());
        let mut closing = self.hub.closing();
        tokio::select! {
            () = sleep(window) => {}
            _ = self.outbox.ended(self.holder) => {}
            _ = closing.wait_for(|up| *up) => {}
        }
    }

    /// Queues something for this connection itself, before events that are queued already.
    pub fn tell(&self, message: ServerMessage) {
        self.outbox.tell(self.holder, message);
    }

    /// Queues an error. Says with which WebSocket close code the connection is to end, if it is.
    pub fn refuse(&self, refusal: Refusal) -> Option<u16> {
        let code = refusal.id.close_code();
        self.refuse_with(refusal, code)
    }

    /// Counts a message that came, to which its client may have given a `number`. Says whether it is to be handled, or
    /// else what [`refuse`](Self::refuse) says.
    ///
    /// # Errors
    /// The close code, if the connection is to end.
    pub fn pace(&mut self, number: impl FnOnce() -> Option<u64>) -> Result<(), Option<u16>> {
        match self.pace.take(self.since.elapsed()) {
            Paced::Pass => Ok(()),
            Paced::Drop => {
                let is_new = |number: &u64| self.outbox.is_new(self.holder, Some(*number)) == Ok(true);
                let said = self.member.and_then(|_| number()).filter(is_new);
                Err(self.refuse(Refusal::from(ErrorId::RateLimited).of(said)))
            }
            Paced::Close => Err(self.refuse_with(ErrorId::RateLimited.into(), Some(1013))),
        }
    }

    /// What the connection is to do next, when there is anything.
    pub async fn next(&self) -> Next {
        self.outbox.next(self.holder).await
    }

    /// What the connection is to do next, if there is anything.
    pub fn try_next(&self) -> Option<Next> {
        self.outbox.try_next(self.holder)
    }

    /// Returns once the connection is to end, and why.
    pub async fn ended(&self) -> ErrorId {
        self.outbox.ended(self.holder).await
    }

    fn sender(&self, number: Option<u64>) -> Result<Sender<'_>, ErrorId> {
        let member = self.member.ok_or(ErrorId::JoinFirst)?;
        Ok(Sender { member, hold: Some((&self.outbox, self.holder)), number })
    }

    /// A connection that another one has replaced does nothing more: what it joined, nobody would leave.
    fn check_hold(&self) -> Result<(), ErrorId> {
        if self.outbox.is_held_by(self.holder) { Ok(()) } else { Err(ErrorId::Replaced) }
    }

    fn joined(&self) -> Result<PeerId, ErrorId> {
        self.check_hold()?;
        self.id().ok_or(ErrorId::JoinFirst)
    }

    /// Queues an error after which the connection ends with `code`, if one is given. Returns the code.
    pub(super) fn refuse_with(&self, refusal: Refusal, code: Option<u16>) -> Option<u16> {
        metrics::counter!("lanturn_signaling_refused_total", "reason" => refusal.id.id()).increment(1);
        self.tell(ServerMessage::refusal(refusal, code.is_some()));
        code
    }
}

/// A membership as somebody else than its connection may use it: a client can have a second way to talk. It ends with the
/// session.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    hub: Arc<Hub>,
    member: RoomMember,
    outbox: Outbox,
    holder: u64,
}

impl Handle {
    /// As [`Session::hub`].
    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Who it is in its room.
    pub(super) fn id(&self) -> PeerId {
        PeerId(self.member.member)
    }

    /// As [`Session::signal`].
    pub(super) fn signal(&self, to: PeerId, data: Payload) -> Result<(), ErrorId> {
        let sender = Sender { member: self.member, hold: Some((&self.outbox, self.holder)), number: None };
        self.hub.pass(sender, to, None, data)
    }

    /// As [`Session::leave`]. The session does not notice.
    pub(super) fn leave(&self, reason: LeaveReason) {
        self.hub.remove(self.member, (&self.outbox, self.holder), reason);
    }

    /// The `iceServers` of the member for whoever reaches the box at `reach`, and for how many seconds they last.
    pub(super) fn ice_servers(&self, reach: &Reach) -> (Vec<IceServer>, u64) {
        self.hub.grants().ice_servers(self.member, reach)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leave(LeaveReason::Disconnected);
        self.hub.disconnect(self.remote.into(), self.is_place_lent);
    }
}
