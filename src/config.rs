//! The configuration: what is written in the file and the environment, checked once and turned into values.
//!
//! Three layers, the later ones winning: the built-in [`SAMPLE`], one file, and the variables
//! `LANTURN__SECTION__KEY`. [`Config`] is the text of them merged, [`Settings`] is what it means.

mod acme;
mod error;
mod layers;
mod parse;
mod schema;
mod settings;
mod validate;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::Path;

pub use error::ConfigError;
pub use layers::{Origin, SAMPLE};
pub use schema::Config;
pub use settings::{Acme, Credentials, Limits, Listen, Outside, Quota, Relay, Roles, Rooms, Settings, Tls, User};

/// Reads `file`, else `config.toml` in the working directory if there is one, and the environment over it.
///
/// # Errors
/// [`ConfigError`], which says where, which key, what is wrong and what would be right.
pub fn load(file: Option<&Path>) -> Result<(Settings, Origin), ConfigError> {
    let fallback = Path::new("config.toml");
    let file = file.or_else(|| fallback.exists().then_some(fallback));
    load_from(file, std::env::vars_os())
}

/// Reads `file`, if any, and `variables` over it.
///
/// # Errors
/// [`ConfigError`], as [`load`].
pub fn load_from(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Settings, Origin), ConfigError> {
    let (config, origin) = layers::merge(file, variables)?;
    let settings = validate::settings(&config, &origin)?;
    Ok((settings, origin))
}
