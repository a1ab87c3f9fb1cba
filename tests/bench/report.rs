//! What a scenario found: printed, and written as JSON.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::goals::{self, Goal};

/// The figures of one scenario, in the order in which they were added.
pub struct Report {
    scenario: &'static str,
    figures: Map<String, Value>,
    goals: Map<String, Value>,
}

impl Report {
    /// Opens the report with a line that says what is measured.
    pub fn new(scenario: &'static str, what: &str) -> Self {
        println!("\n== {scenario}: {what}");
        let mut figures = Map::new();
        figures.insert("scenario".into(), scenario.into());
        figures.insert("measured".into(), what.into());
        figures.insert("cores".into(), std::thread::available_parallelism().map_or(0, usize::from).into());
        Self { scenario, figures, goals: Map::new() }
    }

    /// Adds a figure; `unit` is for the eye, `name` for JSON.
    pub fn add(&mut self, name: &str, value: f64, unit: &str) {
        println!("{name:>40} {value:>12.3} {unit}");
        // Three places are more than any of this repeats to.
        self.figures.insert(name.into(), ((value * 1000.0).round() / 1000.0).into());
    }

    /// Adds a figure of which it is said how large it should be.
    pub fn want(&mut self, name: &str, value: f64, unit: &str, goal: Goal) {
        self.add(name, value, &format!("{unit} ({goal} is wanted)"));
        self.goals.insert(name.into(), goal.json());
    }

    /// Writes `target/bench/<scenario>.json`, and draws all figures that should have some size anew.
    pub fn write(mut self) {
        self.figures.insert("goals".into(), self.goals.into());
        let path = folder().join(format!("{}.json", self.scenario));
        let text = serde_json::to_string_pretty(&self.figures).expect("figures are JSON");
        std::fs::write(&path, text + "\n").expect("write the figures");
        println!("   written to {}", path.display());
        goals::draw();
    }
}

/// `target/bench`.
pub fn folder() -> PathBuf {
    let folder = webhook_tests::stage::target().join("bench");
    std::fs::create_dir_all(&folder).expect("make target/bench");
    folder
}

/// The middle one of the values, in whatever order they are.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// The value at `part` (0 to 1) of the sorted `values`.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    values[((values.len() - 1) as f64 * part).round() as usize]
}
