//! The page and its files, embedded in the binary, and compressed when they are first asked for.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderValue, IF_NONE_MATCH, VARY,
};
use rust_embed::{Embed, EmbeddedFile};
use warp::reply::Response;

/// The page that shows every room.
pub(super) const INDEX: &str = "index.html";
/// The page that says why it does not connect.
pub(super) const CHECK: &str = "check.html";
/// The page that says how to trust the authority.
pub(super) const TRUST: &str = "trust.html";

#[derive(Embed)]
#[folder = "src/web/"]
struct Files;

/// One file, as it goes out.
struct Asset {
    plain: Variant,
    gzip: Variant,
}

/// One coding of a file. Its tag is its own (RFC 9110 section 8.8.3.3).
struct Variant {
    body: Bytes,
    tag: String,
}

/// All of them by name: some 400 KiB with both codings, which take a moment to compress once.
static ASSETS: LazyLock<HashMap<String, Asset>> =
    LazyLock::new(|| Files::iter().filter_map(|name| Some((name.to_string(), asset(Files::get(&name)?)))).collect());

/// The file of that name, or 304 when the client has it already. `None` when there is none.
pub(super) fn reply(name: &str, request: &HeaderMap) -> Option<Response> {
    let asset = ASSETS.get(name)?;
    let is_packed = takes_gzip(request);
    let Variant { body, tag } = if is_packed { &asset.gzip } else { &asset.plain };
    let is_known = request.get_all(IF_NONE_MATCH).iter().any(|known| matches(known, tag));
    let mut response = Response::new(if is_known { Bytes::new() } else { body.clone() }.into());
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(mime(name)));
    if is_packed && !is_known {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Pages of other sites may import the module: there is nothing in these files that they may not read.
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    Some(response)
}

fn asset(file: EmbeddedFile) -> Asset {
    let tag = tag(&file);
    let body = Bytes::from(file.data.into_owned());
    let gzip = Variant { body: pack(&body), tag: format!("\"{tag}-gzip\"") };
    Asset { plain: Variant { body, tag: format!("\"{tag}\"") }, gzip }
}

fn pack(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to a Vec does not fail.
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    Bytes::from(written.unwrap_or_default())
}

/// RFC 9110 section 12.5.3: whether gzip is among what the client takes, and not at a weight of 0.
fn takes_gzip(request: &HeaderMap) -> bool {
    let codings = request.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let weights = codings.flat_map(|value| value.split(',')).filter_map(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next()?;
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |weight| weight.parse().ok())?;
        Some((name.to_ascii_lowercase(), weight))
    });
    let weights: HashMap<String, f32> = weights.collect();
    let named = ["gzip", "x-gzip", "*"].iter().find_map(|name| weights.get(*name));
    named.is_some_and(|weight| *weight > 0.0)
}

fn tag(file: &EmbeddedFile) -> String {
    let mut tag = String::new();
    for byte in &file.metadata.sha256_hash()[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag
}

/// RFC 9110 section 13.1.2: a list of tags, compared weakly, or `*`.
fn matches(known: &HeaderValue, tag: &str) -> bool {
    let Ok(known) = known.to_str() else {
        return false;
    };
    known.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

fn mime(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        // Types for compilers; a browser shows them.
        Some("ts") => "text/plain; charset=utf-8",
        Some(_) | None => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_that_has_the_file_is_told_so() {
        let fresh = reply(INDEX, &HeaderMap::new()).unwrap();
        assert_eq!((fresh.status(), fresh.headers()[CACHE_CONTROL].as_bytes()), (StatusCode::OK, &b"no-cache"[..]));
        let mut headers = HeaderMap::new();
        let tag = fresh.headers()[ETAG].to_str().unwrap();
        headers.insert(IF_NONE_MATCH, format!("\"other\", W/{tag}").parse().unwrap());
        assert_eq!(reply(INDEX, &headers).unwrap().status(), StatusCode::NOT_MODIFIED);
        headers.insert(IF_NONE_MATCH, "\"other\"".parse().unwrap());
        assert_eq!(reply(INDEX, &headers).unwrap().status(), StatusCode::OK);
    }

    fn with_codings(accepted: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, accepted.parse().unwrap());
        headers
    }

    async fn body(response: Response) -> Bytes {
        http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn who_takes_gzip_gets_the_same_file_smaller() {
        let plain = reply("lanturn.js", &HeaderMap::new()).unwrap();
        let packed = reply("lanturn.js", &with_codings("br, gzip;q=0.8")).unwrap();
        assert_eq!(packed.headers()[CONTENT_ENCODING], "gzip");
        assert!(!plain.headers().contains_key(CONTENT_ENCODING));
        assert_ne!(plain.headers()[ETAG], packed.headers()[ETAG]);
        for response in [&plain, &packed] {
            assert_eq!(response.headers()[VARY], "accept-encoding");
        }
        let (plain, packed) = (body(plain).await, body(packed).await);
        assert!(packed.len() * 2 < plain.len(), "{} of {} bytes", packed.len(), plain.len());
        let mut unpacked = flate2::write::GzDecoder::new(Vec::new());
        unpacked.write_all(&packed).unwrap();
        assert_eq!(unpacked.finish().unwrap(), plain);
    }

    #[test]
    fn a_packed_file_is_known_by_its_own_tag() {
        let mut headers = with_codings("gzip");
        let packed = reply(INDEX, &headers).unwrap().headers()[ETAG].clone();
        headers.insert(IF_NONE_MATCH, packed.clone());
        let known = reply(INDEX, &headers).unwrap();
        assert_eq!(
            (known.status(), &known.headers()[VARY]),
            (StatusCode::NOT_MODIFIED, &"accept-encoding".parse().unwrap())
        );
        headers.remove(ACCEPT_ENCODING);
        assert_eq!(reply(INDEX, &headers).unwrap().status(), StatusCode::OK, "it has no plain one");
    }

    #[test]
    fn who_does_not_take_gzip_gets_none() {
        for takes in ["gzip", "GZIP;q=0.1", "x-gzip", "*", "br;q=1.0 , *;q=0.1", "deflate, gzip"] {
            assert!(takes_gzip(&with_codings(takes)), "{takes}");
        }
        for refuses in ["", "br", "identity", "gzip;q=0", "gzip; q=0.000", "*;q=0", "gzip;q=0, *", "gzip;q=much"] {
            assert!(!takes_gzip(&with_codings(refuses)), "{refuses}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn nothing_outside_the_folder_is_served() {
        for name in ["../lib.rs", "/etc/passwd", "", "nothing.js"] {
            assert!(reply(name, &HeaderMap::new()).is_none(), "{name}");
        }
    }

    #[test]
    fn every_file_has_a_type_that_browsers_take() {
        for name in Files::iter() {
            assert_ne!(mime(&name), "application/octet-stream", "{name}");
        }
    }
}
