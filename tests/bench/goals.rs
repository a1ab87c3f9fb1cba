//! How large figures should be, and a picture of how large they are beside that.

use std::fmt::{self, Write};

use serde_json::{Value, json};

use crate::{plot, report};

/// How large a figure should be.
#[derive(Clone, Copy)]
pub enum Goal {
    /// Not less.
    AtLeast(f64),
    /// Not more.
    AtMost(f64),
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(value) => write!(f, "at least {value}"),
            Self::AtMost(value) => write!(f, "at most {value}"),
        }
    }
}

impl Goal {
    /// As reports keep it.
    pub fn json(self) -> Value {
        match self {
            Self::AtLeast(value) => json!({"at_least": value}),
            Self::AtMost(value) => json!({"at_most": value}),
        }
    }

    fn of(json: &Value) -> Option<Self> {
        let at_least = json["at_least"].as_f64().map(Self::AtLeast);
        at_least.or_else(|| json["at_most"].as_f64().map(Self::AtMost))
    }

    /// 1 where it is just reached, more where it is surpassed.
    fn part(self, value: f64) -> f64 {
        match self {
            Self::AtLeast(wanted) => value / wanted,
            Self::AtMost(wanted) => wanted / value,
        }
    }
}

const WIDTH: f64 = 900.0;
const ROW: f64 = 18.0;
const TOP: f64 = 56.0;
const LEFT: f64 = 340.0;
const RIGHT: f64 = 150.0;
/// The picture ends at so many times what is wanted, and at that part of it.
const MOST: f64 = 4.0;

/// Draws `goals.svg` of all reports.
pub fn draw() {
    let mut files: Vec<_> = std::fs::read_dir(report::folder())
        .expect("read target/bench")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    let mut rows = Vec::new();
    for path in files.iter().filter(|path| path.extension().is_some_and(|end| end == "json")) {
        let text = std::fs::read_to_string(path).expect("read a report");
        let report: Value = serde_json::from_str(&text).expect("a report is JSON");
        let scenario = report["scenario"].as_str().unwrap_or_default();
        for (name, goal) in report["goals"].as_object().into_iter().flatten() {
            if let (Some(goal), Some(value)) = (Goal::of(goal), report[name].as_f64()) {
                rows.push((format!("{scenario}: {name}"), value, goal));
            }
        }
    }
    plot::save("goals", picture(&rows));
}

fn picture(rows: &[(String, f64, Goal)]) -> String {
    let height = TOP + ROW * rows.len() as f64 + 12.0;
    let x = |part: f64| {
        let place = part.clamp(1.0 / MOST, MOST).log2() / MOST.log2();
        LEFT + 0.5f64.mul_add(place, 0.5) * (WIDTH - LEFT - RIGHT)
    };
    let title = "Figures beside what is wanted of them: farther right is better";
    let mut svg = plot::begin((WIDTH, height), 12.0, title);
    for (part, text, colour) in [
        (0.25, "¼", "#ddd"),
        (0.5, "½", "#ddd"),
        (1.0, "as wanted", "#333"),
        (2.0, "2 times", "#ddd"),
        (4.0, "4 times", "#ddd"),
    ] {
        let _ = writeln!(
            svg,
            r#"<line x1="{0:.1}" x2="{0:.1}" y1="{1:.1}" y2="{2:.1}" stroke="{colour}"/><text x="{0:.1}" y="{3:.1}" text-anchor="middle">{text}</text>"#,
            x(part),
            TOP - 6.0,
            height - 8.0,
            TOP - 12.0,
        );
    }
    for (n, (name, value, goal)) in rows.iter().enumerate() {
        let (part, middle) = (goal.part(*value), TOP + ROW * (n as f64 + 0.5));
        let colour = if part >= 1.0 { "#3f7d20" } else { "#c2410c" };
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{name}</text><line x1="{:.1}" x2="{:.1}" y1="{middle:.1}" y2="{middle:.1}" stroke="{colour}" stroke-width="8"/><text x="{:.1}" y="{:.1}">{value} ({goal})</text>"#,
            LEFT - 12.0,
            middle + 4.0,
            x(1.0),
            x(part),
            WIDTH - RIGHT + 8.0,
            middle + 4.0,
        );
    }
    svg
}
