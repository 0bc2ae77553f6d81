//! Who is in which room, and at which addresses a room's members may be reached.
//!
//! The signaler writes it, the relay reads it: the two meet nowhere else.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The most addresses kept for one member. A browser signals well under twenty; what is over is counted and dropped.
pub const MAX_ADDRESSES: usize = 64;

/// Names one life of a room: a room that empties and is made again gets another tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoomTag(pub u64);

/// Names one membership: someone who leaves and joins again gets another tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemberTag(pub u64);

/// A membership and the room it is of, as a room-scoped username carries them: `ROOM:MEMBER` in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoomMember {
    /// The room.
    pub room: RoomTag,
    /// The membership in it.
    pub member: MemberTag,
}

impl RoomMember {
    /// Reads what `Display` prints.
    pub fn parse(text: &str) -> Option<Self> {
        let (room, member) = text.split_once(':')?;
        Some(Self { room: RoomTag(parse_tag(room)?), member: MemberTag(parse_tag(member)?) })
    }
}

impl fmt::Display for RoomMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}:{:016x}", self.room.0, self.member.0)
    }
}

fn parse_tag(digits: &str) -> Option<u64> {
    let plain = digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if plain { u64::from_str_radix(digits, 16).ok() } else { None }
}

/// The memberships of every room, shared by the signaler and the relay.
///
/// Its size is bounded by the signaler's own bounds on rooms and members, times [`MAX_ADDRESSES`].
#[derive(Debug, Default)]
pub struct Memberships {
    rooms: RwLock<Rooms>,
}

type Rooms = HashMap<RoomTag, HashMap<MemberTag, Member>>;

#[derive(Debug, Default)]
struct Member {
    /// Where this box saw it, at the other end of a connection.
    seen: HashSet<IpAddr>,
    /// Where it says that it can be reached.
    offered: HashSet<IpAddr>,
}

impl Member {
    fn has_room_for(&self, address: &IpAddr) -> bool {
        let known = self.seen.contains(address) || self.offered.contains(address);
        known || self.seen.len() + self.offered.len() < MAX_ADDRESSES
    }
}

impl Memberships {
    /// Adds a member, who was seen at `address`.
    pub fn join(&self, member: RoomMember, address: IpAddr) {
        self.write().entry(member.room).or_default().entry(member.member).or_default();
        self.saw(member, address);
    }

    /// Ends a membership. The last one out ends the room.
    pub fn leave(&self, member: RoomMember) {
        let mut rooms = self.write();
        if let Some(members) = rooms.get_mut(&member.room) {
            members.remove(&member.member);
            if members.is_empty() {
                rooms.remove(&member.room);
            }
        }
    }

    /// Notes an address that a member was seen at. Says false when the member is gone or already has
    /// [`MAX_ADDRESSES`], and then nothing was noted.
    pub fn saw(&self, member: RoomMember, address: IpAddr) -> bool {
        self.note(member, address, |member| &mut member.seen)
    }

    /// Notes an address that a member signalled to another. Says false as [`Memberships::saw`] does.
    pub fn offered(&self, member: RoomMember, address: IpAddr) -> bool {
        self.note(member, address, |member| &mut member.offered)
    }

    fn note(&self, member: RoomMember, address: IpAddr, list: fn(&mut Member) -> &mut HashSet<IpAddr>) -> bool {
        let mut rooms = self.write();
        let Some(found) = rooms.get_mut(&member.room).and_then(|members| members.get_mut(&member.member)) else {
            return false;
        };
        let address = address.to_canonical();
        let fits = found.has_room_for(&address);
        if fits {
            list(found).insert(address);
        }
        fits
    }

    /// Whether the membership still stands.
    pub fn is_member(&self, member: RoomMember) -> bool {
        self.read().get(&member.room).is_some_and(|members| members.contains_key(&member.member))
    }

    /// Whether some member of the room was seen at the address, or signalled it and was seen at one that
    /// `is_credible` accepts.
    pub fn reaches(&self, room: RoomTag, address: IpAddr, is_credible: impl Fn(IpAddr) -> bool) -> bool {
        let address = address.to_canonical();
        let is_at = |member: &Member| {
            let credible = || member.seen.iter().any(|&seen| is_credible(seen));
            member.seen.contains(&address) || member.offered.contains(&address) && credible()
        };
        self.read().get(&room).is_some_and(|members| members.values().any(is_at))
    }

    /// A panic elsewhere cannot leave the map half-changed, so a poisoned lock is as good as any.
    fn read(&self) -> RwLockReadGuard<'_, Rooms> {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Rooms> {
        self.rooms.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: RoomMember = RoomMember { room: RoomTag(1), member: MemberTag(10) };
    const BEN: RoomMember = RoomMember { room: RoomTag(1), member: MemberTag(11) };
    const EVE: RoomMember = RoomMember { room: RoomTag(2), member: MemberTag(12) };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_reach_within_the_room_and_end_with_the_member() {
        let all = Memberships::default();
        all.join(ANNA, ip("::ffff:192.168.1.7"));
        all.join(BEN, ip("192.168.1.8"));
        all.join(EVE, ip("192.168.1.9"));
        assert!(all.offered(BEN, ip("203.0.113.4")));
        let reaches = |room, address| all.reaches(room, ip(address), |_| true);
        assert!(reaches(ANNA.room, "192.168.1.7"));
        assert!(reaches(ANNA.room, "203.0.113.4"));
        assert!(!reaches(EVE.room, "203.0.113.4"));
        all.leave(BEN);
        assert!(!all.is_member(BEN));
        assert!(!all.offered(BEN, ip("203.0.113.4")));
        assert!(!reaches(ANNA.room, "203.0.113.4"));
        all.leave(ANNA);
        assert_eq!(all.read().len(), 1);
    }

    #[test]
    fn a_member_cannot_grow_the_list_past_its_bound() {
        let all = Memberships::default();
        all.join(ANNA, ip("192.168.1.7"));
        let noted = (0..=255u8).filter(|&n| all.offered(ANNA, IpAddr::from([10, 0, 0, n]))).count();
        assert_eq!(noted, MAX_ADDRESSES - 1);
        assert!(all.offered(ANNA, ip("10.0.0.0")), "a known address is still known");
        assert!(!all.saw(ANNA, ip("192.0.2.1")));
    }

    #[test]
    fn what_a_member_says_of_itself_is_only_as_credible_as_where_it_was_seen() {
        let all = Memberships::default();
        all.join(ANNA, ip("203.0.113.4"));
        all.offered(ANNA, ip("192.168.1.1"));
        let at_home = |seen: IpAddr| seen == ip("192.168.1.7");
        assert!(!all.reaches(ANNA.room, ip("192.168.1.1"), at_home));
        assert!(all.reaches(ANNA.room, ip("203.0.113.4"), at_home), "she was seen there");
        all.saw(ANNA, ip("192.168.1.7"));
        assert!(all.reaches(ANNA.room, ip("192.168.1.1"), at_home));
    }

    #[test]
    fn a_tag_reads_back_and_nothing_else_does() {
        assert_eq!(RoomMember::parse(&ANNA.to_string()), Some(ANNA));
        for bad in ["", "1:2", "+000000000000001:0000000000000002", "0000000000000001"] {
            assert_eq!(RoomMember::parse(bad), None, "{bad}");
        }
    }
}
