//! The steps of `make demo`.

use webhook_tests::cluster::free_port;

use crate::listener::Listener;
use crate::stand::Stand;

/// Runs them all.
///
/// # Panics
/// If one does not do what it says.
pub async fn run() {
    let stand = Stand::start().await;
    let version = stand.session.value("SHOW server_version").await;
    println!("PostgreSQL {version} runs in a folder of its own, {}.", stand.cluster.folder().display());

    step("The extension is created in a database.");
    stand.psql("CREATE EXTENSION pg_webhook");

    step("A webhook: where to send, and what. The secret is shown here only.");
    let port = free_port();
    stand.psql(&format!(
        "CREATE TABLE created AS SELECT * FROM webhook_create(\n  'http://127.0.0.1:{port}/hook', \
         '{{user.*,data.*,report.generated,system.alert}}',\n  options => '{{\"retry_schedule\": [\"1 second\", \"5 seconds\"]}}');\n\
         SELECT id, url, secret FROM created"
    ));
    let secret = stand.session.value("SELECT secret FROM created").await;

    step("A receiver, `webhook-relay listen`, that verifies what comes, and the relay that sends.");
    let listener = Listener::start(port, &secret, 0).await;
    let relay = stand.relay().await;
    println!("    webhook-relay run is ready at {}", relay.url("/readyz"));

    step("Three tables are watched.");
    stand.psql(
        "CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, email text, password text);\n\
         CREATE TABLE datasets (id int PRIMARY KEY, name text, price numeric(10,2));\n\
         CREATE TABLE reports (id int PRIMARY KEY, title text, ready_at timestamptz)",
    );
    stand.psql("SELECT webhook_watch('users', 'user', exclude => '{password}')");
    stand.psql("SELECT webhook_watch('datasets', 'data')");
    stand.psql(
        "SELECT webhook_watch('reports', 'report', '{insert}', names => '{\"insert\": \"generated\"}')",
    );

    step("Rows change; each change arrives as a signed request.");
    for (sql, kind) in [
        ("INSERT INTO users (name, email, password) VALUES ('Ada', 'ada@example.com', 'x')", "user.created"),
        ("UPDATE users SET name = 'Ada Lovelace' WHERE id = 1", "user.updated"),
        ("DELETE FROM users WHERE id = 1", "user.deleted"),
        ("INSERT INTO datasets VALUES (7, 'Größen 📐', 19.90)", "data.created"),
        ("INSERT INTO reports VALUES (42, 'Q1', '2026-04-01 08:00+02')", "report.generated"),
    ] {
        stand.psql(sql);
        listener.arrives(&newest(&stand, kind).await).await;
    }

    step("What is rolled back is never sent; what comes after it is.");
    stand.psql("BEGIN;\nINSERT INTO users (name) VALUES ('Nobody');\nROLLBACK");
    stand
        .psql("SELECT webhook_emit('system.alert', '{\"level\": \"high\", \"text\": \"disk almost full\"}')");
    listener.arrives(&newest(&stand, "system.alert").await).await;
    assert!(!listener.text().contains("Nobody"), "a rolled-back row was sent");
    println!("    The alert came, Nobody did not.");

    step("The receiver has a bad moment: it answers 503 once. The relay tries again.");
    // It prints before it answers: wait until the answer is in the log, too.
    logged(&stand).await;
    drop(listener);
    let listener = Listener::start(port, &secret, 1).await;
    stand.psql("INSERT INTO datasets VALUES (8, 'again', 1.10)");
    let event = newest(&stand, "data.created").await;
    listener.fails(&event).await;
    stand
        .session
        .until(&format!("SELECT attempts FROM webhook_deliveries(event_id => '{event}')"), "1")
        .await;
    stand.psql(&format!("SELECT status, attempts, response_code, next_attempt_at\nFROM webhook_deliveries(event_id => '{event}')"));
    listener.arrives(&event).await;

    step("The delivery log, in SQL.");
    logged(&stand).await;
    stand.psql("SELECT event_type, status, attempts, response_code, response_time_ms, created_at\nFROM webhook_deliveries()");
    let delivery =
        stand.session.value(&format!("SELECT id FROM webhook_deliveries(event_id => '{event}')")).await;
    stand.psql(&format!("SELECT number, response_code, error\nFROM webhook_attempts('{delivery}')"));

    step("The relay is told to stop: it finishes what it does and exits with 0.");
    let status = relay.terminate().await;
    assert!(status.success(), "the relay ended with {status}");
    println!("    It did. Everything is stopped and removed.");
}

fn step(text: &str) {
    println!("\n── {text}");
}

/// Waits until all that was emitted is logged as delivered.
async fn logged(stand: &Stand) {
    let sent = stand.session.value("SELECT count(*) FROM webhook.events").await;
    let delivered = "SELECT count(*) FROM webhook_deliveries(status => 'delivered')";
    stand.session.until(delivered, &sent).await;
}

/// The id of the newest event, which must be of that type.
async fn newest(stand: &Stand, kind: &str) -> String {
    let sql = "SELECT id, type FROM webhook.events ORDER BY id DESC LIMIT 1";
    let row = stand.session.rows(sql).await.remove(0);
    assert_eq!(row[1], kind, "the newest event");
    row[0].clone()
}
