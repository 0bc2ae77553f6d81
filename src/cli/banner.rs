//! What `serve` prints when it starts: what to open, and how to make devices trust it.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// What there is to say.
pub(super) struct Banner<'a> {
    /// The addresses that are listened on, UDP and TCP.
    pub(super) listening: &'a [SocketAddr],
    /// Where browsers reach this machine, the best first.
    pub(super) pages: Vec<SocketAddr>,
    /// The name and the port by which browsers on the local network find this machine.
    pub(super) named: Option<(String, u16)>,
    /// Whether the certificate is signed by an authority of our own, which devices have to be told to trust.
    pub(super) has_ca: bool,
    /// SHA-256 of the authority's certificate, or of the owner's own.
    pub(super) fingerprint: &'a str,
    /// Where the API keys are. The keys themselves are never printed.
    pub(super) keys_file: &'a Path,
}

impl Banner<'_> {
    /// Prints it, with a QR code of the first address if someone is looking.
    pub(super) fn print(&self, out: &mut impl Write, terminal: bool) -> io::Result<()> {
        for address in self.listening {
            writeln!(out, "listening on {address}")?;
        }
        writeln!(out, "Open in a browser:")?;
        for address in &self.pages {
            writeln!(out, "  {}", url_at("https", *address, 443, "/"))?;
        }
        if let Some((name, port)) = &self.named {
            writeln!(out, "  {}", url("https", name, *port, 443, "/"))?;
        }
        if let Some(code) = self.pages.first().filter(|_| terminal).and_then(|address| qr(*address)) {
            writeln!(out, "{code}")?;
        }
        if let Some(address) = self.pages.first().filter(|_| self.has_ca) {
            writeln!(out, "To have no warning, trust this machine once on each device. This page says how:")?;
            writeln!(out, "  {}", url_at("http", *address, 80, "/trust"))?;
        }
        let whose = if self.has_ca { "the authority" } else { "the certificate" };
        writeln!(out, "SHA-256 fingerprint of {whose}:\n  {}", self.fingerprint)?;
        writeln!(out, "API key for other programs: in {}", self.keys_file.display())?;
        out.flush()
    }
}

/// Says that every listener is bound.
pub(super) fn ready(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "ready")?;
    out.flush()
}

fn url_at(scheme: &str, address: SocketAddr, own_port: u16, path: &str) -> String {
    let host = match address.ip() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    };
    url(scheme, &host, address.port(), own_port, path)
}

fn url(scheme: &str, host: &str, port: u16, own_port: u16, path: &str) -> String {
    if port == own_port {
        return format!("{scheme}://{host}{path}");
    }
    format!("{scheme}://{host}:{port}{path}")
}

fn qr(address: SocketAddr) -> Option<String> {
    let code = QrCode::with_error_correction_level(url_at("https", address, 443, "/"), EcLevel::L).ok()?;
    // Terminals are mostly dark: light modules are drawn, dark ones left out.
    Some(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner(pages: &[&str], has_ca: bool, terminal: bool) -> String {
        let pages = pages.iter().map(|text| text.parse().unwrap()).collect();
        let listening = &["[::]:3478".parse().unwrap()];
        let named = Some(("lanturn.local".into(), 3478));
        let banner =
            Banner { listening, pages, named, has_ca, fingerprint: "AB:CD", keys_file: Path::new("certs/api.keys") };
        let mut out = Vec::new();
        banner.print(&mut out, terminal).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn it_says_what_to_open_and_what_to_trust() {
        let text = banner(&["192.168.1.5:3478", "[fd00::5]:443"], true, false);
        for line in [
            "listening on [::]:3478\n",
            "  https://192.168.1.5:3478/\n",
            "  https://[fd00::5]/\n",
            "  https://lanturn.local:3478/\n",
            "  http://192.168.1.5:3478/trust\n",
            "fingerprint of the authority:\n  AB:CD\n",
            "in certs/api.keys\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains('█'));
    }

    #[test]
    fn a_terminal_gets_a_code_that_fits() {
        let text = banner(&["[2001:db8:1111:2222:3333:4444:5555:6666]:3478"], true, true);
        let code: Vec<&str> = text.lines().filter(|line| line.contains('█')).collect();
        assert!(!code.is_empty() && code.len() <= 24, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn an_owners_certificate_needs_no_trust() {
        let text = banner(&["192.168.1.5:443"], false, false);
        assert!(!text.contains("/trust") && text.contains("fingerprint of the certificate"), "{text}");
    }
}
