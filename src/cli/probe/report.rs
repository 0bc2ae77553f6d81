//! What was found, a line each, and what it comes to.

use std::io::{self, Write};

use serde::Serialize;

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    Failed,
    /// It could not be told, or was not tried.
    #[serde(rename = "-")]
    Unknown,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    #[serde(rename = "step")]
    pub(super) name: String,
    pub(super) state: State,
    /// What was found.
    pub(super) text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
    /// Whether calls fail without it.
    #[serde(skip)]
    pub(super) is_needed: bool,
}

impl Step {
    fn new(name: &str, state: State, text: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state, text: text.into(), next: None, is_needed: false }
    }

    pub(super) fn ok(name: &str, text: impl Into<String>) -> Self {
        Self::new(name, State::Ok, text)
    }

    pub(super) fn failed(name: &str, text: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(name, State::Failed, text).and(next)
    }

    pub(super) fn unknown(name: &str, text: impl Into<String>) -> Self {
        Self::new(name, State::Unknown, text)
    }

    /// Says what to do.
    pub(super) fn and(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Calls fail without it.
    pub(super) fn needed(mut self) -> Self {
        self.is_needed = true;
        self
    }
}

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The box.
    pub(super) target: String,
    pub(super) steps: Vec<Step>,
    /// Whether a call would come about.
    pub(super) works: bool,
    /// The same in words.
    pub(super) summary: String,
}

impl Report {
    /// `paths` are the transports that can be tried, and whether a packet went through the relay over each.
    pub(super) fn new(target: String, steps: Vec<Step>, paths: &[(&str, bool)]) -> Self {
        let broken: Vec<&str> = steps.iter().filter(|step| step.is_needed).map(|step| step.name.as_str()).collect();
        let through = |wanted: bool| {
            let named: Vec<&str> = paths.iter().filter(|(_, works)| *works == wanted).map(|(name, _)| *name).collect();
            named.join(", ")
        };
        let (open, shut) = (through(true), through(false));
        let works = broken.is_empty() && !open.is_empty();
        let summary = match (open.is_empty(), broken.is_empty(), shut.is_empty()) {
            (true, _, _) if paths.is_empty() => "calls do not work from here: the relay could not be tried".into(),
            (true, _, _) => "calls do not work from here: nothing gets through the relay".into(),
            (false, false, _) => {
                format!("the relay works over {open}, but calls do not: see {} above", broken.join(", "))
            }
            (false, true, true) => format!("calls work from here: the relay works over {open}"),
            (false, true, false) => format!("calls work from here: the relay works over {open}, not over {shut}"),
        };
        Self { target, steps, works, summary }
    }

    /// A line for each step, then what it comes to.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let width = self.steps.iter().map(|step| step.name.len()).max().unwrap_or_default();
        for Step { name, state, text, next, .. } in &self.steps {
            let state = match state {
                State::Ok => "ok",
                State::Failed => "failed",
                State::Unknown => "-",
            };
            write!(out, "{state:<6}  {name:<width$}  {text}")?;
            match next {
                Some(next) => writeln!(out, ". What to do: {next}")?,
                None => writeln!(out)?,
            }
        }
        writeln!(out, "{}", self.summary)
    }

    /// The same for programs.
    pub(super) fn print_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(steps: &[Step], paths: &[(&str, bool)]) -> Report {
        Report::new("https://box:3478".into(), steps.to_vec(), paths)
    }

    #[test]
    fn one_path_is_enough_if_nothing_else_is_broken() {
        let udp = Step::failed("udp binding", "no answer came in time", "open UDP 3478");
        let one = report(std::slice::from_ref(&udp), &[("UDP", false), ("TCP", true), ("TLS", true)]);
        assert!(one.works);
        assert_eq!(one.summary, "calls work from here: the relay works over TCP, TLS, not over UDP");
        let none = report(&[udp], &[("UDP", false), ("TCP", false)]);
        assert!(!none.works && none.summary.starts_with("calls do not work from here"), "{}", none.summary);
        let certificate = Step::failed("certificate", "it has expired", "renew it").needed();
        let broken = report(&[certificate], &[("UDP", true)]);
        assert!(!broken.works && broken.summary.ends_with("but calls do not: see certificate above"));
        assert!(!report(&[], &[]).works);
    }

    #[test]
    fn every_step_is_a_line_and_says_what_to_do() {
        let steps = [
            Step::ok("web", "HTTPS answers"),
            Step::failed("clock", "it is 3600 s ahead", "set the clock"),
            Step::unknown("nat", "not known"),
        ];
        let mut out = Vec::new();
        report(&steps, &[("UDP", true)]).print(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "ok      web    HTTPS answers\n\
             failed  clock  it is 3600 s ahead. What to do: set the clock\n\
             -       nat    not known\n\
             calls work from here: the relay works over UDP\n"
        );
        let mut out = Vec::new();
        report(&steps, &[("UDP", true)]).print_json(&mut out).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&value["works"], &value["steps"][1]["next"]), (&true.into(), &"set the clock".into()));
        assert_eq!((&value["steps"][0]["state"], &value["steps"][2]["state"]), (&"ok".into(), &"-".into()));
    }
}
