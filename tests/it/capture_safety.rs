//! Cancels, timeouts and broken tables: an ERROR, nothing half written, and the session lives on.

use webhook_tests::database::Database;

use crate::capture_seen::{ids, kinds, watched};

const MILLION: &str = "INSERT INTO users SELECT n, 'name' FROM generate_series(1, 1000000) n";
const WRITTEN: &str = "SELECT pg_relation_size('webhook.events_default') > 10000000";

/// Nothing was captured, and capture works in a session.
async fn assert_clean(db: &Database<'_>) {
    assert_eq!(db.value("SELECT count(*) FROM users").await, "0");
    assert_eq!(kinds(db).await, Vec::<String>::new());
    db.run("INSERT INTO users VALUES (1)").await;
    assert_eq!(kinds(db).await, ["user.created"]);
}

#[tokio::test]
async fn a_statement_timeout_in_a_million_rows_leaves_nothing() {
    let db = watched().await;
    db.run("SET statement_timeout = '200ms'").await;
    assert_eq!(db.refusal(MILLION).await.code, "57014");
    db.run("RESET statement_timeout").await;
    assert_clean(&db).await;
}

#[tokio::test]
async fn a_cancel_in_the_midst_of_a_million_rows_leaves_nothing() {
    let db = watched().await;
    let writer = db.connect().await;
    let pid = writer.value("SELECT pg_backend_pid()").await;
    let work = tokio::spawn(async move { (writer.refusal(MILLION).await.code, writer) });
    db.until(WRITTEN, "t").await;
    db.run(&format!("SELECT pg_cancel_backend({pid})")).await;
    let (code, writer) = work.await.expect("the writer");
    assert_eq!(code, "57014");
    assert_eq!(writer.value("SELECT pg_backend_pid()").await, pid, "the same session");
    assert_clean(&db).await;
}

#[tokio::test]
async fn a_session_that_is_ended_in_the_midst_of_a_million_rows_leaves_nothing() {
    let db = watched().await;
    let writer = db.connect().await;
    let pid = writer.value("SELECT pg_backend_pid()").await;
    let work = tokio::spawn(async move { writer.try_rows(MILLION).await.is_err() });
    db.until(WRITTEN, "t").await;
    db.run(&format!("SELECT pg_terminate_backend({pid})")).await;
    assert!(work.await.expect("the writer"));
    assert_clean(&db).await;
}

#[tokio::test]
async fn a_cancel_while_a_savepoint_can_save_the_rest() {
    let db = watched().await;
    db.run("BEGIN; INSERT INTO users VALUES (0); SAVEPOINT s; SET LOCAL statement_timeout = '200ms'").await;
    assert_eq!(db.refusal(MILLION).await.code, "57014");
    db.run("ROLLBACK TO s; INSERT INTO users VALUES (1); COMMIT").await;
    assert_eq!(ids(&db).await, ["0", "1"]);
}

#[tokio::test]
async fn tables_of_another_version_are_an_error_that_says_what_to_do() {
    let db = watched().await;
    db.run("ALTER TABLE webhook.events ADD extra int").await;
    let refused = db.refusal("INSERT INTO users VALUES (1)").await;
    assert_eq!(refused.code, "55000");
    assert!(
        refused.message.contains("14 columns") && refused.hint.contains("ALTER EXTENSION"),
        "{refused:?}"
    );
    assert_eq!(db.refusal("SELECT webhook_emit('user.created', '{}')").await.code, "55000");
    assert_eq!(db.value("SELECT 1").await, "1", "and the session lives on");
}

#[tokio::test]
async fn an_error_at_commit_is_an_error_of_the_commit() {
    let db = watched().await;
    // Rows wait until the commit; a constraint of their table then refuses them.
    db.run("CREATE UNIQUE INDEX unlucky ON webhook.events_default (type)").await;
    db.run("BEGIN; INSERT INTO users VALUES (1), (2)").await;
    assert_eq!(db.refusal("COMMIT").await.code, "23505");
    assert_eq!(db.value("SELECT count(*) FROM users").await, "0", "and ends the transaction");
    db.run("DROP INDEX webhook.unlucky").await;
    assert_clean(&db).await;
}

#[tokio::test]
async fn a_statement_in_the_midst_of_which_the_partition_is_made_goes_on() {
    let db = watched().await;
    let other = db.connect().await;
    db.run("INSERT INTO users VALUES (0); DELETE FROM users; TRUNCATE webhook.events").await;
    db.run("BEGIN; INSERT INTO users SELECT n FROM generate_series(1, 400) n").await;
    // They still wait in the session's memory, so they are not in the way of maintenance.
    let done = other.value("SELECT webhook._relay_maintain()").await;
    assert!(done.contains(" 0 left"), "{done}");
    db.run("INSERT INTO users SELECT n FROM generate_series(401, 1000) n; COMMIT").await;
    assert_eq!(db.value("SELECT count(*) FROM webhook.events_default").await, "0");
    assert_eq!(kinds(&db).await.len(), 1000);
}

#[tokio::test]
async fn an_operators_own_indexes_on_the_outbox_are_kept() {
    let db = watched().await;
    db.run(
        "CREATE INDEX by_expression ON webhook.events ((data->>'id'), lower(type));
         CREATE INDEX partial ON webhook.events (created_at) WHERE type LIKE '%.created' AND (data->>'id')::int > 1;
         CREATE INDEX summary ON webhook.events USING brin (created_at);
         BEGIN; INSERT INTO users SELECT n FROM generate_series(1, 1000) n; DELETE FROM users; COMMIT;
         SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan",
    )
    .await;
    for (condition, index, count) in [
        ("data->>'id' = '7' AND lower(type) = 'user.deleted'", "data", "1"),
        (
            "created_at > '2000-01-01' AND type LIKE '%.created' AND (data->>'id')::int > 1",
            "created_at",
            "999",
        ),
    ] {
        let sql = format!("SELECT count(*) FROM webhook.events WHERE {condition}");
        let plan = db.rows(&format!("EXPLAIN {sql}")).await.concat().join("\n");
        assert!(plan.contains("Index") && plan.contains(index), "{plan}");
        assert_eq!(db.value(&sql).await, count);
    }
}

#[tokio::test]
async fn indexes_over_functions_of_users_are_kept_at_commit_too() {
    let db = watched().await;
    db.run(
        "CREATE FUNCTION in_sql(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT max(x) FROM (VALUES (lower($1))) v(x)';
         CREATE FUNCTION in_plpgsql(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
             'BEGIN PERFORM count(*) FROM webhook.event_types; RETURN upper($1); END';
         CREATE INDEX ON webhook.events (in_sql(type));
         CREATE INDEX ON webhook.events (in_plpgsql(type))",
    )
    .await;
    // At commit; at the end of a savepoint; when a query of a later one wants to see them.
    db.run("INSERT INTO users VALUES (1)").await;
    db.run(
        "BEGIN; INSERT INTO users VALUES (2); SAVEPOINT s; INSERT INTO users VALUES (3); RELEASE s; COMMIT",
    )
    .await;
    db.run("BEGIN; INSERT INTO users VALUES (4); SAVEPOINT s; SELECT count(*) FROM webhook.events; ROLLBACK TO s; COMMIT").await;
    db.run("SET enable_seqscan = off").await;
    for sql in [
        "SELECT count(*) FROM webhook.events WHERE in_sql(type) = 'user.created'",
        "SELECT count(*) FROM webhook.events WHERE in_plpgsql(type) = 'USER.CREATED'",
    ] {
        assert_eq!(db.value(sql).await, "4");
    }
}
