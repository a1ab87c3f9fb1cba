//! Transactions: what their own later queries see, what becomes of it, and in which order.

use crate::capture_seen::{ids, kinds, seen, watched};

const COUNT: &str = "SELECT count(*) FROM webhook.events";

#[tokio::test]
async fn later_queries_of_the_transaction_see_its_events_however_they_look() {
    let db = watched().await;
    db.run("CREATE VIEW recent AS SELECT * FROM webhook.events").await;
    db.run("CREATE FUNCTION how_many() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM webhook.events'")
        .await;
    db.run("BEGIN ISOLATION LEVEL REPEATABLE READ").await;
    let mut id = 0;
    for query in [
        COUNT,
        "SELECT count(*) FROM recent",
        "SELECT how_many()",
        "WITH e AS (SELECT * FROM webhook.events) SELECT count(*) FROM e",
        "SELECT count(*) FROM webhook.events_default",
    ] {
        id += 1;
        db.run(&format!("INSERT INTO users VALUES ({id})")).await;
        assert_eq!(db.value(query).await, id.to_string(), "{query}");
    }
    db.run(
        "INSERT INTO users VALUES (6); COPY (SELECT 1 FROM webhook.events) TO PROGRAM 'test $(wc -l) = 6'",
    )
    .await;
    db.run("INSERT INTO users VALUES (7); CREATE TEMP TABLE copy AS SELECT * FROM webhook.events").await;
    assert_eq!(db.value("SELECT count(*) FROM copy").await, "7");
    db.run("INSERT INTO users VALUES (8); DECLARE c CURSOR FOR SELECT * FROM webhook.events").await;
    assert_eq!(db.rows("FETCH ALL FROM c").await.len(), 8);
    db.run("PREPARE p AS SELECT count(*) FROM webhook.events; INSERT INTO users VALUES (9)").await;
    assert_eq!(db.value("EXECUTE p").await, "9");
    db.run("COMMIT").await;
}

#[tokio::test]
async fn prepared_transactions_keep_their_events() {
    let db = watched().await;
    let (kept, undone) = (format!("kept_{}", db.name()), format!("undone_{}", db.name()));
    db.run(&format!("BEGIN; INSERT INTO users VALUES (1); SAVEPOINT s; INSERT INTO users VALUES (2); PREPARE TRANSACTION '{kept}'"))
        .await;
    db.run(&format!("BEGIN; INSERT INTO users VALUES (3); PREPARE TRANSACTION '{undone}'")).await;
    assert_eq!(ids(&db).await, Vec::<String>::new());
    db.run("INSERT INTO users VALUES (4)").await;
    db.run(&format!("COMMIT PREPARED '{kept}'")).await;
    db.run(&format!("ROLLBACK PREPARED '{undone}'")).await;
    assert_eq!(ids(&db).await, ["1", "2", "4"]);
}

#[tokio::test]
async fn cursors_emit_what_is_fetched_and_only_what_survives() {
    let db = watched().await;
    let cursor = |n: &str| {
        format!(
            "DECLARE {n} CURSOR WITHOUT HOLD FOR SELECT webhook_emit('user.created', to_jsonb(n)) FROM generate_series(1, 9) n"
        )
    };
    db.run(&format!("BEGIN; {}; FETCH 3 FROM c; COMMIT", cursor("c"))).await;
    assert_eq!(db.value(COUNT).await, "3");
    db.run(&format!(
        "BEGIN; {}; SAVEPOINT s; FETCH 2 FROM c; ROLLBACK TO s; FETCH 1 FROM c; COMMIT",
        cursor("c")
    ))
    .await;
    assert_eq!(db.rows("SELECT data FROM webhook.events ORDER BY seq").await.concat(), ["1", "2", "3", "3"]);
    db.run(&format!("TRUNCATE webhook.events; BEGIN; {}; COMMIT", cursor("h").replace("WITHOUT", "WITH")))
        .await;
    assert_eq!(db.value(COUNT).await, "9", "a holdable cursor is run to its end at commit");
}

#[tokio::test]
async fn a_procedure_that_commits_commits_its_events() {
    let db = watched().await;
    db.run(
        "CREATE PROCEDURE many() LANGUAGE plpgsql AS $$
         BEGIN
             FOR n IN 1..10 LOOP
                 INSERT INTO users VALUES (n);
                 IF n % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF;
             END LOOP;
         END $$; ",
    )
    .await;
    db.run("CALL many()").await;
    assert_eq!(ids(&db).await, ["2", "4", "6", "8", "10"]);
    assert_eq!(db.value("SELECT count(DISTINCT xid) FROM webhook.events").await, "5");
}

#[tokio::test]
async fn seq_is_the_order_of_the_changes_across_tables_functions_and_batches() {
    let db = watched().await;
    db.run("CREATE TABLE notes (id int PRIMARY KEY); SELECT webhook_watch('notes', 'note')").await;
    db.run(
        "DO $$
         BEGIN
             FOR n IN 1..1500 LOOP
                 INSERT INTO users VALUES (n);
                 BEGIN INSERT INTO notes VALUES (n); EXCEPTION WHEN division_by_zero THEN NULL; END;
                 PERFORM webhook_emit('other.thing', jsonb_build_object('id', n));
             END LOOP;
         END $$",
    )
    .await;
    let wrong = "SELECT count(*) FROM (SELECT data, type, row_number() OVER (ORDER BY seq) - 1 AS place FROM webhook.events) e
                 WHERE (data->>'id')::int <> place / 3 + 1
                    OR type <> (ARRAY['user.created', 'note.created', 'other.thing'])[place % 3 + 1]";
    assert_eq!(db.value(COUNT).await, "4500");
    assert_eq!(db.value(wrong).await, "0");
    assert_eq!(db.value("SELECT count(DISTINCT seq) FROM webhook.events").await, "4500");
}

#[tokio::test]
async fn a_failed_statement_leaves_no_event_and_the_transaction_can_go_on() {
    let db = watched().await;
    db.run("BEGIN; INSERT INTO users VALUES (1); SAVEPOINT s").await;
    assert_eq!(db.refusal("INSERT INTO users SELECT 3 - n FROM generate_series(0, 2) n").await.code, "23505");
    db.run("ROLLBACK TO s; INSERT INTO users VALUES (2); COMMIT").await;
    assert_eq!(seen(&db).await, [r#"user.created {"id":1}"#, r#"user.created {"id":2}"#]);
    db.run("BEGIN; INSERT INTO users VALUES (3); ROLLBACK").await;
    assert_eq!(kinds(&db).await.len(), 2);
}

#[tokio::test]
async fn serializable_writers_of_different_tables_do_not_fail_each_other() {
    let db = watched().await;
    let mut writers = Vec::new();
    for writer in 0..6 {
        let session = db.connect().await;
        session
            .run(&format!(
                "CREATE TABLE t{writer} (id int, n int); SELECT webhook_watch('t{writer}', 'thing')"
            ))
            .await;
        session
            .run(&format!(
                "INSERT INTO t{writer} VALUES (1, 0); SET default_transaction_isolation = serializable"
            ))
            .await;
        writers.push(tokio::spawn(async move {
            for n in 0..50 {
                session.run(&format!("BEGIN; UPDATE t{writer} SET n = n + 1")).await;
                session.run(&format!("SELECT webhook_emit('other.thing', '{n}'); COMMIT")).await;
            }
        }));
    }
    for writer in writers {
        writer.await.expect("no 40001");
    }
    assert_eq!(db.value(COUNT).await, "606");
}
