//! What is served without TLS, for devices that do not trust the authority yet.

use super::*;

#[tokio::test]
async fn without_tls_there_is_what_trust_takes_and_the_rest_leads_to_https() {
    let server = server();
    let plain = Peer { tls: false, ..LAN };
    let reply = server.send(plain, request("/turn?x=1", "192.168.1.5:3478")).await;
    let location = &reply.headers["location"];
    assert_eq!((reply.status.as_u16(), location), (308, &"https://192.168.1.5:3478/turn?x=1".parse().unwrap()));
    assert_eq!(server.send(plain, request("/health", "box.local")).await.body, "ok\n");
    for (path, mime, text) in [
        ("/ca.crt", "application/x-x509-ca-cert", "\x30"),
        ("/lanturn.mobileconfig", "application/x-apple-aspen-config", "<data>MII=</data>"),
        ("/trust.json", "application/json", r#"{"authority":{"fingerprint":"AB:CD","name":"lanturn CA of box"}}"#),
        ("/style.css", "text/css; charset=utf-8", ":root"),
        ("/page/trust.js", "text/javascript; charset=utf-8", "import"),
    ] {
        let reply = server.send(plain, request(path, "box.local")).await;
        assert_eq!((reply.status, &reply.headers["content-type"]), (StatusCode::OK, &mime.parse().unwrap()), "{path}");
        assert!(String::from_utf8_lossy(&reply.body).contains(text), "{path}");
    }
    let page = server.send(plain, request("/trust", "box.local")).await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("connect-src 'self' https://box.local wss://box.local ws://box.local;"), "{policy}");
    for path in ["/", "/r/kitchen?policy=relay"] {
        assert_eq!(server.send(plain, request(path, "box.local")).await.body, page.body, "{path}");
    }
    for path in ["/lanturn.js", "/index.html", "/r/a/b", "/r/", "/ws", "/?service=turn&username=a"] {
        let reply = server.send(plain, request(path, "box.local")).await;
        assert_eq!(reply.status, StatusCode::PERMANENT_REDIRECT, "{path}");
    }
    let post = Request::post("/").header(HOST, "box.local").body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(server.send(plain, post).await.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(server.send(plain, request("/", "evil.example")).await.status, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(server.send(plain, request("/trust", "evil.example")).await.status, StatusCode::MISDIRECTED_REQUEST);
    let call = server.send(LAN, request("/", "box.local")).await.body;
    assert_eq!(server.send(local(), request("/", "localhost:3478")).await.body, call);
    assert_eq!(server.send(local(), request("/", "box.local:3478")).await.body, page.body);
    assert_eq!(server.send(LAN, request("/trust", "box.local")).await.body, page.body);
}

#[tokio::test]
async fn with_an_owners_certificate_there_is_nothing_to_trust() {
    let server = server_with(None);
    let plain = Peer { tls: false, ..LAN };
    for path in ["/ca.crt", "/lanturn.mobileconfig"] {
        assert_eq!(server.send(plain, request(path, "box.local")).await.error(), (404, "not-found".into()), "{path}");
    }
    assert_eq!(server.send(plain, request("/trust.json", "box.local")).await.json(), json!({ "authority": null }));
    assert_eq!(server.send(plain, request("/trust", "box.local")).await.status, StatusCode::OK);
    for path in ["/", "/r/kitchen"] {
        let reply = server.send(plain, request(path, "box.local")).await;
        assert_eq!(reply.status, StatusCode::PERMANENT_REDIRECT, "{path}");
    }
}

#[tokio::test]
async fn by_a_name_that_a_public_authority_vouches_for_there_is_nothing_to_trust() {
    let server = server();
    let plain = Peer { tls: false, ..LAN };
    for path in ["/", "/r/kitchen"] {
        let reply = server.send(plain, request(path, "calls.example.org")).await;
        assert_eq!(reply.status, StatusCode::PERMANENT_REDIRECT, "{path}");
        assert_eq!(reply.headers["location"], format!("https://calls.example.org{path}").as_str());
    }
    let facts = server.send(plain, request("/trust.json", "calls.example.org:3478")).await;
    assert_eq!(facts.json(), json!({ "authority": null }));
    assert_eq!(server.send(plain, request("/ca.crt", "calls.example.org")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_authority_that_validates_finds_the_tokens_in_force() {
    let server = server();
    let plain = Peer { tls: false, ..LAN };
    let token = "/.well-known/acme-challenge/token";
    for (peer, host) in [(plain, "calls.example.org"), (plain, "box.local:80"), (LAN, "calls.example.org")] {
        let reply = server.send(peer, request(token, host)).await;
        assert_eq!((reply.status, reply.body.as_ref()), (StatusCode::OK, b"token.thumbprint".as_slice()), "{host}");
        assert_eq!(reply.headers["content-type"], "application/octet-stream");
    }
    for path in ["/.well-known/acme-challenge/other", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/a/b"]
    {
        let reply = server.send(plain, request(path, "calls.example.org")).await;
        assert_eq!(reply.error(), (404, "not-found".into()), "{path}");
    }
    assert_eq!(server.send(plain, request(token, "evil.example")).await.status, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn a_page_of_any_origin_sees_a_websocket_open_and_close() {
    let server = server();
    for origin in [None, Some("http://box.local:3478"), Some("https://evil.example")] {
        let request = handshake_at("/trust/socket", origin);
        let (mut socket, _) = tokio_tungstenite::client_async(request, server.open(LAN)).await.unwrap();
        assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))), "{origin:?}");
        assert!(socket.next().await.is_none(), "{origin:?}");
    }
    let mut broken = handshake_at("/trust/socket", None).map(|()| Empty::<Bytes>::new());
    broken.headers_mut().remove("sec-websocket-key");
    assert_eq!(server.send(LAN, broken).await.error(), (400, "bad-handshake".into()));
}
