//! The README says what is so: its commands run, its paths answer, its keys are those of config.toml.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod clients;
mod standards;
#[path = "../support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use support::server::{LOOPBACK, Server};
use support::tls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const README: &str = include_str!("../../README.md");
const CONFIG: &str = include_str!("../../config.toml");
const MAKEFILE: &str = include_str!("../../Makefile");

/// The lines of every fenced block of shell commands.
fn commands() -> Vec<&'static str> {
    let blocks = README.split("```sh\n").skip(1);
    blocks.flat_map(|block| block.split("```").next().unwrap().lines()).collect()
}

/// What the server answers to a GET: the status line and what follows.
async fn get(server: &Server, path: &str) -> String {
    ask(server, "GET", path, "").await
}

/// What it answers to a request with more headers, each with its end of line.
async fn ask(server: &Server, method: &str, path: &str, headers: &str) -> String {
    let mut stream = tls::connect(server, server.address(), &["http/1.1"]).await;
    let host = server.address();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn print_keys(prefix: &str, table: &toml::Table, out: &mut String) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value.as_table().filter(|inner| !inner.is_empty()) {
            Some(inner) => print_keys(&name, inner, out),
            None => writeln!(out, "| `{name}` | `{value}` |").unwrap(),
        }
    }
}

#[test]
fn every_key_is_there_at_its_default() {
    let mut expected = String::new();
    print_keys("", &CONFIG.parse().unwrap(), &mut expected);
    let mut expected: Vec<&str> = expected.lines().collect();
    let (_, section) = README.split_once("| key | default |\n|---|---|\n").unwrap();
    let mut written: Vec<&str> = section.lines().take_while(|line| line.starts_with('|')).collect();
    expected.sort_unstable();
    written.sort_unstable();
    assert_eq!(written, expected);
}

#[test]
fn the_first_two_commands_are_run_and_test() {
    assert_eq!(commands()[..2], ["make run", "make test"]);
}

#[tokio::test]
async fn every_command_works() {
    let server = Server::start(LOOPBACK);
    for command in commands() {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[..] {
            ["make", target] => assert!(MAKEFILE.contains(&format!("\n{target}:")), "{command}"),
            ["cargo", "run", "--release", "--", ref arguments @ ..] => {
                // The README's box is the one that runs here.
                let here = arguments.iter().map(|word| word.replace("192.168.1.5:3478", &server.address().to_string()));
                run(server.path(), &here.collect::<Vec<_>>());
            }
            ["curl", "--cacert", "certs/ca.pem", url] => {
                let path = url.trim_matches('"').strip_prefix("https://127.0.0.1:3478").unwrap();
                let answer = get(&server, &path.replace("$KEY", &server.key())).await;
                assert!(answer.starts_with("HTTP/1.1 200"), "{command}: {answer}");
                for field in ["username", "password", "ttl", "uris", "turn", "iceServers"] {
                    assert!(answer.contains(&format!("\"{field}\":")), "{field}: {answer}");
                }
            }
            _ => assert_eq!(command, "KEY=$(tail -n 1 certs/api.keys)"),
        }
    }
}

fn run(dir: &Path, arguments: &[String]) {
    let output = Command::new(env!("CARGO_BIN_EXE_lanturn")).current_dir(dir).args(arguments).output().unwrap();
    assert!(output.status.success() && !output.stdout.is_empty(), "{arguments:?}: {output:?}");
}

#[tokio::test]
async fn every_path_answers() {
    let server = Server::start(LOOPBACK);
    let (_, section) = README.split_once("| path | what |\n|---|---|\n").unwrap();
    let rows = section.lines().take_while(|line| line.starts_with('|'));
    let mut asked = 0;
    for row in rows {
        let (paths, what) = row.trim_matches('|').split_once('|').unwrap();
        // A name, such as that of multicast DNS, is no path.
        for path in paths.split('`').skip(1).step_by(2).filter(|path| path.contains('/')) {
            let (method, path) = path.split_once(' ').unwrap_or(("GET", path));
            // Only a row that says how the key is shown has it shown so.
            let headers = match (what.contains("Basic"), what.contains("Bearer")) {
                (true, false) => format!("Authorization: Basic {}\r\n", STANDARD.encode(format!(":{}", server.key()))),
                (false, true) => format!("Authorization: Bearer {}\r\n", server.key()),
                (false, false) => String::new(),
                (true, true) => panic!("one of them: {row}"),
            };
            let expected = match (method, path) {
                (
                    "GET",
                    "/ws" | "/signaling" | "/collider" | "/peerjs/peerjs" | "/peerjs" | "/y-webrtc" | "/matchbox/ROOM",
                ) => 426,
                ("GET", "/socket.io/") => 400,
                // Whoever asks here is not the page.
                ("POST", "/qr") => 403,
                ("GET", _) | ("POST", "/join/ROOM") => 200,
                _ => 201,
            };
            let answer = ask(&server, method, &path.replace('…', &server.key()), &headers).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{path}: {answer}");
            asked += 1;
        }
    }
    assert!(asked > 12, "{asked}");
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let targets = README.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    for target in targets.filter(|target| !target.starts_with("https://")) {
        let file = target.split('#').next().unwrap();
        assert!(root.join(file).exists(), "{target}");
    }
}
