//! What was measured, printed as it comes and written down as JSON at the end.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::row::Row;

/// Where the results go.
pub const DIRECTORY: &str = "target/bench";

pub struct Report {
    machine: Value,
    rounds: usize,
    seconds: f64,
    rows: Vec<Value>,
}

impl Report {
    pub fn new(machine: Value, rounds: usize, seconds: f64) -> Self {
        println!("\nThe machine:");
        for (name, value) in machine.as_object().into_iter().flatten() {
            println!("- {name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        println!("\nEach figure is the median of {rounds} measurements of {seconds} s, taken in turns (least–most).");
        println!("The ratio is that of each round's two measurements. The limit was the relay where its core was busy");
        println!("for 90 % of the time; the percentage is of one core.");
        Self { machine, rounds, seconds, rows: Vec::new() }
    }

    /// Begins a table, which is printed as its rows come.
    pub fn table(&mut self, group: &str, title: &str, sides: [&str; 2]) -> Table<'_> {
        println!("\n{title}\n\n| {group} | {} | {} {}\n{}", sides[0], sides[1], Row::HEAD, Row::RULE);
        Table { rows: &mut self.rows, group: group.to_owned(), sides: sides.map(str::to_owned) }
    }

    /// Writes everything down under this name and says where.
    pub fn write(self, name: &str) {
        let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let all = json!({
            "unix_time": seconds.unwrap_or_default().as_secs(),
            "machine": self.machine,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "rows": self.rows,
        });
        let text = serde_json::to_string_pretty(&all).expect("it is JSON");
        println!("\nWritten: {}", write(name, &text).display());
    }
}

pub struct Table<'a> {
    rows: &'a mut Vec<Value>,
    group: String,
    sides: [String; 2],
}

impl Table<'_> {
    pub fn add(&mut self, row: Row) {
        println!("{}", row.line());
        self.rows.push(row.json(&self.group, &self.sides));
    }
}

/// Writes a file of results.
pub fn write(name: &str, text: &str) -> PathBuf {
    let path = Path::new(DIRECTORY).join(name);
    std::fs::create_dir_all(DIRECTORY).and_then(|()| std::fs::write(&path, text)).expect("results can be written");
    path
}
