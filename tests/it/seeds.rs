//! docs/seeds.md tells the truth: its SQL runs, the tests that it names exist, and it has every event type of the seeds.

use webhook_tests::database::Database;
use webhook_tests::run;

use crate::readme::blocks;

#[tokio::test]
async fn every_statement_of_the_page_runs() {
    let db = Database::new().await;
    let page = std::fs::read_to_string(run::repository().join("docs/seeds.md")).expect("read the page");
    let script = run::subfolder("seeds").join("seeds.sql");
    std::fs::write(&script, blocks(&page, "sql").join("\n")).expect("write the script");
    let mut psql = db.cluster().program("psql");
    psql.args(["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-d", db.name(), "-f"]).arg(script);
    let output = psql.output().expect("start psql");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_test_that_it_names_exists() {
    let page = std::fs::read_to_string(run::repository().join("docs/seeds.md")).expect("read the page");
    let paths = page.split('`').filter(|word| word.starts_with("tests/") || word.starts_with("extension/"));
    let missing: Vec<_> = paths.filter(|path| !run::repository().join(path).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn every_event_type_of_both_tables_is_in_the_catalogue() {
    let db = Database::new().await;
    let known = db.rows("SELECT type FROM webhook_event_types()").await.concat();
    for document in [crate::receivers::SEED_003, crate::receivers::SEED_004] {
        let path = run::repository().join("tests/it/receivers").join(document);
        let text = std::fs::read_to_string(path).expect("read the copy of the seed");
        // A row of a table: `type` | description, with or without a bar before it.
        let rows = text.lines().filter_map(|line| line.trim_start_matches("| ").strip_prefix('`'));
        let types = rows
            .filter_map(|row| row.split_once("` |"))
            .map(|(kind, _)| kind)
            .filter(|kind| kind.contains('.'));
        let types: Vec<_> = types.collect();
        assert!(types.len() >= 8, "{types:?}");
        for kind in types {
            assert!(known.iter().any(|other| other == kind), "{kind}");
        }
    }
}
