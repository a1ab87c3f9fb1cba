//! Names that would break what is quoted carelessly.

use webhook_tests::database::Database;

use crate::capture_seen::seen;

/// A name as SQL writes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL writes it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

const HOSTILE: [&str; 8] = [
    "Mixed Case",
    "a\"b'c\\d",
    "line\nbreak\ttab",
    "😀 ünïcödé",
    "x'); DROP TABLE webhook.events; --",
    "{curly,array}",
    "select",
    "sixty_three_bytes_long_name_which_is_all_that_postgres_will_keep",
];

#[tokio::test]
async fn tables_and_columns_may_have_any_name() {
    for name in HOSTILE {
        let db = Database::new().await;
        // What Postgres keeps of it: at most 63 bytes.
        let kept = db.value(&format!("SELECT {}::name", literal(name))).await;
        let (table, column) = (quoted(&kept), quoted(&kept));
        db.run(&format!("CREATE SCHEMA {table}; CREATE TABLE {table}.{table} ({column} int PRIMARY KEY, other int, secret int)"))
            .await;
        let list = |name: &str| format!("ARRAY[{}]", literal(name));
        db.run(&format!(
            "SELECT webhook_watch({}, 'thing', columns => {list} || '{{other,secret}}', exclude => '{{secret}}',
                                  update_of => {list}, key => {list}, account_column => {}, previous => true,
                                  names => jsonb_build_object('update', jsonb_build_object({}, 'renumbered')),
                                  \"when\" => {})",
            literal(&format!("{table}.{table}")),
            literal(&kept),
            literal(&kept),
            literal(&format!("NEW.{column} > 0")),
            list = list(&kept),
        ))
        .await;
        db.run(&format!("INSERT INTO {table}.{table} VALUES (1, 2, 3)")).await;
        db.run(&format!("UPDATE {table}.{table} SET {column} = 4; UPDATE {table}.{table} SET other = 5"))
            .await;
        let label = db.value(&format!("SELECT to_json({}::text)", literal(&kept))).await;
        let expected = [
            format!("thing.created {{{label}:1,\"other\":2}}"),
            format!("thing.renumbered {{{label}:4,\"other\":2}}"),
        ];
        assert_eq!(seen(&db).await, expected, "{name:?}");
        let rest = db.rows("SELECT key, account, previous FROM webhook.events ORDER BY seq").await;
        assert_eq!(rest[1], ["4".to_owned(), "4".to_owned(), format!("{{{label}:1}}")], "{name:?}");
        let shown =
            db.value(&format!("SELECT quote_ident({0}) || '.' || quote_ident({0})", literal(&kept))).await;
        assert_eq!(db.value("SELECT name FROM webhook_sources()").await, shown, "{name:?}");
        db.run(&format!("SELECT webhook_unwatch({})", literal(&format!("{table}.{table}")))).await;
    }
}

#[tokio::test]
async fn a_table_may_have_sixteen_hundred_columns() {
    let db = Database::new().await;
    let columns: Vec<_> = (1..=1600).map(|n| format!("c{n} int")).collect();
    db.run(&format!("CREATE TABLE wide ({}); SELECT webhook_watch('wide', 'wide')", columns.join(", ")))
        .await;
    db.run("INSERT INTO wide (c1, c1600) VALUES (1, 1600)").await;
    let data = db.rows("SELECT data->>'c1', data->>'c1600', (SELECT count(*) FROM json_object_keys(data)) FROM webhook.events");
    assert_eq!(data.await.concat(), ["1", "1600", "1600"]);
}

#[tokio::test]
async fn a_table_without_columns_is_an_empty_object() {
    let db = Database::new().await;
    db.run("CREATE TABLE nothing (); SELECT webhook_watch('nothing', 'nothing'); INSERT INTO nothing DEFAULT VALUES").await;
    assert_eq!(seen(&db).await, ["nothing.created {}"]);
}
