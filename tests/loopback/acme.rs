//! An authority that cannot be reached.

use super::support::server::Server;
use super::support::web::{becomes, get, h1, http};

#[tokio::test]
async fn the_box_serves_while_it_has_no_certificate_of_a_public_authority() {
    let acme = "names = ['calls.example.org']\nterms_agreed = true\ndirectory = 'https://127.0.0.1:1/directory'";
    let listen = "[listen]\naddresses = ['127.0.0.1:0']\nshards = 1";
    let mut server = Server::start(&format!("{listen}\n[tls.acme]\n{acme}\n"));
    let address = server.address();
    becomes(address, "lanturn_acme_orders_total{outcome=\"failed\"}", 1).await;
    server.wait_for("acme: no certificate for calls.example.org by http-01: ");
    server.wait_for("What to do: see that this machine reaches https://127.0.0.1:1/directory, and trusts it.");
    let facts = h1(http(address).await, get("calls.example.org", "/trust.json")).await;
    assert!(facts.json()["authority"]["fingerprint"].is_string(), "nobody else vouches for it yet");
    let asked = h1(http(address).await, get("calls.example.org", "/.well-known/acme-challenge/token")).await;
    assert_eq!(asked.status, 404);
}
