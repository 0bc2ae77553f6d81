//! What matchbox clients are told, message by message. The library itself is among the tests of interoperation.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

use super::support::room::Member;
use super::support::server::{LOOPBACK, Server};
use super::support::web::fetch;

/// Somebody who is in, and its UUID.
async fn assigned(server: &Server, path: &str) -> (Member, Value) {
    let mut client = Member::at(server, path).await;
    let told = client.hear().await;
    let uuid = told["IdAssigned"].clone();
    assert_eq!(uuid.as_str().map(str::len), Some(36), "{told}");
    (client, uuid)
}

fn signal(receiver: &Value, data: Value) -> Value {
    json!({ "Signal": { "receiver": receiver, "data": data } })
}

fn signalled(sender: &Value, data: Value) -> Value {
    json!({ "Signal": { "sender": sender, "data": data } })
}

#[tokio::test]
async fn who_is_there_offers_to_who_comes() {
    let server = Server::start(LOOPBACK);
    let (mut anna, anna_id) = assigned(&server, "/my%20Game").await;
    let (mut ben, ben_id) = assigned(&server, "/matchbox/my%20game").await;
    assert_eq!(anna.hear().await, json!({ "NewPeer": ben_id }));
    anna.say(json!("KeepAlive")).await;
    for (theirs, text) in [("Offer", "v=0\r\n"), ("IceCandidate", "null")] {
        anna.say(signal(&ben_id, json!({ theirs: text }))).await;
        assert_eq!(ben.hear().await, signalled(&anna_id, json!({ theirs: text })), "it was told nothing before");
    }
    ben.say(signal(&anna_id, json!({ "Answer": "v=0" }))).await;
    assert_eq!(anna.hear().await, signalled(&ben_id, json!({ "Answer": "v=0" })));
    drop(ben);
    assert_eq!(anna.hear().await, json!({ "PeerLeft": ben_id }));
}

#[tokio::test]
async fn players_and_members_hear_each_other_in_their_own_words() {
    let server = Server::start(LOOPBACK);
    let (mut anna, joined) = Member::join(&server, server.address(), "game", "Anna").await;
    let (mut ben, ben_id) = assigned(&server, "/game").await;
    let arrived = anna.hear().await;
    let (id, own) = (&arrived["peer"]["id"], &joined["self"]["id"]);
    assert_eq!((&arrived["type"], &arrived["peer"]["initiate"]), (&json!("peer-joined"), &json!(true)));
    assert_eq!(ben_id.as_str().unwrap()[19..].replace('-', ""), id.as_str().unwrap());

    let offer = json!({ "description": { "type": "offer", "sdp": "v=0" } });
    anna.say(json!({ "type": "signal", "to": id, "data": offer })).await;
    let told = ben.hear().await;
    let anna_id = told["Signal"]["sender"].clone();
    assert_eq!(told, signalled(&anna_id, json!({ "Offer": "v=0" })));
    assert_eq!(anna_id.as_str().unwrap()[19..].replace('-', ""), own.as_str().unwrap());

    let candidate = json!({ "candidate": "candidate:1 1 udp 1 192.168.1.7 5000 typ host", "sdpMid": "0" });
    ben.say(signal(&anna_id, json!({ "IceCandidate": candidate.to_string() }))).await;
    let told = anna.hear().await;
    assert_eq!((&told["from"], &told["data"]), (id, &json!({ "candidate": candidate })));
    anna.say(json!({ "type": "leave" })).await;
    assert_eq!(ben.hear().await, json!({ "PeerLeft": anna_id }));
}

#[tokio::test]
async fn a_group_begins_when_it_is_complete() {
    let server = Server::start(LOOPBACK);
    let path = "/game?next=2";
    let (mut anna, _) = assigned(&server, path).await;
    let (ben, ben_id) = assigned(&server, path).await;
    assert_eq!(anna.hear().await, json!({ "NewPeer": ben_id }));
    let (mut cara, _) = assigned(&server, path).await;
    drop(ben);
    assert_eq!(anna.hear().await, json!({ "PeerLeft": ben_id }));
    let (dora, dora_id) = assigned(&server, path).await;
    assert_eq!(cara.hear().await, json!({ "NewPeer": dora_id }), "nobody new comes into Anna's");
    drop((cara, dora));
    let (eve, _) = assigned(&server, path).await;
    drop(eve);
    let (mut fay, _) = assigned(&server, "/matchbox/game?next=2").await;
    let (_gus, gus_id) = assigned(&server, path).await;
    assert_eq!(fay.hear().await, json!({ "NewPeer": gus_id }), "Eve did not stay");
}

#[tokio::test]
async fn who_is_not_let_in_is_closed() {
    let server = Server::start(&format!("{LOOPBACK}[rooms]\ncapacity = 2\n"));
    let _two = (assigned(&server, "/game").await, assigned(&server, "/game").await);
    for (path, code) in [("/game", 1013), ("/game?next=3", 1013), ("/game?next=0", 1013), ("/game?next=x", 1008)] {
        assert_eq!(Member::at(&server, path).await.closed().await, code, "{path}");
    }
    for path in ["/matchbox/%07", "/matchbox/%FF", "/matchbox/"] {
        assert_eq!(Member::at(&server, path).await.closed().await, 1008, "{path}");
    }
    let address = server.address();
    assert_eq!(fetch(&server, address, "/game").await.status.as_u16(), 404, "no WebSocket is asked for");
    assert_eq!(fetch(&server, address, "/matchbox/game").await.status.as_u16(), 426);
}

#[tokio::test]
async fn what_is_no_message_changes_nothing() {
    let server = Server::start(LOOPBACK);
    let (mut anna, anna_id) = assigned(&server, "/game").await;
    let (mut ben, ben_id) = assigned(&server, "/game").await;
    assert_eq!(anna.hear().await, json!({ "NewPeer": ben_id }));
    for text in ["", "{", "7", "\"Shout\"", "{\"Signal\":{\"receiver\":\"me\",\"data\":1}}"] {
        anna.say_text(text).await;
    }
    anna.say(signal(&ben_id, json!({ "IceCandidate": "{" }))).await;
    anna.say(signal(&json!("00000000-0000-0002-0000-000000000001"), json!({ "Offer": "v=0" }))).await;
    anna.say(signal(&ben_id, json!({ "Offer": "v=0" }))).await;
    assert_eq!(ben.hear().await, signalled(&anna_id, json!({ "Offer": "v=0" })));
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_everywhere() {
    let server = Server::start(LOOPBACK);
    for path in [
        "/peerjs/peerjs?key=peerjs&id=eve&token=1",
        "/peerjs?key=k&id=e&token=1",
        "/y-webrtc",
        "/matchbox/game",
        "/game",
    ] {
        let Err(Error::Http(response)) = Member::from(&server, path, Some("https://evil.example")).await else {
            panic!("{path} was let in");
        };
        assert_eq!(response.status().as_u16(), 403, "{path}");
        let own = format!("https://{}", server.address());
        assert!(Member::from(&server, path, Some(&own)).await.is_ok(), "{path}");
    }
}
