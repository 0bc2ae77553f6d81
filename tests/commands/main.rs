//! The commands that need no running server, as a shell sees them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs lanturn in `dir`. Gives the exit code, what it printed, and what it complained about.
fn lanturn(dir: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanturn"));
    command.current_dir(dir).args(arguments).env("LANTURN_LOG", "warn").envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_tells_a_good_configuration_from_a_bad_one() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text, complaint) = lanturn(dir.path(), &["check"], &[]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    assert!(text.starts_with("configuration: the built-in configuration\nlistens on: [::]:3478 "), "{text}");
    fs::write(dir.path().join("config.toml"), "relay.portz = '1-2'\n").unwrap();
    let (code, _, complaint) = lanturn(dir.path(), &["check"], &[]);
    assert_eq!(code, Some(1));
    assert!(
        complaint.starts_with("lanturn: config.toml: relay.portz: unknown key: did you mean ports?"),
        "{complaint}"
    );
    fs::write(dir.path().join("other.toml"), "relay.ports = '1-2'\n").unwrap();
    let (code, text, _) = lanturn(dir.path(), &["check", "--config", "other.toml"], &[]);
    assert!(code == Some(0) && text.contains("configuration: other.toml\n") && text.contains("ports 1-2\n"), "{text}");
    let variable = [("LANTURN__RELAY__PORTS", "3-2")];
    let (code, _, complaint) = lanturn(dir.path(), &["check", "--config", "other.toml"], &variable);
    let expected = "lanturn: LANTURN__RELAY__PORTS: relay.ports: `3-2` ends before it begins: 2-3\n";
    assert_eq!((code, complaint.as_str()), (Some(1), expected));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "checking makes nothing");
}

#[test]
fn check_finds_a_file_that_the_server_could_not_use() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("certs")).unwrap();
    fs::write(dir.path().join("certs/cert.pem"), "junk").unwrap();
    let (code, _, complaint) = lanturn(dir.path(), &["check"], &[]);
    assert_eq!(code, Some(1));
    assert!(complaint.starts_with("lanturn: certs/key.pem: is missing while cert.pem is there: both"), "{complaint}");
}

#[test]
fn mint_prints_what_the_secret_signs() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, complaint) = lanturn(dir.path(), &["mint", "--user", "anna"], &[]);
    let expected = "lanturn: certs/credentials.secret: is missing: run `lanturn serve` once, which makes it\n";
    assert_eq!((code, complaint.as_str()), (Some(1), expected));
    fs::create_dir(dir.path().join("certs")).unwrap();
    fs::write(dir.path().join("certs/credentials.secret"), "0123456789abcdef\n").unwrap();
    let (code, text, _) = lanturn(dir.path(), &["mint", "--user", "anna", "--ttl", "1min", "--json"], &[]);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, value["ttl"].as_u64()), (Some(0), Some(60)));
    assert!(value["username"].as_str().unwrap().ends_with(":anna"));
    let (code, _, complaint) = lanturn(dir.path(), &["mint", "--user", "page:1"], &[]);
    assert!(code == Some(1) && complaint.contains("lanturn: --user: the username begins with"), "{complaint}");
    #[cfg(unix)]
    assert!(complaint.contains("certs/credentials.secret: others than its owner can read it"), "{complaint}");
}

#[test]
fn probe_says_what_it_cannot_begin_with() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (&["http://192.168.1.5:3478"][..], "lanturn: `http://192.168.1.5:3478` is not https"),
        (&["https://box:port"], "lanturn: `https://box:port` is no address of a box: one such as https://192.168"),
        (&["https://anna:pass@box"], "lanturn: the URL has a username or a password in it: give them by --user"),
        (&["box", "--user", "anna", "--password-file", "none"], "lanturn: none: cannot be read: a file whose first"),
        (&["box", "--key-file", "empty"], "lanturn: empty: says nothing: a file whose last line is an API key"),
    ] {
        fs::write(dir.path().join("empty"), "\n").unwrap();
        let (code, out, complaint) = lanturn(dir.path(), &[&["probe"], arguments].concat(), &[]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(complaint.starts_with(expected), "{complaint}");
    }
    let variable = [("LANTURN__LISTEN__ADDRESSES", "127.0.0.1:0")];
    let (code, _, complaint) = lanturn(dir.path(), &["probe"], &variable);
    assert!(code == Some(1) && complaint.contains("say which box, as in https://"), "{complaint}");
}

#[test]
fn probe_ends_with_3_where_nothing_answers_and_prints_a_line_for_each_step() {
    let dir = tempfile::tempdir().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, text, complaint) = lanturn(dir.path(), &["probe", &format!("https://{closed}")], &[]);
    assert_eq!((code, complaint.as_str()), (Some(3), ""));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("probing https://{closed}"));
    let web = format!("failed  web             nothing listens on TCP {}. What to do: see that lanturn", closed.port());
    assert!(lines[1].starts_with(&web), "{text}");
    assert!(lines[2..lines.len() - 1].iter().all(|line| line.starts_with("failed  ") || line.starts_with("-       ")));
    assert!(lines[lines.len() - 1].starts_with("calls do not work from here"), "{text}");
    let (code, text, _) = lanturn(dir.path(), &["probe", &format!("https://{closed}"), "--json"], &[]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &report["works"]), (Some(3), &false.into()));
    assert_eq!((&report["steps"][0]["step"], &report["steps"][0]["state"]), (&"web".into(), &"failed".into()));
}

#[test]
fn arguments_that_make_no_sense_end_with_2() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &["mint"][..],
        &["dance"],
        &["--confg", "x"],
        &["mint", "--user", "a", "--ttl", "0s"],
        &["probe", "box", "--user", "anna"],
        &["probe", "box", "--key-file", "k", "--user", "anna", "--password-file", "p"],
    ] {
        assert_eq!(lanturn(dir.path(), arguments, &[]).0, Some(2), "{arguments:?}");
    }
}
