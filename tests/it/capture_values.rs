//! Values that come to capture in unusual ways: generated, toasted, too large. Spelling is in `capture_types` and `capture_docs`.

use webhook_tests::database::Database;

use crate::capture_seen::seen;

#[tokio::test]
async fn hstore_is_an_object() {
    let db = Database::new().await;
    if db.value("SELECT count(*) FROM pg_available_extensions WHERE name = 'hstore'").await == "0" {
        return;
    }
    db.run("CREATE EXTENSION hstore; CREATE TABLE t (h hstore); SELECT webhook_watch('t', 'thing')").await;
    db.run(r#"INSERT INTO t VALUES ('a=>1, b=>NULL, "c d"=>x')"#).await;
    assert_eq!(seen(&db).await, [r#"thing.created {"h":{"a": "1", "b": null, "c d": "x"}}"#]);
}

#[tokio::test]
async fn generated_and_identity_columns_are_sent() {
    let db = Database::new().await;
    db.run(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n serial, net int,
                         gross int GENERATED ALWAYS AS (net * 2) STORED, at date DEFAULT '2026-01-02');
         SELECT webhook_watch('t', 'thing', previous => true)",
    )
    .await;
    db.run("INSERT INTO t (net) VALUES (10); UPDATE t SET net = 11").await;
    let expected = [
        r#"thing.created {"id":1,"n":1,"net":10,"gross":20,"at":"2026-01-02"}"#,
        r#"thing.updated {"id":1,"n":1,"net":11,"gross":22,"at":"2026-01-02"}"#,
    ];
    assert_eq!(seen(&db).await, expected);
    let previous = db.value("SELECT previous FROM webhook.events WHERE previous IS NOT NULL").await;
    assert_eq!(previous, r#"{"net":10,"gross":20}"#);
}

#[tokio::test]
async fn virtual_generated_columns_are_left_out() {
    let db = Database::new().await;
    if db.value("SHOW server_version_num").await.as_str() < "180000" {
        return;
    }
    db.run(
        "CREATE TABLE t (id int PRIMARY KEY, double int GENERATED ALWAYS AS (id * 2) VIRTUAL, n int);
         SELECT webhook_watch('t', 'thing'); INSERT INTO t (id) VALUES (1); UPDATE t SET n = 1",
    )
    .await;
    assert_eq!(seen(&db).await, [r#"thing.created {"id":1,"n":null}"#, r#"thing.updated {"id":1,"n":1}"#]);
}

#[tokio::test]
async fn large_values_that_an_update_does_not_touch_are_sent_whole() {
    let db = Database::new().await;
    db.run(
        "CREATE TABLE docs (id int PRIMARY KEY, n int, stored text, packed text, mixed text);
         ALTER TABLE docs ALTER stored SET STORAGE EXTERNAL, ALTER mixed SET STORAGE EXTENDED, ALTER packed SET STORAGE MAIN;
         SELECT webhook_watch('docs', 'doc', previous => true)",
    )
    .await;
    let noise = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 6000) n)";
    db.run(&format!("INSERT INTO docs VALUES (1, 1, {noise}, repeat('xy', 100000), {noise})")).await;
    db.run(
        "UPDATE docs SET n = 2; UPDATE docs SET stored = stored || '', packed = packed, mixed = mixed || ''",
    )
    .await;
    let events = db.rows("SELECT md5(data::text), md5(row_to_json(d)::text), previous FROM webhook.events, docs d ORDER BY seq");
    let events = events.await;
    assert_eq!(events.len(), 2, "the update that changed nothing is none");
    assert_eq!(events[1][0], events[1][1]);
    assert_eq!(events[1][2], r#"{"n":1}"#);
}

#[tokio::test]
async fn a_thin_event_has_the_key_alone_and_the_write_goes_on() {
    let db = Database::new().await;
    db.run(
        "CREATE TABLE docs (a int, b text, body text, PRIMARY KEY (a, b)); CREATE TABLE logs (body text);
         SELECT webhook_watch('docs', 'doc', previous => true), webhook_watch('logs', 'log')",
    )
    .await;
    db.run("INSERT INTO docs VALUES (1, 'x', ''); UPDATE docs SET body = repeat('y', 2000000); UPDATE docs SET body = ''").await;
    db.run("INSERT INTO logs VALUES (repeat('y', 2000000))").await;
    let expected = [
        r#"doc.created {"a":1,"b":"x","body":""}"#,
        r#"doc.updated {"oversize":true,"key":{"a":1,"b":"x"}}"#,
        r#"doc.updated {"a":1,"b":"x","body":""}"#,
        r#"log.created {"oversize":true,"key":{}}"#,
    ];
    assert_eq!(seen(&db).await, expected);
}

#[tokio::test]
async fn a_key_that_is_too_large_itself_fails_no_write_either() {
    let db = Database::new().await;
    db.run("CREATE TABLE logs (body text); SELECT webhook_watch('logs', 'log', key => '{body}')").await;
    db.run("INSERT INTO logs VALUES (repeat('y', 2000000))").await;
    db.run("SET webhook.max_payload_bytes = 64; INSERT INTO logs VALUES (repeat('z', 100))").await;
    assert_eq!(seen(&db).await, [r#"log.created {"oversize":true,"key":{}}"#; 2]);
    let keys = db.rows("SELECT left(key, 7) FROM webhook.events ORDER BY seq").await.concat();
    assert_eq!(keys, ["sha256:", "zzzzzzz"], "its order is kept all the same");
}
