//! Behind nginx, set up as the README says.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

use super::support::room::{Member, handshake};
use super::support::server::Server;
use super::support::stun::RawClient;
use super::support::turn_client::Over;
use super::support::web::{Io, Reply, get, h1, with};
use super::support::{eventually, tls};

const README: &str = include_str!("../../README.md");
/// Where two clients are.
const ANNA: [u8; 4] = [127, 0, 0, 9];
const BEN: [u8; 4] = [127, 0, 0, 10];

/// nginx, which ends with this value.
struct Nginx {
    child: Child,
    port: u16,
}

impl Nginx {
    /// With these `servers` in its `http` block, of which clients ask the one at `port`.
    fn start(dir: &Path, port: u16, servers: &str) -> Self {
        let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let places: String = places.iter().map(|kind| format!("{kind}_temp_path {kind};\n")).collect();
        let config = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n{places}{servers}}}\n"
        );
        std::fs::write(dir.join("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir).args(["-c", "nginx.conf", "-g", "error_log stderr;"]).stderr(Stdio::inherit());
        let child = command.spawn().expect("nginx is missing: make deps-interop");
        eventually("nginx listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        Self { child, port }
    }

    /// A connection to it, encrypted, from one of this machine's addresses.
    async fn connect(&self, server: &Server, source: [u8; 4]) -> Io {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(source.into(), 0)).unwrap();
        let tcp = socket.connect(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.port)).await.unwrap();
        let connector = TlsConnector::from(tls::client_config(server, &["http/1.1"]));
        Box::new(connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap())
    }

    /// Asks for a credential, and says what a client may say of where it is.
    async fn credential(&self, server: &Server, source: [u8; 4], claim: &str) -> Reply {
        let ask = get(self.host(), &format!("/turn?key={}", server.key()));
        h1(self.connect(server, source).await, with(ask, "x-forwarded-for", claim)).await
    }

    fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn server(proxies: &str) -> Server {
    let listen = format!("[listen]\naddresses = ['127.0.0.1:0']\nshards = 2\nproxies = [{proxies}]\n");
    Server::start(&format!("{listen}[relay]\nallow_loopback = true\n[limits]\ncredential_rate = 3\n"))
}

/// The README's own lines, for another port.
fn location(upstream: u16) -> String {
    let (_, rest) = README.split_once("```nginx\n").unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    assert!(block.contains("http://127.0.0.1:3478;"), "{block}");
    block.replace("127.0.0.1:3478", &format!("127.0.0.1:{upstream}"))
}

/// A server with TLS, whose certificate clients trust already.
fn encrypted(port: u16, inside: &str) -> String {
    let files = "ssl_certificate certs/leaf.pem;\nssl_certificate_key certs/leaf.key;\n";
    format!("server {{\nlisten 127.0.0.1:{port} ssl;\n{files}{inside}}}\n")
}

#[tokio::test]
async fn a_page_behind_nginx_enters_a_room_and_relays() {
    let server = server("'127.0.0.1'");
    let (outer, port) = (free_port(), server.address().port());
    let nginx = Nginx::start(server.path(), outer, &encrypted(outer, &location(port)));
    let page = h1(nginx.connect(&server, ANNA).await, get(nginx.host(), "/")).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));

    let origin = format!("https://{}", nginx.host());
    let open = async |origin: &str| {
        Member::asking(nginx.connect(&server, ANNA).await, handshake(nginx.host(), "/ws", Some(origin))).await
    };
    assert!(open("https://evil.example").await.is_err());
    let mut anna = open(&origin).await.unwrap();
    anna.say(json!({ "type": "join", "room": "kitchen" })).await;
    let joined = anna.hear().await;
    let urls = &joined["iceServers"][1]["urls"];
    assert_eq!(urls[0], format!("turn:localhost:{port}?transport=udp"), "{joined}");
    let mut client = RawClient::of_member(&server, server.address(), Over::Udp, &joined).await;
    client.allocate(&[]).await.unwrap();
    let at = |ip: [u8; 4]| SocketAddr::new(ip.into(), 5000);
    assert_eq!(client.permit(at(ANNA)).await, Ok(()), "she was seen there");
    assert_eq!(client.permit(at(BEN)).await, Err(403));
}

#[tokio::test]
async fn two_nginx_in_a_row_say_who_asks_whatever_a_client_says() {
    let server = server("'127.0.0.2', '127.0.0.3'");
    let (outer, inner) = (free_port(), free_port());
    let passed_on = location(server.address().port()).replace("$scheme", "$http_x_forwarded_proto");
    let inside = format!("server {{\nlisten 127.0.0.1:{inner};\nproxy_bind 127.0.0.2;\n{passed_on}}}\n");
    let outside = encrypted(outer, &format!("proxy_bind 127.0.0.3;\n{}", location(inner)));
    let nginx = Nginx::start(server.path(), outer, &format!("{outside}{inside}"));
    let mut statuses = Vec::new();
    for claim in ["203.0.113.1", "203.0.113.2, 127.0.0.2", "junk", "127.0.0.1"] {
        statuses.push(nginx.credential(&server, ANNA, claim).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    assert_eq!(nginx.credential(&server, BEN, "127.0.0.9").await.status, 200);
}
