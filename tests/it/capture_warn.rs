//! `on_error`: the user's write fails with the capture, or goes on without it.

use webhook_tests::database::Database;

use crate::capture_seen::{kinds, seen};

/// A table with a column whose values cannot become JSON when they say so.
async fn moods() -> Database<'static> {
    let db = Database::new().await;
    db.run(
        "CREATE TYPE mood AS ENUM ('good', 'fine', 'bad', 'slow');
         CREATE FUNCTION mood_json(m mood) RETURNS json LANGUAGE plpgsql AS $$
         BEGIN
             IF m = 'bad' THEN RAISE EXCEPTION 'no JSON for a % mood', m; END IF;
             IF m = 'slow' THEN PERFORM pg_sleep(600); END IF;
             RETURN to_json(m::text);
         END $$;
         CREATE CAST (mood AS json) WITH FUNCTION mood_json(mood);
         CREATE TABLE people (id int PRIMARY KEY, mood mood)",
    )
    .await;
    db
}

#[tokio::test]
async fn by_default_the_write_fails_with_the_event_and_says_where() {
    let db = moods().await;
    db.run("SELECT webhook_watch('people', 'person')").await;
    let error = db.try_rows("INSERT INTO people VALUES (1, 'good'), (2, 'bad')").await.expect_err("fails");
    let error = error.as_db_error().expect("an error of the database");
    assert_eq!(error.message(), "no JSON for a bad mood");
    let context = error.where_().expect("a context");
    assert!(
        context.contains(r#"webhook_capture of table "people" by trigger "webhook_insert_person""#),
        "{context}"
    );
    db.run("INSERT INTO people VALUES (1, 'good')").await;
    assert_eq!(seen(&db).await, [r#"person.created {"id":1,"mood":"good"}"#], "and the session lives on");
}

#[tokio::test]
async fn with_warn_the_write_goes_on_and_the_loss_is_counted() {
    let db = moods().await;
    let source = db.value("SELECT webhook_watch('people', 'person', on_error => 'warn')").await;
    db.run("INSERT INTO people VALUES (1, 'good'), (2, 'bad'), (3, 'fine'), (4, 'bad')").await;
    let expected = [r#"person.created {"id":1,"mood":"good"}"#, r#"person.created {"id":3,"mood":"fine"}"#];
    assert_eq!(seen(&db).await, expected);
    assert_eq!(db.value("SELECT count(*) FROM people").await, "4");
    assert_eq!(db.value("SELECT capture_lost FROM webhook_stats()").await, "2");
    let losses = db.rows("SELECT source_id, error FROM webhook.losses").await;
    assert_eq!(losses, vec![[source.as_str(), "no JSON for a bad mood"]; 2]);
}

#[tokio::test]
async fn a_loss_that_is_rolled_back_is_none() {
    let db = moods().await;
    db.run("SELECT webhook_watch('people', 'person', on_error => 'warn')").await;
    db.run("BEGIN; INSERT INTO people VALUES (1, 'bad'); ROLLBACK").await;
    assert_eq!(db.value("SELECT capture_lost FROM webhook_stats()").await, "0");
}

#[tokio::test]
async fn a_role_without_rights_may_lose_an_event_too() {
    let db = moods().await;
    let role = format!("loser_{}", db.name());
    db.run("SELECT webhook_watch('people', 'person', on_error => 'warn')").await;
    db.run(&format!("CREATE ROLE {role}; GRANT INSERT ON people TO {role}; SET ROLE {role}")).await;
    db.run("INSERT INTO people VALUES (1, 'bad'); RESET ROLE").await;
    assert_eq!(db.value("SELECT capture_lost FROM webhook_stats()").await, "1");
}

#[tokio::test]
async fn a_cancel_is_no_loss_but_a_cancel() {
    let db = moods().await;
    db.run("SELECT webhook_watch('people', 'person', on_error => 'warn')").await;
    db.run("SET statement_timeout = '200ms'").await;
    assert_eq!(db.refusal("INSERT INTO people VALUES (1, 'slow')").await.code, "57014");
    db.run("RESET statement_timeout").await;
    assert_eq!(db.value("SELECT count(*) FROM people").await, "0");
    db.run("INSERT INTO people VALUES (1, 'good')").await;
    assert_eq!(kinds(&db).await, ["person.created"]);
    assert_eq!(db.value("SELECT capture_lost FROM webhook_stats()").await, "0");
}

#[tokio::test]
async fn an_error_gives_the_sessions_settings_back() {
    let db = moods().await;
    db.run("SELECT webhook_watch('people', 'person')").await;
    db.run("SET timezone = 'Asia/Tokyo'; SET datestyle = 'SQL, DMY'; SET bytea_output = 'escape'").await;
    let probe = "SELECT '2026-01-02 03:04:05+00'::timestamptz::text || '\\x00'::bytea::text";
    let before = db.value(probe).await;
    assert_eq!(db.refusal("INSERT INTO people VALUES (1, 'bad')").await.code, "P0001");
    assert_eq!(db.value(probe).await, before);
    db.run("SET statement_timeout = '200ms'").await;
    assert_eq!(db.refusal("INSERT INTO people VALUES (1, 'slow')").await.code, "57014");
    assert_eq!(db.value(probe).await, before);
}
