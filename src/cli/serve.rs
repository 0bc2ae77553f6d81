//! `lanturn serve`: the one place where the parts are put together.

use std::io::{self, IsTerminal as _};
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Context as _;

use super::{banner, interfaces, secrets};
use crate::config::{Origin, Settings, Tls};
use crate::credentials::Verifier;
use crate::tls;

/// Starts everything.
pub(super) fn run(settings: Settings, origin: Origin) -> anyhow::Result<()> {
    let addresses: Vec<IpAddr> = interfaces::addresses().context("the addresses of this machine cannot be read")?;
    let secrets::Loaded { secrets, keys: _keys, users } = secrets::load_or_make(&settings.credentials)?;
    let _verifier = Verifier::new(&settings.relay.realm, secrets, &users, Arc::default());
    let identity = tls::load(&tls_options(&settings, addresses.clone()))?;
    let _configs = identity.server_configs()?;
    tracing::info!("settings from {origin}");
    let banner = banner::Banner {
        pages: interfaces::reachable(&settings.listen.addresses, &addresses),
        has_ca: identity.ca_pem.is_some(),
        fingerprint: &identity.fingerprint,
        keys_file: &settings.credentials.keys_file,
    };
    let mut out = io::stdout();
    banner.print(&mut out, io::stdout().is_terminal())?;
    banner::ready(&mut out)?;
    Ok(())
}

/// What the certificate is to be for. `addresses` are those of this machine.
pub(super) fn tls_options(settings: &Settings, addresses: Vec<IpAddr>) -> tls::Options {
    let Tls { dir, names } = settings.tls.clone();
    tls::Options { dir, names, addresses, hostname: interfaces::hostname() }
}
