//! What is to be measured, and for how long: the variables of the environment that `tests/bench/run` tells of.

use std::path::PathBuf;
use std::time::Duration;

use crate::relay::GROUPS;

pub struct Options {
    rows: Vec<String>,
    /// The length of one measurement of the relay.
    pub relay_window: Duration,
    /// The same of the rooms.
    pub signaling_window: Duration,
    /// How often each server's turn comes in a row of the relay.
    pub rounds: usize,
    /// Another lanturn to stand where coturn would.
    pub against: Option<PathBuf>,
}

impl Options {
    /// # Errors
    /// In words, for a value that makes no sense.
    pub fn from_env() -> Result<Self, String> {
        let seconds = number::<f64>("BENCH_SECONDS")?.filter(|seconds| *seconds > 0.0);
        let rounds = number::<usize>("BENCH_ROUNDS")?.filter(|rounds| *rounds > 0);
        let rows = std::env::var("BENCH_ROWS").unwrap_or_default();
        let rows: Vec<String> = rows.split_whitespace().map(str::to_owned).collect();
        let known = |row: &str| {
            let group = row.strip_prefix("relay.");
            ["relay", "signaling"].contains(&row) || group.is_some_and(|group| GROUPS.contains(&group))
        };
        if let Some(unknown) = rows.iter().find(|row| !known(row)) {
            let there = GROUPS.map(|group| format!("relay.{group}")).join(", ");
            return Err(format!("BENCH_ROWS: there are no rows `{unknown}`: relay, signaling, {there} are there"));
        }
        Ok(Self {
            rows,
            relay_window: Duration::from_secs_f64(seconds.unwrap_or(1.0)),
            signaling_window: Duration::from_secs_f64(seconds.unwrap_or(3.0)),
            rounds: rounds.unwrap_or(5),
            against: std::env::var_os("BENCH_AGAINST").map(PathBuf::from),
        })
    }

    /// Whether these rows, or some of them, are to be measured.
    pub fn wants(&self, rows: &str) -> bool {
        let part = format!("{rows}.");
        self.rows.is_empty() || self.rows.iter().any(|row| row == rows || row.starts_with(&part))
    }

    /// Whether a group of the relay's rows is to be measured.
    pub fn wants_group(&self, group: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|row| row == "relay" || row.strip_prefix("relay.") == Some(group))
    }

    /// The file for the relay's results: a run of some groups, or beside another lanturn, leaves that of all as it is.
    pub fn relay_results(&self) -> String {
        let groups: Vec<&str> = GROUPS.into_iter().filter(|group| self.wants_group(group)).collect();
        let part = if groups.len() == GROUPS.len() { String::new() } else { format!("-{}", groups.join("-")) };
        let beside = if self.against.is_some() { "-against" } else { "" };
        format!("relay{part}{beside}.json")
    }
}

fn number<T: std::str::FromStr>(name: &str) -> Result<Option<T>, String> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().map(Some).map_err(|_| format!("{name}: `{text}` is no number")),
        Ok(_) | Err(_) => Ok(None),
    }
}
