//! `lanturn serve`: the one place where the parts are put together.

use std::io::{self, IsTerminal as _};
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Context as _;

use super::{banner, interfaces, secrets};
use crate::config::{Origin, Settings};
use crate::credentials::Verifier;
use crate::tls;

/// Starts everything.
pub(super) fn run(settings: Settings, origin: Origin) -> anyhow::Result<()> {
    let addresses: Vec<IpAddr> = interfaces::addresses().context("the addresses of this machine cannot be read")?;
    let hostname = interfaces::hostname();
    let secrets::Loaded { secrets, keys: _keys, users } = secrets::load_or_make(&settings.credentials)?;
    let _verifier = Verifier::new(&settings.relay.realm, secrets, &users, Arc::default());
    let identity = tls::load(&tls::Options {
        dir: settings.tls.dir.clone(),
        names: settings.tls.names.clone(),
        addresses: addresses.clone(),
        hostname,
    })?;
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
