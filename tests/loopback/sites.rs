//! Pages of other sites, and names that are not ours (DNS rebinding), at every way in.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

use super::support::room::{Member, handshake};
use super::support::server::{LOOPBACK, Server};
use super::support::web::{Ask, Reply, connect_websocket, get, h1, h2_sender, https, metrics, with};

/// Every way in at which a WebSocket opens.
const SOCKETS: &[&str] = &[
    "/ws",
    "/signaling",
    "/collider",
    "/peerjs?key=peerjs&id=anna&token=t",
    "/peerjs/peerjs?key=peerjs&id=anna&token=t",
    "/y-webrtc",
    "/matchbox/kitchen",
    "/attic",
    "/socket.io/?EIO=3&transport=websocket",
    "/socket.io/?EIO=4&transport=websocket",
];
/// Every way into the rooms that needs no WebSocket.
const CALLS: &[(Method, &str)] = &[
    (Method::POST, "/join/kitchen"),
    (Method::POST, "/message/kitchen/0"),
    (Method::POST, "/leave/kitchen/0"),
    (Method::POST, "/collider/kitchen/0"),
    (Method::DELETE, "/collider/kitchen/0"),
    (Method::GET, "/iceconfig/kitchen/0"),
    (Method::POST, "/iceconfig/kitchen/0"),
    (Method::GET, "/peerjs/id"),
    (Method::GET, "/peerjs/peerjs/id"),
    (Method::GET, "/peerjs/peerjs/peers"),
    (Method::GET, "/socket.io/?EIO=3&transport=polling"),
    (Method::GET, "/socket.io/?EIO=4&transport=polling"),
    (Method::POST, "/socket.io/?EIO=4&transport=polling&sid=0"),
];
/// Every path that gives credentials to whoever shows a key, and how it is asked. `KEY` stands for the key.
const CREDENTIALS: &[(Method, &str)] = &[
    (Method::GET, "/turn?username=a&key=KEY"),
    (Method::GET, "/?service=turn&username=a&key=KEY"),
    (Method::GET, "/api/turn?username=a&key=KEY"),
    (Method::GET, "/ice?key=KEY"),
    (Method::GET, "/v1alpha/iceconfig?key=KEY"),
    (Method::POST, "/v1alpha/iceconfig?key=KEY"),
    (Method::POST, "/2010-04-01/Accounts/AC1/Tokens.json"),
    (Method::POST, "/v1/turn/keys/1/credentials/generate-ice-servers"),
    (Method::GET, "/api/v1/turn/credentials?apiKey=KEY"),
];
/// What else is at the port.
const OTHERS: &[&str] = &[
    "/",
    "/r/kitchen",
    "/lanturn.js",
    "/socket.io/socket.io.js",
    "/health",
    "/ca.crt",
    "/lanturn.mobileconfig",
    "/trust",
    "/trust.json",
    "/metrics",
    "/ice",
    "/nothing",
];

/// Hosts that a rebound name, or a careless parser, would let through. `PORT` stands for ours.
const FOREIGN_HOSTS: &[&str] = &[
    "evil.example",
    "evil.example:PORT",
    "127.0.0.1.evil.example:PORT",
    "localhost.evil.example",
    "calls.example.evil.example",
    "evilcalls.example",
    "calls.example@evil.example",
    "evil.example@127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.0.0.1",
    "[::1",
];
/// Origins that are not ours. `PORT` stands for ours.
const FOREIGN_ORIGINS: &[&str] = &[
    "https://evil.example",
    "https://127.0.0.1",
    "https://127.0.0.1:1",
    "https://127.0.0.2:PORT",
    "https://localhost:PORT",
    "http://127.0.0.1:PORT",
    "http://friend.example",
    "https://friend.example:8443",
    "https://friend.example.evil.example",
    "https://evilfriend.example",
    "https://127.0.0.1:PORT.evil.example",
    "https://127.0.0.1:PORT@evil.example",
    "file://",
    "null",
    "",
];

fn server() -> Server {
    let rooms = "[rooms]\nhosts = ['calls.example']\norigins = ['https://friend.example']\n";
    Server::start(&format!("{LOOPBACK}{rooms}[limits]\ncredential_rate = 1000\n"))
}

fn filled(text: &str, server: &Server) -> String {
    text.replace("PORT", &server.address().port().to_string()).replace("KEY", &server.key())
}

/// A request that a page without a WebSocket makes.
fn call(host: &str, method: &Method, path: &str) -> Ask {
    let mut ask = get(host, path);
    *ask.method_mut() = method.clone();
    ask
}

/// A request for a credential, with every way to show a key.
fn keyed(server: &Server, method: &Method, path: &str, host: &str) -> Ask {
    let mut ask = get(host, &filled(path, server));
    *ask.method_mut() = method.clone();
    let key = server.key();
    let is_basic = path.contains("Accounts");
    let shown =
        if is_basic { format!("Basic {}", STANDARD.encode(format!("a:{key}"))) } else { format!("Bearer {key}") };
    with(ask, "authorization", &shown)
}

async fn ask(server: &Server, ask: Ask) -> Reply {
    h1(https(server, server.address(), &["http/1.1"]).await, ask).await
}

/// What an attempt to open a WebSocket comes to.
async fn open(server: &Server, host: &str, path: &str, origin: Option<&str>) -> Result<Member, (u16, Value)> {
    let io = https(server, server.address(), &["http/1.1"]).await;
    // The address is only for the client's own sake, and a foreign host need be no URI.
    let mut request = handshake(server.address(), path, origin);
    request.headers_mut().insert("host", host.parse().unwrap());
    Member::asking(io, request).await.map_err(|error| {
        let Error::Http(response) = error else { panic!("{path} {host}: {error}") };
        let body: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
        (response.status().as_u16(), body["error"]["id"].clone())
    })
}

/// The same over HTTP/2 (RFC 8441).
async fn open_h2(server: &Server, path: &str, header: (&'static str, &str)) -> u16 {
    let address = server.address();
    let mut sender = h2_sender(https(server, address, &["h2"]).await).await;
    let mut health = get(address, "/health");
    *health.uri_mut() = format!("https://{address}/health").parse().unwrap();
    assert_eq!(sender.send_request(health).await.unwrap().status(), 200);
    let mut connect = connect_websocket(address);
    let authority = if header.0 == "host" { header.1.to_owned() } else { address.to_string() };
    *connect.uri_mut() = format!("https://{authority}{path}").parse().unwrap();
    sender.send_request(with(connect, header.0, header.1)).await.unwrap().status().as_u16()
}

#[test]
fn no_way_in_is_forgotten_here() {
    let all: Vec<&str> = lanturn::http::socket_paths().collect();
    for at in &all {
        let is_asked =
            SOCKETS.iter().filter_map(|path| path.split('?').next()).any(|path| match at.strip_suffix('*') {
                Some(start) => !all.contains(&path) && path.strip_prefix(start).is_some_and(|room| !room.contains('/')),
                None => path == *at,
            });
        assert!(is_asked, "a WebSocket opens at {at}: list it in SOCKETS");
    }
}

#[tokio::test]
async fn a_host_that_is_not_ours_is_answered_by_nothing() {
    let server = server();
    for host in FOREIGN_HOSTS {
        let host = &filled(host, &server);
        for (method, path) in CREDENTIALS {
            let reply = ask(&server, keyed(&server, method, path, host)).await;
            assert_eq!(
                (reply.status.as_u16(), &reply.json()["error"]["id"]),
                (421, &json!("bad-host")),
                "{host} {path}"
            );
        }
        for (method, path) in CALLS {
            let reply = ask(&server, call(host, method, path)).await;
            assert_eq!(reply.error(), (421, "bad-host".into()), "{host} {path}");
        }
        for path in OTHERS {
            assert_eq!(ask(&server, get(host, path)).await.error(), (421, "bad-host".into()), "{host} {path}");
        }
        for path in SOCKETS {
            // A rebound page is of the very origin that it asks for.
            let refused = open(&server, host, path, Some(&format!("https://{host}"))).await.err();
            assert_eq!(refused, Some((421, json!("bad-host"))), "{host} {path}");
        }
    }
    for path in SOCKETS {
        assert_eq!(open_h2(&server, path, ("host", "evil.example")).await, 421, "{path}");
    }
    let text = metrics(server.address()).await;
    let refused =
        FOREIGN_HOSTS.len() * (CREDENTIALS.len() + CALLS.len() + OTHERS.len() + SOCKETS.len()) + SOCKETS.len();
    assert!(text.contains(&format!("lanturn_http_refused_total{{reason=\"bad-host\"}} {refused}\n")), "{text}");
}

#[tokio::test]
async fn a_socket_opens_for_our_pages_for_listed_sites_and_for_programs() {
    let server = server();
    let at = server.address();
    for path in SOCKETS {
        for origin in FOREIGN_ORIGINS {
            let origin = &filled(origin, &server);
            let refused = open(&server, &at.to_string(), path, Some(origin)).await.err();
            assert_eq!(refused, Some((403, json!("bad-origin"))), "{origin:?} {path}");
            assert_eq!(open_h2(&server, path, ("origin", origin)).await, 403, "{origin:?} {path}");
        }
        // A browser says more than the origin, and would say it if it left the origin out.
        for (site, status) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)] {
            assert_eq!(open_h2(&server, path, ("sec-fetch-site", site)).await, status, "{site} {path}");
        }
        let own = [format!("https://{at}"), "https://friend.example".into()];
        for origin in own.iter().map(|origin| Some(origin.as_str())).chain([None]) {
            assert!(open(&server, &at.to_string(), path, origin).await.is_ok(), "{origin:?} {path}");
        }
        let by_name = format!("calls.example:{}", at.port());
        assert!(open(&server, &by_name, path, Some(&format!("https://{by_name}"))).await.is_ok(), "{path}");
        let other_name = Some("https://calls.example");
        assert_eq!(open(&server, &by_name, path, other_name).await.err().unwrap().0, 403, "{path}");
    }
    let text = metrics(at).await;
    let refused = SOCKETS.len() * (2 * FOREIGN_ORIGINS.len() + 3);
    assert!(text.contains(&format!("lanturn_http_refused_total{{reason=\"bad-origin\"}} {refused}\n")), "{text}");
}

#[tokio::test]
async fn a_page_of_another_site_enters_no_room_without_a_socket_either() {
    let server = server();
    let at = &server.address().to_string();
    for (method, path) in CALLS {
        let status = async |name, value: &str| ask(&server, with(call(at, method, path), name, value)).await.status;
        for origin in FOREIGN_ORIGINS {
            let asked = with(call(at, method, path), "origin", &filled(origin, &server));
            assert_eq!(ask(&server, asked).await.error(), (403, "bad-origin".into()), "{origin:?} {method} {path}");
        }
        for site in ["cross-site", "same-site"] {
            assert_eq!(status("sec-fetch-site", site).await, 403, "{site} {method} {path}");
        }
        for origin in [&format!("https://{at}"), "https://friend.example"] {
            assert_ne!(status("origin", origin).await, 403, "{origin} {method} {path}");
        }
        assert_ne!(ask(&server, call(at, method, path)).await.status, 403, "a program: {method} {path}");
    }
    let text = metrics(server.address()).await;
    let refused = CALLS.len() * (FOREIGN_ORIGINS.len() + 2);
    assert!(text.contains(&format!("lanturn_http_refused_total{{reason=\"bad-origin\"}} {refused}\n")), "{text}");
}

#[tokio::test]
async fn a_credential_is_for_who_shows_a_key_wherever_the_page_is_from() {
    let server = server();
    let at = server.address().to_string();
    for (method, path) in CREDENTIALS {
        let elsewhere = |ask| with(ask, "origin", "https://evil.example");
        let reply = ask(&server, elsewhere(keyed(&server, method, path, &at))).await;
        assert!(reply.status.is_success(), "{path}: {reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), "*", "{path}");
        // No cookie and no stored password stands for a key, so there is nothing that another site could ride on.
        assert!(!reply.headers.contains_key("access-control-allow-credentials"), "{path}");
        for key in ["", "guess"] {
            let mut keyless = elsewhere(get(&at, &path.replace("KEY", key)));
            *keyless.method_mut() = method.clone();
            let reply = ask(&server, keyless).await;
            assert!(matches!(reply.status.as_u16(), 401 | 403), "{path}: {reply:?}");
        }
    }
    for origin in FOREIGN_ORIGINS {
        let page = with(get(&at, "/ice"), "origin", &filled(origin, &server));
        assert_eq!(ask(&server, page).await.error(), (401, "missing-key".into()), "{origin:?}");
    }
}

/// On this machine pages need no encryption, and there the ports of others are other sites.
#[tokio::test]
async fn another_server_s_page_on_this_machine_is_of_another_site() {
    let server = server();
    let at: SocketAddr = server.address();
    for (origin, is_ours) in [(format!("http://{at}"), true), ("http://127.0.0.1:1".into(), false)] {
        for path in SOCKETS {
            let io: super::support::web::Io = super::support::web::http(at).await;
            let opened = Member::asking(io, handshake(at, path, Some(&origin))).await;
            assert_eq!(opened.is_ok(), is_ours, "{origin} {path}");
        }
    }
}
