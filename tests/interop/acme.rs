//! A certificate from an authority that others wrote: Pebble, which finds names by a DNS server of its own.

use std::net::{Ipv4Addr, TcpListener, TcpStream as StdStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustls::pki_types::ServerName;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::support::server::Server;
use super::support::web::{counted, get, h1, http, metrics};
use super::support::{PATIENCE, eventually, tls};

const NAME: &str = "calls.example.org";
const OTHER: &str = "rooms.example.org";
const FILLED: &str = "lanturn_acme_orders_total{outcome=\"filled\"}";
const FAILED: &str = "lanturn_acme_orders_total{outcome=\"failed\"}";
/// Seconds for which certificates are valid where they are to be renewed within a test.
const SHORT: u32 = 15;
const LONG: u32 = 90 * 24 * 3600;
/// A key of an account outside of ACME, in base64url.
const EXTERNAL_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// A program that ends with this value.
struct Program(Child);

impl Program {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(name);
        command.args(arguments).env("PEBBLE_VA_NOSLEEP", "1").stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{name} does not run ({error}): make deps-interop")))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An authority for which every name leads to this machine.
struct Pebble {
    programs: Option<[Program; 2]>,
    dir: TempDir,
    port: u16,
    management: u16,
}

impl Pebble {
    /// Asks at `http` and at `tls`, and gives certificates for so many seconds. `external`: to its customers alone.
    fn start(http: u16, tls: u16, seconds: u32, external: bool) -> Self {
        let (dir, port, management) = (tempfile::tempdir().unwrap(), free_port(), free_port());
        let certified = rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()]).unwrap();
        let [certificate, key, config] = ["cert.pem", "key.pem", "pebble.json"].map(|name| dir.path().join(name));
        std::fs::write(&certificate, certified.cert.pem()).unwrap();
        std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        let text = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": certificate,
            "privateKey": key,
            "httpPort": http,
            "tlsPort": tls,
            "externalAccountBindingRequired": external,
            "externalAccountMACKeys": { "customer": EXTERNAL_KEY },
            "certificateValidityPeriod": seconds,
        } });
        std::fs::write(config, text.to_string()).unwrap();
        let mut pebble = Self { programs: None, dir, port, management };
        pebble.run();
        pebble
    }

    /// Runs it, or runs it anew: it then knows nothing of what was before.
    fn run(&mut self) {
        self.programs = None;
        let [dns, management] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
        let off = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""];
        let on = ["-dns01", &dns, "-management", &management];
        let config = self.dir.path().join("pebble.json").display().to_string();
        let names = Program::start("pebble-challtestsrv", &[&off[..], &on].concat());
        let authority = Program::start("pebble", &["-config", &config, "-dnsserver", &dns]);
        for port in [self.port, self.management] {
            eventually("pebble listens", || StdStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        }
        eventually("the DNS server listens", || StdStream::connect(&dns).is_ok());
        self.programs = Some([names, authority]);
    }

    /// What a server is to be told to have its certificates from here.
    fn config(&self, port: u16, names: &[&str], more: &str) -> String {
        let root = self.dir.path().join("cert.pem");
        format!(
            "[listen]\naddresses = ['127.0.0.1:{port}']\nshards = 1\n[tls.acme]\nnames = {names:?}\nterms_agreed = true\n\
             directory = 'https://localhost:{}/dir'\nroot_file = '{}'\n{more}\n",
            self.port,
            root.display()
        )
    }

    /// The root that its certificates chain up to, in PEM.
    async fn root(&self) -> String {
        let own = std::fs::read_to_string(self.dir.path().join("cert.pem")).unwrap();
        let io = handshake(&own, self.management, "localhost", &[]).await.unwrap();
        h1(Box::new(io), get("localhost", "/roots/0")).await.text()
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Connects as someone who trusts the authority of a PEM text alone, and knows the server by a name.
async fn handshake(root: &str, port: u16, name: &str, alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    TlsConnector::from(tls::trusting(root, alpn)).connect(ServerName::try_from(name.to_owned()).unwrap(), tcp).await
}

fn certificate(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// Waits until a counter is at a value.
async fn comes_to(server: &Server, counter: &str, value: u64) {
    let give_up = Instant::now() + PATIENCE;
    while counted(server.address(), counter).await != value {
        assert!(Instant::now() < give_up, "{counter} never came to {value}:\n{}", server.log());
    }
}

/// Whether a Binding request (RFC 8489 section 2) is answered on this connection.
async fn is_answered(stream: &mut TlsStream<TcpStream>) -> bool {
    let mut request = [0; 20];
    request[..8].copy_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42]);
    stream.write_all(&request).await.unwrap();
    let mut head = [0; 20];
    stream.read_exact(&mut head).await.unwrap();
    let mut rest = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
    stream.read_exact(&mut rest).await.unwrap();
    head[..2] == [1, 1]
}

/// Whether the box's own authority vouches for it where the public one does not.
async fn shows_its_own(server: &Server, port: u16) {
    let own = server.read("certs/ca.pem");
    for name in ["127.0.0.1", "localhost"] {
        handshake(&own, port, name, &[]).await.unwrap();
    }
    handshake(&own, port, NAME, &[]).await.unwrap_err();
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_certificate_by_http_serves_its_names_and_outlives_a_restart_on_either_side() {
    let port = free_port();
    let mut pebble = Pebble::start(port, free_port(), LONG, false);
    let server = Server::start(&pebble.config(port, &[NAME], "challenge = 'http-01'"));
    let address = server.address();
    comes_to(&server, FILLED, 1).await;
    let root = pebble.root().await;

    let web = handshake(&root, port, NAME, &["http/1.1"]).await.unwrap();
    assert_eq!(h1(Box::new(web), get(format!("{NAME}:{port}"), "/")).await.status, 200);
    let mut turns = handshake(&root, port, NAME, &[]).await.unwrap();
    assert!(is_answered(&mut turns).await);
    shows_its_own(&server, port).await;
    let facts =
        async |host: &str| h1(http(address).await, get(host, "/trust.json")).await.json()["authority"].is_null();
    assert!(facts(NAME).await && !facts("127.0.0.1").await);
    assert!(metrics(address).await.contains("\nlanturn_acme_certificate_seconds 77"), "almost 90 days");
    assert_eq!(["acme.key", "acme.account"].map(|name| mode(&server.path().join("certs").join(name))), [0o600; 2]);

    server.write("config.toml", &pebble.config(port, &[NAME, OTHER], "challenge = 'http-01'"));
    server.signal("HUP");
    comes_to(&server, FILLED, 2).await;
    let swapped = handshake(&root, port, OTHER, &[]).await.unwrap();
    let again = handshake(&root, port, NAME, &[]).await.unwrap();
    assert_eq!(certificate(&swapped), certificate(&again));
    assert_ne!(certificate(&swapped), certificate(&turns));
    assert!(is_answered(&mut turns).await, "what was connected stays");

    let dir = server.dir();
    drop((server, pebble.programs.take()));
    let server = Server::start_in(dir);
    let kept = handshake(&root, port, NAME, &[]).await.unwrap();
    assert_eq!(certificate(&kept), certificate(&swapped));
    assert_eq!([counted(address, FILLED).await, counted(address, FAILED).await], [0, 0]);

    pebble.run();
    server.write("config.toml", &pebble.config(port, &[NAME, OTHER, "third.example.org"], "challenge = 'http-01'"));
    server.signal("HUP");
    comes_to(&server, FILLED, 1).await;
    handshake(&pebble.root().await, port, "third.example.org", &[]).await.unwrap();
    assert_eq!(counted(address, FAILED).await, 0, "an account that the authority has lost is made anew");
}

#[tokio::test]
async fn a_certificate_by_tls_is_renewed_before_its_end() {
    let port = free_port();
    let pebble = Pebble::start(free_port(), port, SHORT, true);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("external.key"), EXTERNAL_KEY).unwrap();
    let more = "challenge = 'tls-alpn-01'\nexternal_id = 'customer'\nexternal_key_file = 'external.key'";
    std::fs::write(dir.path().join("config.toml"), pebble.config(port, &[NAME, OTHER], more)).unwrap();
    let server = Server::start_in(dir);
    let address = server.address();
    comes_to(&server, FILLED, 1).await;
    let root = pebble.root().await;
    let mut first = handshake(&root, port, OTHER, &[]).await.unwrap();
    assert!(is_answered(&mut first).await);
    handshake(&root, port, NAME, &["acme-tls/1"]).await.unwrap_err();
    shows_its_own(&server, port).await;

    comes_to(&server, FILLED, 2).await;
    let second = handshake(&root, port, OTHER, &["stun.turn"]).await.unwrap();
    assert_ne!(certificate(&second), certificate(&first));
    assert!(is_answered(&mut first).await, "what was connected stays");
    assert_eq!(counted(address, FAILED).await, 0);
}

#[tokio::test]
async fn an_authority_that_does_not_find_the_box_is_asked_again_and_the_box_goes_on() {
    let port = free_port();
    let pebble = Pebble::start(free_port(), free_port(), LONG, false);
    let mut server = Server::start(&pebble.config(port, &[NAME], ""));
    comes_to(&server, FAILED, 1).await;
    server.wait_for("the authority did not find calls.example.org to be this machine's (http-01): ");
    server
        .wait_for("What to do: have calls.example.org resolve to this machine, and port 80 of it lead here. The next");
    shows_its_own(&server, port).await;
    server.signal("HUP");
    comes_to(&server, FAILED, 2).await;
}
