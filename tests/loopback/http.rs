//! ICE configuration, credentials and pages over HTTP.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};

use super::support::server::{LOOPBACK, Server};
use super::support::skipped;
use super::support::turn_client::{Over, client_as};
use super::support::web::{Ask, Io, Reply, counted, fetch, get, h1, h2, http, https, post, with};

async fn ask(server: &Server, request: Ask) -> Reply {
    h1(https(server, server.address(), &["http/1.1"]).await, request).await
}

fn uris(at: SocketAddr) -> Value {
    json!([format!("turn:{at}?transport=udp"), format!("turn:{at}?transport=tcp"), format!("turns:{at}?transport=tcp")])
}

#[tokio::test]
async fn turn_credentials_relay_over_every_uri() {
    let server = Server::start(LOOPBACK);
    let (key, address) = (server.key(), server.address());
    let reply = fetch(&server, address, &format!("/turn?username=41784574&key={key}")).await.json();
    assert!(reply["username"].as_str().unwrap().ends_with(":41784574"), "{reply}");
    assert_eq!((&reply["ttl"], &reply["uris"]), (&json!(3600), &uris(address)));
    assert_eq!(reply["turn"], json!(address.to_string()));
    let text = |key: &str| reply[key].as_str().unwrap();
    for over in [Over::Udp, Over::Tcp, Over::Tls(&[])] {
        let client = client_as(&server, address, over, text("username"), text("password")).await;
        client.allocate().await.unwrap();
    }
    let reply = fetch(&server, address, &format!("/ice?key={key}&ttl=600")).await.json();
    let turn = &reply["iceServers"][1];
    assert_eq!((&turn["urls"], &reply["ttl"]), (&uris(address), &json!(600)));
    let text = |key: &str| turn[key].as_str().unwrap();
    let client = client_as(&server, address, Over::Udp, text("username"), text("credential")).await;
    client.allocate().await.unwrap();
}

#[tokio::test]
async fn every_form_s_credential_relays() {
    let server = Server::start(LOOPBACK);
    let (key, address) = (server.key(), server.address());
    let at = |path: &str| get(address, path);
    let basic = format!("Basic {}", STANDARD.encode(format!("AC1:{key}")));
    let tokens = with(at("/2010-04-01/Accounts/AC1/Tokens.json"), "authorization", &basic);
    let generate = at("/v1/turn/keys/1/credentials/generate-ice-servers");
    let generate = with(generate, "authorization", &format!("Bearer {key}"));
    // Each with where the username, the password and a URI are.
    for (ask, username, password, uri) in [
        (at(&format!("/?service=turn&username=a&key={key}")), "/username", "/password", "/uris/0"),
        (post(at(&format!("/api/turn?api={key}")), "service=turn"), "/username", "/password", "/uris/0"),
        (
            at(&format!("/v1alpha/iceconfig?key={key}")),
            "/iceServers/1/username",
            "/iceServers/1/credential",
            "/iceServers/1/urls/0",
        ),
        (post(tokens.clone(), "Ttl=600"), "/username", "/password", "/ice_servers/1/urls"),
        (post(tokens, "Ttl=600"), "/ice_servers/1/username", "/ice_servers/1/credential", "/ice_servers/1/url"),
        (
            post(generate, r#"{"ttl":600}"#),
            "/iceServers/1/username",
            "/iceServers/1/credential",
            "/iceServers/1/urls/0",
        ),
        (at(&format!("/api/v1/turn/credentials?apiKey={key}")), "/1/username", "/1/credential", "/1/urls/0"),
    ] {
        let path = ask.uri().path().to_owned();
        let reply = self::ask(&server, ask).await.json();
        let text = |place| reply.pointer(place).and_then(Value::as_str).unwrap_or_else(|| panic!("{path}: {reply}"));
        assert_eq!(text(uri), format!("turn:{address}?transport=udp"), "{path}");
        let client = client_as(&server, address, Over::Udp, text(username), text(password)).await;
        client.allocate().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        let client = client_as(&server, address, Over::Udp, text(username), "guess").await;
        assert!(client.allocate().await.is_err(), "{path}");
    }
}

#[tokio::test]
async fn the_host_is_the_address_that_the_client_came_in_on() {
    let config = "listen.addresses = ['[::]:0']\nrelay.allow_loopback = true\ntls.names = ['127.0.0.2']\n";
    let server = Server::start(config);
    for ip in ["127.0.0.1", "127.0.0.2", "::1"] {
        let address = SocketAddr::new(ip.parse().unwrap(), server.address().port());
        let path = format!("/turn?key={}", server.key());
        for (io, is_h2) in [(http(address).await, false), (https(&server, address, &["h2"]).await, true)] {
            let request = get(address, &path);
            let reply = if is_h2 { h2(io, address, request).await } else { h1(io, request).await }.json();
            assert_eq!((&reply["uris"], &reply["turn"]), (&uris(address), &json!(address.to_string())));
            assert_eq!(reply["iceServers"][0]["urls"], json!([format!("stun:{address}")]));
        }
    }
}

#[tokio::test]
async fn credentials_are_for_keys_and_for_our_own_pages() {
    let server = Server::start(LOOPBACK);
    let (key, address) = (server.key(), server.address());
    assert_eq!(fetch(&server, address, "/turn?username=a").await.error(), (401, "missing-key".into()));
    assert_eq!(fetch(&server, address, "/turn?username=a&key=guess").await.error(), (403, "wrong-key".into()));
    assert_eq!(fetch(&server, address, "/ice?key=guess").await.error(), (403, "wrong-key".into()));
    assert_eq!(fetch(&server, address, "/ice").await.error(), (401, "missing-key".into()));
    let other = with(get(address, "/ice"), "origin", "https://elsewhere.example");
    assert_eq!(ask(&server, other).await.error(), (401, "missing-key".into()));

    let own = ask(&server, with(get(address, "/ice"), "origin", &format!("https://{address}"))).await.json();
    let turn = &own["iceServers"][1];
    let text = |key: &str| turn[key].as_str().unwrap();
    let page = client_as(&server, address, Over::Udp, text("username"), text("credential")).await;
    page.allocate().await.unwrap();

    let elsewhere = with(get(address, &format!("/turn?key={key}")), "origin", "https://elsewhere.example");
    let reply = ask(&server, elsewhere).await;
    assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (200, "*"));
    assert_eq!(reply.header("cache-control"), "no-store");
}

#[tokio::test]
async fn pages_of_other_sites_may_ask_first() {
    let server = Server::start(LOOPBACK);
    for path in ["/turn", "/ice", "/api/v1/turn/credentials"] {
        let mut preflight = with(get(server.address(), path), "origin", "https://elsewhere.example");
        *preflight.method_mut() = Method::OPTIONS;
        let reply = ask(&server, with(preflight, "access-control-request-method", "GET")).await;
        assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (204, "*"));
        assert!(reply.header("access-control-allow-methods").contains("GET"));
    }
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let server = Server::start(&format!("{LOOPBACK}[limits]\ncredential_rate = 3\n"));
    let (address, path) = (server.address(), format!("/turn?key={}", server.key()));
    for _ in 0..3 {
        assert_eq!(fetch(&server, address, &path).await.status, 200);
    }
    let limited = fetch(&server, address, &path).await;
    assert_eq!(limited.error(), (429, "rate-limited".into()));
    assert!((1..=20).contains(&limited.header("retry-after").parse::<u64>().unwrap()));
    assert_eq!(counted(address, "lanturn_http_refused_total{reason=\"rate-limited\"}").await, 1);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let other: Io = Box::new(socket.connect(address).await.unwrap());
    assert_eq!(h1(other, get(address, &path)).await.status, 200, "another source has a rate of its own");
}

#[tokio::test]
async fn the_page_is_there_for_every_room_and_keeps_strangers_out() {
    let server = Server::start(LOOPBACK);
    for path in ["/", "/r/kitchen", "/r/K%C3%BCche%20unten"] {
        let page = fetch(&server, server.address(), path).await;
        assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        for reference in page.text().split("src=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()) {
            assert_eq!(fetch(&server, server.address(), &reference).await.status, 200, "{reference}");
        }
    }
    assert_eq!(
        fetch(&server, server.address(), "/lanturn.js").await.header("content-type"),
        "text/javascript; charset=utf-8"
    );
    assert_eq!(fetch(&server, server.address(), "/nothing").await.error(), (404, "not-found".into()));
    let health = fetch(&server, server.address(), "/health").await;
    assert_eq!((health.status.as_u16(), health.text().as_str()), (200, "ok\n"));
}

#[tokio::test]
async fn a_host_that_is_not_ours_is_refused() {
    let server = Server::start(&format!("{LOOPBACK}[rooms]\nhosts = ['calls.example']\n"));
    let port = server.address().port();
    for path in ["/", "/ice", "/health", "/ws"] {
        let rebound = ask(&server, get(format!("evil.example:{port}"), path)).await;
        assert_eq!(rebound.error(), (421, "bad-host".into()), "{path}");
    }
    for host in ["calls.example", "localhost", "127.0.0.1"] {
        assert_eq!(ask(&server, get(format!("{host}:{port}"), "/")).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn the_authority_that_is_handed_out_signed_the_certificate() {
    let server = Server::start(LOOPBACK);
    let address = server.address();
    let reply = h1(http(address).await, get(address, "/ca.crt")).await;
    assert_eq!(reply.header("content-type"), "application/x-x509-ca-cert");
    let authority = CertificateDer::from(reply.body.to_vec());
    assert_eq!(authority, CertificateDer::from_pem_slice(server.read("certs/ca.pem").as_bytes()).unwrap());

    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority).unwrap();
    let trusting = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(trusting));
    for name in ["127.0.0.1", "::1", "localhost"] {
        let tcp = TcpStream::connect(address).await.unwrap();
        connector.connect(ServerName::try_from(name).unwrap().to_owned(), tcp).await.unwrap();
    }
    let tcp = TcpStream::connect(address).await.unwrap();
    let refused = connector.connect(ServerName::try_from("evil.example").unwrap(), tcp).await;
    assert!(refused.is_err(), "it is no certificate for any other name");
}

#[tokio::test]
async fn unencrypted_visitors_from_elsewhere_are_told_what_to_trust_or_led_to_https() {
    let server = Server::start("listen.addresses = ['[::]:0']\n");
    let port = server.address().port();
    let local = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port);
    let call = h1(http(local).await, get(local, "/")).await;
    assert!(call.text().contains("/page/app.js"), "this machine itself needs no encryption");
    let cards = if_addrs::get_if_addrs().unwrap();
    let Some(card) = cards.iter().find(|card| !card.is_loopback() && !card.is_link_local()) else {
        skipped("the redirect: this machine has no address but loopback");
        return;
    };
    let address = SocketAddr::new(card.ip(), port);
    let reply = h1(http(address).await, get(address, "/lanturn.js?x=1")).await;
    assert_eq!(reply.status, 308);
    assert_eq!(reply.header("location"), format!("https://{address}/lanturn.js?x=1"));
    assert_eq!(h1(http(address).await, get(address, "/health")).await.text(), "ok\n");
    for path in ["/trust", "/", "/r/kitchen?x=1"] {
        assert!(h1(http(address).await, get(address, path)).await.text().contains("/page/trust.js"), "{path}");
    }
    assert_eq!(fetch(&server, address, "/r/kitchen").await.text(), call.text());

    let authority = h1(http(address).await, get(address, "/ca.crt")).await.body;
    let profile = h1(http(address).await, get(address, "/lanturn.mobileconfig")).await;
    assert_eq!(profile.header("content-type"), "application/x-apple-aspen-config");
    assert!(profile.text().contains(&format!("<data>{}</data>", STANDARD.encode(&authority))));
    let facts = h1(http(address).await, get(address, "/trust.json")).await.json();
    assert!(server.log().contains(facts["authority"]["fingerprint"].as_str().unwrap()), "{facts}");
    assert!(facts["authority"]["name"].as_str().unwrap().starts_with("lanturn CA of "), "{facts}");
}
