//! `lanturn mint`: credentials for a device or a program, at the command line.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Args;

use super::{interfaces, secrets};
use crate::config::Settings;
use crate::credentials::{Credential, Secrets, mint};

/// The arguments of the command.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Who it is for. It shows in the username.
    #[arg(long, value_name = "NAME")]
    user: String,
    /// How long it lasts, such as 30min or 12h. The default is credentials.ttl of the configuration.
    #[arg(long, value_name = "TIME", value_parser = ttl)]
    ttl: Option<Duration>,
    /// Print JSON, as /turn answers it.
    #[arg(long)]
    json: bool,
}

fn ttl(text: &str) -> Result<Duration, String> {
    let right = || "a number with a unit, at least 1s, such as 30min or 12h".to_owned();
    humantime::parse_duration(text).ok().filter(|ttl| ttl.as_secs() > 0).ok_or_else(right)
}

/// Prints credentials that the server of the same configuration takes.
pub(super) fn run(arguments: &Arguments, settings: &Settings, out: &mut impl Write) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is set before 1970: set it right")?;
    let secrets = secrets::secrets(&settings.credentials.secret_file)?;
    let credential = minted(arguments, settings, &secrets, now.as_secs())?;
    let addresses = interfaces::addresses().context("the addresses of this machine cannot be read")?;
    let server = interfaces::reachable(&settings.listen.addresses, &addresses);
    let uris: Vec<String> = server.first().into_iter().flat_map(turn_uris).collect();
    print(&credential, &uris, arguments.json, out)
}

fn minted(arguments: &Arguments, settings: &Settings, secrets: &Secrets, now: u64) -> anyhow::Result<Credential> {
    let ttl = arguments.ttl.unwrap_or(settings.credentials.ttl).as_secs();
    mint(secrets.minting(), &arguments.user, now, ttl).context("--user")
}

fn turn_uris(server: &std::net::SocketAddr) -> Vec<String> {
    let forms = [("turn", "udp"), ("turn", "tcp"), ("turns", "tcp")];
    forms.iter().map(|(scheme, transport)| format!("{scheme}:{server}?transport={transport}")).collect()
}

fn print(credential: &Credential, uris: &[String], json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let Credential { username, password, ttl, expires_at: _ } = credential;
    if json {
        let value = serde_json::json!({ "username": username, "password": password, "ttl": ttl, "uris": uris });
        writeln!(out, "{value:#}")?;
        return Ok(());
    }
    writeln!(out, "username: {username}")?;
    writeln!(out, "password: {password}")?;
    writeln!(out, "ttl: {ttl}")?;
    uris.iter().try_for_each(|uri| writeln!(out, "uri: {uri}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn minted_for(user: &str, ttl: Option<u64>) -> anyhow::Result<Credential> {
        let (settings, _) = config::load_from(None, []).unwrap();
        let arguments = Arguments { user: user.into(), ttl: ttl.map(Duration::from_secs), json: false };
        minted(&arguments, &settings, &Secrets::parse("0123456789abcdef").unwrap(), 1_699_996_400)
    }

    #[test]
    fn it_prints_what_a_client_needs() {
        let uris = turn_uris(&"[fd00::5]:3478".parse().unwrap());
        let mut out = Vec::new();
        print(&minted_for("anna", None).unwrap(), &uris, false, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "username: 1700000000:anna\npassword: LgYF3xqh70cTLoMS9RZDY7nStzw=\nttl: 3600\n\
             uri: turn:[fd00::5]:3478?transport=udp\nuri: turn:[fd00::5]:3478?transport=tcp\n\
             uri: turns:[fd00::5]:3478?transport=tcp\n"
        );
    }

    #[test]
    fn json_is_what_the_http_interface_answers() {
        let mut out = Vec::new();
        print(&minted_for("anna", Some(60)).unwrap(), &[], true, &mut out).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((value["username"].as_str(), value["ttl"].as_u64()), (Some("1699996460:anna"), Some(60)));
        assert!(value["password"].is_string() && value["uris"].is_array());
    }

    #[test]
    fn a_bad_user_or_time_is_refused() {
        let error = format!("{:#}", minted_for("room:1:2", None).unwrap_err());
        assert!(error.starts_with("--user: the username begins with `room:`"), "{error}");
        assert!(ttl("0s").is_err() && ttl("soon").is_err());
        assert_eq!(ttl("30min"), Ok(Duration::from_secs(1800)));
    }
}
