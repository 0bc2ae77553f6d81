//! `POST /qr`: a link of one of our own pages, drawn as a QR code.
//!
//! The link comes in the body: it may carry an invite, and paths and queries end up in logs.

use std::sync::Arc;

use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use warp::reply::Response;

use super::errors::HttpError;
use super::forms::Call;
use super::gate::check_rate;
use super::origin::Site;
use super::web::Inner;

/// The longest link, in bytes: one that phones still read from a screen.
pub(super) const MAX_LINK_BYTES: usize = 1024;

/// The drawing, black on white with its quiet zone (ISO/IEC 18004 section 9.1), or what is wrong.
pub(super) async fn answer(inner: Arc<Inner>, call: Call) -> Response {
    reply(&inner, call).await.unwrap_or_else(HttpError::into_response)
}

/// # Errors
/// 405, 403 for a page that is not ours, 429, and 400 for what is no link.
async fn reply(inner: &Inner, call: Call) -> Result<Response, HttpError> {
    if call.method != Method::POST {
        let text = "this path does not take that method: use POST, with the link as the body";
        return Err(HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "bad-method", text)
            .with(ALLOW, HeaderValue::from_static("POST")));
    }
    if call.asker.site != Site::Own {
        let text = "only this server's own page has its links drawn";
        return Err(HttpError::new(StatusCode::FORBIDDEN, "bad-origin", text));
    }
    check_rate(inner, &call.asker)?;
    let mut response = Response::new(draw(&call.body.read().await?)?.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn draw(link: &[u8]) -> Result<String, HttpError> {
    let code = (!link.is_empty()).then(|| QrCode::with_error_correction_level(link, EcLevel::M));
    let Some(Ok(code)) = code else {
        let text = format!("a link has 1 to {MAX_LINK_BYTES} bytes");
        return Err(HttpError::new(StatusCode::BAD_REQUEST, "bad-link", text));
    };
    Ok(code.render::<svg::Color<'_>>().module_dimensions(4, 4).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_link_can_be_drawn_and_none_cannot() {
        assert!(draw(&[0xff; MAX_LINK_BYTES]).unwrap().contains("<svg"));
        assert_eq!(draw(b"").unwrap_err().status(), StatusCode::BAD_REQUEST);
    }
}
