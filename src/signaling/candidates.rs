//! The IP addresses that a signal offers to be reached at.
//!
//! Pure. Signals are a browser's `RTCIceCandidateInit` and `RTCSessionDescriptionInit`, in the forms that pages send
//! them; anything else yields nothing.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::payload::Payload;

/// The most addresses taken from one signal. A browser's longest description has under twenty.
pub const MAX_PER_SIGNAL: usize = 64;

/// What is in each text with an address. Any of it can also be written with escapes.
static CANDIDATE: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("candidate:"));
static CONNECTION: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("c=IN"));
static ESCAPE: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(r"\u"));
/// Connection lines without an address, to their ends, as they are in JSON text.
const UNSPECIFIED: [&[u8]; 2] = [br"c=IN IP4 0.0.0.0\r\n", br"c=IN IP6 ::\r\n"];

/// What a signal offers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// The addresses, each once, in order of appearance, at most [`MAX_PER_SIGNAL`].
    pub found: Vec<IpAddr>,
    /// How often others are named past those.
    pub dropped: usize,
}

/// What of a signal may hold addresses, in the forms that pages use.
#[derive(Deserialize)]
struct Signal<'a> {
    #[serde(borrow, default)]
    candidate: Part<'a>,
    #[serde(borrow, default)]
    description: Part<'a>,
    #[serde(borrow, default)]
    sdp: Part<'a>,
}

/// A text, or an object that has one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Part<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Object {
        #[serde(borrow, default)]
        candidate: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        sdp: Option<Cow<'a, str>>,
    },
    Other(IgnoredAny),
}

impl Default for Part<'_> {
    fn default() -> Self {
        Self::Other(IgnoredAny)
    }
}

impl Part<'_> {
    fn candidate(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Object { candidate, .. } => candidate.as_deref(),
            Self::Other(_) => None,
        }
    }

    fn sdp(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Object { sdp, .. } => sdp.as_deref(),
            Self::Other(_) => None,
        }
    }
}

/// The addresses in `data`. Names such as the `….local` ones that browsers hide behind (mDNS) are no addresses.
pub fn addresses(data: &Payload) -> Offered {
    let mut offered = Offered::default();
    if !may_hold_addresses(data.as_str()) {
        return offered;
    }
    // An array would be taken for the fields of an object in order.
    let Some(signal) = data.read::<Signal<'_>>().filter(|_| data.as_str().starts_with('{')) else {
        return offered;
    };
    if let Some(line) = signal.candidate.candidate() {
        from_candidate(line, &mut offered);
    }
    for sdp in [signal.sdp.sdp(), signal.description.sdp()].into_iter().flatten() {
        from_sdp(sdp, &mut offered);
    }
    offered
}

/// A look at the JSON text that spares reading most of it in full: a description that comes before its candidates has
/// none but unspecified addresses.
fn may_hold_addresses(json: &str) -> bool {
    let json = json.as_bytes();
    let is_unspecified = |at: usize| UNSPECIFIED.iter().any(|line| json[at..].starts_with(line));
    CANDIDATE.find(json).is_some()
        || ESCAPE.find(json).is_some()
        || CONNECTION.find_iter(json).any(|at| !is_unspecified(at))
}

fn from_sdp(sdp: &str, offered: &mut Offered) {
    for line in sdp.lines() {
        if let Some(candidate) = line.strip_prefix("a=") {
            from_candidate(candidate, offered);
        } else if let Some(connection) = line.strip_prefix("c=IN ") {
            // RFC 8866 section 5.7: `IP4 198.51.100.1`, with `/ttl` after a multicast address.
            note(connection.split_whitespace().nth(1), offered);
        }
    }
}

/// RFC 8839 section 5.1: `candidate:` foundation component transport priority address port `typ` … `raddr` address.
fn from_candidate(line: &str, offered: &mut Offered) {
    let Some(fields) = line.trim().strip_prefix("candidate:") else {
        return;
    };
    let mut words = fields.split_whitespace();
    note(words.nth(4), offered);
    if words.any(|word| word == "raddr") {
        note(words.next(), offered);
    }
}

/// An unspecified address is what a browser writes where it hides one.
fn note(word: Option<&str>, offered: &mut Offered) {
    let Some(address) = word.and_then(|word| word.parse::<IpAddr>().ok()) else {
        return;
    };
    let address = address.to_canonical();
    if address.is_unspecified() || offered.found.contains(&address) {
        return;
    }
    if offered.found.len() < MAX_PER_SIGNAL {
        offered.found.push(address);
    } else {
        offered.dropped += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn found(data: Value) -> Vec<String> {
        addresses(&Payload::of(&data)).found.iter().map(IpAddr::to_string).collect()
    }

    const HOST: &str = "candidate:1 1 udp 2113937151 192.168.1.7 51000 typ host generation 0";
    const REFLEXIVE: &str = "candidate:2 1 UDP 1677729535 203.0.113.4 61000 typ srflx raddr 192.168.1.8 rport 51000";

    #[test]
    fn both_addresses_of_a_candidate_are_found() {
        assert_eq!(found(json!({ "candidate": { "candidate": REFLEXIVE } })), ["203.0.113.4", "192.168.1.8"]);
        assert_eq!(found(json!({ "candidate": HOST, "sdpMid": "0" })), ["192.168.1.7"]);
        let v6 = "candidate:1 1 tcp 1 2001:db8::7 9 typ host tcptype active";
        assert_eq!(found(json!({ "candidate": { "candidate": v6 } })), ["2001:db8::7"]);
    }

    #[test]
    fn a_description_is_read_line_by_line() {
        let sdp =
            format!("v=0\r\nc=IN IP4 0.0.0.0\r\na={HOST}\r\nc=IN IP6 2001:db8::9\r\na={REFLEXIVE}\r\na={HOST}\r\n");
        let all = ["192.168.1.7", "2001:db8::9", "203.0.113.4", "192.168.1.8"];
        assert_eq!(found(json!({ "description": { "type": "offer", "sdp": sdp } })), all);
        assert_eq!(found(json!({ "type": "offer", "sdp": sdp })), all);
    }

    #[test]
    fn any_way_of_writing_json_will_do() {
        for data in [
            r#"{"sdp":"c=IN IP4 192.168.1.7\r\n"}"#,
            r#"{"sdp":"c=IN IP4 0.0.0.0\r\nc=IN IP4 192.168.1.7"}"#,
            r#"{"sdp":"c\u003dIN IP4 192.168.1.7\r\n"}"#,
            r#"{"sdp":"c=IN\u0020IP4 192.168.1.7\r\n"}"#,
            r#"{"sdp":"a=candidate:a\/b 1 udp 1 192.168.1.7 9 typ host\r\n"}"#,
            r#"{"\u0063andidate":"\u0063andidate:1 1 udp 1 192.168.1.7 9 typ host"}"#,
        ] {
            let payload = Payload::from(serde_json::from_str::<&serde_json::value::RawValue>(data).unwrap());
            assert_eq!(addresses(&payload).found, ["192.168.1.7".parse::<IpAddr>().unwrap()], "{data}");
        }
    }

    #[test]
    fn hidden_and_malformed_addresses_are_nothing() {
        let hidden = "candidate:1 1 udp 1 4e1b-77.local 51000 typ host raddr 0.0.0.0 rport 9";
        for data in [
            json!({ "candidate": { "candidate": hidden } }),
            json!({ "candidate": null }),
            json!({ "candidate": "candidate:" }),
            json!([HOST]),
            json!(HOST),
            json!({ "chat": HOST }),
        ] {
            assert_eq!(found(data.clone()), [""; 0], "{data}");
        }
    }

    #[test]
    fn one_signal_cannot_name_more_than_the_bound() {
        for (named, dropped) in [(MAX_PER_SIGNAL, 0), (MAX_PER_SIGNAL + 1, 1), (200, 200 - MAX_PER_SIGNAL)] {
            let lines: String = (0..named).map(|n| format!("a=candidate:1 1 udp 1 10.0.0.{n} 9 typ host\n")).collect();
            let offered = addresses(&Payload::of(&json!({ "sdp": lines })));
            assert_eq!((offered.found.len(), offered.dropped), (MAX_PER_SIGNAL, dropped), "{named}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "(candidate:|a=candidate:|c=IN )?[ -~]{0,80}") {
            let _ = found(json!({ "candidate": line, "sdp": line }));
        }
    }
}
