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
/// What the flags of England and its like begin with.
const BLACK_FLAG: char = '\u{1F3F4}';
/// What they end with.
const LAST_TAG: char = '\u{E007F}';

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
        if fits && !has_unseen(&name) && name != "." && name != ".." { Ok(Self(name)) } else { Err(ErrorId::BadRoom) }
    }

    /// The normalised name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is normal already, for a test that has no time to look.
    #[cfg(test)]
    pub(super) fn of_normal(name: String) -> Self {
        Self(name)
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
        if name.chars().count() > MAX_CHARS || has_unseen(&name) {
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
        let fits = (1..=MAX_CHARS).contains(&pin.chars().count()) && !has_unseen(&pin);
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

/// Whether a character cannot be seen, other than in the flags of England and its like: there a black flag is followed by
/// its region's code in tag characters, and by a last one (UTS #51, ED-14a).
fn has_unseen(text: &str) -> bool {
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == BLACK_FLAG && letters.peek().copied().is_some_and(is_tag) {
            let region = std::iter::from_fn(|| letters.next_if(|&next| is_region_tag(next))).count();
            if !(3..=6).contains(&region) || letters.next() != Some(LAST_TAG) {
                return true;
            }
        } else if is_unseen(letter) {
            return true;
        }
    }
    false
}

/// Control characters, and those that would make one name look like another: direction marks, zero-width spaces, soft
/// hyphens, blank fillers, tags, and variation selectors that change nothing in most letters. A zero-width joiner may stay
/// and so may U+FE0F, for emoji are made with them; a zero-width non-joiner may, for Persian is.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}')
        || matches!(letter, '\u{180B}'..='\u{180F}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}')
        || matches!(letter, '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0E}' | '\u{FEFF}')
        || matches!(letter, '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}')
        || is_tag(letter)
}

fn is_tag(letter: char) -> bool {
    matches!(letter, '\u{E0000}'..='\u{E007F}')
}

/// A digit or a letter of a region's code.
fn is_region_tag(letter: char) -> bool {
    matches!(letter, '\u{E0030}'..='\u{E0039}' | '\u{E0061}'..='\u{E007A}')
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
    fn nothing_unseen_makes_two_names_look_alike() {
        let ranges = [
            '\u{AD}'..='\u{AD}',
            '\u{34F}'..='\u{34F}',
            '\u{61C}'..='\u{61C}',
            '\u{115F}'..='\u{1160}',
            '\u{17B4}'..='\u{17B5}',
            '\u{180B}'..='\u{180F}',
            '\u{200E}'..='\u{200F}',
            '\u{202A}'..='\u{202E}',
            '\u{2060}'..='\u{206F}',
            '\u{2800}'..='\u{2800}',
            '\u{FE00}'..='\u{FE0E}',
            '\u{FFA0}'..='\u{FFA0}',
            '\u{FFF9}'..='\u{FFFB}',
            '\u{E0000}'..='\u{E007F}',
        ];
        for unseen in ranges.into_iter().flatten() {
            let name = format!("a{unseen}b");
            assert_eq!(room(&name), Err(ErrorId::BadRoom), "{unseen:?}");
            assert_eq!(DisplayName::parse(&name), Err(ErrorId::BadName), "{unseen:?}");
            assert_eq!(Pin::parse(&name).unwrap_err(), ErrorId::BadPin, "{unseen:?}");
        }
    }

    #[test]
    fn what_emoji_and_languages_need_may_stay() {
        let england = "\u{1F3F4}\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}";
        for name in [england, &format!("{england}{england} away"), "\u{1F3F4}", "❤\u{FE0F}", "می\u{200C}خواهم"]
        {
            assert_eq!(room(name).as_deref(), Ok(name));
            assert_eq!(DisplayName::parse(name).unwrap().unwrap().to_string(), name);
        }
        let cut = england.trim_end_matches('\u{E007F}');
        for bad in [cut, &format!("{cut}a"), "\u{1F3F4}\u{E007F}", &england.replace('\u{1F3F4}', "a"), &england[4..]] {
            assert_eq!(room(bad), Err(ErrorId::BadRoom), "{bad:?}");
        }
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
