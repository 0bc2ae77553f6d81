//! `lanturn probe`: every way through a box's relay, tried from this machine, with what to do where it fails.
//!
//! Whoever brings no credential gets the one that any visitor of the page gets, that of a room of their own: it relays
//! to others of that room only, which is what a probe needs, and opens nothing that was not open. An API key is shown to
//! nobody whose certificate proves nothing.

mod certificate;
mod client;
mod clock;
mod findings;
mod inquiry;
mod link;
mod outside;
mod path;
mod report;
mod room;
mod target;
mod trouble;
mod view;
mod web;
mod words;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Args;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use self::inquiry::Inquiry;
use self::target::Target;
use super::{interfaces, secrets};
use crate::config::Settings;
use crate::credentials::mint;
use crate::tls::fingerprint;

pub(super) use self::certificate::curious;
pub(super) use self::client::Login;
pub(super) use self::clock::Clock;
pub(super) use self::link::Way;
pub(super) use self::path::{Walk, walk};
pub(super) use self::words::{Context, explain};

/// The exit code when calls would fail.
const BROKEN: u8 = 3;
/// How long a credential of the local configuration lasts, in seconds.
const TTL: u64 = 60;

/// The arguments of the command.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The box, such as https://192.168.1.5:3478. The default is the one that this machine's configuration describes.
    url: Option<String>,
    /// The TURN username to try. Without one, and without a key, the probe joins a throw-away room as the page does.
    #[arg(long, value_name = "NAME", requires = "password_file", conflicts_with = "key_file")]
    user: Option<String>,
    /// A file whose first line is that user's password.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// A file whose last line is an API key, such as certs/api.keys. It is shown only to a box whose certificate is
    /// trusted, or has the --fingerprint.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The SHA-256 fingerprint that `lanturn serve` has printed, to know the box by.
    #[arg(long, value_name = "AB:CD:…")]
    fingerprint: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// With what to get through the relay.
enum Credential {
    /// This one.
    Login(Login),
    /// One that the box makes for this API key.
    Key(String),
    /// A room's. If there is none to be had, this one of the local configuration.
    Room(Option<Login>),
}

/// Everything that is known before the box is asked.
struct Plan {
    target: Target,
    /// The fingerprint to expect.
    fingerprint: Option<String>,
    credential: Credential,
}

impl Plan {
    fn new(arguments: &Arguments, settings: &Settings) -> anyhow::Result<Self> {
        let (target, known, fallback) = match &arguments.url {
            Some(url) => (Target::parse(url)?, None, None),
            None => (this_box(settings)?, known_fingerprint(settings), own_login(settings)),
        };
        let credential = match (&arguments.user, &arguments.password_file, &arguments.key_file) {
            (Some(user), Some(file), _) => {
                let password = line_of(file, false, "a file whose first line is the password")?;
                Credential::Login(Login { username: user.clone(), password })
            }
            (_, _, Some(file)) => Credential::Key(line_of(file, true, "a file whose last line is an API key")?),
            _ => Credential::Room(fallback),
        };
        Ok(Self { target, fingerprint: arguments.fingerprint.clone().or(known), credential })
    }
}

/// Tries all of it, and prints what was found.
pub(super) fn run(arguments: &Arguments, settings: &Settings, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let plan = Plan::new(arguments, settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(Inquiry::new(plan).run());
    // A name that is still being resolved is waited for by nobody.
    runtime.shutdown_background();
    if arguments.json {
        report.print_json(out)?;
    } else {
        writeln!(out, "probing {}", report.target)?;
        report.print(out)?;
    }
    Ok(if report.works { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) })
}

/// Where browsers reach the box that the configuration describes.
fn this_box(settings: &Settings) -> anyhow::Result<Target> {
    let own = interfaces::addresses().context("the addresses of this machine cannot be read")?;
    let reachable = interfaces::reachable(&settings.listen.addresses, &own);
    let first = reachable.first().filter(|address| address.port() != 0);
    let first = first.context("listen.addresses names no port: say which box, as in https://192.168.1.5:3478")?;
    Ok(Target::from(*first))
}

/// The fingerprint of the certificates on this machine, if the server has made them.
fn known_fingerprint(settings: &Settings) -> Option<String> {
    let own = ["cert.pem", "ca.pem"].map(|name| settings.tls.dir.join(name)).into_iter().find(|file| file.exists())?;
    CertificateDer::from_pem_file(own).ok().map(|certificate| fingerprint(&certificate))
}

/// A credential of this machine's own secret, if it may be read.
fn own_login(settings: &Settings) -> Option<Login> {
    let secrets = secrets::secrets(&settings.credentials.secret_file).ok()?;
    let credential = mint(secrets.minting(), "probe", unix_now(), TTL).ok()?;
    Some(Login { username: credential.username, password: credential.password })
}

/// The first line of a file, or its last.
fn line_of(file: &Path, is_last: bool, right: &str) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{}: cannot be read: {right}", file.display()))?;
    let mut lines = text.lines().map(str::trim);
    let line = if is_last { lines.rfind(|line| !line.is_empty()) } else { lines.next() };
    let line = line.filter(|line| !line.is_empty());
    line.map(str::to_owned).with_context(|| format!("{}: says nothing: {right}", file.display()))
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
