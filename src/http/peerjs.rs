//! What a PeerJS client asks over HTTP before it connects: an id to go by.

use hyper::StatusCode;
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue};
use rand::Rng as _;
use warp::reply::Response;

use super::answer::Asker;
use super::errors::HttpError;
use super::routes::text;
use super::upgrade::check_site;

/// What is asked for. The key does not matter for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// An id that nobody goes by.
    Id,
    /// The ids of everybody. Nobody is told.
    Peers,
}

impl Question {
    /// What a path asks for: `KEY/id` where the client's path is `/`, `peerjs/KEY/id` where it is `/peerjs`.
    pub(super) fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        match parts[..] {
            // The page of a room.
            ["r", _] => None,
            [key, last] | ["peerjs", key, last] if !key.is_empty() => match last {
                "id" => Some(Self::Id),
                "peers" => Some(Self::Peers),
                _ => None,
            },
            _ => None,
        }
    }

    /// # Errors
    /// 403 `bad-origin`; 401 for who asks for everybody's ids.
    pub(super) fn answer(self, asker: &Asker) -> Result<Response, HttpError> {
        check_site(asker.site)?;
        let mut response = match self {
            Self::Id => text(uuid(rand::rng().random())),
            Self::Peers => {
                let text = "this server tells nobody who is there: connect to ids that you know";
                return Err(HttpError::new(StatusCode::UNAUTHORIZED, "not-listed", text));
            }
        };
        // Who got so far may read it.
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        Ok(response)
    }
}

/// RFC 9562 section 5.4: version 4, variant 10.
fn uuid(random: u128) -> String {
    let number = random & !(0xF << 76) & !(0b11 << 62) | 0x4 << 76 | 0b10 << 62;
    let digits = format!("{number:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_found_wherever_the_client_looks_for_it() {
        for (path, question) in [
            ("/peerjs/peerjs/id", Some(Question::Id)),
            ("/peerjs/id", Some(Question::Id)),
            ("/my%20key/id", Some(Question::Id)),
            ("/peerjs/key/peers", Some(Question::Peers)),
            ("/r/id", None),
            ("/id", None),
            ("//id", None),
            ("/peerjs//id", None),
            ("/a/b/id", None),
            ("/peerjs/key/else", None),
        ] {
            assert_eq!(Question::of(path), question, "{path}");
        }
    }

    #[test]
    fn an_id_is_a_random_uuid() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
