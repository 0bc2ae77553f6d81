//! Somebody with a browser in a namespace.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::program::Program;
use super::support::server::Server;

/// How long a browser may take to start, or to open a page, on a busy machine.
const BROWSER: Duration = Duration::from_secs(60);

/// Where the browser tests are.
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser");

/// A Chromium that trusts the box.
pub struct Visitor(Program);

/// What came of what was asked.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    ms: u64,
    #[serde(default)]
    path: Option<Seen>,
}

/// The path as the page says.
#[derive(Debug, Deserialize)]
struct Seen {
    transport: String,
    #[serde(rename = "localType")]
    local_type: String,
}

/// A picture that came.
#[derive(Debug)]
pub struct Sight {
    /// From the click to the picture.
    pub after: Duration,
    /// What carries the media to the relay, if they go out by it.
    pub relayed_over: Option<String>,
}

impl Visitor {
    /// Whether there is what browsers take.
    pub fn lacking() -> Option<String> {
        let modules = Path::new(DIRECTORY).join("node_modules/puppeteer-core");
        (!modules.exists()).then(|| "the browser tests' packages are missing: make deps-browser".into())
    }

    pub fn in_namespace(name: &str, server: &Server) -> Self {
        let authority = server.path().join("certs/ca.pem");
        let command = ["node", "support/visitor.js", authority.to_str().unwrap()];
        Self(Program::start(name, DIRECTORY, &command))
    }

    /// Waits until the browser has started.
    pub fn ready(&mut self) {
        self.hear(BROWSER);
    }

    pub fn join(&mut self, url: &str, room: &str) {
        self.0.tell(&json!({ "join": { "url": url, "room": room } }));
        self.hear(BROWSER);
    }

    /// Waits for a picture by a path. Ask both, and then [`Self::seen`].
    pub fn see(&mut self, path: &str, within: Duration) {
        self.0.tell(&json!({ "see": { "path": path, "within": within.as_millis() as u64 } }));
    }

    /// What came of [`Self::see`].
    pub fn seen(&mut self) -> Result<Sight, String> {
        let answer: Answer = self.0.hear(BROWSER);
        let Some(path) = answer.path.filter(|_| answer.error.is_none()) else {
            return Err(answer.error.unwrap_or_else(|| "no path".into()));
        };
        let relayed_over = (path.local_type == "relay").then_some(path.transport);
        Ok(Sight { after: Duration::from_millis(answer.ms), relayed_over })
    }

    /// Waits until more of the picture comes, from now on.
    pub fn flows(&mut self, within: Duration) -> Result<Duration, String> {
        self.0.tell(&json!({ "flows": { "within": within.as_millis() as u64 } }));
        let answer: Answer = self.0.hear(BROWSER);
        answer.error.map_or(Ok(Duration::from_millis(answer.ms)), Err)
    }

    pub fn leave(&mut self) {
        self.0.tell(&json!({ "leave": true }));
        self.hear(BROWSER);
    }

    fn hear(&mut self, patience: Duration) {
        let answer: Answer = self.0.hear(patience);
        if let Some(error) = answer.error {
            panic!("{error}");
        }
    }
}
