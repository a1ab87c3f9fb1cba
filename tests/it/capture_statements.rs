//! Whatever statement changes a row, the change is captured.

use crate::capture_seen::{kinds, seen, users};

#[tokio::test]
async fn copy_captures_every_row() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id,name}')").await;
    db.run(r#"COPY users (id, name) FROM PROGRAM 'printf "1\tAda\n2\tBob\n"'"#).await;
    assert_eq!(
        seen(&db).await,
        [r#"user.created {"id":1,"name":"Ada"}"#, r#"user.created {"id":2,"name":"Bob"}"#]
    );
}

#[tokio::test]
async fn a_copy_that_fails_leaves_nothing() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user')").await;
    let refused = db.refusal(r#"COPY users (id, name) FROM PROGRAM 'printf "1\tAda\n1\tBob\n"'"#).await;
    assert_eq!(refused.code, "23505");
    assert_eq!(kinds(&db).await, Vec::<String>::new());
}

#[tokio::test]
async fn merge_captures_what_it_did_to_each_row() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id,name}')").await;
    db.run("SET webhook.enabled = off; INSERT INTO users VALUES (1, 'Ada'), (2, 'Bob'), (3, 'Eve'); RESET webhook.enabled")
        .await;
    db.run(
        "MERGE INTO users u USING (VALUES (1, 'Ada'), (2, 'Robert'), (4, 'New'), (5, NULL)) n(id, name) ON u.id = n.id
         WHEN MATCHED AND u.id = 1 THEN DELETE
         WHEN MATCHED THEN UPDATE SET name = n.name
         WHEN NOT MATCHED AND n.name IS NULL THEN DO NOTHING
         WHEN NOT MATCHED THEN INSERT (id, name) VALUES (n.id, n.name)",
    )
    .await;
    let expected = [
        r#"user.deleted {"id":1,"name":"Ada"}"#,
        r#"user.updated {"id":2,"name":"Robert"}"#,
        r#"user.created {"id":4,"name":"New"}"#,
    ];
    let mut events = seen(&db).await;
    events.sort_by_key(|event| event.split("\"id\":").nth(1).map(str::to_owned));
    assert_eq!(events, expected);
}

#[tokio::test]
async fn on_conflict_is_an_insert_an_update_or_nothing() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id,name}', previous => true)").await;
    let upsert = |values: &str, rest: &str| {
        format!("INSERT INTO users (id, name) VALUES {values} ON CONFLICT (id) DO {rest}")
    };
    db.run(&upsert("(1, 'Ada')", "UPDATE SET name = excluded.name")).await;
    db.run(&upsert("(1, 'Eve'), (2, 'Bob')", "UPDATE SET name = excluded.name")).await;
    db.run(&upsert("(1, 'Eve')", "UPDATE SET name = excluded.name")).await;
    db.run(&upsert("(1, 'Zed')", "UPDATE SET name = excluded.name WHERE users.id > 1")).await;
    db.run(&upsert("(1, 'Zed')", "NOTHING")).await;
    let expected = [
        r#"user.created {"id":1,"name":"Ada"}"#,
        r#"user.updated {"id":1,"name":"Eve"}"#,
        r#"user.created {"id":2,"name":"Bob"}"#,
    ];
    let mut events = seen(&db).await;
    // INSERT and UPDATE triggers of one statement run in the triggers' order.
    events[1..].sort_by_key(|event| event.contains("\"id\":2"));
    assert_eq!(events, expected);
    assert_eq!(
        db.value("SELECT previous FROM webhook.events WHERE type = 'user.updated'").await,
        r#"{"name":"Ada"}"#
    );
}

#[tokio::test]
async fn writes_in_ctes_are_captured() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id,name}')").await;
    db.run("INSERT INTO users VALUES (1, 'Ada'), (2, 'Bob')").await;
    db.run("TRUNCATE webhook.events").await;
    db.run(
        "WITH gone AS (DELETE FROM users WHERE id = 1 RETURNING *),
              changed AS (UPDATE users SET name = 'Robert' WHERE id = 2)
         INSERT INTO users SELECT id + 10, name FROM gone",
    )
    .await;
    let mut events = seen(&db).await;
    events.sort();
    let expected = [
        r#"user.created {"id":11,"name":"Ada"}"#,
        r#"user.deleted {"id":1,"name":"Ada"}"#,
        r#"user.updated {"id":2,"name":"Robert"}"#,
    ];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn truncate_is_captured_if_that_is_asked_for() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user')").await;
    db.run("INSERT INTO users VALUES (1); TRUNCATE users; INSERT INTO users VALUES (1)").await;
    assert_eq!(kinds(&db).await, ["user.created", "user.created"]);
    db.run("SELECT webhook_watch('users', 'user', '{insert,truncate}', columns => '{id}'); TRUNCATE webhook.events")
        .await;
    db.run("INSERT INTO users VALUES (2); TRUNCATE users; INSERT INTO users VALUES (3)").await;
    assert_eq!(
        seen(&db).await,
        [r#"user.created {"id":2}"#, "user.truncated {}", r#"user.created {"id":3}"#]
    );
    db.run("SELECT webhook_watch('users', 'user', '{truncate}', names => '{\"truncate\": \"emptied\"}')")
        .await;
    db.run("TRUNCATE webhook.events; INSERT INTO users VALUES (4); TRUNCATE users").await;
    assert_eq!(seen(&db).await, ["user.emptied {}"]);
}

#[tokio::test]
async fn each_table_that_is_truncated_is_one_event() {
    let db = users().await;
    db.run("CREATE TABLE notes (id int, of int REFERENCES users); SELECT webhook_watch('notes', 'note', '{truncate}')").await;
    db.run("CREATE TABLE days (day int) PARTITION BY RANGE (day); CREATE TABLE day1 PARTITION OF days FOR VALUES FROM (1) TO (2)")
        .await;
    db.run("CREATE TABLE day2 PARTITION OF days FOR VALUES FROM (2) TO (3)").await;
    db.run("SELECT webhook_watch('users', 'user', '{truncate}'), webhook_watch('days', 'day', '{insert,truncate}')").await;
    db.run("TRUNCATE users CASCADE").await;
    let mut both = seen(&db).await;
    both.sort();
    assert_eq!(both, ["note.truncated {}", "user.truncated {}"]);
    db.run("TRUNCATE webhook.events; TRUNCATE days; TRUNCATE day1").await;
    assert_eq!(seen(&db).await, ["day.truncated {}"], "a partition alone is not the table that is watched");
    let silenced = "SELECT count(*) FROM webhook_sources() WHERE status = 'silenced'";
    assert_eq!(db.value(silenced).await, "0");
    db.run("ALTER TABLE days DISABLE TRIGGER webhook_truncate_day").await;
    assert_eq!(db.value(silenced).await, "1");
}

#[tokio::test]
async fn truncate_is_silent_where_changes_of_rows_are() {
    let db = users().await;
    let source = db.value("SELECT webhook_watch('users', 'user', '{truncate}')").await;
    db.run("BEGIN; TRUNCATE users; ROLLBACK").await;
    db.run("SET webhook.enabled = off; TRUNCATE users; RESET webhook.enabled").await;
    db.run(&format!("SELECT webhook_pause('{source}')")).await;
    db.run("TRUNCATE users").await;
    db.run(&format!("SELECT webhook_resume('{source}')")).await;
    db.run("SET webhook.capture_unmatched = off; TRUNCATE users").await;
    db.run("SELECT webhook_unwatch('users')").await;
    db.run("RESET webhook.capture_unmatched; TRUNCATE users").await;
    assert_eq!(kinds(&db).await, [""; 0]);
    db.run("SELECT webhook_watch('users', 'user', '{truncate}'), webhook_create('https://example.com', '{user.truncated}')").await;
    db.run("SET webhook.capture_unmatched = off; TRUNCATE users").await;
    assert_eq!(kinds(&db).await, ["user.truncated"]);
}

#[tokio::test]
async fn truncate_is_captured_by_a_trigger_made_by_hand() {
    let db = users().await;
    db.run("CREATE TRIGGER t AFTER TRUNCATE ON users FOR EACH STATEMENT EXECUTE FUNCTION webhook_capture('user')").await;
    db.run("TRUNCATE users").await;
    assert_eq!(seen(&db).await, ["user.truncated {}"]);
    db.run(
        "CREATE TRIGGER u AFTER INSERT ON users FOR EACH STATEMENT EXECUTE FUNCTION webhook_capture('user')",
    )
    .await;
    assert_eq!(db.refusal("INSERT INTO users VALUES (1)").await.code, "39P01");
}

#[tokio::test]
async fn what_replication_applies_is_not_captured_again() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id}')").await;
    db.run("SET session_replication_role = replica; INSERT INTO users VALUES (1)").await;
    db.run(
        "SET session_replication_role = local; INSERT INTO users VALUES (2); RESET session_replication_role",
    )
    .await;
    assert_eq!(seen(&db).await, [r#"user.created {"id":2}"#]);
    db.run("ALTER TABLE users ENABLE ALWAYS TRIGGER webhook_insert_user").await;
    db.run("SET session_replication_role = replica; INSERT INTO users VALUES (3); RESET session_replication_role").await;
    assert_eq!(kinds(&db).await.len(), 2, "unless its owner says so");
}

#[tokio::test]
async fn a_deferred_constraint_trigger_captures_at_commit() {
    let db = users().await;
    db.run(
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON users DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION webhook_capture('user')",
    )
    .await;
    db.run("BEGIN; INSERT INTO users VALUES (1, 'Ada'); UPDATE users SET name = 'Eve'").await;
    assert_eq!(kinds(&db).await, Vec::<String>::new());
    db.run("COMMIT").await;
    assert_eq!(kinds(&db).await, ["user.created", "user.updated"]);
}

#[tokio::test]
async fn changes_made_by_triggers_and_deferred_triggers_are_captured() {
    let db = users().await;
    db.run(
        "CREATE TABLE log (id int PRIMARY KEY);
         CREATE TABLE late (id int PRIMARY KEY);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql
             AS 'BEGIN INSERT INTO log VALUES (NEW.id); RETURN NULL; END';
         CREATE FUNCTION note_late() RETURNS trigger LANGUAGE plpgsql
             AS 'BEGIN INSERT INTO late VALUES (NEW.id); RETURN NULL; END';
         CREATE TRIGGER note AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION note();
         CREATE CONSTRAINT TRIGGER note AFTER INSERT ON log DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION note_late();
         SELECT webhook_watch('users', 'user', columns => '{id}'), webhook_watch('log', 'log'), webhook_watch('late', 'late')",
    )
    .await;
    db.run("INSERT INTO users VALUES (1), (2)").await;
    let mut events = seen(&db).await;
    events.sort();
    let expected = [
        r#"late.created {"id":1}"#,
        r#"late.created {"id":2}"#,
        r#"log.created {"id":1}"#,
        r#"log.created {"id":2}"#,
        r#"user.created {"id":1}"#,
        r#"user.created {"id":2}"#,
    ];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn foreign_keys_that_cascade_are_captured() {
    let db = users().await;
    db.run(
        "CREATE TABLE posts (id int PRIMARY KEY, author int REFERENCES users ON DELETE CASCADE ON UPDATE CASCADE);
         CREATE TABLE likes (id int PRIMARY KEY, who int REFERENCES users ON DELETE SET NULL ON UPDATE CASCADE);
         INSERT INTO users VALUES (1); INSERT INTO posts VALUES (10, 1); INSERT INTO likes VALUES (20, 1);
         SELECT webhook_watch('users', 'user', columns => '{id}'), webhook_watch('posts', 'post'), webhook_watch('likes', 'like')",
    )
    .await;
    db.run("UPDATE users SET id = 2; DELETE FROM users").await;
    let mut events = seen(&db).await;
    events.sort();
    let expected = [
        r#"like.updated {"id":20,"who":2}"#,
        r#"like.updated {"id":20,"who":null}"#,
        r#"post.deleted {"id":10,"author":2}"#,
        r#"post.updated {"id":10,"author":2}"#,
        r#"user.deleted {"id":2}"#,
        r#"user.updated {"id":2}"#,
    ];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn a_write_through_a_view_is_captured() {
    let db = users().await;
    db.run("CREATE VIEW admins AS SELECT id, name FROM users WHERE role = 'admin' OR role IS NULL").await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id,name}')").await;
    db.run("INSERT INTO admins VALUES (1, 'Ada'); UPDATE admins SET name = 'Eve'; DELETE FROM admins").await;
    assert_eq!(kinds(&db).await, ["user.created", "user.updated", "user.deleted"]);
    assert_eq!(db.refusal("SELECT webhook_watch('admins', 'admin')").await.code, "42809");
}
