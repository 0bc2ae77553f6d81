//! How several packets travel in one HTTP body (Engine.IO protocol 4, section "Payload encoding" of the polling transport;
//! protocol 3, section "Payload").

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Of Socket.IO 1 and 2: the client pings.
    V3,
    /// Of Socket.IO 3 and 4: the server pings.
    V4,
}

/// Between packets of protocol 4.
const SEPARATOR: char = '\u{1e}';

/// Puts packets into one body.
pub(super) fn encode(version: Version, packets: &[String]) -> String {
    match version {
        Version::V3 => {
            let mut body = String::with_capacity(packets.iter().map(|packet| packet.len() + 8).sum());
            for packet in packets {
                body.push_str(&units(packet).to_string());
                body.push(':');
                body.push_str(packet);
            }
            body
        }
        Version::V4 => packets.join(SEPARATOR.encode_utf8(&mut [0; 4])),
    }
}

/// Takes a body apart. `None` when it is none, or has binary packets: there is nothing that they could be for.
pub(super) fn decode(version: Version, body: &str) -> Option<Vec<&str>> {
    match version {
        Version::V3 => {
            let (mut packets, mut rest) = (Vec::new(), body);
            while !rest.is_empty() {
                let (packet, after) = first(rest)?;
                packets.push(packet);
                rest = after;
            }
            Some(packets)
        }
        Version::V4 => Some(body.split(SEPARATOR).collect()),
    }
    .filter(|packets| {
        !packets.is_empty() && packets.iter().all(|packet| !packet.is_empty() && !packet.starts_with('b'))
    })
}

/// The first of `length:packet…`, and the rest.
fn first(text: &str) -> Option<(&str, &str)> {
    let (length, rest) = text.split_once(':')?;
    let is_number = !length.is_empty() && length.len() <= 8 && length.bytes().all(|byte| byte.is_ascii_digit());
    let length: usize = length.parse().ok().filter(|_| is_number)?;
    let mut left = length;
    for (at, character) in rest.char_indices() {
        if left == 0 {
            return Some(rest.split_at(at));
        }
        left = left.checked_sub(character.len_utf16())?;
    }
    (left == 0).then_some((rest, ""))
}

/// How long JavaScript takes a text to be.
fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn protocol_3_counts_as_javascript_does() {
        let packets = ["4a".to_owned(), "4é".to_owned(), "4😀".to_owned(), "2".to_owned()];
        let body = encode(Version::V3, &packets);
        assert_eq!(body, "2:4a2:4é3:4😀1:2");
        assert_eq!(decode(Version::V3, &body).unwrap(), packets);
    }

    #[test]
    fn protocol_4_has_separators() {
        let packets = ["40".to_owned(), "42[\"é\"]".to_owned()];
        let body = encode(Version::V4, &packets);
        assert_eq!(body, "40\u{1e}42[\"é\"]");
        assert_eq!(decode(Version::V4, &body).unwrap(), packets);
    }

    #[test]
    fn what_is_no_payload_is_refused() {
        for body in [
            "",
            "x",
            "2",
            "2:",
            "2:4",
            ":4",
            "-1:4",
            "+1:4",
            "1:4x",
            "2:4😀",
            "99999999999999999999:4",
            "1:40",
            "0:",
            "5:b4AAA",
        ] {
            assert_eq!(decode(Version::V3, body), None, "{body}");
        }
        for body in ["", "\u{1e}", "4\u{1e}", "bAAA"] {
            assert_eq!(decode(Version::V4, body), None, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(packets in prop::collection::vec("[0-6][^\u{1e}]{0,20}", 1..5)) {
            for version in [Version::V3, Version::V4] {
                let body = encode(version, &packets);
                prop_assert_eq!(decode(version, &body).unwrap(), packets.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }

        #[test]
        fn any_text_does_no_harm(body in "[0-9:😀a]{0,12}") {
            let _ = decode(Version::V3, &body);
        }
    }
}
