//! `[tls.acme]`: each key checked once.

use std::collections::HashSet;

use hyper::Uri;

use super::error::ConfigError;
use super::parse::{self, Wrong};
use super::schema::AcmeTable;
use super::settings::Acme;
use super::validate::Keys;
use crate::tls::acme::{ExternalAccount, Kind};

/// The most that Let's Encrypt takes.
const MAX_NAMES: usize = 100;

/// None, unless names are asked for.
pub(super) fn acme(keys: &Keys<'_>, table: &AcmeTable) -> Result<Option<Acme>, ConfigError> {
    let names = keys.list("tls.acme.names", &table.names, public_name)?;
    let contact = keys.at("tls.acme.contact", contact(&table.contact))?;
    let challenge = keys.at("tls.acme.challenge", challenge(&table.challenge))?;
    let directory = keys.at("tls.acme.directory", directory(&table.directory))?;
    let root_file = Some(&table.root_file).filter(|file| !file.is_empty()).map(Into::into);
    let external = external(keys, table)?;
    if names.is_empty() {
        return Ok(None);
    }
    keys.at("tls.acme.names", each_once(&names))?;
    if !table.terms_agreed {
        let right = format!("true if you agree to the terms of service of {directory}, or no tls.acme.names");
        return keys.at("tls.acme.terms_agreed", Err(("is false".into(), right)));
    }
    Ok(Some(Acme { names, contact, challenge, directory, root_file, external }))
}

/// A name that a public authority can vouch for.
fn public_name(text: &str) -> Result<String, Wrong> {
    let right = "a name that the DNS of the internet knows, such as calls.example.org";
    let name = parse::host(text).map_err(|(wrong, _)| (wrong, right.into()))?;
    let is_local = ["localhost", "local", "internal"].iter().any(|last| name.rsplit('.').next() == Some(last));
    if name.parse::<std::net::IpAddr>().is_ok() || !name.contains('.') || is_local {
        return Err((format!("`{text}` is no name on the internet"), right.into()));
    }
    Ok(name)
}

fn each_once(names: &[String]) -> Result<(), Wrong> {
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err((format!("`{twice}` is there twice"), "each name once".into()));
    }
    if names.len() > MAX_NAMES {
        return Err((format!("has {} names", names.len()), format!("at most {MAX_NAMES}")));
    }
    Ok(())
}

fn contact(text: &str) -> Result<Option<String>, Wrong> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b",;?&<>\"%".contains(&byte));
    let is_address = || text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && parse::host(host).is_ok());
    match text {
        "" => Ok(None),
        address if plain && is_address() => Ok(Some(address.into())),
        other => Err((format!("`{other}` is no e-mail address"), "one such as admin@example.org, or nothing".into())),
    }
}

fn challenge(text: &str) -> Result<Option<Kind>, Wrong> {
    match text {
        "auto" => Ok(None),
        "http-01" => Ok(Some(Kind::Http01)),
        "tls-alpn-01" => Ok(Some(Kind::TlsAlpn01)),
        other => Err((format!("`{other}` is no challenge"), "one of auto, http-01, tls-alpn-01".into())),
    }
}

fn directory(text: &str) -> Result<String, Wrong> {
    let uri = text.parse::<Uri>().ok();
    let is_right =
        uri.is_some_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty()));
    if is_right {
        return Ok(text.into());
    }
    Err((
        format!("`{text}` is no URL of a directory"),
        "one with https, such as https://acme.example.org/directory".into(),
    ))
}

fn external(keys: &Keys<'_>, table: &AcmeTable) -> Result<Option<ExternalAccount>, ConfigError> {
    let (id, key_file) = (&table.external_id, &table.external_key_file);
    let missing = |other: &str| Err(("is empty".into(), format!("one that belongs to tls.acme.{other}, or neither")));
    match (id.is_empty(), key_file.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(ExternalAccount { id: id.clone(), key_file: key_file.into() })),
        (true, false) => keys.at("tls.acme.external_id", missing("external_key_file")),
        (false, true) => keys.at("tls.acme.external_key_file", missing("external_id")),
    }
}
