//! `lanturn probe` against a real box, whole and broken.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};

use super::support::probe::Probe;
use super::support::server::{LOOPBACK, Server};
use super::support::web::{Reply, becomes, counted, get, h1, https, metrics, post};

fn url(address: SocketAddr) -> String {
    format!("https://{address}")
}

/// What `serve` has printed for people to compare.
fn fingerprint(server: &Server) -> String {
    let log = server.log();
    log.split_once("fingerprint of the authority:\n  ").unwrap().1.lines().next().unwrap().to_owned()
}

/// The arguments to probe as a user with this password.
fn as_user<'a>(server: &Server, url: &'a str, user: &'a str, password: &str) -> [&'a str; 5] {
    server.write("password", &format!("{password}\n"));
    [url, "--user", user, "--password-file", "password"]
}

#[test]
fn a_whole_box_is_found_whole_without_any_credential() {
    let server = Server::start(LOOPBACK);
    let probe = Probe::run(std::env::temp_dir().as_path(), &[&url(server.address())]);
    assert_eq!((probe.code, &probe.report["works"]), (Some(0), &true.into()), "{probe:?}");
    probe.works_over(&["udp", "tcp", "tls"]);
    assert_eq!(probe.step("websocket"), ("ok", "a room can be joined"));
    assert_eq!(probe.step("clock"), ("ok", "the clocks agree"));
    let (state, text) = probe.step("certificate");
    assert!(state == "ok" && text.ends_with(&fingerprint(&server)), "{text}");
    assert!(probe.step("credential").1.starts_with("that of a throw-away room"));
    let (_, seen) = probe.step("udp binding");
    assert!(seen.contains(" sees this machine at 127.0.0.1:"), "{seen}");
    assert_eq!(probe.step("nat"), ("ok", "none between this machine and the box"));
    assert_eq!(probe.report["summary"], "calls work from here: the relay works over UDP, TCP, TLS");
}

#[tokio::test]
async fn it_leaves_nothing_behind() {
    let server = Server::start(LOOPBACK);
    let address = server.address();
    let probe = Probe::run(server.path(), &[&url(address)]);
    assert_eq!(probe.code, Some(0), "{probe:?}");
    for line in ["lanturn_relay_allocations{shard=\"0\"}", "lanturn_relay_allocations{shard=\"1\"}"] {
        becomes(address, line, 0).await;
    }
    becomes(address, "lanturn_signaling_connections", 0).await;
}

#[test]
fn the_box_says_what_is_wrong_with_a_credential() {
    let server = Server::start(LOOPBACK);
    let (minted, password) = server.credential("anna");
    let url = url(server.address());
    for (user, password, expected) in [
        (minted.as_str(), "guess", "the box knows no such user with that password"),
        ("1000:anna", "whatever", "the credential has expired"),
        ("nobody", "whatever", "the box knows no such user with that password"),
    ] {
        let probe = Probe::run(server.path(), &as_user(&server, &url, user, password));
        assert_eq!((probe.code, probe.state("udp binding")), (Some(3), "ok"), "{probe:?}");
        for transport in ["udp", "tcp", "tls"] {
            assert_eq!(probe.step(&format!("{transport} allocation")), ("failed", expected), "{user}");
            assert_eq!(probe.state(&format!("{transport} relay")), "-");
        }
        assert!(probe.report["summary"].as_str().unwrap().starts_with("calls do not work from here"));
    }
    let probe = Probe::run(server.path(), &as_user(&server, &url, &minted, &password));
    assert_eq!(probe.code, Some(0), "{probe:?}");
    assert!(!probe.said.contains(&password), "it tells a password");
}

#[test]
fn an_api_key_is_shown_to_none_but_the_box() {
    let server = Server::start(LOOPBACK);
    let (url, fingerprint) = (url(server.address()), fingerprint(&server));
    let unproven = Probe::run(server.path(), &[&url, "--key-file", "certs/api.keys"]);
    assert_eq!((unproven.code, unproven.state("credential")), (Some(3), "failed"), "{unproven:?}");
    assert!(unproven.step("credential").1.contains("was shown to nobody"), "{unproven:?}");
    let key = ["--key-file", "certs/api.keys", "--fingerprint"];
    let proven = Probe::run(server.path(), &[&[url.as_str()], &key[..], &[&fingerprint]].concat());
    assert_eq!((proven.code, proven.state("credential")), (Some(0), "ok"), "{proven:?}");
    proven.works_over(&["udp", "tcp", "tls"]);
    let other = fingerprint.replace('A', "B").replace('0', "1");
    let other = Probe::run(server.path(), &[&[url.as_str()], &key[..], &[&other]].concat());
    assert_eq!((other.code, other.state("certificate"), other.state("credential")), (Some(3), "failed", "failed"));
    server.write("wrong.keys", "0123456789abcdef\n");
    let wrong = Probe::run(server.path(), &[&url, "--key-file", "wrong.keys", "--fingerprint", &fingerprint]);
    assert_eq!(wrong.step("credential"), ("failed", "the API key is none of the box's"));
    for probe in [unproven, proven, other, wrong] {
        assert!(!probe.said.contains(&server.key()) && !probe.said.contains("0123456789abcdef"), "it tells a key");
    }
}

/// Passes TCP on to the box, from an address that UDP does not answer at. What comes there over UDP goes to `udp`.
fn passing_only_tcp(to: SocketAddr, udp: impl Fn(&[u8]) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let silent = UdpSocket::bind(address).unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 2000];
        while let Ok((length, _)) = silent.recv_from(&mut packet) {
            udp(&packet[..length]);
        }
    });
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(to) else { return };
            pass(near.try_clone().unwrap(), far.try_clone().unwrap());
            pass(far, near);
        }
    });
    address
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            if to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

#[test]
fn where_udp_never_arrives_both_ends_together_say_so() {
    let server = Server::start(LOOPBACK);
    let (user, password) = server.credential("anna");
    let at = passing_only_tcp(server.address(), |_| {});
    let url = url(at);
    let probe = Probe::run(server.path(), &as_user(&server, &url, &user, &password));
    assert_eq!(probe.code, Some(0), "TCP is enough: {probe:?}");
    let expected = format!("UDP never arrived, TCP did: a firewall blocks UDP {}", at.port());
    assert_eq!(probe.step("udp binding"), ("failed", expected.as_str()));
    assert_eq!((probe.state("udp allocation"), probe.state("nat")), ("-", "-"));
    probe.works_over(&["tcp", "tls"]);
    let summary = "calls work from here: the relay works over TCP, TLS, not over UDP";
    assert_eq!(probe.report["summary"], summary);
}

#[test]
fn where_the_answers_are_lost_the_box_says_that_it_was_asked() {
    let server = Server::start(LOOPBACK);
    let (user, password) = server.credential("anna");
    let onward = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (from, to) = (onward.local_addr().unwrap(), server.address());
    let at = passing_only_tcp(to, move |packet| assert!(onward.send_to(packet, to).is_ok()));
    let url = url(at);
    let probe = Probe::run(server.path(), &as_user(&server, &url, &user, &password));
    let expected = format!("the request arrived over UDP, from {from}, but the answer never came back");
    assert_eq!(probe.step("udp binding"), ("failed", expected.as_str()), "{probe:?}");
}

#[test]
fn where_nothing_listens_or_no_room_can_be_joined_it_says_so() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let probe = Probe::run(dir.path(), &[&url(closed)]);
    assert_eq!((probe.code, probe.state("web")), (Some(3), "failed"));
    assert_eq!(probe.step("web").1, format!("nothing listens on TCP {}", closed.port()));
    let server = Server::start(&format!("{LOOPBACK}[rooms]\nroles = {{ presenter = 1, member = 0, viewer = 1 }}\n"));
    let probe = Probe::run(dir.path(), &[&url(server.address())]);
    assert_eq!((probe.code, probe.state("websocket")), (Some(3), "failed"), "{probe:?}");
    assert_eq!((probe.state("udp binding"), probe.state("udp relay")), ("ok", "-"));
}

async fn ask(server: &Server, ask: super::support::web::Ask) -> Reply {
    h1(https(server, server.address(), &["http/1.1"]).await, ask).await
}

#[tokio::test]
async fn a_stranger_begins_no_more_probes_than_there_is_room_for() {
    let server = Server::start(LOOPBACK);
    let address = server.address();
    let begin = || post(get(address, "/probe"), "");
    let first = ask(&server, begin()).await;
    assert_eq!(first.status, 201);
    let id = first.json()["id"].as_str().unwrap().to_owned();
    assert!(first.json().get("iceServers").is_none(), "a stranger gets no credential: {first:?}");
    let seen = ask(&server, get(address, &format!("/probe/{id}"))).await;
    assert_eq!((seen.status.as_u16(), seen.json()), (200, serde_json::json!({ "sightings": [] })));
    let other = super::port::connect_from([127, 0, 0, 9], address).await;
    let of_another = h1(Box::new(other), get(address, &format!("/probe/{id}"))).await;
    assert_eq!(of_another.error(), (404, "no-such-probe".into()));
    for _ in 1..16 {
        assert_eq!(ask(&server, begin()).await.status, 201);
    }
    assert_eq!(ask(&server, begin()).await.error(), (503, "busy".into()));
    assert_eq!(counted(address, "lanturn_probes").await, 16);
    assert_eq!(counted(address, "lanturn_probes_refused_total{reason=\"prefix\"}").await, 1);
    assert!(metrics(address).await.contains("event=\"sightings_dropped\""));
    assert_eq!(ask(&server, get(address, "/probe")).await.error(), (405, "bad-method".into()));
}

#[tokio::test]
async fn probes_are_rated_like_credentials_and_not_for_other_sites() {
    use super::support::web::with;
    let server = Server::start(&format!("{LOOPBACK}[limits]\ncredential_rate = 2\n"));
    let address = server.address();
    let begin = |origin: String| with(post(get(address, "/probe"), ""), "origin", &origin);
    assert_eq!(ask(&server, begin("https://evil.example".into())).await.error(), (403, "bad-origin".into()));
    let own = ask(&server, begin(url(address))).await;
    let (id, servers) = (&own.json()["id"], own.json()["iceServers"].clone());
    let username = servers[1]["username"].as_str().unwrap();
    assert!(username.ends_with(&format!(":page:{}", id.as_str().unwrap())), "our own page gets a page's: {username}");
    assert_eq!(ask(&server, begin(url(address))).await.status, 201);
    assert_eq!(ask(&server, begin(url(address))).await.error(), (429, "rate-limited".into()));
}

#[tokio::test]
async fn a_page_that_tests_its_way_is_told_of_every_port_that_answers() {
    use super::support::web::with;
    // Below those that systems give out, so that no other test has it.
    let free = 20_479;
    let server = Server::start(&format!("listen.addresses = ['127.0.0.1:0', '127.0.0.1:{free}']\n"));
    let address = server.address();
    let own = ask(&server, with(post(get(address, "/probe"), ""), "origin", &url(address))).await.json();
    let urls = |entry: usize| own["iceServers"][entry]["urls"][0].as_str().unwrap().to_owned();
    assert_eq!(urls(0), format!("stun:{address}"));
    assert_eq!(urls(2), format!("stun:127.0.0.1:{free}"));
    let asker = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    asker.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    asker.send_to(&lanturn::stun::binding_request(lanturn::stun::TransactionId([7; 12])), ("127.0.0.1", free)).unwrap();
    let mut answer = [0; 100];
    asker.recv(&mut answer).unwrap();
    assert_eq!(answer[..2], [1, 1], "a Binding is answered there");
}
