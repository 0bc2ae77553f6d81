//! Somebody with a browser in a namespace.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::networks::Path;
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
}

impl Visitor {
    /// Whether there is what browsers take.
    pub fn lacking() -> Option<String> {
        let modules = std::path::Path::new(DIRECTORY).join("node_modules/puppeteer-core");
        (!modules.exists()).then(|| "the browser tests' packages are missing: make deps-browser".into())
    }

    pub fn in_namespace(name: &str, server: &Server) -> Self {
        let authority = server.path().join("certs/ca.pem");
        let command = ["node", "support/visitor.js", authority.to_str().unwrap()];
        Self(Program::start(name, DIRECTORY, &command))
    }

    /// Waits until the browser has started.
    pub fn ready(&mut self) {
        self.took().unwrap();
    }

    pub fn join(&mut self, url: &str, room: &str) -> Result<(), String> {
        self.0.tell(&json!({ "join": { "url": url, "room": room } }));
        self.took().map(drop)
    }

    /// Waits for a picture by a path, with `transport` to the relay where it is ours. Ask both, and then [`Self::seen`].
    pub fn see(&mut self, path: Path, transport: &str, within: Duration) {
        let within = within.as_millis() as u64;
        self.0.tell(&json!({ "see": { "path": path.name(), "transport": transport, "within": within } }));
    }

    /// What came of [`Self::see`]: how long it took since the click.
    pub fn seen(&mut self) -> Result<Duration, String> {
        self.took()
    }

    /// Waits until more of the picture comes, from now on.
    pub fn flows(&mut self, within: Duration) -> Result<Duration, String> {
        self.0.tell(&json!({ "flows": { "within": within.as_millis() as u64 } }));
        self.took()
    }

    pub fn leave(&mut self) {
        self.0.tell(&json!({ "leave": true }));
        self.took().unwrap();
    }

    fn took(&mut self) -> Result<Duration, String> {
        let answer: Answer = self.0.hear(BROWSER);
        answer.error.map_or(Ok(Duration::from_millis(answer.ms)), Err)
    }
}
