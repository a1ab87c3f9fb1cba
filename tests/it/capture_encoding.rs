//! Databases in other encodings: what the relay reads is UTF-8.

use webhook_tests::cluster::Cluster;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;
use webhook_tests::session::Session;

/// A new database in an encoding, with the extension.
async fn database(name: &str, encoding: &str) -> Session {
    let cluster = Cluster::shared().await;
    let create = format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
    cluster.connect("postgres").await.run(&create).await;
    let session = cluster.connect(name).await;
    session.run("CREATE EXTENSION pg_webhook").await;
    session
}

/// Type, data as bytes, and key of all events, as the relay reads them.
async fn read(session: &Session) -> Vec<(String, Vec<u8>, String)> {
    let sql = "SELECT type, encode(data, 'hex'), key, account
               FROM webhook._relay_read('{\"low\": \"3:3:\", \"floor\": 0, \"old\": []}', 0, 0, 1000, 10000000, NULL)
               WHERE id IS NOT NULL";
    let byte = |hex: &[u8]| u8::from_str_radix(std::str::from_utf8(hex).expect("hex"), 16).expect("hex");
    let rows = session.rows(sql).await.into_iter();
    rows.map(|row| (row[0].clone(), row[1].as_bytes().chunks(2).map(byte).collect(), row[2].clone()))
        .collect()
}

/// The same as text.
async fn read_text(session: &Session) -> Vec<String> {
    let text = |(kind, data, key)| format!("{kind} {} {key}", String::from_utf8(data).expect("UTF-8"));
    read(session).await.into_iter().map(text).collect()
}

#[tokio::test]
async fn in_utf8_the_bytes_are_those_of_the_row() {
    let db = database("encoding_utf8", "UTF8").await;
    db.run("CREATE TABLE t (id int PRIMARY KEY, \"näme\" text); SELECT webhook_watch('t', 'thing')").await;
    db.run("INSERT INTO t VALUES (1, 'Zoë 😀')").await;
    assert_eq!(read_text(&db).await, ["thing.created {\"id\":1,\"näme\":\"Zoë 😀\"} 1"]);
}

#[tokio::test]
async fn in_latin1_names_and_values_become_utf8() {
    let db = database("encoding_latin1", "LATIN1").await;
    db.run(
        "CREATE TYPE gemüt AS ENUM ('fröhlich');
         CREATE TABLE \"Tür\" (\"schlüssel\" text PRIMARY KEY, \"gefühl\" gemüt, \"wörter\" text[], geheimnis text, \"größe\" int);
         SELECT webhook_watch('\"Tür\"', 'door', exclude => '{geheimnis}', previous => true,
                              names => '{\"update\": {\"größe\": \"resized\"}}', \"when\" => 'NEW.\"schlüssel\" <> ''ä''')",
    )
    .await;
    db.run("INSERT INTO \"Tür\" VALUES ('ö', 'fröhlich', '{é,ÿ}', 'x', 1), ('ä', NULL, NULL, 'x', 1)").await;
    db.run("UPDATE \"Tür\" SET \"größe\" = 2").await;
    let expected = [
        r#"door.created {"schlüssel":"ö","gefühl":"fröhlich","wörter":["é","ÿ"],"größe":1} ö"#,
        r#"door.resized {"schlüssel":"ö","gefühl":"fröhlich","wörter":["é","ÿ"],"größe":2} ö"#,
    ];
    assert_eq!(read_text(&db).await, expected);
}

#[tokio::test]
async fn in_latin1_an_excluded_column_with_an_accent_is_excluded() {
    let db = database("encoding_latin1_exclude", "LATIN1").await;
    db.run("CREATE TABLE t (id int PRIMARY KEY, \"pässword\" text); SELECT webhook_watch('t', 't', exclude => '{pässword}')")
        .await;
    db.run("INSERT INTO t VALUES (1, 'hunter2')").await;
    db.run("ALTER TABLE t RENAME \"pässword\" TO \"gehéim\"; INSERT INTO t VALUES (2, 'hunter2')").await;
    assert_eq!(read_text(&db).await, [r#"t.created {"id":1} 1"#, r#"t.created {"id":2} 2"#]);
}

#[tokio::test]
async fn in_latin1_emit_takes_text_with_accents() {
    let db = database("encoding_latin1_emit", "LATIN1").await;
    db.run(
        "SET webhook.account = 'Gänse'; SELECT webhook_emit('user.created', '{\"ä\": \"é\"}', key => 'ö')",
    )
    .await;
    assert_eq!(read_text(&db).await, [r#"user.created {"ä": "é"} ö"#]);
    assert_eq!(db.value("SELECT account FROM webhook.events").await, "Gänse");
    assert_eq!(db.refusal("SELECT webhook_emit('üser', '{}')").await.code, "22023");
}

#[tokio::test]
async fn in_latin1_webhooks_may_have_accents() {
    let (name, receiver) = ("encoding_latin1_webhooks", Receiver::start());
    let db = database(name, "LATIN1").await;
    let _relay = Relay::start(&Cluster::shared().await.url(name)).await;
    let url = receiver.url("/hook?ort=Köln");
    db.run(&format!(
        r#"SELECT webhook_create('{url}', secret => 'größer als acht', options => '{{"params": {{"q": "ü"}}}}',
                                 filter_config => '{{"ä.ö": {{"$startsWith": "Jür"}}}}')"#
    ))
    .await;
    db.run(r#"SELECT webhook_emit('user.created', '{"ä": {"ö": "Jörg"}}'), webhook_emit('user.created', '{"ä": {"ö": "Jürgen"}}')"#)
        .await;
    let request = &receiver.wait_for(1).await[0];
    assert_eq!(request.query.as_deref(), Some("ort=K%C3%B6ln&q=%C3%BC"));
    let body = String::from_utf8_lossy(&request.body);
    assert!(body.contains(r#"{"ä":{"ö":"Jürgen"}}"#), "{body}");
    let signature = format!("webhook_sign('{body}', 'größer als acht')");
    assert_eq!(db.value(&format!("SELECT {signature}")).await, request.header("x-webhook-signature"));
    let verified = format!("SELECT webhook_verify('{body}', {signature}, 'größer als acht')");
    assert_eq!(db.value(&verified).await, "t");
    let kept = "SELECT filter_config->'ä.ö'->>'$startsWith', options->'params'->>'q' FROM webhook_list()";
    assert_eq!(db.rows(kept).await, [["Jür", "ü"]]);
    assert_eq!(db.value(r#"SELECT webhook_filter_test('{"ä": "ö"}', '{"ä": "ö"}')"#).await, "t");
    db.run(r#"SELECT webhook_event_type_create('size.set', schema => '{"title": "Größe"}')"#).await;
    let title = "SELECT schema->>'title' FROM webhook_event_types() WHERE type = 'size.set'";
    assert_eq!(db.value(title).await, "Größe");
}

#[tokio::test]
async fn in_sql_ascii_the_bytes_pass_as_they_are() {
    let db = database("encoding_ascii", "SQL_ASCII").await;
    db.run("CREATE TABLE t (id int PRIMARY KEY, v text); SELECT webhook_watch('t', 'thing')").await;
    db.run(r"INSERT INTO t VALUES (1, 'Zoë'), (2, E'\xff\xfe'), (3, 'x')").await;
    let read = read(&db).await;
    assert_eq!(read[0].1, "{\"id\":1,\"v\":\"Zoë\"}".as_bytes());
    assert_eq!(read[1].1, b"{\"id\":2,\"v\":\"\xff\xfe\"}", "for the relay to refuse alone");
    assert_eq!(read[2].1, br#"{"id":3,"v":"x"}"#);
}

#[tokio::test]
async fn in_sql_ascii_an_event_that_is_not_utf8_fails_alone() {
    let (db, receiver) = (database("encoding_ascii_sent", "SQL_ASCII").await, Receiver::start());
    db.run("CREATE TABLE t (id int PRIMARY KEY, v text); SELECT webhook_watch('t', 'thing')").await;
    db.run(&format!("SELECT webhook_create('{}', '{{thing.*}}')", receiver.url("/hook"))).await;
    let _relay = Relay::start(&Cluster::shared().await.url("encoding_ascii_sent")).await;
    db.run(r"INSERT INTO t VALUES (1, 'Zoë'), (2, E'\xff\xfe'), (3, 'x')").await;
    db.until("SELECT count(*) FROM webhook.deliveries WHERE status <> 'pending'", "3").await;
    let failed = "SELECT split_part(d.error, ':', 1), e.data->>'id' FROM webhook.deliveries d JOIN webhook.events e ON e.id = d.event_id
                  WHERE d.status <> 'delivered'";
    assert_eq!(db.rows(failed).await, [["invalid_utf8", "2"]]);
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn in_sql_ascii_a_key_that_is_not_utf8_stops_nobody() {
    let db = database("encoding_ascii_key", "SQL_ASCII").await;
    db.run("CREATE TABLE t (k text PRIMARY KEY, a text); SELECT webhook_watch('t', 'thing', account_column => 'a')").await;
    db.run(r"INSERT INTO t VALUES (E'\xff', E'\xfe'), (E'\xfe', 'acme'), ('ë', 'x')").await;
    let keys: Vec<_> = read(&db).await.into_iter().map(|(_, _, key)| key).collect();
    assert!(
        keys[0].starts_with("sha256:") && keys[1].starts_with("sha256:") && keys[0] != keys[1],
        "{keys:?}"
    );
    assert_eq!(keys[2], "ë");
    let refused = db.refusal(r"SELECT webhook_emit('user.created', '{}', key => E'\xff')").await;
    assert_eq!(refused.code, "22023");
}

#[tokio::test]
async fn in_sql_ascii_a_webhook_that_no_relay_could_read_is_refused() {
    let db = database("encoding_ascii_webhooks", "SQL_ASCII").await;
    for call in [
        r"webhook_create(E'https://example.com/\xff')",
        r"webhook_create('https://example.com', secret => E'a secret \xff')",
        r"webhook_create('https://example.com', account => E'acme\xff')",
        r#"webhook_create('https://example.com', options => E'{"params": {"q": "\xff"}}')"#,
        r#"webhook_create('https://example.com', filter_config => E'{"a": "\xff"}')"#,
        r"webhook_send('POST', E'https://example.com/\xff')",
        r#"webhook_update((webhook_create('https://example.com')).id, E'{"account": "\xff"}')"#,
    ] {
        assert_eq!(db.refusal(&format!("SELECT {call}")).await.code, "22023", "{call}");
    }
    db.run("SELECT webhook_create('https://example.com/ü', secret => 'größer als acht', account => 'Gänse')")
        .await;
    assert_eq!(db.rows("SELECT * FROM webhook._relay_webhooks(NULL)").await.len(), 2);
}

#[tokio::test]
async fn in_an_east_asian_encoding_text_becomes_utf8() {
    let db = database("encoding_eucjp", "EUC_JP").await;
    db.run("CREATE TABLE t (id int PRIMARY KEY, \"名前\" text); SELECT webhook_watch('t', 'thing', \"when\" => 'NEW.\"名前\" <> ''無''')")
        .await;
    db.run("INSERT INTO t VALUES (1, '日本語'), (2, '無')").await;
    assert_eq!(read_text(&db).await, ["thing.created {\"id\":1,\"名前\":\"日本語\"} 1"]);
}

#[tokio::test]
async fn a_page_that_is_shorter_in_utf8_is_read_to_its_end() {
    let (db, receiver) = (database("encoding_eucjp_pages", "EUC_JP").await, Receiver::start());
    db.run(&format!("SELECT webhook_create('{}', '{{*}}')", receiver.url("/hook"))).await;
    // Æ has three bytes here, and two in UTF-8. A page ends at 256 KiB: behind the first event, which to the relay is a short one.
    db.run(
        "SELECT webhook_emit('a.b', jsonb_build_object('v', repeat(convert_from('\\x8fa9a1', 'EUC_JP'), 90000))) FROM generate_series(1, 3)",
    )
    .await;
    let url = Cluster::shared().await.url("encoding_eucjp_pages");
    let _relay = Relay::start_with(&url, &["--max-payload-mib", "4"]).await;
    receiver.wait_for(3).await;
}
