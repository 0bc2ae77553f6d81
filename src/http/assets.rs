//! The page and its files, embedded in the binary.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH,
};
use rust_embed::{Embed, EmbeddedFile};
use std::fmt::Write as _;
use warp::reply::Response;

/// The page that shows every room.
pub(super) const INDEX: &str = "index.html";

#[derive(Embed)]
#[folder = "src/web/"]
struct Files;

/// The file of that name, or 304 when the client has it already. `None` when there is none.
pub(super) fn reply(name: &str, request: &HeaderMap) -> Option<Response> {
    let file = Files::get(name)?;
    let tag = tag(&file);
    let is_known = request.get_all(IF_NONE_MATCH).iter().any(|known| matches(known, &tag));
    let body = match file.data {
        _ if is_known => Bytes::new(),
        std::borrow::Cow::Borrowed(data) => Bytes::from_static(data),
        std::borrow::Cow::Owned(data) => Bytes::from(data),
    };
    let mut response = Response::new(body.into());
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(mime(name)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Pages of other sites may import the module: there is nothing in these files that they may not read.
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    Some(response)
}

fn tag(file: &EmbeddedFile) -> String {
    let mut tag = String::from("\"");
    for byte in &file.metadata.sha256_hash()[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag + "\""
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
