//! The forms that programs ask for credentials in, over a connection each.

use http_body_util::Full;

use super::*;
use crate::http::body::{BODY_DEADLINE, MAX_BODY_BYTES};

const TOKENS: &str = "/2010-04-01/Accounts/AC123/Tokens.json";
const GENERATE: &str = "/v1/turn/keys/abc/credentials/generate-ice-servers";
/// `user:an-api-key`.
const BASIC: (&str, &str) = ("authorization", "Basic dXNlcjphbi1hcGkta2V5");
const BEARER: (&str, &str) = ("authorization", "Bearer an-api-key");

type Header<'a> = (&'static str, &'a str);

fn call(method: Method, path: &str, headers: &[Header<'_>], body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header(HOST, "box.local:3478");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

/// Asks a server of its own, so that no rate is met.
async fn ask(method: Method, path: &str, headers: &[Header<'_>], body: &str) -> Reply {
    server().send(LAN, call(method, path, headers, body)).await
}

async fn get(path: &str) -> Reply {
    ask(Method::GET, path, &[], "").await
}

/// How each form is asked, with a key in its place.
fn right() -> [(Method, &'static str, &'static [Header<'static>]); 8] {
    [
        (Method::GET, "/turn?key=an-api-key", &[]),
        (Method::GET, "/?service=turn&key=an-api-key", &[]),
        (Method::POST, "/api/turn?api=an-api-key", &[]),
        (Method::GET, "/ice?key=an-api-key", &[]),
        (Method::GET, "/v1alpha/iceconfig?key=an-api-key", &[]),
        (Method::POST, TOKENS, &[BASIC]),
        (Method::POST, GENERATE, &[BEARER]),
        (Method::GET, "/api/v1/turn/credentials?apiKey=an-api-key", &[]),
    ]
}

fn uris() -> [&'static str; 3] {
    ["turn:192.168.1.5:3478?transport=udp", "turn:192.168.1.5:3478?transport=tcp", "turns:box.local:3478?transport=tcp"]
}

fn servers(username: &Value, credential: &Value) -> Value {
    assert!(username.as_str().unwrap().starts_with("4600:") && credential.is_string(), "{username} {credential}");
    json!([
        { "urls": ["stun:192.168.1.5:3478"] },
        { "urls": uris(), "username": username, "credential": credential },
    ])
}

#[tokio::test]
async fn the_turn_rest_draft_has_four_fields() {
    for path in [
        "/?service=turn&username=anna&key=an-api-key",
        "/?service=turn&api=an-api-key&key=an-api-key&username=anna",
        "/api/turn?service=turn&username=anna&api=an-api-key",
        "/api/turn?username=anna&key=an-api-key",
    ] {
        // The second is how Janus asks, with the same again as a body.
        for (method, body) in [(Method::GET, ""), (Method::POST, "service=turn")] {
            let reply = ask(method, path, &[], body).await;
            assert_eq!(reply.status, StatusCode::OK, "{path}");
            let password = &reply.json()["password"];
            assert!(password.is_string());
            let expected = json!({ "username": "4600:anna", "password": password, "ttl": 3600, "uris": uris() });
            assert_eq!(reply.json(), expected, "{path}");
        }
    }
    let anyone = get("/api/turn?key=an-api-key&ttl=120").await.json();
    assert!(anyone["username"].as_str().unwrap().starts_with("1120:"), "{anyone}");
}

#[tokio::test]
async fn without_the_service_it_is_the_page() {
    for path in ["/?key=an-api-key", "/?service=page", "/r/kitchen?service=turn"] {
        assert_eq!(get(path).await.headers["content-type"], "text/html; charset=utf-8", "{path}");
    }
}

#[tokio::test]
async fn iceconfig_says_how_long_it_lasts_in_words() {
    for method in [Method::GET, Method::POST] {
        let reply = ask(method, "/v1alpha/iceconfig?key=an-api-key", &[], "").await.json();
        let turn = &reply["iceServers"][1];
        let servers = servers(&turn["username"], &turn["credential"]);
        assert_eq!(reply, json!({ "lifetimeDuration": "3600s", "iceServers": servers }));
    }
}

#[tokio::test]
async fn a_token_has_one_url_an_entry_and_its_numbers_as_text() {
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (body, ttl) in [("", "3600"), ("Ttl=99999", "3600"), ("Ttl=120", "120"), ("Ttl=1&Other=x", "60")] {
        let reply = ask(Method::POST, TOKENS, &[BASIC, form], body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{body}");
        let reply = reply.json();
        let (username, password) = (&reply["username"], &reply["password"]);
        let expires = 1000 + ttl.parse::<u64>().unwrap();
        assert!(username.as_str().unwrap().starts_with(&format!("{expires}:")) && password.is_string(), "{reply}");
        let mut servers = vec![json!({ "url": "stun:192.168.1.5:3478", "urls": "stun:192.168.1.5:3478" })];
        for uri in uris() {
            servers.push(json!({ "url": uri, "urls": uri, "username": username, "credential": password }));
        }
        let date = "Thu, 01 Jan 1970 00:16:40 +0000";
        let expected = json!({
            "username": username, "password": password, "ttl": ttl, "account_sid": "AC123", "ice_servers": servers,
            "date_created": date, "date_updated": date,
        });
        assert_eq!(reply, expected);
    }
}

#[tokio::test]
async fn ice_servers_are_generated_for_as_long_as_asked_within_bounds() {
    let (full, short) = (r#"{"ttl":86400}"#, r#"{"ttl":120,"customIdentifier":"anna"}"#);
    for (body, expires) in [(full, "4600:"), ("", "4600:"), ("{}", "4600:"), (short, "1120:")] {
        let reply = ask(Method::POST, GENERATE, &[BEARER, ("content-type", "application/json")], body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{body}");
        let turn = &reply.json()["iceServers"][1];
        assert!(turn["username"].as_str().unwrap().starts_with(expires), "{body}: {turn}");
        let stun = json!({ "urls": ["stun:192.168.1.5:3478"] });
        let relay = json!({ "urls": uris(), "username": turn["username"], "credential": turn["credential"] });
        assert!(turn["credential"].is_string());
        assert_eq!(reply.json(), json!({ "iceServers": [stun, relay] }));
    }
}

#[tokio::test]
async fn credentials_can_be_a_bare_array() {
    let reply = get("/api/v1/turn/credentials?apiKey=an-api-key").await.json();
    assert_eq!(reply, servers(&reply[1]["username"], &reply[1]["credential"]));
}

#[tokio::test]
async fn a_page_of_any_site_may_ask_and_nobody_may_keep_the_answer() {
    for (method, path, headers) in right() {
        let reply = ask(method.clone(), path, headers, "").await;
        assert!(reply.status.is_success(), "{path}: {reply:?}");
        let refused = ask(Method::PUT, path, headers, "").await;
        for reply in [&reply, &refused] {
            assert_eq!(reply.headers["access-control-allow-origin"], "*", "{path}");
            assert_eq!(reply.headers["cache-control"], "no-store", "{path}");
            assert_eq!(reply.headers["content-type"], "application/json", "{path}");
        }
        let asks = [("origin", "https://anyone.example"), ("access-control-request-method", method.as_str())];
        let preflight = ask(Method::OPTIONS, path, &asks, "").await;
        assert_eq!(preflight.status, StatusCode::NO_CONTENT, "{path}");
        let header = |name: &str| preflight.headers[name].to_str().unwrap().to_ascii_lowercase();
        assert_eq!(header("access-control-allow-origin"), "*");
        assert!(header("access-control-allow-methods").contains(&method.as_str().to_ascii_lowercase()), "{path}");
        for name in ["authorization", "content-type"] {
            assert!(header("access-control-allow-headers").contains(name), "{path}");
        }
    }
}

#[tokio::test]
async fn a_wrong_or_missing_key_is_told_as_each_form_tells_it() {
    let reply = get("/?service=turn&username=anna").await;
    assert_eq!(reply.error(), (401, "missing-key".into()));
    assert_eq!(get("/api/turn?api=guess").await.error(), (403, "wrong-key".into()));

    for (path, code, status) in [
        ("/v1alpha/iceconfig", 401, "UNAUTHENTICATED"),
        ("/v1alpha/iceconfig?key=guess", 403, "PERMISSION_DENIED"),
        ("/v1alpha/iceconfig?key=a&key=b", 400, "INVALID_ARGUMENT"),
    ] {
        let reply = get(path).await;
        let error = &reply.json()["error"];
        assert_eq!((reply.status.as_u16(), &error["code"], &error["status"]), (code, &json!(code), &json!(status)));
        assert!(error["message"].is_string(), "{error}");
    }

    // `user:guess`, `an-api-key:`, no colon, and no Base64.
    let wrong = ["Basic dXNlcjpndWVzcw==", "Basic YW4tYXBpLWtleTo=", "Basic dXNlcg==", "Basic !", BEARER.1];
    for headers in wrong.iter().map(|value| vec![("authorization", *value)]).chain([vec![]]) {
        let reply = ask(Method::POST, TOKENS, &headers, "").await;
        assert_eq!(reply.headers["www-authenticate"], "Basic realm=\"lanturn\"");
        let (body, message) = (reply.json(), reply.json()["message"].clone());
        assert!(message.is_string());
        assert_eq!(body, json!({ "code": 20003, "message": message, "more_info": "", "status": 401 }), "{headers:?}");
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    }

    for (headers, id) in [(&[("authorization", "Bearer guess")][..], "wrong-key"), (&[], "missing-key")] {
        let reply = ask(Method::POST, GENERATE, headers, "").await;
        assert_eq!((reply.status.as_u16(), &reply.json()["errorCode"]), (401, &json!(id)));
        assert!(reply.json()["errorDescription"].is_string());
        assert_eq!(reply.headers["www-authenticate"], "Bearer realm=\"lanturn\"");
    }

    for path in ["/api/v1/turn/credentials", "/api/v1/turn/credentials?apiKey=guess"] {
        let reply = get(path).await;
        assert_eq!((reply.status.as_u16(), reply.json()), (401, json!({ "error": "Invalid API Key" })));
    }
}

/// The text of an error in any form.
fn text(error: &Value) -> &str {
    let places = ["/error/text", "/error/message", "/message", "/errorDescription", "/error"];
    places.iter().find_map(|place| error.pointer(place)?.as_str()).unwrap_or_else(|| panic!("{error}"))
}

#[tokio::test]
async fn a_wrong_method_is_told_which_ones_are_right() {
    for (_, path, headers) in right() {
        let allowed = match path.split('?').next().unwrap() {
            "/" | "/api/turn" | "/v1alpha/iceconfig" => "GET, HEAD, POST",
            TOKENS | GENERATE => "POST",
            _ => "GET, HEAD",
        };
        let reply = ask(Method::DELETE, path, headers, "").await;
        assert_eq!((reply.status.as_u16(), &reply.headers["allow"]), (405, &allowed.parse().unwrap()), "{path}");
        assert!(text(&reply.json()).contains(allowed), "{path}: {}", reply.json());
    }
    for path in [TOKENS, GENERATE] {
        assert_eq!(get(path).await.status, StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn all_forms_count_towards_one_rate() {
    let server = server();
    let forms = right();
    for (index, (method, path, headers)) in forms.iter().cycle().take(5 + forms.len()).enumerate() {
        let reply = server.send(LAN, call(method.clone(), path, headers, "")).await;
        if index < 5 {
            assert!(reply.status.is_success(), "{path}: {reply:?}");
            continue;
        }
        assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert!(text(&reply.json()).contains("try again in"), "{path}: {}", reply.json());
        let wait: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=12).contains(&wait), "{path}: {wait}");
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_told_what_would_be() {
    for (path, header, body, right) in [
        (TOKENS, BASIC, "Ttl=1h", "3600"),
        (TOKENS, BASIC, "Ttl=1&Ttl=2", "Ttl=3600"),
        (GENERATE, BEARER, "ttl=60", "{\"ttl\":3600}"),
        (GENERATE, BEARER, r#"{"ttl":"1h"}"#, "{\"ttl\":3600}"),
        (GENERATE, BEARER, r#"{"ttl":-1}"#, "{\"ttl\":3600}"),
    ] {
        let reply = ask(Method::POST, path, &[header], body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(text(&reply.json()).contains(right), "{body}: {}", reply.json());
    }
}

/// Sends the bytes of a request, and reads the status and the body of the answer.
async fn raw(request: &[u8]) -> (String, Value) {
    let mut io = server().open(LAN);
    io.write_all(request).await.unwrap();
    let (mut answer, mut chunk) = (Vec::new(), [0; 1024]);
    loop {
        let read = io.read(&mut chunk).await.unwrap();
        answer.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, Ok(body))) =
            text.split_once("\r\n\r\n").map(|(head, body)| (head, serde_json::from_str(body)))
        {
            return (head.lines().next().unwrap().to_owned(), body);
        }
        assert!(read > 0, "{text}");
    }
}

fn head(path: &str, (name, value): Header<'_>, framing: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: box.local\r\n{name}: {value}\r\n{framing}\r\n\r\n")
}

#[tokio::test]
async fn a_body_is_bounded_however_it_comes() {
    for (path, header) in [(TOKENS, BASIC), (GENERATE, BEARER)] {
        let told = head(path, header, &format!("Content-Length: {}", MAX_BODY_BYTES + 1));
        let mut untold = head(path, header, "Transfer-Encoding: chunked");
        for _ in 0..=MAX_BODY_BYTES / 4096 {
            untold += &format!("1000\r\n{}\r\n", "x".repeat(4096));
        }
        for request in [told, untold] {
            let (status, body) = raw(request.as_bytes()).await;
            assert!(status.starts_with("HTTP/1.1 413 "), "{status}");
            assert!(text(&body).contains("16384 bytes") && body.get("error").is_none(), "{body}");
        }
        let full = ask(Method::POST, path, &[header], &" ".repeat(MAX_BODY_BYTES)).await;
        assert_ne!(full.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    for (path, header) in [(TOKENS, BASIC), (GENERATE, BEARER)] {
        let start = Instant::now();
        let (status, body) = raw((head(path, header, "Content-Length: 10") + "T").as_bytes()).await;
        assert!(status.starts_with("HTTP/1.1 408 "), "{status}");
        assert!(text(&body).contains("10 s"), "{body}");
        assert_eq!(start.elapsed().as_secs(), BODY_DEADLINE.as_secs());
    }
}

#[tokio::test]
async fn a_stranger_s_body_is_not_waited_for_at_all() {
    for path in [TOKENS, GENERATE] {
        let guess = ("authorization", "Bearer guess");
        let (status, _) = raw(head(path, guess, "Content-Length: 10").as_bytes()).await;
        assert!(status.starts_with("HTTP/1.1 401 "), "{status}");
    }
}
