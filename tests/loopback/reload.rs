//! SIGHUP, while a call goes on.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde_json::json;

use super::support::dtls::DtlsConn;
use super::support::echo_at;
use super::support::room::Member;
use super::support::server::{LOOPBACK, Server};
use super::support::stun::RawClient;
use super::support::turn_client::Over;
use super::support::web::fetch;
use super::support::{eventually, tls};

const LISTEN: &str = "listen.addresses = ['127.0.0.1:0']\nlisten.shards = 2\nrelay.addresses = ['127.0.0.1']\n";
const PATIENCE: Duration = Duration::from_secs(10);
const NEW_SECRET: &str = "a-secret-that-is-new-today";

async fn leaf(server: &Server) -> CertificateDer<'static> {
    let stream = tls::connect(server, server.address(), &[]).await;
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

async fn calling(server: &Server, over: Over, peer: SocketAddr) -> RawClient {
    let mut client = RawClient::new(server, server.address(), over, "anna").await;
    client.allocate(&[]).await.unwrap();
    client.permit(peer).await.unwrap();
    client.round_trip(peer, b"before").await;
    client
}

#[tokio::test]
async fn secret_keys_and_certificate_change_under_a_running_call() {
    let mut server = Server::start(LOOPBACK);
    let peer = echo_at("127.0.0.1:0").await;
    let mut calls = Vec::new();
    for over in [Over::Udp, Over::Tls(&[]), Over::Dtls] {
        calls.push(calling(&server, over, peer).await);
    }
    let old = server.credential("anna");
    let old_leaf = leaf(&server).await;
    assert!(DtlsConn::connect(server.address()).await.shown() == old_leaf.to_vec());
    let old_key = server.key();

    server.write("certs/credentials.secret", &format!("{NEW_SECRET}\n"));
    server.write("certs/api.keys", "another-key-of-today\n");
    let names = "names = ['calls.local']";
    server.write("config.toml", &format!("{LOOPBACK}[tls]\n{names}\n"));
    server.signal("HUP");
    server.wait_for("reloaded");

    for call in &mut calls {
        call.round_trip(peer, b"after").await;
    }
    let mut late = RawClient::with(&server, server.address(), Over::Udp, &old.0, &old.1).await;
    assert_eq!(late.allocate(&[]).await, Err(401), "the old secret is no longer good");
    let mut fresh = RawClient::new(&server, server.address(), Over::Udp, "anna").await;
    fresh.allocate(&[]).await.unwrap();
    fresh.permit(peer).await.unwrap();
    let new_leaf = leaf(&server).await;
    assert_ne!(new_leaf, old_leaf);
    assert!(DtlsConn::connect(server.address()).await.shown() == new_leaf.to_vec());
    let ask = async |key: &str| fetch(&server, server.address(), &format!("/turn?key={key}")).await.status.as_u16();
    assert_eq!((ask(&old_key).await, ask("another-key-of-today").await), (403, 200));
}

#[tokio::test]
async fn a_secret_is_rotated_without_refusing_anybody() {
    let mut server = Server::start(LOOPBACK);
    let old = server.credential("anna");
    let secret = server.secret();
    server.write("certs/credentials.secret", &format!("{NEW_SECRET}\n{secret}\n"));
    server.signal("HUP");
    server.wait_for("reloaded");
    let new = server.credential("anna");
    assert_ne!(new.1, old.1);
    for (username, password) in [old, new] {
        let mut client = RawClient::with(&server, server.address(), Over::Tcp, &username, &password).await;
        client.allocate(&[]).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_wrong_changes_nothing_and_is_said() {
    let mut server = Server::start(LOOPBACK);
    let peer = echo_at("127.0.0.1:0").await;
    let mut call = calling(&server, Over::Udp, peer).await;
    let (credential, key, old_leaf) = (server.credential("anna"), server.key(), leaf(&server).await);
    for (file, text, complaint) in [
        ("config.toml", "[relay]\nallow_lopback = true\n", "config.toml: relay.allow_lopback: unknown key"),
        ("certs/api.keys", "short\n", "certs/api.keys: line 1: shorter than 16 characters"),
    ] {
        let right = server.read(file);
        server.write("certs/credentials.secret", &format!("{NEW_SECRET}\n"));
        server.write(file, text);
        server.signal("HUP");
        server.wait_for(&format!("nothing was reloaded: {complaint}"));
        server.write(file, &right);
    }
    call.round_trip(peer, b"after").await;
    let mut late = RawClient::with(&server, server.address(), Over::Udp, &credential.0, &credential.1).await;
    late.allocate(&[]).await.unwrap();
    assert_eq!(leaf(&server).await, old_leaf);
    let reply = fetch(&server, server.address(), &format!("/turn?key={key}")).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn the_policy_of_a_reload_holds_for_the_next_permission() {
    let own = if_addrs::get_if_addrs().unwrap();
    let mut server = Server::start("listen.addresses = ['127.0.0.1:0']\n");
    let peer: SocketAddr = "198.18.7.7:7000".parse().unwrap();
    assert!(own.iter().all(|card| card.ip() != peer.ip()));
    let mut client = RawClient::new(&server, server.address(), Over::Udp, "anna").await;
    client.allocate(&[]).await.unwrap();
    let before = client.permit(peer).await;
    server.write("config.toml", "listen.addresses = ['127.0.0.1:0']\nrelay.allow = ['198.18.0.0/15']\n");
    server.signal("HUP");
    server.wait_for("reloaded");
    assert_eq!((before, client.permit(peer).await), (Err(403), Ok(())));
    let port = server.address().port();
    server.write(
        "config.toml",
        "listen.addresses = ['127.0.0.1:1']\nrelay.allow = ['198.18.0.0/15']\nrelay.deny = ['198.18.7.7/32']\n",
    );
    server.signal("HUP");
    server.wait_for("listen has changed: restart lanturn for that to take effect");
    eventually("the rest is in force", || server.log().matches(" reloaded").count() == 2);
    eventually("the server still listens where it did", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert_eq!(client.permit(peer).await, Err(403));
}

#[tokio::test]
async fn who_relays_from_an_outer_address_of_before_is_still_reached_within_the_box() {
    let config = |outer| format!("{LISTEN}relay.external = {{ '127.0.0.1' = '{outer}' }}\n");
    let server = Server::start(&config("203.0.113.7"));
    let mut ends = Vec::new();
    for user in ["anna", "ben"] {
        let mut client = RawClient::new(&server, server.address(), Over::Udp, user).await;
        let relayed = client.allocate(&[]).await.unwrap();
        assert_eq!(relayed.ip().to_string(), "203.0.113.7");
        ends.push((client, relayed));
    }
    let [(mut anna, of_anna), (mut ben, of_ben)] = <[_; 2]>::try_from(ends).ok().unwrap();
    anna.permit(of_ben).await.unwrap();
    ben.permit(of_anna).await.unwrap();
    for reloads in 0..3 {
        if reloads > 0 {
            server.write("config.toml", &config(["203.0.113.8", "203.0.113.9"][reloads - 1]));
            server.signal("HUP");
            eventually("it is reloaded", || server.log().matches(" reloaded").count() == reloads);
        }
        anna.send(of_ben, b"picture").await;
        assert_eq!(ben.receive(PATIENCE).await, Some((of_anna, b"picture".to_vec())), "after {reloads} reloads");
    }
    let mut carl = RawClient::new(&server, server.address(), Over::Udp, "carl").await;
    assert_eq!(carl.allocate(&[]).await.unwrap().ip().to_string(), "203.0.113.9");
    carl.permit(of_ben).await.unwrap();
    ben.permit("203.0.113.9:1".parse().unwrap()).await.unwrap();
    carl.send(of_ben, b"late").await;
    assert_eq!(ben.receive(PATIENCE).await.map(|(_, bytes)| bytes), Some(b"late".to_vec()));
}

#[tokio::test]
async fn who_is_in_a_room_hears_of_an_outer_address_and_restarts() {
    let mut server = Server::start(LOOPBACK);
    let (mut anna, _) = Member::join(&server, server.address(), "kitchen", "Anna").await;
    server.write("config.toml", &format!("{LOOPBACK}external = {{ '127.0.0.1' = '127.0.0.7' }}\n"));
    server.signal("HUP");
    server.wait_for("this machine is known outside as [127.0.0.7]");
    let told = anna.hear().await;
    assert_eq!((&told["type"], &told["restart"]), (&json!("ice-servers"), &json!(true)), "{told}");
    let mut client = RawClient::new(&server, server.address(), Over::Udp, "anna").await;
    assert_eq!(client.allocate(&[]).await.unwrap().ip().to_string(), "127.0.0.7");
}
