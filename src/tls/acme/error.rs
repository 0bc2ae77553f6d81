//! What can keep an order from being filled.

use instant_acme::{Error as AcmeError, Problem};
use thiserror::Error;

use super::Kind;
use crate::tls;

/// Ends an attempt. There is another one later.
#[derive(Debug, Error)]
pub(super) enum OrderError {
    #[error("{0}")]
    Acme(#[from] AcmeError),
    #[error("the authority did not find {name} to be this machine's ({kind}): {}", problem.as_ref().map_or_else(|| "it does not say why".into(), Problem::to_string))]
    NotOurs { name: String, kind: Kind, problem: Option<Problem> },
    #[error("the authority does not offer {kind} for {name}")]
    NotOffered { name: String, kind: Kind },
    #[error("it took over {0} seconds")]
    Slow(u64),
    #[error("{0}")]
    Unusable(&'static str),
    #[error("{0}")]
    Files(#[from] tls::Error),
    #[error("the key for the challenge cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error("TLS refuses it: {0}")]
    Rustls(#[from] rustls::Error),
}

impl OrderError {
    /// What to do about it.
    pub(super) fn remedy(&self, directory: &str) -> String {
        match self {
            Self::NotOurs { name, kind, .. } => {
                format!("have {name} resolve to this machine, and port {} of it lead here", kind.port())
            }
            Self::NotOffered { .. } => "another tls.acme.challenge".into(),
            Self::Acme(AcmeError::Api(_)) => "see what the authority says".into(),
            Self::Acme(_) | Self::Slow(_) => format!("see that this machine reaches {directory}, and trusts it"),
            Self::Unusable(_) => "see that this machine's clock is right, or ask the authority".into(),
            Self::Files(tls::Error::Write { .. }) => {
                "let lanturn write there, and see that the disk is not full".into()
            }
            Self::Files(_) => "put the file right".into(),
            Self::Make(_) | Self::Rustls(_) => "wait for the next attempt".into(),
        }
    }

    /// Whether the authority does not know the account that it once gave (RFC 8555 section 6.7).
    pub(super) fn is_of_lost_account(&self) -> bool {
        let lost =
            |problem: &Problem| problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist");
        matches!(self, Self::Acme(AcmeError::Api(problem)) if lost(problem))
    }
}
