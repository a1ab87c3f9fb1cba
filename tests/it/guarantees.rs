//! docs/guarantees.md names tests that exist.

use std::fs;

use webhook_tests::run::repository;

#[test]
fn every_promise_names_a_test_that_there_is() {
    let text = fs::read_to_string(repository().join("docs/guarantees.md")).expect("read it");
    let mut named = 0;
    for word in text.split('`').skip(1).step_by(2) {
        let Some((file, test)) = word.split_once(".rs: ") else { continue };
        let path = repository().join(format!("tests/{file}.rs"));
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(source.contains(&format!("fn {test}(")), "{word} is not there");
        named += 1;
    }
    assert!(named > 40, "only {named} found");
}
