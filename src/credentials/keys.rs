//! The keys that other programs show to get credentials.

use std::fmt;

use subtle::{Choice, ConstantTimeEq as _};
use thiserror::Error;

/// The least number of characters of a key: 64 bits when written as hexadecimal digits.
const MIN_KEY_CHARS: usize = 16;

/// What is wrong with a file of API keys.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ApiKeysError {
    /// The file has no key in it.
    #[error("has no key: write one on its first line, for example 32 hexadecimal digits")]
    Empty,
    /// A line is shorter than 16 characters.
    #[error("line {0}: shorter than {MIN_KEY_CHARS} characters: a longer key, such as 32 hexadecimal digits")]
    TooShort(usize),
    /// A line has a character that a URL would have to encode.
    #[error("line {0}: a character that is none of letters, digits, `-`, `_`, `.`, `~`: a key of those alone")]
    Character(usize),
}

/// The API keys in force. `Debug` never shows them.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeys(Vec<String>);

impl ApiKeys {
    /// Reads one key a line. Blank lines and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`ApiKeysError`] when there is none, or one is too short to be safe or does not fit in a URL.
    pub fn parse(text: &str) -> Result<Self, ApiKeysError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.chars().count() < MIN_KEY_CHARS {
                return Err(ApiKeysError::TooShort(index + 1));
            }
            if !line.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b)) {
                return Err(ApiKeysError::Character(index + 1));
            }
            keys.push(line.to_owned());
        }
        if keys.is_empty() { Err(ApiKeysError::Empty) } else { Ok(Self(keys)) }
    }

    /// Whether `shown` is one of the keys. The time that this takes tells nothing but lengths.
    pub fn contains(&self, shown: &str) -> bool {
        let equal = |key: &String| key.as_bytes().ct_eq(shown.as_bytes());
        self.0.iter().fold(Choice::from(0), |found, key| found | equal(key)).into()
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_opens_and_nothing_else_does() {
        let keys = ApiKeys::parse("# the web page\n0123456789abcdef\n\n  fedcba9876543210  \n").unwrap();
        assert!(keys.contains("0123456789abcdef") && keys.contains("fedcba9876543210"));
        for other in ["", "0123456789abcde", "0123456789abcdeg", "0123456789abcdef0", "# the web page"] {
            assert!(!keys.contains(other), "{other}");
        }
    }

    #[test]
    fn a_file_without_a_safe_key_is_refused() {
        assert_eq!(ApiKeys::parse("\n# nothing\n"), Err(ApiKeysError::Empty));
        assert_eq!(ApiKeys::parse("0123456789abcdef\nshort"), Err(ApiKeysError::TooShort(2)));
        assert_eq!(ApiKeys::parse("0123456789 abcdef"), Err(ApiKeysError::Character(1)));
    }

    #[test]
    fn debug_does_not_show_a_key() {
        assert!(!format!("{:?}", ApiKeys::parse("0123456789abcdef").unwrap()).contains("0123"));
    }
}
