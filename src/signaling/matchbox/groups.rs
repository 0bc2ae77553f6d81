//! Groups of players who wait for each other: `next=2` asks for whoever else comes to the same room.
//!
//! Pure. A group is a room of its own, named after the one that was asked for, and nobody comes to it once it is
//! complete. Only groups that form are kept, and each has somebody who waits in it.

use std::collections::HashMap;

use crate::signaling::error::ErrorId;
use crate::signaling::names::RoomName;

/// The groups that form.
#[derive(Debug, Default)]
pub struct Groups {
    forming: HashMap<(RoomName, u32), Forming>,
    /// All that ever were, so that each has another name.
    made: u64,
}

#[derive(Debug)]
struct Forming {
    number: u64,
    members: u32,
}

/// A place in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    base: RoomName,
    size: u32,
    number: u64,
}

impl Groups {
    /// How many groups form.
    pub fn len(&self) -> usize {
        self.forming.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.forming.is_empty()
    }

    /// A place in the group of `size` players that forms for `base`, or in a new one.
    pub fn enter(&mut self, base: &RoomName, size: u32) -> Ticket {
        let key = (base.clone(), size);
        let made = &mut self.made;
        let forming = self.forming.entry(key.clone()).or_insert_with(|| {
            *made += 1;
            Forming { number: *made, members: 0 }
        });
        forming.members += 1;
        let number = forming.number;
        if forming.members >= size {
            self.forming.remove(&key);
        }
        Ticket { base: key.0, size, number }
    }

    /// Gives a place back, to the next who comes if the group still forms.
    pub fn leave(&mut self, ticket: &Ticket) {
        let key = (ticket.base.clone(), ticket.size);
        if let Some(forming) = self.forming.get_mut(&key).filter(|forming| forming.number == ticket.number) {
            forming.members -= 1;
            if forming.members == 0 {
                self.forming.remove(&key);
            }
        }
    }
}

impl Ticket {
    /// The room of the group: `game 2.17` is the seventeenth group that formed on this server, of 2 for `game`.
    ///
    /// # Errors
    /// [`ErrorId::BadRoom`] when that is too long.
    pub fn room(&self) -> Result<RoomName, ErrorId> {
        RoomName::parse(&format!("{} {}.{}", self.base, self.size, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn game() -> RoomName {
        RoomName::parse("game").unwrap()
    }

    fn room(ticket: &Ticket) -> String {
        ticket.room().unwrap().to_string()
    }

    #[test]
    fn players_are_put_together_in_the_order_in_which_they_come() {
        let mut groups = Groups::default();
        let rooms: Vec<_> = (0..5).map(|_| room(&groups.enter(&game(), 2))).collect();
        assert_eq!(rooms, ["game 2.1", "game 2.1", "game 2.2", "game 2.2", "game 2.3"]);
        assert_eq!(room(&groups.enter(&game(), 3)), "game 3.4", "who asks for another size waits for others");
        assert_eq!(room(&groups.enter(&RoomName::parse("chess").unwrap(), 2)), "chess 2.5");
        assert_eq!(groups.len(), 3);
    }

    #[test]
    fn who_leaves_a_group_that_forms_is_replaced_and_a_complete_one_stays_as_it_is() {
        let mut groups = Groups::default();
        let first = groups.enter(&game(), 2);
        groups.leave(&first);
        assert!(groups.is_empty(), "nothing is kept of a group without anybody");
        let second = groups.enter(&game(), 3);
        groups.enter(&game(), 3);
        groups.leave(&second);
        let (third, fourth) = (groups.enter(&game(), 3), groups.enter(&game(), 3));
        assert_eq!((&third, &fourth), (&second, &second));
        groups.leave(&third);
        assert_ne!(groups.enter(&game(), 3), third, "nobody new comes into a game that has begun");
    }

    #[test]
    fn a_group_of_one_is_complete_and_a_long_name_is_refused() {
        let mut groups = Groups::default();
        assert_ne!(groups.enter(&game(), 1), groups.enter(&game(), 1));
        assert!(groups.is_empty());
        let long = RoomName::parse(&"x".repeat(64)).unwrap();
        assert_eq!(groups.enter(&long, 2).room(), Err(ErrorId::BadRoom));
    }
}
