//! The README tells the truth: its SQL runs, and what it names exists.

use std::process::Command;

use webhook_tests::database::Database;
use webhook_tests::receiver::{Receiver, Reply};
use webhook_tests::relay::Relay;
use webhook_tests::run;

fn readme() -> String {
    std::fs::read_to_string(run::repository().join("README.md")).expect("read README.md")
}

/// The fenced blocks of a language, in order.
pub fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).map(String::from).collect()
}

/// Between blocks the reader of the README has all the time in the world, so the relay has read what was emitted.
const READ_ALL: &str = "
SET statement_timeout = '60s';
DO $$ BEGIN WHILE (SELECT backlog > 0 FROM webhook_stats()) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$;
";

#[tokio::test]
async fn every_sql_statement_runs_in_psql_one_after_the_other() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    // The receiver stands for all hosts of the README. It refuses, so that there are deliveries of every kind to look at.
    let readme = readme().replace("https://example.com", &receiver.url(""));
    let path = |url: &str| url.strip_prefix(&receiver.url("")).map(String::from);
    for word in readme.split(['\'', '"', ' ']).filter_map(path) {
        receiver.answer(&word, [Reply::status(503)]);
    }
    let blocks = blocks(&readme, "sql");
    assert!(!blocks.is_empty());
    let script = run::subfolder("readme").join("readme.sql");
    std::fs::write(&script, blocks.join(READ_ALL)).expect("write the script");
    let mut psql: Command = db.cluster().program("psql");
    psql.args(["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-d", db.name(), "-f"]).arg(script);
    let output = psql.output().expect("start psql");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_file_that_it_names_exists() {
    let readme = readme();
    let named = readme.split('`').skip(1).step_by(2).chain(readme.split("](").skip(1).filter_map(|rest| {
        let link = rest.split(')').next()?;
        (!link.contains("://") && !link.starts_with('#')).then_some(link)
    }));
    let looks_like_a_path = |name: &&str| {
        name.contains('/') && !name.contains([' ', '<', '*', '…', ':', '$']) && !name.starts_with('/')
    };
    let missing: Vec<_> =
        named.filter(looks_like_a_path).filter(|name| !run::repository().join(name).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
