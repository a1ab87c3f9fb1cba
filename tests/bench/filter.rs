//! How fast the filter engine is: a filter of three conditions on a payload of 500 bytes, on one core.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use webhook_wire::filter::Filter;
use webhook_wire::json;

use crate::goals::Goal::AtLeast;
use crate::report::{Report, median};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(1);

/// Runs the scenario.
pub fn run() {
    let filter =
        json!({"role": "admin", "balance": {"$gte": 10}, "address.city": {"$in": ["Paris", "Rome"]}});
    let filter = Filter::parse(&filter).expect("a filter");
    let passes = payload("Rome");
    let fails = payload("Oslo");
    assert_eq!(passes.len(), 500);
    let values = [&passes, &fails].map(|payload| json::value(payload).expect("JSON"));
    assert!(filter.matches(&values[0]) && !filter.matches(&values[1]));

    let mut report = Report::new("filter", "three conditions on a payload of 500 bytes, on one core");
    let evaluate = |n: usize| filter.matches(black_box(&values[n % 2]));
    report.want("evaluations_per_second", per_second(evaluate), "a second", AtLeast(1e6));
    let parse_too = |n: usize| {
        let value: Value = json::value(black_box([&passes, &fails][n % 2])).expect("JSON");
        filter.matches(&value)
    };
    report.add(
        "with_parsing_per_second",
        per_second(parse_too),
        "the payload parsed each time; a relay parses it once",
    );
    report.write();
}

/// A row of a table as capture spells it.
fn payload(city: &str) -> Vec<u8> {
    let row = json!({"id": 7, "email": "jane@example.com", "role": "admin", "balance": 10.5,
                     "address": {"street": "1 Main Street", "city": city}, "tags": ["a", "b"], "text": ""});
    let bare = row.to_string().len();
    let mut row = row;
    row["text"] = "x".repeat(500 - bare).into();
    row.to_string().into_bytes()
}

/// The median over the rounds.
fn per_second(mut call: impl FnMut(usize) -> bool) -> f64 {
    let rates = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let mut calls = 0;
            while start.elapsed() < ROUND {
                for n in 0..1000 {
                    black_box(call(n));
                }
                calls += 1000;
            }
            f64::from(calls) / start.elapsed().as_secs_f64()
        })
        .collect();
    median(rates)
}
