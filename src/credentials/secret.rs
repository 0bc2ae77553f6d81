//! The secrets that mint and verify credentials.

use std::fmt;

use thiserror::Error;

/// The least number of characters of a secret: 128 bits when written as hexadecimal digits.
const MIN_SECRET_CHARS: usize = 16;

/// One shared secret. `Debug` never shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps the bytes of a secret.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is wrong with a file of secrets.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SecretsError {
    /// The file has no secret in it.
    #[error("has no secret: write one on its first line, for example 32 hexadecimal digits")]
    Empty,
    /// A line is shorter than 16 characters.
    #[error("line {0}: shorter than {MIN_SECRET_CHARS} characters: a longer secret, such as 32 hexadecimal digits")]
    TooShort(usize),
}

/// All secrets in force: the first one mints, every one verifies, so that a secret can be replaced
/// without ending the calls that use the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// Reads one secret a line. Blank lines and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`SecretsError`] when there is none, or one is too short to be safe.
    pub fn parse(text: &str) -> Result<Self, SecretsError> {
        let mut secrets = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.chars().count() < MIN_SECRET_CHARS {
                return Err(SecretsError::TooShort(index + 1));
            }
            secrets.push(Secret::new(line));
        }
        if secrets.is_empty() { Err(SecretsError::Empty) } else { Ok(Self(secrets)) }
    }

    /// The secret that mints.
    pub fn minting(&self) -> &Secret {
        &self.0[0]
    }

    /// Every secret that verifies, the minting one first.
    pub fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_mints_and_all_verify() {
        let secrets = Secrets::parse("# new\n0123456789abcdef\n\nfedcba9876543210\n").unwrap();
        assert_eq!(secrets.minting(), &Secret::new("0123456789abcdef"));
        assert_eq!(secrets.iter().count(), 2);
    }

    #[test]
    fn empty_and_short_files_are_refused() {
        assert_eq!(Secrets::parse("# nothing\n"), Err(SecretsError::Empty));
        assert_eq!(Secrets::parse("0123456789abcdef\nhunter2\n"), Err(SecretsError::TooShort(2)));
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        assert!(!format!("{:?}", Secrets::parse("0123456789abcdef").unwrap()).contains("0123"));
    }
}
