//! However long the log of deliveries is, reading it in SQL touches little of it.

use webhook_tests::database::Database;

/// Attempts in the log, all delivered but a few.
const LOG: u32 = 60_000;
/// Some 1,800 pages are the log's; a plan that walks it reads them all, or its index entries one by one.
const MOST_PAGES: u64 = 600;

/// How many pages a query reads, when the session has run it before.
async fn pages(db: &Database<'_>, sql: &str) -> u64 {
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON, TIMING OFF) {sql}");
    db.run(sql).await;
    let plan: serde_json::Value = serde_json::from_str(&db.value(&explain).await).expect("a plan");
    let count = |what: &str| plan[0]["Plan"][what].as_u64().expect("a number");
    count("Shared Hit Blocks") + count("Shared Read Blocks")
}

#[tokio::test]
async fn is_read_from_its_ends() {
    let db = Database::new().await;
    let event = db.emit("user.created", "{}").await;
    let (old, _) = db.webhook("https://example.com/old", "").await;
    db.run(&format!(
        "INSERT INTO webhook.attempts (delivery_id, number, event_id, webhook_id, at, outcome, response_code)
         SELECT id, 1, 'evt' || substr(id, 4), '{old}', clock_timestamp(), 'delivered', 200
         FROM (SELECT webhook._id_floor('del', clock_timestamp() - n * interval '50 milliseconds') AS id
               FROM generate_series(1300, 1299 + {LOG}) n) made ON CONFLICT DO NOTHING"
    ))
    .await;
    let failed = "SELECT delivery_id FROM webhook.attempts ORDER BY delivery_id LIMIT 1";
    let failed = db.value(failed).await;
    db.run(&format!("UPDATE webhook.attempts SET outcome = 'failed' WHERE delivery_id = '{failed}'")).await;
    db.run("ANALYZE webhook.attempts").await;
    let (new, _) = db.webhook("https://example.com/new", "").await;
    for sql in [
        "SELECT count(*) FROM webhook_deliveries()".to_owned(),
        format!("SELECT count(*) FROM webhook_deliveries(before => '{failed}')"),
        format!("SELECT count(*) FROM webhook_deliveries('{old}')"),
        format!("SELECT count(*) FROM webhook_deliveries('{new}')"),
        format!("SELECT count(*) FROM webhook_deliveries('{new}', status => 'delivered')"),
        "SELECT count(*) FROM webhook_deliveries(status => 'failed')".to_owned(),
        "SELECT count(*) FROM webhook_deliveries(status => 'canceled')".to_owned(),
        "SELECT count(*) FROM webhook_deliveries(status => 'pending')".to_owned(),
        format!("SELECT count(*) FROM webhook_deliveries(event_id => '{event}')"),
        format!("SELECT count(*) FROM webhook_attempts('{failed}')"),
        format!("SELECT count(*) FROM webhook_explain('{event}')"),
        "SELECT * FROM webhook.deliveries ORDER BY id DESC LIMIT 10".to_owned(),
        format!("SELECT * FROM webhook.deliveries WHERE webhook_id = '{new}'"),
        format!("SELECT * FROM webhook_get('{new}')"),
        "SELECT * FROM webhook_list()".to_owned(),
        "SELECT * FROM webhook_create('https://example.com/newer', '{user.created}')".to_owned(),
        "SELECT * FROM webhook_stats()".to_owned(),
    ] {
        let pages = pages(&db, &sql).await;
        assert!(pages <= MOST_PAGES, "{sql} reads {pages} pages");
    }
    let found = format!("SELECT count(*) FROM webhook_deliveries(status => 'failed') WHERE id = '{failed}'");
    assert_eq!(db.value(&found).await, "1");
    assert!(pages(&db, "SELECT count(outcome) FROM webhook.attempts").await > MOST_PAGES, "the log is long");
}
