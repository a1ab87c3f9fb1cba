//! docs/capture.md tells the truth: its SQL runs, and makes the events that it shows.

use webhook_tests::database::Database;
use webhook_tests::run;

fn page() -> String {
    std::fs::read_to_string(run::repository().join("docs/capture.md")).expect("read docs/capture.md")
}

/// The fenced blocks of a language, one after the other.
fn blocks(page: &str, language: &str) -> String {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[tokio::test]
async fn its_statements_make_the_events_that_it_shows() {
    let db = Database::new().await;
    let page = page();
    let script = run::subfolder("capture").join("capture.sql");
    std::fs::write(&script, blocks(&page, "sql")).expect("write the script");
    let mut psql = db.cluster().program("psql");
    psql.args(["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-d", db.name(), "-f"]).arg(script);
    let output = psql.output().expect("start psql");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let events = "SELECT concat_ws(' previous ', type || ' ' || data::text, previous) FROM webhook.events ORDER BY seq";
    let shown = blocks(&page, "text");
    assert_eq!(db.rows(events).await.concat(), shown.lines().collect::<Vec<_>>());
    assert_eq!(
        db.value("SELECT string_agg(key || account, '') FROM webhook.events WHERE data->>'id' = '4'").await,
        "acmeacme"
    );
}

#[tokio::test]
async fn the_error_that_it_shows_is_the_error() {
    let db = Database::new().await;
    db.run("CREATE TABLE orders (id int PRIMARY KEY, total numeric)").await;
    let refused = db.refusal("SELECT webhook_watch('orders', 'order', \"when\" => 'NEW.totl >= 100')").await;
    assert_eq!(refused.message, blocks(&page(), "text-error").trim());
}

#[tokio::test]
async fn values_are_spelled_as_its_table_says() {
    let db = Database::new().await;
    db.run(
        "CREATE TYPE mood AS ENUM ('happy'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN cents AS int",
    )
    .await;
    db.run("CREATE TABLE users ()").await;
    let page = page();
    let rows: Vec<_> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | `")).collect();
    assert!(rows.len() > 20);
    for (value, rest) in rows {
        let json = rest.split_once("` | ").expect("a second column").0;
        db.run(&format!(
            "CREATE TABLE v AS SELECT {value} AS v WITH NO DATA; SELECT webhook_watch('v', 'v')"
        ))
        .await;
        db.run(&format!("INSERT INTO v SELECT {value}")).await;
        assert_eq!(db.value("SELECT data FROM webhook.events").await, format!("{{\"v\":{json}}}"), "{value}");
        db.run("DROP TABLE v; TRUNCATE webhook.events").await;
    }
}
