//! A program in a namespace that answers each line of JSON with one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::support::PATIENCE;

/// Ends with this value.
pub struct Program {
    child: Child,
    /// None once it is to end.
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Program {
    /// Starts it in a namespace, in a directory.
    pub fn start(namespace: &str, directory: &str, command: &[&str]) -> Self {
        let mut ip = Command::new("ip");
        ip.args(["netns", "exec", namespace]).args(command).current_dir(directory);
        let mut child = ip.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { stdin: child.stdin.take(), child, lines }
    }

    /// Asks, and waits so long for the answer.
    pub fn ask<Answer: DeserializeOwned>(&mut self, ask: &impl Serialize, patience: Duration) -> Answer {
        self.tell(ask);
        self.hear(patience)
    }

    /// Asks. [`Self::hear`] has the answer.
    pub fn tell(&mut self, ask: &impl Serialize) {
        let line = serde_json::to_string(ask).unwrap();
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The answer to what was asked first of what has none yet.
    pub fn hear<Answer: DeserializeOwned>(&mut self, patience: Duration) -> Answer {
        let line = self.lines.recv_timeout(patience).unwrap_or_else(|error| panic!("no answer: {error}"));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in the answer {line}"))
    }
}

impl Drop for Program {
    /// It ends by itself when there is nothing more to read, and takes along what it has started.
    fn drop(&mut self) {
        self.stdin = None;
        let give_up = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < give_up {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
