//! Ayame's dialect at the port: who may connect, and what the credential is good for.

use serde_json::{Value, json};

use super::support::room::Member;
use super::support::server::{LOOPBACK, Server};
use super::support::stun::RawClient;
use super::support::turn_client::Over;
use super::support::web::counted;

async fn registered(server: &Server, room: &str) -> (Member, Value) {
    let mut client = Member::at(server, "/signaling").await;
    client.say(json!({ "type": "register", "roomId": room, "clientId": "c", "signalingKey": "any" })).await;
    let accept = client.hear().await;
    assert_eq!(accept["type"], "accept", "{accept}");
    (client, accept)
}

#[tokio::test]
async fn a_client_of_ayame_and_a_native_one_meet_at_the_relay() {
    let server = Server::start("listen.addresses = ['127.0.0.1:0']\nlisten.shards = 2\n");
    let (mut ben, accept) = registered(&server, "kitchen").await;
    let (mut anna, joined) = Member::join(&server, server.address(), "Kitchen", "Anna").await;
    assert_eq!(joined["peers"][0]["id"], accept["connectionId"]);
    let mut at_ben = RawClient::of_member(&server, server.address(), Over::Udp, &accept).await;
    let mut at_anna = RawClient::of_member(&server, server.address(), Over::Udp, &joined).await;
    let (from, to) = (at_anna.allocate(&[]).await.unwrap(), at_ben.allocate(&[]).await.unwrap());
    at_anna.permit(to).await.unwrap();
    at_ben.permit(from).await.unwrap();
    at_anna.send(to, b"hello").await;
    assert_eq!(at_ben.receive(super::support::PATIENCE).await, Some((from, b"hello".to_vec())));
    anna.say(json!({ "type": "leave" })).await;
    assert_eq!(ben.hear().await, json!({ "type": "bye" }));
    assert_eq!(ben.closed().await, 1000);
    assert_eq!(at_ben.refresh(600).await, Err(401), "the credential ends with the call");
}

#[tokio::test]
async fn a_third_is_told_that_the_room_is_full_and_counted() {
    let server = Server::start(LOOPBACK);
    let (_anna, _) = registered(&server, "kitchen").await;
    let (_ben, second) = registered(&server, "kitchen").await;
    assert_eq!(second["isExistClient"], json!(true));
    let mut late = Member::at(&server, "/signaling").await;
    late.say(json!({ "type": "register", "roomId": "kitchen", "clientId": "c" })).await;
    assert_eq!(late.hear().await, json!({ "type": "reject", "reason": "full" }));
    assert_eq!(late.closed().await, 1013);
    assert_eq!(counted(server.address(), r#"lanturn_signaling_refused_total{reason="full"}"#).await, 1);
}
