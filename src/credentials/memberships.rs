//! Who is in which room, and at which addresses a room's members may be reached.
//!
//! The signaler writes it, the relay reads it: the two meet nowhere else.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The most addresses kept that one member offered, the latest. A browser signals well under twenty at once.
pub const MAX_OFFERED: usize = 64;
/// The most addresses kept that one member was seen at, the latest. What it offers takes nothing from them.
pub const MAX_SEEN: usize = 8;

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
/// Its size is bounded by the signaler's own bounds on rooms and members, times [`MAX_OFFERED`]
/// and [`MAX_SEEN`].
#[derive(Debug, Default)]
pub struct Memberships {
    rooms: RwLock<Rooms>,
}

type Rooms = HashMap<RoomTag, HashMap<MemberTag, Member>>;

#[derive(Debug, Default)]
struct Member {
    /// Where this box saw it, at the other end of a connection.
    seen: Latest<MAX_SEEN>,
    /// Where it says that it can be reached.
    offered: Latest<MAX_OFFERED>,
}

/// The latest addresses, oldest first, each once.
#[derive(Debug, Default)]
struct Latest<const MAX: usize>(VecDeque<IpAddr>);

impl<const MAX: usize> Latest<MAX> {
    /// Says whether the oldest had to go for it.
    fn note(&mut self, address: IpAddr) -> bool {
        self.0.retain(|&known| known != address);
        let is_full = self.0.len() >= MAX;
        if is_full {
            self.0.pop_front();
        }
        self.0.push_back(address);
        is_full
    }
}

impl Memberships {
    /// Adds a member, who was seen at `address`. `None` if that is not known.
    pub fn join(&self, member: RoomMember, address: impl Into<Option<IpAddr>>) {
        self.write().entry(member.room).or_default().entry(member.member).or_default();
        if let Some(address) = address.into() {
            self.saw(member, address);
        }
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

    /// Notes an address that a member was seen at. Says false when an address was dropped: this one, for the member is
    /// gone, or the oldest of [`MAX_SEEN`].
    pub fn saw(&self, member: RoomMember, address: IpAddr) -> bool {
        self.note(member, |found| found.seen.note(address.to_canonical()))
    }

    /// Notes an address that a member signalled to another. Says false as [`Memberships::saw`] does, here for the oldest
    /// of [`MAX_OFFERED`].
    pub fn offered(&self, member: RoomMember, address: IpAddr) -> bool {
        self.note(member, |found| found.offered.note(address.to_canonical()))
    }

    fn note(&self, member: RoomMember, drops: impl FnOnce(&mut Member) -> bool) -> bool {
        let mut rooms = self.write();
        let found = rooms.get_mut(&member.room).and_then(|members| members.get_mut(&member.member));
        found.is_some_and(|found| !drops(found))
    }

    /// Whether the membership still stands.
    pub fn is_member(&self, member: RoomMember) -> bool {
        self.read().get(&member.room).is_some_and(|members| members.contains_key(&member.member))
    }

    /// Whether some member of the room was seen at the address, or signalled it and `is_credible` accepts the addresses
    /// that it was seen at, oldest first. There may be none.
    pub fn reaches(&self, room: RoomTag, address: IpAddr, is_credible: impl Fn(&VecDeque<IpAddr>) -> bool) -> bool {
        let address = address.to_canonical();
        let is_at = |Member { seen, offered }: &Member| {
            seen.0.contains(&address) || offered.0.contains(&address) && is_credible(&seen.0)
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
    fn the_latest_addresses_of_a_member_are_kept_and_no_more() {
        let all = Memberships::default();
        all.join(ANNA, ip("192.168.1.7"));
        let reaches = |address| all.reaches(ANNA.room, address, |_| true);
        let nth = |n: usize| IpAddr::from([10, 0, 0, n as u8]);
        assert!((0..MAX_OFFERED).all(|n| all.offered(ANNA, nth(n))));
        assert!(all.offered(ANNA, nth(0)), "a known address takes no place");
        assert!(!all.offered(ANNA, nth(MAX_OFFERED)), "one more takes that of another");
        assert!(!reaches(nth(1)), "the one that was not offered for longest");
        let kept = (0..=255).filter(|&n| reaches(nth(n))).count();
        assert_eq!((kept, reaches(nth(0)), reaches(nth(MAX_OFFERED))), (MAX_OFFERED, true, true));
        assert!(reaches(ip("192.168.1.7")), "where she was seen is another matter");

        assert!((1..MAX_SEEN).all(|n| all.saw(ANNA, IpAddr::from([192, 0, 2, n as u8]))));
        assert!(!all.saw(ANNA, ip("192.0.2.250")));
        assert!(!reaches(ip("192.168.1.7")) && reaches(ip("192.0.2.1")) && reaches(ip("192.0.2.250")));
    }

    #[test]
    fn what_a_member_says_of_itself_is_only_as_credible_as_where_it_was_seen() {
        let all = Memberships::default();
        all.join(ANNA, ip("203.0.113.4"));
        all.offered(ANNA, ip("192.168.1.1"));
        let at_home = |seen: &VecDeque<IpAddr>| seen.contains(&ip("192.168.1.7"));
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
