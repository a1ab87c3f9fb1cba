//! docs/guarantees.md and docs/faults.md name tests that exist.

use std::fs;

use webhook_tests::run::repository;

/// A page, and how many tests it names, all of which exist.
fn page(name: &str) -> (String, usize) {
    let text = fs::read_to_string(repository().join("docs").join(name)).expect("read it");
    let mut named = 0;
    for word in text.split('`').skip(1).step_by(2) {
        let Some((file, test)) = word.split_once(".rs: ") else { continue };
        let folder = if file.starts_with("it/") || file.starts_with("model/") { "tests" } else { "" };
        let path = repository().join(folder).join(format!("{file}.rs"));
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(source.contains(&format!("fn {test}(")), "{word} is not there");
        named += 1;
    }
    (text, named)
}

#[test]
fn every_promise_names_a_test_that_there_is() {
    let (_, named) = page("guarantees.md");
    assert!(named > 40, "only {named} found");
}

#[test]
fn every_fault_has_a_test_that_there_is_or_a_reason() {
    let (text, named) = page("faults.md");
    let rows: Vec<Vec<_>> = text.lines().map(|line| line.split(" | ").collect()).collect();
    let of = |part: char| {
        rows.iter().filter(move |row| row[0].starts_with(&format!("| {part}")) && row.len() == 3)
    };
    for (part, count) in "ABCDEFGHIJKL".chars().zip([23, 12, 16, 22, 16, 14, 23, 12, 15, 8, 8, 6]) {
        let numbers: Vec<_> =
            of(part).filter(|row| row[0] != "| #").map(|row| row[0][3..].to_owned()).collect();
        assert_eq!(numbers, (1..=count).map(|n| n.to_string()).collect::<Vec<_>>(), "{part}");
        for row in of(part) {
            let reason =
                ["Not ", "ounds of ", ".rs: ", "As ", "Measured"].iter().any(|word| row[2].contains(word));
            assert!(reason, "{row:?}");
        }
    }
    assert!(named > 150, "only {named} found");
}
