//! What people type: the names of rooms and of themselves, and PINs.

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use unicode_normalization::UnicodeNormalization as _;

use super::error::ErrorId;

/// The most characters of a name, after normalising.
const MAX_CHARS: usize = 64;
/// The most characters looked at. One of them can become 18 in compatibility form.
const MAX_TYPED_CHARS: usize = 256;

/// A room's name, normalised so that two people who type the same thing meet: compatibility form (NFKC), lower case,
/// outer whitespace trimmed, inner whitespace folded. 1 to 64 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomName(String);

impl RoomName {
    /// Normalises what a person typed.
    ///
    /// # Errors
    /// [`ErrorId::BadRoom`] when nothing is left, too much is left, a character cannot be seen, or the name is `.` or
    /// `..`, which no URL can carry.
    pub fn parse(typed: &str) -> Result<Self, ErrorId> {
        let typed = check_typed(typed).ok_or(ErrorId::BadRoom)?;
        let lower: String = typed.nfkc().flat_map(char::to_lowercase).map(same_sigma).collect();
        let name = fold_whitespace(&lower.nfkc().collect::<String>());
        let fits = (1..=MAX_CHARS).contains(&name.chars().count());
        if fits && !name.chars().any(is_unseen) && name != "." && name != ".." {
            Ok(Self(name))
        } else {
            Err(ErrorId::BadRoom)
        }
    }

    /// The normalised name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a member is called, as typed, but for whitespace. 1 to 64 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DisplayName(String);

impl DisplayName {
    /// Tidies what a person typed. Blank is no name.
    ///
    /// # Errors
    /// [`ErrorId::BadName`] when it is too long or a character cannot be seen.
    pub fn parse(typed: &str) -> Result<Option<Self>, ErrorId> {
        let typed = check_typed(typed).ok_or(ErrorId::BadName)?;
        let name = fold_whitespace(&typed.nfc().collect::<String>());
        if name.chars().count() > MAX_CHARS || name.chars().any(is_unseen) {
            return Err(ErrorId::BadName);
        }
        Ok(if name.is_empty() { None } else { Some(Self(name)) })
    }
}

/// What opens a room besides its name. Case counts. 1 to 64 characters.
#[derive(Clone)]
pub struct Pin(String);

impl Pin {
    /// Normalises what a person typed (NFKC, outer whitespace trimmed).
    ///
    /// # Errors
    /// [`ErrorId::BadPin`] when it is empty, too long or a character cannot be seen.
    pub fn parse(typed: &str) -> Result<Self, ErrorId> {
        let typed = check_typed(typed).ok_or(ErrorId::BadPin)?;
        let pin: String = typed.nfkc().collect();
        let fits = (1..=MAX_CHARS).contains(&pin.chars().count()) && !pin.chars().any(is_unseen);
        if fits { Ok(Self(pin)) } else { Err(ErrorId::BadPin) }
    }

    /// The normalised PIN.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// In a time that does not tell how much of it was right.
impl PartialEq for Pin {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

fn check_typed(typed: &str) -> Option<&str> {
    let typed = typed.trim();
    let bounded = typed.chars().nth(MAX_TYPED_CHARS).is_none();
    if bounded { Some(typed) } else { None }
}

/// A final sigma is the same letter: otherwise a word in capitals would be another room.
fn same_sigma(letter: char) -> char {
    if letter == 'ς' { 'σ' } else { letter }
}

fn fold_whitespace(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    folded
}

/// Control characters, and those that would make one name look like another: direction marks, zero-width spaces, soft
/// hyphens and blank fillers. A zero-width joiner may stay: emoji are made with it.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}')
        || matches!(letter, '\u{AD}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{180E}' | '\u{3164}' | '\u{FEFF}')
}

impl TryFrom<String> for RoomName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).map_err(ErrorId::text)
    }
}

impl TryFrom<String> for DisplayName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).map_err(ErrorId::text)?.ok_or("a display name has at least one character")
    }
}

impl From<RoomName> for String {
    fn from(name: RoomName) -> Self {
        name.0
    }
}

impl From<DisplayName> for String {
    fn from(name: DisplayName) -> Self {
        name.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn room(typed: &str) -> Result<String, ErrorId> {
        RoomName::parse(typed).map(String::from)
    }

    #[test]
    fn people_who_type_the_same_name_meet() {
        for (one, other) in [
            ("Kitchen", " kitchen\t"),
            ("Living  Room", "living\u{a0}room"),
            ("Café", "CAFE\u{301}"),
            ("ＡＢＣ", "abc"),
            ("ΟΔΟΣ", "οδος"),
            ("ﬁle", "FILE"),
        ] {
            assert_eq!(room(one), room(other), "{one} {other}");
            assert!(room(one).is_ok());
        }
        assert_eq!(room("👨‍👩‍👧 Küche").unwrap(), "👨‍👩‍👧 küche");
    }

    #[test]
    fn names_that_nobody_could_type_or_link_to_are_refused() {
        let long = "x".repeat(65);
        for bad in [
            "",
            "  ",
            ".",
            "..",
            "a\0b",
            "a\u{202e}b",
            "a\u{200b}b",
            "\u{feff}",
            "\u{3164}",
            &long,
            &"\u{fdfa}".repeat(60),
        ] {
            assert_eq!(room(bad), Err(ErrorId::BadRoom), "{bad:?}");
        }
        assert!(room(&"ü".repeat(64)).is_ok(), "characters count, not bytes");
    }

    #[test]
    fn a_display_name_keeps_its_case_and_blank_is_none() {
        assert_eq!(DisplayName::parse("  Anna  B. ").unwrap().unwrap().to_string(), "Anna B.");
        assert_eq!(DisplayName::parse(" \t"), Ok(None));
        assert_eq!(DisplayName::parse("An\u{202e}na"), Err(ErrorId::BadName));
        assert_eq!(DisplayName::parse(&"x".repeat(65)), Err(ErrorId::BadName));
    }

    #[test]
    fn a_pin_is_the_same_however_it_was_typed_and_is_not_logged() {
        let pin = Pin::parse(" ４７１１ ").unwrap();
        assert!(pin == Pin::parse("4711").unwrap() && pin != Pin::parse("4712").unwrap());
        assert_eq!(format!("{pin:?}"), "Pin(…)");
        for bad in ["", " ", "a\u{200b}b", &"1".repeat(65)] {
            assert_eq!(Pin::parse(bad).unwrap_err(), ErrorId::BadPin, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(typed in "\\PC{0,80}") {
            if let Ok(once) = room(&typed) {
                prop_assert_eq!(room(&once), Ok(once.clone()));
            }
        }
    }
}
