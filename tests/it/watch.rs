//! Capture: row changes become events.

use webhook_tests::database::Database;
use webhook_tests::session::Session;

/// Type and data of all events so far, in order.
async fn events(session: &Session) -> Vec<(String, String)> {
    let rows = session.rows("SELECT type, data FROM webhook.events ORDER BY id").await;
    rows.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect()
}

fn event(kind: &str, data: &str) -> (String, String) {
    (kind.into(), data.into())
}

async fn users() -> Database<'static> {
    let db = Database::new().await;
    db.run("CREATE TABLE users (id int PRIMARY KEY, name text, password text)").await;
    db
}

#[tokio::test]
async fn insert_update_and_delete_are_events_with_the_row() {
    let db = users().await;
    let id = db.value("SELECT webhook_watch('users', 'user', exclude => '{password}')").await;
    assert!(id.starts_with("src_"), "{id}");
    db.run("INSERT INTO users VALUES (1, 'Ada', 'x')").await;
    db.run("UPDATE users SET name = 'Ada L.' WHERE id = 1").await;
    db.run("UPDATE users SET name = 'Ada L.' WHERE id = 1").await;
    db.run("DELETE FROM users").await;
    let expected = [
        event("user.created", r#"{"id":1,"name":"Ada"}"#),
        event("user.updated", r#"{"id":1,"name":"Ada L."}"#),
        event("user.deleted", r#"{"id":1,"name":"Ada L."}"#),
    ];
    assert_eq!(events(&db).await, expected, "and the update that changed nothing is none");
}

#[tokio::test]
async fn operations_columns_and_names_are_obeyed() {
    let db = users().await;
    db.run("CREATE TABLE reports (id int PRIMARY KEY, title text, body text)").await;
    db.run(
        "SELECT webhook_watch('reports', 'report', operations => '{insert,delete}', columns => '{id,title}',
                              names => '{\"insert\": \"generated\"}')",
    )
    .await;
    db.run("INSERT INTO reports VALUES (7, 'Q1', '…')").await;
    db.run("UPDATE reports SET title = 'Q2'").await;
    db.run("DELETE FROM reports").await;
    let expected = [
        event("report.generated", r#"{"id":7,"title":"Q1"}"#),
        event("report.deleted", r#"{"id":7,"title":"Q2"}"#),
    ];
    assert_eq!(events(&db).await, expected);
}

#[tokio::test]
async fn a_trigger_made_by_hand_captures() {
    let db = users().await;
    db.run(
        "CREATE TRIGGER send AFTER INSERT OR UPDATE OR DELETE ON users
         FOR EACH ROW EXECUTE FUNCTION webhook_capture('user')",
    )
    .await;
    db.run("INSERT INTO users VALUES (1, 'Ada', NULL)").await;
    assert_eq!(events(&db).await, [event("user.created", r#"{"id":1,"name":"Ada","password":null}"#)]);
}

#[tokio::test]
async fn unwatch_ends_it() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user')").await;
    db.run("SELECT webhook_unwatch('users')").await;
    db.run("INSERT INTO users VALUES (1, 'Ada', NULL)").await;
    assert_eq!(events(&db).await, []);
    assert_eq!(db.value("SELECT count(*) FROM webhook_sources()").await, "0");
}

#[tokio::test]
async fn copy_merge_and_on_conflict_are_captured() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', exclude => '{password}')").await;
    db.run("COPY users FROM PROGRAM 'printf \"1\\tAda\\tx\\n2\\tBob\\ty\\n\"'").await;
    db.run("INSERT INTO users VALUES (1, 'Eve', 'z') ON CONFLICT (id) DO UPDATE SET name = excluded.name")
        .await;
    db.run(
        "MERGE INTO users u USING (VALUES (2), (3)) n(id) ON u.id = n.id
         WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (n.id, 'New', NULL)",
    )
    .await;
    let kinds: Vec<_> = events(&db).await.into_iter().map(|(kind, data)| format!("{kind} {data}")).collect();
    let expected = [
        r#"user.created {"id":1,"name":"Ada"}"#,
        r#"user.created {"id":2,"name":"Bob"}"#,
        r#"user.updated {"id":1,"name":"Eve"}"#,
        r#"user.deleted {"id":2,"name":"Bob"}"#,
        r#"user.created {"id":3,"name":"New"}"#,
    ];
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn a_sessions_settings_do_not_change_the_bytes() {
    let db = Database::new().await;
    db.run("CREATE TABLE t (id int PRIMARY KEY, at timestamptz, day date, span interval, raw bytea, real float8)").await;
    db.run("SELECT webhook_watch('t', 'thing')").await;
    let row =
        "'2026-01-02 03:04:05.678+00', '2026-01-02', '1 day 02:03:04', '\\xdeadbeef', 0.1::float8 + 0.2";
    db.run(&format!("INSERT INTO t VALUES (1, {row})")).await;
    db.run(
        "SET timezone = 'Asia/Tokyo'; SET datestyle = 'SQL, DMY'; SET intervalstyle = 'postgres_verbose';
         SET bytea_output = 'escape'; SET extra_float_digits = 0",
    )
    .await;
    db.run(&format!("INSERT INTO t VALUES (2, {row})")).await;
    let events = events(&db).await;
    assert_eq!(events[0].1.replace("\"id\":1", "\"id\":2"), events[1].1);
    assert!(events[0].1.contains("2026-01-02T03:04:05.678+00:00"), "{}", events[0].1);
}

#[tokio::test]
async fn a_row_over_the_limit_becomes_a_thin_event() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user')").await;
    db.run("INSERT INTO users VALUES (1, repeat('x', 2000000), NULL)").await;
    assert_eq!(events(&db).await, [event("user.created", r#"{"oversize":true,"key":{"id":1}}"#)]);
}

#[tokio::test]
async fn a_role_without_rights_on_the_outbox_may_write_a_watched_table() {
    let db = users().await;
    let role = format!("writer_{}", db.name());
    db.run("SELECT webhook_watch('users', 'user', columns => '{id}')").await;
    db.run(&format!("CREATE ROLE {role}; GRANT INSERT ON users TO {role}; SET ROLE {role}")).await;
    db.run("SET search_path = pg_temp; INSERT INTO public.users VALUES (1, 'Ada', NULL)").await;
    assert_eq!(db.refusal("SELECT * FROM webhook.events").await.code, "42501");
    db.run("RESET ROLE").await;
    assert_eq!(events(&db).await, [event("user.created", r#"{"id":1}"#)]);
}

#[tokio::test]
async fn capture_can_be_silenced_for_a_transaction() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id}')").await;
    db.run("BEGIN; SET LOCAL webhook.enabled = off; INSERT INTO users VALUES (1, 'Ada', NULL); COMMIT").await;
    db.run("INSERT INTO users VALUES (2, 'Bob', NULL)").await;
    assert_eq!(events(&db).await, [event("user.created", r#"{"id":2}"#)]);
}
