//! What a member's credential is good for, and until when.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio_rustls::TlsConnector;

use super::port::connect_from;
use super::support::room::Member;
use super::support::server::{LOOPBACK, Server};
use super::support::stun::RawClient;
use super::support::tls::client_config;
use super::support::turn_client::Over;
use super::support::web::fetch;
use super::support::{PATIENCE, echo_at, eventually};

/// Loopback is no peer here, as on a real machine.
const STRICT: &str = "listen.addresses = ['127.0.0.1:0']\nlisten.shards = 2\n";
/// How long nothing must come for it to be silence.
const SILENCE: Duration = Duration::from_millis(500);

/// A member with an allocation by its room's credential.
struct Relayed {
    member: Member,
    id: Value,
    client: RawClient,
    at: SocketAddr,
}

async fn relayed(server: &Server, room: &str, name: &str, over: Over) -> Relayed {
    let (member, joined) = Member::join(server, server.address(), room, name).await;
    let mut client = RawClient::of_member(server, server.address(), over, &joined).await;
    let at = client.allocate(&[]).await.unwrap();
    Relayed { member, id: joined["self"]["id"].clone(), client, at }
}

/// Sends from one to the other until it comes, or until it is clear that it does not.
async fn reaches(from: &mut Relayed, to: &mut Relayed) -> bool {
    for _ in 0..3 {
        from.client.send(to.at, b"hello").await;
        if to.client.receive(SILENCE).await == Some((from.at, b"hello".to_vec())) {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn members_of_one_room_meet_at_the_relay_and_others_do_not() {
    for config in [STRICT, LOOPBACK] {
        let server = Server::start(config);
        for over in [Over::Udp, Over::Tcp] {
            let mut anna = relayed(&server, "kitchen", "Anna", Over::Udp).await;
            let mut ben = relayed(&server, "kitchen", "Ben", over).await;
            let mut eve = relayed(&server, "cellar", "Eve", over).await;
            // A permission names an IP alone, which here is the same for all.
            for (client, peer) in [(&mut anna.client, ben.at), (&mut ben.client, anna.at), (&mut eve.client, anna.at)] {
                client.permit(peer).await.unwrap();
            }
            assert!(reaches(&mut anna, &mut ben).await && reaches(&mut ben, &mut anna).await, "{config}");
            assert!(!reaches(&mut eve, &mut anna).await, "{config}");
            assert!(!reaches(&mut anna, &mut eve).await, "{config}");
            let mut key = RawClient::new(&server, server.address(), over, "program").await;
            key.allocate(&[]).await.unwrap();
            key.permit(anna.at).await.unwrap();
            key.send(anna.at, b"let me in").await;
            assert_eq!(anna.client.receive(SILENCE).await, None, "a key opens no room");
        }
    }
}

#[tokio::test]
async fn a_member_reaches_neither_the_box_nor_what_nobody_signalled() {
    let server = Server::start(STRICT);
    let mut anna = relayed(&server, "kitchen", "Anna", Over::Udp).await;
    let service = UdpSocket::bind("127.0.0.1:0").unwrap();
    service.set_nonblocking(true).unwrap();
    // Its room may ask for it as it likes.
    let (mut ben, _) = Member::join(&server, server.address(), "kitchen", "Ben").await;
    for ip in ["127.0.0.1", "127.0.0.2", "169.254.169.254", "0.0.0.0", "224.0.0.1"] {
        let candidate = format!("candidate:1 1 udp 1 {ip} 7000 typ host");
        ben.say(json!({ "type": "signal", "to": anna.id, "data": { "candidate": { "candidate": candidate } } })).await;
    }
    for told in ["peer-joined", "signal", "signal", "signal", "signal", "signal"] {
        assert_eq!(anna.member.hear().await["type"], told);
    }
    for never in ["127.0.0.2:7000", "169.254.169.254:80", "0.0.0.0:80", "224.0.0.1:80", "192.168.255.254:80"] {
        assert_eq!(anna.client.permit(never.parse().unwrap()).await, Err(403), "{never}");
        anna.client.send(never.parse().unwrap(), b"hello").await;
    }
    // Its own address is allowed for the sake of other members' relayed addresses there, and leads to nothing else.
    let own = service.local_addr().unwrap();
    let _ = anna.client.permit(own).await;
    anna.client.send(own, b"hello").await;
    let tcp = server.address();
    anna.client.send(tcp, &[0; 20]).await;
    assert_eq!(anna.client.receive(SILENCE).await, None);
    assert!(service.recv(&mut [0; 100]).is_err(), "a service of the box was reached");
}

/// Everybody who comes by a proxy or a tunnel on the box itself is seen there.
#[tokio::test]
async fn who_is_seen_at_the_box_itself_opens_no_way_to_its_networks() {
    let server = Server::start(STRICT);
    let mut anna = relayed(&server, "kitchen", "Anna", Over::Udp).await;
    let (mut ben, _) = Member::join(&server, server.address(), "kitchen", "Ben").await;
    for ip in ["192.168.255.254", "203.0.114.1"] {
        let candidate = format!("candidate:1 1 udp 1 {ip} 7000 typ host");
        ben.say(json!({ "type": "signal", "to": anna.id, "data": { "candidate": { "candidate": candidate } } })).await;
    }
    for told in ["peer-joined", "signal", "signal"] {
        assert_eq!(anna.member.hear().await["type"], told);
    }
    assert_eq!(anna.client.permit("203.0.114.1:7000".parse().unwrap()).await, Ok(()));
    assert_eq!(anna.client.permit("192.168.255.254:7000".parse().unwrap()).await, Err(403));
}

#[tokio::test]
async fn a_member_reaches_what_its_room_signalled_and_no_more() {
    let server = Server::start(LOOPBACK);
    let (peer, stranger) = (echo_at("127.0.0.2:0").await, echo_at("127.0.0.3:0").await);
    let mut anna = relayed(&server, "kitchen", "Anna", Over::Udp).await;
    let (mut ben, _) = Member::join(&server, server.address(), "kitchen", "Ben").await;
    let mut eve = relayed(&server, "cellar", "Eve", Over::Udp).await;
    assert_eq!(anna.client.permit(peer).await, Err(403), "nobody has signalled it yet");
    let sdp = format!("v=0\r\na=candidate:1 1 udp 1 {} {} typ host\r\n", peer.ip(), peer.port());
    let data = json!({ "description": { "type": "offer", "sdp": sdp } });
    ben.say(json!({ "type": "signal", "to": anna.id, "data": data })).await;
    assert_eq!(anna.member.hear().await["type"], "peer-joined");
    assert_eq!(anna.member.hear().await["data"], data);
    // The relay knows it before the member does.
    anna.client.permit(peer).await.unwrap();
    anna.client.round_trip(peer, b"media").await;
    assert_eq!(anna.client.permit(stranger).await, Err(403));
    assert_eq!(eve.client.permit(peer).await, Err(403), "it was not said in her room");
}

/// As browsers do that hide their addresses from pages (mDNS).
#[tokio::test]
async fn who_signals_only_a_name_is_reached_where_it_was_seen() {
    let server = Server::start(LOOPBACK);
    let (peer, stranger) = (echo_at("127.0.0.2:0").await, echo_at("127.0.0.3:0").await);
    let mut anna = relayed(&server, "kitchen", "Anna", Over::Udp).await;
    assert_eq!(anna.client.permit(peer).await, Err(403), "nobody is there yet");
    let tcp = connect_from([127, 0, 0, 2], server.address()).await;
    let name = server.address().ip().into();
    let tls = TlsConnector::from(client_config(&server, &["http/1.1"])).connect(name, tcp).await.unwrap();
    let mut ben = Member::over(Box::new(tls), server.address(), None).await.unwrap();
    ben.say(json!({ "type": "join", "room": "kitchen" })).await;
    assert_eq!(ben.hear().await["type"], "joined");
    let line = format!("candidate:1 1 udp 1 4e1b77d0-5d6e.local {} typ host", peer.port());
    let data = json!({ "candidate": { "candidate": line } });
    ben.say(json!({ "type": "signal", "to": anna.id, "data": data })).await;
    assert_eq!(anna.member.hear().await["type"], "peer-joined");
    assert_eq!(anna.member.hear().await["data"], data);
    anna.client.permit(peer).await.unwrap();
    anna.client.round_trip(peer, b"media").await;
    assert_eq!(anna.client.permit(stranger).await, Err(403), "a name opens nothing else");
}

#[tokio::test]
async fn the_credential_ends_with_the_membership() {
    for lost in [false, true] {
        let server = Server::start(LOOPBACK);
        let mut anna = relayed(&server, "kitchen", "Anna", Over::Udp).await;
        let (mut ben, joined) = Member::join(&server, server.address(), "kitchen", "Ben").await;
        assert_eq!(anna.member.hear().await["type"], "peer-joined");
        let ben_id = &joined["self"]["id"];
        let mut at_ben = RawClient::of_member(&server, server.address(), Over::Tcp, &joined).await;
        let relayed = at_ben.allocate(&[]).await.unwrap();
        at_ben.permit(anna.at).await.unwrap();
        assert!(UdpSocket::bind(relayed).is_err(), "the relayed address is in use");

        if lost {
            drop(ben);
        } else {
            ben.say(json!({ "type": "leave" })).await;
        }
        assert_eq!(anna.member.hear().await["id"], *ben_id);
        let start = std::time::Instant::now();
        eventually("the relayed address is free again", || UdpSocket::bind(relayed).is_ok());
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        let mut again = RawClient::of_member(&server, server.address(), Over::Udp, &joined).await;
        assert_eq!(again.allocate(&[]).await, Err(401));
        assert_eq!(at_ben.refresh(600).await, Err(401));

        // Who stayed is not disturbed.
        anna.client.permit(anna.at).await.unwrap();
        anna.client.send(anna.at, b"still here").await;
        assert_eq!(anna.client.receive(PATIENCE).await, Some((anna.at, b"still here".to_vec())));
    }
}

#[tokio::test]
async fn a_member_who_waited_long_still_has_its_relay() {
    let server = Server::start(&format!("{LOOPBACK}[credentials]\nttl = '1s'\n"));
    let address = server.address();
    let (_anna, joined) = Member::join(&server, address, "kitchen", "Anna").await;
    let program = fetch(&server, address, &format!("/turn?key={}", server.key())).await.json();
    let (username, password) = (program["username"].as_str().unwrap(), program["password"].as_str().unwrap());
    let until: u64 = username.split(':').next().unwrap().parse().unwrap();
    eventually("its time is over", || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() > until);
    let mut anna = RawClient::of_member(&server, address, Over::Udp, &joined).await;
    anna.allocate(&[]).await.unwrap();
    let mut program = RawClient::with(&server, address, Over::Udp, username, password).await;
    assert_eq!(program.allocate(&[]).await, Err(401), "a program's ends by itself");
}
