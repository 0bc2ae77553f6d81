use std::time::Duration;

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::signaling::HubOptions;
use crate::signaling::testing::{Client, LINE, Setup, hear, options, say, setup};

struct Lab {
    setup: Setup,
    callers: Arc<Callers>,
}

fn lab(options: HubOptions) -> Lab {
    let setup = setup(options);
    let callers = Callers::new(Arc::clone(&setup.hub));
    Lab { setup, callers }
}

impl Lab {
    fn join(&self, room: &str) -> Result<Welcome, ErrorId> {
        self.callers.join(self.setup.session(), &RoomName::parse(room).unwrap())
    }

    async fn collider(&self) -> Client {
        let callers = Arc::clone(&self.callers);
        self.setup.connect_to(|ws, session| serve(ws, session, callers)).await
    }

    async fn register(&self, welcome: &Welcome) -> Client {
        let mut ws = self.collider().await;
        let (room, client) = (welcome.room.to_string(), &welcome.client);
        say(&mut ws, json!({ "cmd": "register", "roomid": room, "clientid": client })).await;
        ws
    }

    /// POSTs a message, which must be right.
    fn post(&self, welcome: &Welcome, message: &Value) {
        self.try_post(welcome, message).unwrap().unwrap();
    }

    fn try_post(&self, welcome: &Welcome, message: &Value) -> Result<Result<(), Refusal>, NotHere> {
        self.callers.message(&welcome.room.to_string(), &welcome.client, &message.to_string())
    }

    /// Waits until so many connections and members without one are left.
    async fn left(&self, count: u32) {
        let mut connections = self.setup.hub.sessions.subscribe();
        connections.wait_for(|connections| *connections == count).await.unwrap();
    }
}

fn offer(sdp: &str) -> Value {
    json!({ "type": "offer", "sdp": sdp })
}

fn answer() -> Value {
    json!({ "type": "answer", "sdp": "v=0\r\n" })
}

fn candidate(label: u16) -> Value {
    json!({ "type": "candidate", "label": label, "id": label.to_string(), "candidate": LINE })
}

fn bye() -> Value {
    json!({ "type": "bye" })
}

async fn send(ws: &mut Client, message: &Value) {
    say(ws, json!({ "cmd": "send", "msg": message.to_string() })).await;
}

/// What the other one says next.
async fn hear_msg(ws: &mut Client) -> Value {
    let said = hear(ws).await;
    assert_eq!(said["error"], "", "{said}");
    serde_json::from_str(said["msg"].as_str().unwrap()).unwrap()
}

fn parsed(messages: &[String]) -> Vec<Value> {
    messages.iter().map(|message| serde_json::from_str(message).unwrap()).collect()
}

async fn hear_event(client: &mut Client, kind: &str) -> Value {
    loop {
        let event = hear(client).await;
        if event["type"] == kind {
            return event;
        }
        assert_eq!(event["type"], "room", "{event}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_offers_to_nobody_and_the_second_finds_it() {
    let lab = lab(options());
    let anna = lab.join("Kitchen").unwrap();
    assert!(anna.is_initiator && anna.messages.is_empty());
    // POSTs overtake each other.
    for message in [candidate(0), offer("old"), offer("v"), candidate(1)] {
        lab.post(&anna, &message);
    }
    let ben = lab.join(" kitchen").unwrap();
    assert!(!ben.is_initiator);
    assert_ne!(anna.client, ben.client);
    assert_eq!(parsed(&ben.messages), [offer("v"), candidate(0), candidate(1)]);
    lab.post(&anna, &candidate(2));
    let (mut at_ben, mut at_anna) = (lab.register(&ben).await, lab.register(&anna).await);
    assert_eq!(hear_msg(&mut at_ben).await, candidate(2));
    let own = json!({ "type": "remove-candidates", "candidates": [] });
    for message in [answer(), candidate(0), own] {
        send(&mut at_ben, &message).await;
        assert_eq!(hear_msg(&mut at_anna).await, message);
    }
    drop(at_ben);
    assert_eq!(hear_msg(&mut at_anna).await, bye());
    // It is the initiator now, and what it says is for whoever comes next, whether they are told at once or later.
    lab.post(&anna, &offer("again"));
    let cara = lab.join("kitchen").unwrap();
    assert_eq!(parsed(&cara.messages), [offer("again")]);
    assert_eq!(lab.callers.leave("kitchen", &cara.client), Ok(()));
    assert_eq!(hear_msg(&mut at_anna).await, bye());
    assert_eq!(lab.try_post(&cara, &candidate(0)), Err(NotHere::Client));
    lab.left(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_native_client_is_offered_to_when_it_comes_second() {
    let lab = lab(options());
    let ben = lab.join("kitchen").unwrap();
    lab.post(&ben, &offer("v"));
    let mut anna = lab.setup.connect().await;
    say(&mut anna, json!({ "type": "join", "room": "kitchen" })).await;
    let joined = hear(&mut anna).await;
    let peer = &joined["peers"][0];
    assert_eq!((&peer["initiate"], &peer["polite"]), (&json!(false), &json!(true)));
    let mut at_ben = lab.register(&ben).await;
    assert_eq!(hear_event(&mut anna, "signal").await["data"], json!({ "description": offer("v") }));
    lab.post(&ben, &candidate(0));
    let native = json!({ "candidate": LINE, "sdpMid": "0", "sdpMLineIndex": 0 });
    assert_eq!(hear_event(&mut anna, "signal").await["data"], json!({ "candidate": native }));
    for data in [
        json!({ "candidate": null }),
        json!({ "apprtc": { "type": "bye" } }),
        json!({ "description": { "type": "rollback", "sdp": "" } }),
        json!({ "description": answer() }),
        json!({ "candidate": native }),
    ] {
        say(&mut anna, json!({ "type": "signal", "to": peer["id"], "data": data })).await;
    }
    assert_eq!(hear_msg(&mut at_ben).await, answer());
    assert_eq!(hear_msg(&mut at_ben).await, candidate(0));
    say(&mut anna, json!({ "type": "leave" })).await;
    assert_eq!(hear_msg(&mut at_ben).await, bye());
    send(&mut at_ben, &bye()).await;
    while !lab.callers.here().callers.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(lab.try_post(&ben, &offer("late")), Err(NotHere::Client));
}

#[tokio::test(start_paused = true)]
async fn a_native_client_offers_when_it_was_there_first() {
    let lab = lab(options());
    let (mut anna, anna_id) = lab.setup.joined("kitchen").await;
    let ben = lab.join("kitchen").unwrap();
    assert!(!ben.is_initiator && ben.messages.is_empty());
    let peer = hear_event(&mut anna, "peer-joined").await["peer"].clone();
    assert_eq!((&peer["initiate"], &peer["polite"]), (&json!(true), &json!(true)));
    say(&mut anna, json!({ "type": "signal", "to": peer["id"], "data": { "description": offer("v") } })).await;
    let mut at_ben = lab.register(&ben).await;
    assert_eq!(hear_msg(&mut at_ben).await, offer("v"), "it waited for the WebSocket");
    send(&mut at_ben, &candidate(0)).await;
    send(&mut at_ben, &answer()).await;
    assert_eq!(hear_event(&mut anna, "signal").await["data"], json!({ "description": answer() }));
    assert_eq!(hear_event(&mut anna, "signal").await["data"]["candidate"]["candidate"], json!(LINE));
    assert_eq!(lab.callers.leave("KITCHEN", &ben.client), Ok(()));
    assert_eq!(hear_event(&mut anna, "peer-left").await["reason"], "left");
    assert_ne!(peer["id"], json!(anna_id));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_starts_anew_is_another_one() {
    let lab = lab(options());
    let ben = lab.join("kitchen").unwrap();
    let mut at_ben = lab.register(&ben).await;
    let mut anna = lab.setup.connect().await;
    say(&mut anna, json!({ "type": "join", "room": "kitchen", "resume": true })).await;
    let token = hear(&mut anna).await["resume"]["token"].clone();
    lab.post(&ben, &offer("v"));
    assert_eq!(hear_event(&mut anna, "signal").await["data"], json!({ "description": offer("v") }));
    let mut again = lab.setup.connect().await;
    say(&mut again, json!({ "type": "resume", "token": token, "fresh": true })).await;
    assert_eq!(hear(&mut again).await["type"], "joined");
    assert_eq!(hear_msg(&mut at_ben).await, bye());
    for message in [candidate(0), offer("w")] {
        lab.post(&ben, &message);
    }
    assert_eq!(hear_event(&mut again, "signal").await["data"], json!({ "description": offer("w") }));
    assert_eq!(hear_event(&mut again, "signal").await["data"]["candidate"]["sdpMid"], "0");
}

#[tokio::test(start_paused = true)]
async fn an_ayame_client_and_an_apprtc_client_agree_who_offers() {
    let lab = lab(options());
    let register = json!({ "type": "register", "roomId": "kitchen", "clientId": "c" });
    let mut ayame = lab.setup.connect_to(crate::signaling::ayame::serve).await;
    say(&mut ayame, register.clone()).await;
    assert_eq!(hear(&mut ayame).await["isExistClient"], json!(false));
    let ben = lab.join("kitchen").unwrap();
    assert!(ben.is_initiator);
    for message in [candidate(0), offer("v")] {
        lab.post(&ben, &message);
    }
    assert_eq!(hear(&mut ayame).await, offer("v"));
    assert_eq!(hear(&mut ayame).await["ice"]["sdpMLineIndex"], 0);
    drop(ayame);
    let mut at_ben = lab.register(&ben).await;
    assert_eq!(hear_msg(&mut at_ben).await, bye());
    lab.post(&ben, &offer("w"));
    let mut ayame = lab.setup.connect_to(crate::signaling::ayame::serve).await;
    say(&mut ayame, register).await;
    assert_eq!(hear(&mut ayame).await["isExistClient"], json!(false));
    assert_eq!(hear(&mut ayame).await, offer("w"));
    say(&mut ayame, answer()).await;
    assert_eq!(hear_msg(&mut at_ben).await, answer());
}

#[tokio::test(start_paused = true)]
async fn who_never_registers_is_gone_at_the_deadline_and_takes_a_place_until_then() {
    let lab = lab(HubOptions { connections: 3, connections_per_prefix: 3, ..options() });
    let (mut anna, _) = lab.setup.joined("kitchen").await;
    let start = Instant::now();
    let ben = lab.join("kitchen").unwrap();
    hear_event(&mut anna, "peer-joined").await;
    let address = "192.168.1.9:5000".parse().unwrap();
    let _eve = lab.join("attic").unwrap();
    let reach = Reach::of(address, address, &Default::default());
    assert!(lab.setup.hub.connect(address.ip(), reach.clone()).is_none(), "as many as may be");
    assert_eq!(hear_event(&mut anna, "peer-left").await["reason"], "disconnected");
    assert_eq!(start.elapsed().as_secs(), 5);
    lab.left(1).await;
    assert_eq!(lab.try_post(&ben, &offer("v")), Err(NotHere::Client));
    assert!(lab.callers.here().callers.is_empty() && lab.callers.here().clients.is_empty(), "nothing is kept");

    let ben = lab.join("kitchen").unwrap();
    lab.setup.hub.shutdown();
    drop(anna);
    lab.setup.hub.closed().await;
    assert_eq!(lab.callers.ice_servers("kitchen", &ben.client, &reach), Err(NotHere::Client));
}

#[tokio::test(start_paused = true)]
async fn who_comes_and_goes_leaves_nothing_behind() {
    let lab = lab(options());
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for _ in 0..50 {
        let ben = lab.join("kitchen").unwrap();
        lab.callers.leave("kitchen", &ben.client).unwrap();
    }
    // Those that ended are let go of by and by, and no time passes.
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tasks(), before);
    let ben = lab.join("kitchen").unwrap();
    let mut at_ben = lab.register(&ben).await;
    send(&mut at_ben, &candidate(0)).await;
    drop(at_ben);
    lab.left(0).await;
    assert_eq!(lab.setup.revoked.lock().unwrap().len(), 51);
    assert!(lab.callers.here().callers.is_empty() && lab.callers.here().clients.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_nobody_is_bounded() {
    let lab = lab(HubOptions { message_rate: 100_000, ..options() });
    let ben = lab.join("kitchen").unwrap();
    lab.post(&ben, &offer("v"));
    let fitted = (0..1000).take_while(|_| lab.try_post(&ben, &candidate(0)).unwrap().is_ok()).count();
    assert_eq!(fitted, 127);
    assert_eq!(lab.try_post(&ben, &candidate(0)).unwrap().unwrap_err().id, ErrorId::PeerBusy);
    lab.post(&ben, &offer("a newer one takes the place of the older"));

    let eve = lab.join("attic").unwrap();
    let long = json!({ "type": "candidate", "candidate": "x".repeat(60_000) });
    let fitted = (0..1000).take_while(|_| lab.try_post(&eve, &long).unwrap().is_ok()).count();
    assert_eq!(fitted, 8, "of half a megabyte");
    let waiting_bytes_per_prefix = 300_000;
    let lab = self::lab(HubOptions { message_rate: 100_000, waiting_bytes_per_prefix, ..options() });
    let both = [lab.join("attic").unwrap(), lab.join("cellar").unwrap()];
    let fitted = |who| (0..1000).take_while(|_| lab.try_post(who, &long).unwrap().is_ok()).count();
    assert_eq!(both.each_ref().map(fitted), [4, 0], "of what one source may have waiting");
    lab.callers.leave("attic", &both[0].client).unwrap();
    assert_eq!(fitted(&both[1]), 4);
}

#[tokio::test(start_paused = true)]
async fn posts_count_against_the_rate() {
    let lab = lab(HubOptions { message_rate: 5, ..options() });
    let ben = lab.join("kitchen").unwrap();
    let passed = (0..100).take_while(|_| lab.try_post(&ben, &candidate(0)).unwrap().is_ok()).count();
    assert_eq!(passed, 20);
    assert_eq!(lab.try_post(&ben, &offer("v")).unwrap().unwrap_err().id, ErrorId::RateLimited);
}

#[tokio::test(start_paused = true)]
async fn mistakes_are_told() {
    let lab = lab(HubOptions { connections: 9, connections_per_prefix: 9, ..options() });
    let ben = lab.join("kitchen").unwrap();
    for text in ["", "[]", "{", r#"{"type":7}"#, r#"{"type":"offer"}"#, r#"{"type":"candidate","label":0}"#] {
        let heard = lab.callers.message("kitchen", &ben.client, text).unwrap();
        assert_eq!(heard.unwrap_err().id, ErrorId::BadMessage, "{text}");
    }
    assert_eq!(lab.callers.message("attic", &ben.client, "{}"), Err(NotHere::Room));
    assert_eq!(lab.callers.message("", &ben.client, "{}"), Err(NotHere::Room));
    assert_eq!(lab.callers.leave("kitchen", "0"), Err(NotHere::Client));
    let anna = lab.join("kitchen").unwrap();
    assert_eq!(lab.join("kitchen").unwrap_err(), ErrorId::Full);

    let register = |room: &str, client: &str| json!({ "cmd": "register", "roomid": room, "clientid": client });
    for message in [
        register("kitchen", "0"),
        register("attic", &ben.client),
        json!({ "cmd": "register", "roomid": "kitchen" }),
        json!({ "cmd": "send", "msg": "{}" }),
        json!({ "cmd": "dance" }),
        json!([]),
    ] {
        let mut ws = lab.collider().await;
        say(&mut ws, message.clone()).await;
        let said = hear(&mut ws).await;
        assert!(said["msg"] == "" && said["error"].as_str().unwrap().len() > 10, "{message}: {said}");
        assert_eq!(hear(&mut ws).await, json!({ "closed": 1008 }), "{message}");
    }
    let mut at_ben = lab.register(&ben).await;
    let mut another = lab.register(&ben).await;
    assert!(hear(&mut another).await["error"].as_str().unwrap().contains("registered already"));
    let mut at_anna = lab.register(&anna).await;
    for text in ["no JSON".to_owned(), register("kitchen", &ben.client).to_string(), r#"{"cmd":"send"}"#.into()] {
        at_ben.send(Message::text(text)).await.unwrap();
    }
    send(&mut at_ben, &json!({ "type": "offer" })).await;
    send(&mut at_ben, &offer("v")).await;
    assert_eq!(hear_msg(&mut at_anna).await, offer("v"), "and nothing before it");
}

#[tokio::test(start_paused = true)]
async fn a_collider_that_nobody_registers_at_is_closed() {
    let lab = lab(options());
    let start = Instant::now();
    let mut silent = lab.collider().await;
    assert!(hear(&mut silent).await["error"].as_str().unwrap().len() > 10);
    assert_eq!(hear(&mut silent).await, json!({ "closed": 1008 }));
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    let ben = lab.join("kitchen").unwrap();
    let mut at_ben = lab.register(&ben).await;
    send(&mut at_ben, &bye()).await;
    send(&mut at_ben, &bye()).await;
    assert!(hear(&mut at_ben).await["error"].as_str().unwrap().len() > 10);
    assert_eq!(hear(&mut at_ben).await, json!({ "closed": 1008 }), "it has left, and kept its WebSocket");
}
