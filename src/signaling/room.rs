//! One room: its members, its host, and what is between each two of them.

use std::collections::{BTreeMap, HashMap};

use super::error::ErrorId;
use super::message::{Capacity, Myself, PeerEntry, PeerId, ResumeOffer, ResumeToken, Role, RoomState};
use super::names::{DisplayName, Pin, RoomName};
use crate::limit::SourcePrefix;

/// Which of two makes the first offer, as one of them is used to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstOffer {
    /// As it is told.
    #[default]
    Told,
    /// Whoever came first: AppRTC, matchbox.
    Earlier,
    /// Whoever came last: Ayame.
    Newcomer,
    /// Itself, unless the other one was there first and is used to something: the WebRTC codelab, which cannot take an
    /// offer before it has a camera.
    Itself,
}

/// Who wants to be in a room, and how.
#[derive(Clone, Debug)]
pub struct Entrant {
    /// What others will see.
    pub name: Option<DisplayName>,
    /// As what. An invite says it instead.
    pub role: Role,
    /// The PIN of the room or, when this one makes it, the one that it is to have.
    pub pin: Option<Pin>,
    /// Whether others see it, and it them. One that is not listed gets what is broadcast, or meant for it by name; its
    /// like can be many.
    pub is_listed: bool,
    /// Whether lock and PIN are nothing to it, for it hears nothing of the room: nobody can lock it out of a room that is
    /// only a name to it.
    pub is_apart: bool,
    /// Whether it can talk to one other only: a room with such a one has two places.
    pub is_pair: bool,
    /// Who makes the first offer, as it is used to.
    pub first_offer: FirstOffer,
    /// For how many seconds it is waited for when its connection drops, if it is at all.
    pub resume_window: Option<u64>,
    /// Where it comes from.
    pub source: SourcePrefix,
}

impl Entrant {
    /// Somebody from `source`, listed, without a name, as a client of the native protocol.
    pub fn new(source: SourcePrefix) -> Self {
        let (name, pin, role, first_offer) = (None, None, Role::Member, FirstOffer::Told);
        Self {
            name,
            role,
            pin,
            is_listed: true,
            is_apart: false,
            is_pair: false,
            first_offer,
            resume_window: None,
            source,
        }
    }
}

#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: RoomName,
    pub(super) maker: SourcePrefix,
    pub(super) host: Option<PeerId>,
    /// Whether the host has come to it by another's leaving.
    is_inherited: bool,
    pub(super) is_locked: bool,
    pub(super) pin: Option<Pin>,
    /// By the order of coming.
    pub(super) members: BTreeMap<u64, Member>,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: PeerId,
    pub(super) name: Option<DisplayName>,
    pub(super) role: Role,
    pub(super) epoch: u32,
    pub(super) secret: u128,
    pub(super) is_listed: bool,
    is_pair: bool,
    first_offer: FirstOffer,
    resume_window: Option<u64>,
    pub(super) is_away: bool,
    /// The last `seq` sent to each other member. Bounded by the room's places.
    pub(super) sent: HashMap<PeerId, u64>,
}

impl Room {
    pub(super) fn new(name: RoomName, entrant: &Entrant) -> Self {
        let pin = if entrant.is_listed { entrant.pin.clone() } else { None };
        let members = BTreeMap::new();
        Self { name, maker: entrant.source, host: None, is_inherited: false, is_locked: false, pin, members }
    }

    /// Lets nobody in who may not. An invite, looked at with the room's PIN, says the role or that it is not good.
    pub(super) fn admit(
        &self,
        entrant: &mut Entrant,
        invited: Option<impl FnOnce(Option<&Pin>) -> Option<Role>>,
    ) -> Result<(), ErrorId> {
        if entrant.is_apart {
            return Ok(());
        }
        if self.is_locked {
            return Err(ErrorId::Locked);
        }
        match invited {
            Some(invited) => entrant.role = invited(self.pin.as_ref()).ok_or(ErrorId::BadInvite)?,
            None if self.pin.is_some() && self.pin != entrant.pin => return Err(ErrorId::BadPin),
            None => {}
        }
        Ok(())
    }

    /// Whether there is a place, of `capacity` for those that are listed and of `unlisted` for the others.
    pub(super) fn has_place(&self, entrant: &Entrant, capacity: &Capacity, unlisted: u32) -> bool {
        let count = |is_one: &dyn Fn(&Member) -> bool| self.members.values().filter(|member| is_one(member)).count();
        if !entrant.is_listed {
            return count(&|member| !member.is_listed) < unlisted as usize;
        }
        let is_pair = entrant.is_pair || self.listed().any(|member| member.is_pair);
        let all = if is_pair { capacity.all.min(2) } else { capacity.all };
        let in_role = count(&|member| member.is_listed && member.role == entrant.role);
        self.listed().count() < all as usize && in_role < capacity.of(entrant.role) as usize
    }

    pub(super) fn listed(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.is_listed)
    }

    pub(super) fn state(&self) -> RoomState {
        RoomState { host: self.host, locked: self.is_locked, pin: self.pin.is_some() }
    }

    /// What `receiver`, who came as number `order`, is to know of everybody else.
    pub(super) fn peers_of(&self, order: u64) -> Vec<PeerEntry> {
        let Some(receiver) = self.members.get(&order) else {
            return Vec::new();
        };
        let others = self.members.iter().filter(|(other, member)| **other != order && member.is_listed);
        others.map(|(&other, member)| member.entry_for(receiver, other < order)).collect()
    }

    /// Who made the room stays its host. After it comes whoever was there first, viewers last and only until somebody
    /// comes who takes part. Says whether that is another.
    pub(super) fn choose_host(&mut self) -> bool {
        let is_more = |member: &&Member| member.role != Role::Viewer;
        let stays = self.listed().find(|member| Some(member.id) == self.host);
        let next = stays.filter(|member| !self.is_inherited || is_more(member));
        let next = next.or_else(|| self.listed().find(is_more)).or(stays).or_else(|| self.listed().next());
        let next = next.map(|member| member.id);
        let changes = next != self.host;
        self.is_inherited |= changes && self.host.is_some();
        self.host = next;
        changes
    }
}

impl Member {
    pub(super) fn new(entrant: Entrant, id: PeerId, secret: u128) -> Self {
        let Entrant { name, role, is_listed, is_pair, first_offer, resume_window, .. } = entrant;
        let sent = HashMap::new();
        Self { id, name, role, epoch: 1, secret, is_listed, is_pair, first_offer, resume_window, is_away: false, sent }
    }

    pub(super) fn myself(&self) -> Myself {
        Myself { id: self.id, name: self.name.clone(), role: self.role, epoch: self.epoch }
    }

    pub(super) fn resume(&self) -> Option<ResumeOffer> {
        let token = ResumeToken { id: self.id, secret: self.secret };
        self.resume_window.map(|window| ResumeOffer { token, window })
    }

    /// This member as `receiver` is to see it. `is_earlier`: it was there before the receiver.
    pub(super) fn entry_for(&self, receiver: &Self, is_earlier: bool) -> PeerEntry {
        let (earlier, newcomer) = if is_earlier { (self, receiver) } else { (receiver, self) };
        let newcomer_offers = match (earlier.first_offer, newcomer.first_offer) {
            (FirstOffer::Told, offer) => offer != FirstOffer::Earlier,
            (FirstOffer::Earlier | FirstOffer::Itself, _) => false,
            (FirstOffer::Newcomer, _) => true,
        };
        PeerEntry {
            id: self.id,
            name: self.name.clone(),
            role: self.role,
            epoch: self.epoch,
            // Only a client that does as it is told can give way at all.
            polite: match (receiver.first_offer == FirstOffer::Told, self.first_offer == FirstOffer::Told) {
                (true, false) => true,
                (false, true) => false,
                (true, true) | (false, false) => is_earlier,
            },
            initiate: newcomer_offers == is_earlier && !(self.role == Role::Viewer && receiver.role == Role::Viewer),
            away: self.is_away,
        }
    }
}
