//! `lanturn probe`, as a shell runs it, and what it found.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long it may take, whatever is blocked.
const WHOLE: Duration = Duration::from_secs(30);

/// What it said.
#[derive(Debug)]
pub struct Probe {
    pub code: Option<i32>,
    pub report: Value,
    pub said: String,
}

impl Probe {
    /// Runs `lanturn probe ARGUMENTS --json`, by way of a command that is given what to run, such as `ip netns exec`.
    pub fn run_by(command: &mut Command, arguments: &[&str]) -> Self {
        let start = Instant::now();
        let command = command.arg("probe").args(arguments).arg("--json").env("LANTURN_LOG", "warn");
        let output = command.output().unwrap();
        assert!(start.elapsed() < WHOLE, "it took {:?}", start.elapsed());
        let said = [output.stdout.clone(), output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no report: {said}"));
        Self { code: output.status.code(), report, said }
    }

    /// Runs it here, in a directory.
    pub fn run(dir: &std::path::Path, arguments: &[&str]) -> Self {
        Self::run_by(Command::new(env!("CARGO_BIN_EXE_lanturn")).current_dir(dir), arguments)
    }

    /// State and text of a step.
    pub fn step(&self, name: &str) -> (&str, &str) {
        let steps = self.report["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("no {name}: {self:?}"));
        assert!(step["state"] != "failed" || step["next"].is_string(), "what is to be done? {step}");
        (step["state"].as_str().unwrap(), step["text"].as_str().unwrap())
    }

    /// The state of a step.
    pub fn state(&self, name: &str) -> &str {
        self.step(name).0
    }

    /// The whole way over these transports was found to work.
    pub fn works_over(&self, transports: &[&str]) {
        for transport in transports {
            for part in ["binding", "allocation", "relay"] {
                assert_eq!(self.state(&format!("{transport} {part}")), "ok", "{self:?}");
            }
        }
    }
}
