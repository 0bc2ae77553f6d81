//! `lanturn check`: what a configuration amounts to.

use std::fmt::Display;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;

use anyhow::Context as _;

use super::serve::outer;
use super::{acme, interfaces, secrets};
use crate::config::{Origin, Settings};
use crate::tls;

/// Prints what the server would do, and reads the files that it would read. Changes nothing.
pub(super) fn run(settings: &Settings, origin: &Origin, out: &mut impl Write) -> anyhow::Result<()> {
    let own = interfaces::addresses().context("the addresses of this machine cannot be read")?;
    print(settings, origin, &own, out)?;
    files(settings)?;
    tls::check(&settings.tls.dir)?;
    acme::options(settings).map(tls::acme::Wanted::read).transpose()?;
    Ok(())
}

fn print(settings: &Settings, origin: &Origin, own: &[IpAddr], out: &mut impl Write) -> anyhow::Result<()> {
    let Settings { listen, relay, outside: _, credentials, rooms, limits: _, tls } = settings;
    writeln!(out, "configuration: {origin}")?;
    writeln!(out, "listens on: {} (UDP and TCP), {} threads", list(&listen.addresses), listen.shards)?;
    writeln!(out, "reached at: {}", list(&interfaces::reachable(&listen.addresses, own)))?;
    let name = listen.name.as_ref().map_or_else(|| "no name".into(), |name| format!("{name}.local"));
    writeln!(out, "found in private networks by: {name}")?;
    writeln!(out, "reverse proxies that are believed: {}", list(&listen.proxies))?;
    let behavior = listen.behavior.as_ref().map_or(&[][..], |pair| &pair[..]);
    writeln!(out, "NAT behaviour discovery at: {}", list(behavior))?;
    let from = if relay.addresses.is_empty() { own } else { &relay.addresses };
    writeln!(out, "relays from: {}, ports {}-{}", list(from), relay.ports.start(), relay.ports.end())?;
    for (inner, outer) in &relay.external {
        writeln!(out, "known outside: {inner} as {outer}")?;
    }
    asked(settings, out)?;
    writeln!(out, "key holders and users may relay to: {}", list(&relay.allow))?;
    writeln!(out, "and never to: {}", list(&relay.deny))?;
    if relay.allow_loopback {
        writeln!(out, "relay.allow_loopback is on: clients can reach what listens on localhost here")?;
    }
    writeln!(out, "rooms: {} at most, of {} each", rooms.max_rooms, rooms.capacity)?;
    writeln!(out, "other sites whose pages may use the rooms: {}", list(&rooms.origins))?;
    writeln!(out, "more names of this machine: {}", list(&[&rooms.hosts[..], &tls.names[..]].concat()))?;
    file(out, "secrets", &credentials.secret_file)?;
    file(out, "API keys", &credentials.keys_file)?;
    for user in &credentials.users {
        file(out, &format!("password of {}", user.name), &user.password_file)?;
    }
    let own_certificate = tls.dir.join("cert.pem");
    let certificate = if own_certificate.exists() { own_certificate } else { tls.dir.join("leaf.pem") };
    file(out, "certificate", &certificate)?;
    public_certificate(settings, out)
}

fn public_certificate(settings: &Settings, out: &mut impl Write) -> anyhow::Result<()> {
    let Some(options) = acme::options(settings) else {
        writeln!(out, "certificate by ACME: none")?;
        return Ok(());
    };
    writeln!(out, "certificate by ACME: for {}, from {}", list(&options.names), options.directory)?;
    let (kind, next) = (options.kind, options.kind_after(1));
    write!(out, "validated by {kind}, which asks for each name at port {}", kind.port())?;
    if next != kind {
        write!(out, ", then by {next}, at port {}", next.port())?;
    }
    writeln!(out)?;
    if settings.tls.dir.join("cert.pem").exists() {
        writeln!(out, "but it is not ordered while there is a certificate of yours")?;
    }
    Ok(())
}

/// Of whom the server would ask what.
fn asked(settings: &Settings, out: &mut impl Write) -> anyhow::Result<()> {
    let asked = outer::options(settings, &settings.listen.addresses).unwrap_or_default();
    writeln!(out, "asks for its address outside: {}", list(&asked.stun))?;
    let router = asked.ports.map_or_else(|| "nothing".into(), |ports| format!("its address, and to let in {ports}"));
    writeln!(out, "asks the router for: {router}")?;
    Ok(())
}

/// A file that the server makes may be missing, a password may not.
fn files(settings: &Settings) -> anyhow::Result<()> {
    let credentials = &settings.credentials;
    if credentials.secret_file.exists() {
        secrets::secrets(&credentials.secret_file)?;
    }
    if credentials.keys_file.exists() {
        secrets::keys(&credentials.keys_file)?;
    }
    secrets::tokens(credentials.token_keys_file.as_deref())?;
    secrets::passwords(&credentials.users)?;
    Ok(())
}

fn file(out: &mut impl Write, what: &str, path: &Path) -> anyhow::Result<()> {
    let state = if path.exists() { "" } else { " (not there yet)" };
    writeln!(out, "{what}: {}{state}", path.display())?;
    Ok(())
}

fn list<T: Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "none".into();
    }
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const CONFIG: &str = "listen.proxies = ['10.0.0.2', '172.16.0.0/12']\nrelay.deny = ['10.0.0.0/8']\nrooms.origins = ['https://example.org']\n";

    fn checked(text: &str, secret: Option<&str>) -> (String, anyhow::Result<()>) {
        let dir = tempfile::tempdir().unwrap();
        let (file, secret_file) = (dir.path().join("config.toml"), dir.path().join("secret"));
        std::fs::write(&file, text).unwrap();
        secret.map_or(Ok(()), |secret| std::fs::write(&secret_file, secret)).unwrap();
        let (mut settings, origin) = config::load_from(Some(&file), []).unwrap();
        settings.credentials.secret_file = secret_file;
        settings.credentials.keys_file = dir.path().join("keys");
        let mut out = Vec::new();
        print(&settings, &origin, &["192.168.1.5".parse().unwrap()], &mut out).unwrap();
        let result = files(&settings);
        assert!(!settings.credentials.keys_file.exists(), "checking makes nothing");
        (String::from_utf8(out).unwrap(), result)
    }

    #[test]
    fn it_says_what_the_server_would_do() {
        let (text, result) = checked(CONFIG, Some("0123456789abcdef"));
        for line in [
            "listens on: [::]:3478 (UDP and TCP), ",
            "reached at: 192.168.1.5:3478\n",
            "relays from: 192.168.1.5, ports 49152-65535\n",
            "outside: none\n",
            "the router for: nothing\n",
            "may relay to: public, lan\n",
            "never to: 10.0.0.0/8\n",
            "pages may use the rooms: https://example.org\n",
            "more names of this machine: none\n",
            "rooms: 10000 at most, of 8 each\n",
            "proxies that are believed: 10.0.0.2/32, 172.16.0.0/12\n",
            "keys (not there yet)\n",
            "certificate by ACME: none\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("0123456789abcdef") && !text.contains("allow_loopback"), "{text}");
        result.unwrap();
        let asking = checked("outside.stun = ['stun.example.org']\noutside.router = true", None).0;
        assert!(asking.contains("asks for its address outside: stun.example.org:3478\n"), "{asking}");
        let ports = "the router for: its address, and to let in UDP and TCP 3478, UDP 49152-49183\n";
        assert!(asking.contains(ports), "{asking}");
        assert!(checked("relay.allow_loopback = true", None).0.contains("allow_loopback is on"));
    }

    #[test]
    fn it_says_for_what_and_how_a_certificate_is_ordered() {
        let acme = "[tls.acme]\nnames = ['a.example.org', 'b.example.org']\nterms_agreed = true\n";
        let (text, _) = checked(acme, None);
        for line in [
            "certificate by ACME: for a.example.org, b.example.org, from https://acme-v02.api.letsencrypt.org/directory\n",
            "validated by http-01, which asks for each name at port 80, then by tls-alpn-01, at port 443\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let (text, _) = checked(&format!("listen.addresses = ['[::]:443']\n{acme}"), None);
        assert!(
            text.contains("by tls-alpn-01, which asks for each name at port 443, then by http-01, at port 80\n"),
            "{text}"
        );
        let (text, _) = checked(&format!("{acme}challenge = 'tls-alpn-01'"), None);
        assert!(text.contains("by tls-alpn-01, which asks for each name at port 443\n"), "{text}");
    }

    #[test]
    fn a_file_that_will_not_do_fails_the_check() {
        let error = checked("", Some("short")).1.unwrap_err().to_string();
        assert!(error.contains("secret: line 1: shorter than 16 characters"), "{error}");
        let user = "credentials.users = [{ name = 'camera', password_file = '/nowhere/camera' }]";
        let error = checked(user, None).1.unwrap_err().to_string();
        assert_eq!(error, "/nowhere/camera: is missing: a file whose first line is the password");
    }
}
