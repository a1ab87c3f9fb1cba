//! Rust panics in a session of Postgres: the statement, or the commit, fails as by any error, and the session lives on.
//!
//! The clock fails: the extension asks it for ids, and the standard library panics at that.

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;

use crate::capture_seen::kinds;

/// A database with a watched table.
async fn watched(cluster: &Cluster) -> Database<'_> {
    let db = Database::on(cluster).await;
    db.run("CREATE TABLE users (id int PRIMARY KEY, name text); SELECT webhook_watch('users', 'user')").await;
    db
}

/// A statement panics as the clock is broken; what the client is told, with the context.
async fn panics(db: &Database<'_>, statement: &str) -> String {
    let machine = db.cluster().fragile().expect("a fragile one");
    machine.stop_clock();
    let result = db.try_rows(statement).await;
    machine.start_clock();
    let error = result.expect_err(statement);
    let error = error.as_db_error().unwrap_or_else(|| panic!("the session is lost: {error}"));
    assert_eq!(error.code().code(), "XX000", "{statement}: {error:?}");
    assert!(error.message().contains("`Result::unwrap()`"), "a panic of Rust: {error:?}");
    let told = format!("{error:?}");
    assert!(!told.contains("canary"), "{told}");
    told
}

/// No process of the server died, and nothing that a statement was given is in its log but the statement.
fn assert_unharmed(cluster: &Cluster) {
    let log = cluster.log_text();
    assert!(!log.contains("terminated by signal"), "{log}");
    let said = log.lines().filter(|line| !line.contains(" STATEMENT: ")).collect::<Vec<_>>().join("\n");
    assert!(said.contains("`Result::unwrap()`") && !said.contains("canary"), "{said}");
}

const LEFT: &str = "SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM webhook.events)";

#[tokio::test]
async fn in_a_statement_is_its_error_and_leaves_nothing() {
    let cluster = Cluster::start_fragile().await;
    let db = watched(&cluster).await;
    let (webhook, _) = db.webhook("https://example.com/", "").await;
    for statement in [
        "INSERT INTO users VALUES (1, 'canary')",
        "SELECT webhook_emit('user.created', '{\"name\": \"canary\"}')",
        "SELECT webhook_create('https://example.com/', secret => 'canary-of-secrets')",
        "SELECT webhook_source_create('canary')",
        "SELECT webhook_watch('users', 'canary')",
        "SELECT webhook_send('POST', 'https://example.com/canary')",
        &format!("SELECT webhook_test('{webhook}')"),
    ] {
        let told = panics(&db, statement).await;
        let context = "webhook_capture of table \\\"users\\\" by trigger \\\"webhook_insert_user\\\"";
        assert!(told.contains(context) || !statement.starts_with("INSERT"), "{told}");
        assert_eq!(db.value(LEFT).await, "0", "{statement}");
        db.run(&format!("BEGIN; {statement}; ROLLBACK")).await;
    }
    assert_unharmed(&cluster);
}

#[tokio::test]
async fn can_be_caught_or_be_a_warning_and_the_transaction_goes_on() {
    let cluster = Cluster::start_fragile().await;
    let db = watched(&cluster).await;
    db.run("BEGIN; INSERT INTO users VALUES (1); SAVEPOINT s; INSERT INTO users VALUES (2)").await;
    panics(&db, "INSERT INTO users VALUES (3)").await;
    db.run("ROLLBACK TO s; DELETE FROM users; COMMIT").await;
    assert_eq!(kinds(&db).await, ["user.created", "user.deleted"]);
    db.run("SELECT webhook_watch('users', 'user', on_error => 'warn')").await;
    let machine = cluster.fragile().expect("a fragile one");
    machine.stop_clock();
    db.run("INSERT INTO users VALUES (4)").await;
    machine.start_clock();
    assert_eq!(db.value("SELECT count(*) FROM users").await, "1");
    assert_eq!(db.value("SELECT capture_lost FROM webhook_stats()").await, "1");
    assert_unharmed(&cluster);
}

#[tokio::test]
async fn at_commit_ends_the_transaction_and_not_the_session() {
    let cluster = Cluster::start_fragile().await;
    let db = watched(&cluster).await;
    // The first panics in a trigger that the commit fires, the second where the rows that waited are inserted.
    for provoke in [
        "CREATE TABLE late (id int);
         CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION webhook_capture('late');
         BEGIN; INSERT INTO users VALUES (1, 'canary'); INSERT INTO late VALUES (1)",
        "CREATE FUNCTION new_id(text) RETURNS text IMMUTABLE LANGUAGE c AS '$libdir/pg_webhook', '_new_id_wrapper';
         CREATE INDEX ids ON webhook.events_default (new_id(left(type, 0) || 'evt'));
         BEGIN; INSERT INTO users VALUES (1, 'canary')",
    ] {
        db.run(provoke).await;
        panics(&db, "COMMIT").await;
        assert_eq!(db.value(LEFT).await, "0");
    }
    db.run("INSERT INTO users VALUES (1)").await;
    assert_eq!(kinds(&db).await, ["user.created"]);
    assert_unharmed(&cluster);
}
