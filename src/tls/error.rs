//! What can keep the server from having a certificate.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Stops the start, or a reload.
#[derive(Debug, Error)]
pub enum Error {
    /// A file is there but cannot be used.
    #[error("{}: {wrong}: {right}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        wrong: String,
        /// What would be right.
        right: String,
    },
    /// A file cannot be read.
    #[error("{}: cannot be read ({source}): a file that lanturn may read", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{}: cannot be written ({source}): a directory that lanturn may write to, in tls.dir", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    /// The TLS library refuses.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

impl Error {
    pub(super) fn file(file: &Path, wrong: impl Into<String>, right: impl Into<String>) -> Self {
        Self::File { file: file.into(), wrong: wrong.into(), right: right.into() }
    }
}
