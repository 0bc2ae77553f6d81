//! A row of the tables: one thing, measured of two servers in turns.

use serde_json::{Value, json};

use crate::cost::Cost;
use crate::spread::Spread;

/// A server whose core is busy for less than this was not the limit.
const BUSY: f64 = 0.90;
/// What is lost of all, above which waiting for it was the limit.
const LOST: f64 = 0.001;

/// What the ratio of the two sides is to be.
#[derive(Clone, Copy, Debug)]
pub enum Reach {
    AtMost(f64),
    AtLeast(f64),
}

impl Reach {
    fn text(self) -> String {
        match self {
            Self::AtMost(bound) => format!("≤ {bound:.2}"),
            Self::AtLeast(bound) => format!("≥ {bound:.2}"),
        }
    }

    fn is_reached(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(bound) => ratio <= bound,
            Self::AtLeast(bound) => ratio >= bound,
        }
    }
}

pub struct Row {
    pub name: String,
    pub unit: &'static str,
    /// Of each round, for both sides.
    pub values: [Vec<f64>; 2],
    /// Where the values are of packets: what came and went.
    pub costs: Option<[Vec<Cost>; 2]>,
    pub reach: Option<Reach>,
    /// What a reader must know besides.
    pub note: Option<String>,
}

impl Row {
    /// Something else than packets.
    pub fn new(name: impl Into<String>, unit: &'static str, values: [Vec<f64>; 2]) -> Self {
        Self { name: name.into(), unit, values, costs: None, reach: None, note: None }
    }

    pub fn reach(mut self, reach: Reach) -> Self {
        self.reach = Some(reach);
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Server CPU for each packet.
    pub fn of_costs(name: String, costs: [Vec<Cost>; 2], reach: Option<Reach>) -> Self {
        let values = costs.each_ref().map(|costs| costs.iter().map(Cost::micros).collect());
        Self { name, unit: "µs", values, costs: Some(costs), reach, note: None }
    }

    /// Of the first side to the second, round by round.
    pub fn ratio(&self) -> Spread {
        let [first, second] = &self.values;
        Spread::of(first.iter().zip(second).map(|(first, second)| first / second))
    }

    pub const HEAD: &str = "| ratio | reach | packets/s | lost | the limit was |";
    pub const RULE: &str = "|---|---:|---:|---:|---:|---:|---:|---|";

    pub fn line(&self) -> String {
        let digits = if self.values.iter().flatten().all(|&value| value >= 100.0) { 0 } else { 2 };
        let [first, second] = self.values.each_ref().map(|values| Spread::of(values.iter().copied()).text(digits));
        let reach = self.reach.map_or(String::new(), |reach| {
            let word = if reach.is_reached(self.ratio().median) { "" } else { " (missed)" };
            format!("{}{word}", reach.text())
        });
        let [rates, lost, limits] = self.costs.as_ref().map_or([const { String::new() }; 3], |costs| {
            let both = |of: &dyn Fn(&[Cost]) -> String| costs.each_ref().map(|costs| of(costs)).join(" / ");
            [
                both(&|costs| format!("{:.0}", rate(costs).median)),
                both(&|costs| costs.iter().map(|cost| cost.lost).sum::<u64>().to_string()),
                both(&|costs| format!("{} ({:.0} %)", limit(costs), busy(costs).median * 100.0)),
            ]
        });
        let (name, unit, ratio) = (&self.name, self.unit, self.ratio().text(2));
        let limits = self.note.as_ref().unwrap_or(&limits);
        format!("| {name}, {unit} | {first} | {second} | {ratio} | {reach} | {rates} | {lost} | {limits} |")
    }

    pub fn json(&self, group: &str, sides: &[String; 2]) -> Value {
        let side = |index: usize| {
            let values = &self.values[index];
            let mut side =
                json!({ "name": sides[index], "value": Spread::of(values.iter().copied()).json(), "rounds": values });
            if let Some(costs) = self.costs.as_ref().map(|costs| &costs[index]) {
                side["packets_per_second"] = rate(costs).json();
                side["lost"] = costs.iter().map(|cost| cost.lost).sum::<u64>().into();
                side["server_cores"] = busy(costs).json();
                side["limit"] = limit(costs).into();
            }
            side
        };
        json!({
            "group": group,
            "name": self.name,
            "unit": self.unit,
            "sides": [side(0), side(1)],
            "ratio": self.ratio().json(),
            "reach": self.reach.map(Reach::text),
            "reached": self.reach.map(|reach| reach.is_reached(self.ratio().median)),
            "note": self.note,
        })
    }
}

fn rate(costs: &[Cost]) -> Spread {
    Spread::of(costs.iter().map(Cost::rate))
}

fn busy(costs: &[Cost]) -> Spread {
    Spread::of(costs.iter().map(Cost::busy))
}

/// What kept it from being more.
fn limit(costs: &[Cost]) -> &'static str {
    let sum = |of: fn(&Cost) -> u64| costs.iter().map(of).sum::<u64>() as f64;
    if busy(costs).median >= BUSY {
        "the relay"
    } else if sum(|cost| cost.lost) > LOST * sum(|cost| cost.count) {
        "losses"
    } else {
        "the generator"
    }
}
