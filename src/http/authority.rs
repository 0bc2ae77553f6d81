//! The box's authority, in each form that a device takes it in: `/ca.crt`, `/lanturn.mobileconfig`, and in words for
//! the page that says how to trust it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use ring::digest::{SHA256, digest};
use serde_json::json;
use warp::reply::Response;

/// What devices are asked to trust.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Its certificate, in DER.
    pub certificate: Bytes,
    /// What devices list it as.
    pub name: String,
    /// SHA-256 of the certificate: 32 bytes as `AB:CD:…`.
    pub fingerprint: String,
}

impl Authority {
    /// In DER, which phones take as well as computers. Not as an attachment: a phone would file it instead of
    /// installing it.
    pub(super) fn certificate(&self) -> Response {
        reply(self.certificate.clone(), "application/x-x509-ca-cert")
    }

    /// A configuration profile, as Apple's systems take it. It is not signed: only a certificate that the device trusts
    /// already could sign it.
    pub(super) fn profile(&self) -> Response {
        reply(self.to_profile(), "application/x-apple-aspen-config")
    }

    fn to_profile(&self) -> String {
        let (name, data) = (escaped(&self.name), STANDARD.encode(&self.certificate));
        let (whole, part) = (self.uuid("profile"), self.uuid("certificate"));
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>PayloadContent</key>
	<array>
		<dict>
			<key>PayloadCertificateFileName</key>
			<string>ca.crt</string>
			<key>PayloadContent</key>
			<data>{data}</data>
			<key>PayloadDisplayName</key>
			<string>{name}</string>
			<key>PayloadIdentifier</key>
			<string>lanturn.{whole}.{part}</string>
			<key>PayloadType</key>
			<string>com.apple.security.root</string>
			<key>PayloadUUID</key>
			<string>{part}</string>
			<key>PayloadVersion</key>
			<integer>1</integer>
		</dict>
	</array>
	<key>PayloadDescription</key>
	<string>Lets this device trust the lanturn box on its network.</string>
	<key>PayloadDisplayName</key>
	<string>{name}</string>
	<key>PayloadIdentifier</key>
	<string>lanturn.{whole}</string>
	<key>PayloadType</key>
	<string>Configuration</string>
	<key>PayloadUUID</key>
	<string>{whole}</string>
	<key>PayloadVersion</key>
	<integer>1</integer>
</dict>
</plist>
"#
        )
    }

    /// Always the same for one certificate, so that a profile that is installed again takes the place of the first.
    /// Version 8 (RFC 9562 section 5.8).
    fn uuid(&self, of: &str) -> String {
        let hash = digest(&SHA256, &[of.as_bytes(), &self.certificate].concat());
        let mut text = String::new();
        for (i, byte) in hash.as_ref()[..16].iter().enumerate() {
            let byte = match i {
                6 => byte & 0x0f | 0x80,
                8 => byte & 0x3f | 0x80,
                _ => *byte,
            };
            let dash = if matches!(i, 4 | 6 | 8 | 10) { "-" } else { "" };
            let _ = write!(text, "{dash}{byte:02X}");
        }
        text
    }
}

/// What the page says of it: nothing, if the device has nothing to be told.
pub(super) fn facts(authority: Option<&Authority>) -> Response {
    let authority = authority.map(|found| json!({ "name": found.name, "fingerprint": found.fingerprint }));
    reply(json!({ "authority": authority }).to_string(), "application/json")
}

/// Asked for anew each time: there may be another authority by then.
fn reply(body: impl Into<Bytes>, mime: &'static str) -> Response {
    let mut response = Response::new(body.into().into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(mime));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// XML 1.0 section 2.4.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(certificate: &'static [u8]) -> Authority {
        let certificate = Bytes::from_static(certificate);
        Authority { certificate, name: "lanturn CA of a<b & c".into(), fingerprint: "AB:CD".into() }
    }

    /// The text between the tags that follow a key, each time that the key is there.
    fn values<'a>(profile: &'a str, key: &str) -> Vec<&'a str> {
        let tag = format!("<key>{key}</key>");
        let found = profile.split(&tag).skip(1).map(str::trim_start);
        found.map(|rest| rest.split_once('>').unwrap().1.split_once("</").unwrap().0).collect()
    }

    #[test]
    fn the_profile_holds_the_very_certificate_under_lasting_ids() {
        let profile = authority(b"one").to_profile();
        assert_eq!(values(&profile, "PayloadType"), ["com.apple.security.root", "Configuration"]);
        assert!(profile.contains(&format!("<data>{}</data>", STANDARD.encode("one"))), "{profile}");
        assert_eq!(values(&profile, "PayloadDisplayName"), ["lanturn CA of a&lt;b &amp; c"; 2]);
        let ids = values(&profile, "PayloadUUID");
        assert_ne!(ids[0], ids[1]);
        for id in &ids {
            let lengths: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
            assert!(id.as_bytes()[14] == b'8' && b"89AB".contains(&id.as_bytes()[19]), "{id}");
        }
        assert_eq!(authority(b"one").to_profile(), profile);
        assert_ne!(values(&authority(b"two").to_profile(), "PayloadUUID"), ids);
    }
}
