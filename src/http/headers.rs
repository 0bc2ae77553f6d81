//! The headers that every answer carries.

use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

use super::origin::Host;

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Adds them. There is no Strict-Transport-Security: with a certificate of its own making, it would lock people out.
/// `host` is named in the policy because Safari's `'self'` does not cover WebSockets, nor the way up to TLS, which the
/// page about trust tries.
pub(super) fn secure(headers: &mut HeaderMap, host: Option<&Host>, is_tls: bool) {
    let schemes: &[&str] = if is_tls { &["wss"] } else { &["https", "wss", "ws"] };
    let sources = host.iter().flat_map(|host| schemes.iter().map(move |scheme| format!(" {scheme}://{host}")));
    let sources: String = sources.collect();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
         media-src 'self' blob:; connect-src 'self'{sources}; manifest-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let devices = "camera=(self), microphone=(self), display-capture=(self)";
    headers.insert(PERMISSIONS_POLICY, HeaderValue::from_static(devices));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
}
