//! The commands. This is the only place that sees the whole configuration, and that prints.

mod acme;
mod banner;
mod check;
mod interfaces;
mod mint;
mod probe;
mod secrets;
mod serve;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config;

/// Chooses what is logged: `warn`, `debug`, `lanturn::relay=trace` and so on.
const LOG_VARIABLE: &str = "LANTURN_LOG";
/// Strangers must not fill the log with what the library of DTLS warns of.
const DEFAULT_LOG: &str = "info,dimpl=error";
/// The most that libraries may write through `log`: at `trace` tungstenite writes down every message, and one may carry
/// a PIN or an invite.
const DISCREET: log::LevelFilter = log::LevelFilter::Debug;

/// Gets any two browsers connected: a STUN/TURN relay, rooms and a call page on one port.
#[derive(Debug, Parser)]
#[command(name = "lanturn", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration to read, instead of config.toml in this directory.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server. This is what happens without a command, too.
    Serve,
    /// Check a configuration, and print what it amounts to. Ends with 1 if it is wrong.
    Check,
    /// Print a TURN username and password that end by themselves.
    Mint(mint::Arguments),
    /// Try every way through a box's relay from this machine, and say what to do where one fails. Ends with 3 if calls
    /// do not work.
    Probe(probe::Arguments),
}

/// Runs the command that the arguments ask for. Ends with 0 when all is well, with 1 when something went wrong, with 2
/// when the arguments make no sense, and with 3 when a probe found that calls would fail.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
    let color = io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(color)
        .with_writer(io::stderr)
        .init();
    log::set_max_level(log::max_level().min(DISCREET));
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            // If even this cannot be written, the exit code has to say it.
            let _ = writeln!(io::stderr(), "lanturn: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (settings, origin) = config::load(arguments.config.as_deref())?;
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(settings, &origin, arguments.config.as_deref())?,
        Command::Check => check::run(&settings, &origin, &mut io::stdout().lock())?,
        Command::Mint(arguments) => mint::run(&arguments, &settings, &mut io::stdout().lock())?,
        Command::Probe(arguments) => return probe::run(&arguments, &settings, &mut io::stdout().lock()),
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn arguments_make_sense() {
        Arguments::command().debug_assert();
        let serve = Arguments::try_parse_from(["lanturn", "--config", "a.toml"]).unwrap();
        assert!(serve.command.is_none() && serve.config == Some("a.toml".into()));
        let check = Arguments::try_parse_from(["lanturn", "check", "--config", "a.toml"]).unwrap();
        assert!(matches!(check.command, Some(Command::Check)) && check.config == Some("a.toml".into()));
        assert!(Arguments::try_parse_from(["lanturn", "mint"]).is_err(), "for whom?");
    }
}
