//! What the tests of the dialects share: rooms, and clients of them without a network between.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role as Side;

use super::socket::websocket_config;
use super::{Capacity, ErrorId, Grants, Hub, HubOptions, Pin, Refusal, Role, RoomName, Session, native};
use crate::credentials::{IceServer, Memberships, Reach, RoomMember};

pub(super) type Client = WebSocketStream<DuplexStream>;

pub(super) struct Setup {
    pub(super) hub: Arc<Hub>,
    pub(super) memberships: Arc<Memberships>,
    pub(super) revoked: Arc<Mutex<Vec<RoomMember>>>,
}

/// Credentials that last a minute, and invites that anybody could write.
struct Granting;

impl Grants for Granting {
    fn ice_servers(&self, _: RoomMember, _: &Reach) -> (Vec<IceServer>, u64) {
        (vec![], 60)
    }

    fn invite(&self, room: &RoomName, pin: Option<&Pin>, role: Role, ttl: Duration) -> (String, u64) {
        (format!("{room}/{}/{}", pin.map_or("", Pin::as_str), role.name()), ttl.as_secs())
    }

    fn invited(&self, invite: &str, room: &RoomName, pin: Option<&Pin>) -> Option<Role> {
        let role = invite.strip_prefix(&format!("{room}/{}/", pin.map_or("", Pin::as_str)))?;
        Role::parse(role)
    }
}

pub(super) fn options() -> HubOptions {
    HubOptions {
        capacity: Capacity::any(3),
        unlisted: 3,
        max_rooms: 2,
        max_rooms_per_prefix: 2,
        connections: 4,
        connections_per_prefix: 4,
        message_bytes: 65_536,
        message_rate: 50,
        hello_deadline: Duration::from_secs(5),
        resume_window: Duration::from_secs(15),
        join_rate: 100,
        waiting_bytes: HubOptions::WAITING_BYTES,
        waiting_bytes_per_prefix: HubOptions::WAITING_BYTES_PER_PREFIX,
        ping_every: HubOptions::PING_EVERY,
        silence: HubOptions::SILENCE,
        grants: Arc::new(Granting),
    }
}

pub(super) fn setup(options: HubOptions) -> Setup {
    let (memberships, revoked) = (Arc::<Memberships>::default(), Arc::<Mutex<Vec<RoomMember>>>::default());
    let log = revoked.clone();
    let hub = Hub::new(options, memberships.clone(), Arc::new(move |member| log.lock().unwrap().push(member)));
    Setup { hub: Arc::new(hub), memberships, revoked }
}

impl Setup {
    /// A connection that nobody drives yet.
    pub(super) fn session(&self) -> Session {
        let address = "192.168.1.9:5000".parse().unwrap();
        let reach = Reach::of(address, address, &Default::default());
        self.hub.connect("192.168.1.9".parse().unwrap(), reach).expect("there is a place")
    }

    /// A client of the dialect that `serve` drives.
    pub(super) async fn connect_to<F>(&self, serve: impl FnOnce(Client, Session) -> F) -> Client
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (near, far) = tokio::io::duplex(4096);
        let config = websocket_config(self.hub.options().message_bytes);
        let ws = WebSocketStream::from_raw_socket(far, Side::Server, Some(config)).await;
        tokio::spawn(serve(ws, self.session()));
        WebSocketStream::from_raw_socket(near, Side::Client, None).await
    }

    /// A native client.
    pub(super) async fn connect(&self) -> Client {
        self.connect_to(native::serve).await
    }

    /// A native client in a room, and its id.
    pub(super) async fn joined(&self, room: &str) -> (Client, String) {
        let mut client = self.connect().await;
        say(&mut client, json!({ "type": "join", "room": room })).await;
        let joined = hear(&mut client).await;
        assert_eq!(joined["type"], "joined");
        let id = joined["self"]["id"].as_str().unwrap().to_owned();
        (client, id)
    }
}

pub(super) async fn say(client: &mut Client, message: Value) {
    client.send(Message::text(message.to_string())).await.unwrap();
}

/// The next message, or `{"closed": code}`.
pub(super) async fn hear(client: &mut Client) -> Value {
    loop {
        match client.next().await {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
            Some(Ok(Message::Close(frame))) => return json!({ "closed": frame.map(|frame| u16::from(frame.code)) }),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return json!({ "closed": null }),
        }
    }
}

pub(super) fn left(n: u64, id: &str, reason: &str) -> Value {
    json!({ "type": "peer-left", "n": n, "id": id, "reason": reason })
}

/// Hears an error and then the close, if it is fatal.
pub(super) async fn expect_error(client: &mut Client, id: &str, code: Option<u16>) {
    let error = hear(client).await;
    assert_eq!((&error["id"], &error["fatal"]), (&json!(id), &json!(code.is_some())), "{error}");
    if code.is_some() {
        assert_eq!(hear(client).await, json!({ "closed": code }));
    }
}

pub(super) fn id_of(joined: &Value) -> String {
    joined["self"]["id"].as_str().unwrap().to_owned()
}

/// A candidate as clients write it (RFC 8839 section 5.1).
pub(super) const LINE: &str = "candidate:1 1 udp 1 203.0.113.4 6000 typ host";

/// Text with all that JSON has to escape.
pub(super) fn any_text() -> impl Strategy<Value = String> {
    "[\\PC\r\n\t\\\\\"\u{1F600}\u{7}]{0,40}"
}

/// JSON of any shape, without a field that a dialect knows.
pub(super) fn any_json() -> impl Strategy<Value = Value> {
    let text = "[\\PC\\\\\"\u{1F600}]{0,12}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no infinities", |n| n.is_finite()).prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("x-[a-z]{0,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// So many arrays in one another.
pub(super) fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

/// Whether it says what is wrong with a message, and where.
pub(super) fn is_clear(refusal: &Refusal) -> bool {
    let clear =
        ["no JSON object", "is missing", "missing field `", "invalid type: ", "invalid value: ", "unknown variant `"];
    refusal.id == ErrorId::BadMessage && clear.iter().any(|clear| refusal.text.contains(clear))
}
