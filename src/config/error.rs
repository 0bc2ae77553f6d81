//! What can be wrong with a configuration.

use thiserror::Error;

/// Stops the start. Each kind prints as place, what is wrong, what would be right, with colons between.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// The file as a whole: unreadable, or not TOML.
    #[error("{place}: {wrong}: {right}")]
    Source {
        /// The file, or the environment variable.
        place: String,
        /// What is wrong.
        wrong: String,
        /// What would be right.
        right: String,
    },
    /// One key: unknown, or with a value that it cannot have.
    #[error("{place}: {key}: {wrong}: {right}")]
    Key {
        /// The file, or the environment variable.
        place: String,
        /// The key, as `section.key`.
        key: String,
        /// What is wrong.
        wrong: String,
        /// What would be right.
        right: String,
    },
}
