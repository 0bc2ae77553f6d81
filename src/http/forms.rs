//! The forms in which programs ask for ICE configuration and credentials. Each has its paths, its methods and its way
//! of saying what is wrong; the credential is the same.

use std::sync::Arc;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use hyper::{Method, StatusCode};
use serde::Serialize;
use warp::reply::Response;

use super::answer::Asker;
use super::body::Body;
use super::errors::HttpError;
use super::turn_rest::TurnQuery;
use super::web::Inner;
use super::{cloudflare, google, ice, metered, turn_rest, twilio};

/// Lets a page of a public site ask a server on the local network (Private Network Access).
pub(super) const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `requestTurn`, of AppRTC and codelab pages.
    Turn,
    /// draft-uberti-behave-turn-rest-00.
    Rest,
    /// Our own.
    Ice,
    Google,
    /// With the account that the path names.
    Twilio(String),
    Cloudflare,
    Metered,
}

/// A request in one of the forms.
pub(super) struct Call {
    pub(super) asker: Asker,
    pub(super) method: Method,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

impl Form {
    /// The form that a path and a query are of.
    pub(super) fn of(path: &str, query: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let parts: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
        match parts[..] {
            ["turn"] => Some(Self::Turn),
            // The same path without it is the page.
            [""] if query.split('&').any(|pair| pair == "service=turn") => Some(Self::Rest),
            ["api", "turn"] => Some(Self::Rest),
            ["ice"] => Some(Self::Ice),
            ["v1alpha", "iceconfig"] => Some(Self::Google),
            ["2010-04-01", "Accounts", account, "Tokens.json"] => Some(Self::Twilio(account.to_owned())),
            ["v1", "turn", "keys", _, "credentials", "generate-ice-servers"] => Some(Self::Cloudflare),
            ["api", "v1", "turn", "credentials"] => Some(Self::Metered),
            _ => None,
        }
    }

    /// Answers a request, whatever its method.
    pub(super) async fn answer(self, inner: Arc<Inner>, call: Call) -> Response {
        if call.method == Method::OPTIONS {
            return preflight(self.methods());
        }
        let query = call.query.clone();
        let answered = if self.methods().split(", ").any(|method| method == call.method.as_str()) {
            self.reply(&inner, call).await
        } else {
            let text = format!("this path does not take that method: use one of {}", self.methods());
            Err(HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "bad-method", text)
                .with(ALLOW, HeaderValue::from_static(self.methods())))
        };
        match answered {
            Ok(response) => self.open(&query, response),
            Err(error) => self.refuse(&query, error),
        }
    }

    /// Says what is wrong, in the form's own way.
    pub(super) fn refuse(&self, query: &str, error: HttpError) -> Response {
        let error = match self {
            Self::Turn | Self::Rest | Self::Ice => error,
            Self::Google => error.said(google::error),
            Self::Twilio(_) => error.unauthorized(Some("Basic realm=\"lanturn\"")).said(twilio::error),
            Self::Cloudflare => error.unauthorized(Some("Bearer realm=\"lanturn\"")).said(cloudflare::error),
            Self::Metered => error.unauthorized(None).said(metered::error),
        };
        self.open(query, error.into_response())
    }

    fn methods(&self) -> &'static str {
        match self {
            Self::Turn | Self::Ice | Self::Metered => "GET, HEAD",
            // Janus asks for credentials with POST unless told otherwise, and with the query all the same.
            Self::Rest | Self::Google => "GET, HEAD, POST",
            Self::Twilio(_) | Self::Cloudflare => "POST",
        }
    }

    async fn reply(&self, inner: &Inner, call: Call) -> Result<Response, HttpError> {
        let Call { asker, query, headers, body, .. } = call;
        Ok(match self {
            Self::Turn => json_reply(StatusCode::OK, &turn_rest::turn(inner, &asker, &TurnQuery::parse(&query)?)?),
            Self::Rest => json_reply(StatusCode::OK, &turn_rest::rest(inner, &asker, &TurnQuery::parse(&query)?)?),
            Self::Ice => json_reply(StatusCode::OK, &ice::reply(inner, &asker, &TurnQuery::parse(&query)?)?),
            Self::Google => json_reply(StatusCode::OK, &google::reply(inner, &asker, &query)?),
            Self::Twilio(account) => {
                json_reply(StatusCode::CREATED, &twilio::reply(inner, &asker, account.clone(), &headers, body).await?)
            }
            Self::Cloudflare => {
                json_reply(StatusCode::CREATED, &cloudflare::reply(inner, &asker, &headers, body).await?)
            }
            Self::Metered => json_reply(StatusCode::OK, &metered::reply(inner, &asker, &query)?),
        })
    }

    /// Whoever has a key may ask from a page of any site.
    fn open(&self, query: &str, mut response: Response) -> Response {
        if *self != Self::Ice || TurnQuery::parse(query).is_ok_and(|query| query.key().is_some()) {
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        response
    }
}

pub(super) fn json_reply(status: StatusCode, reply: &impl Serialize) -> Response {
    let mut response = Response::new(serde_json::to_string(reply).unwrap_or_default().into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn preflight(methods: &'static str) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    // `*` does not stand for Authorization (Fetch section 4.9).
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Authorization, Content-Type, *"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_of_one_form_or_of_none() {
        for (path, query, form) in [
            ("/turn", "", Form::Turn),
            ("/turn/", "", Form::Turn),
            ("/", "key=a&service=turn", Form::Rest),
            ("/api/turn", "", Form::Rest),
            ("/2010-04-01/Accounts/AC1/Tokens.json", "", Form::Twilio("AC1".into())),
            ("/v1/turn/keys/1/credentials/generate-ice-servers", "", Form::Cloudflare),
            ("/api/v1/turn/credentials", "", Form::Metered),
        ] {
            assert_eq!(Form::of(path, query), Some(form), "{path}?{query}");
        }
        for (path, query) in
            [("/", ""), ("/", "service=turnip"), ("/r/turn", "service=turn"), ("//turn", ""), ("*", "")]
        {
            assert_eq!(Form::of(path, query), None, "{path}?{query}");
        }
    }
}
