//! Partitioned tables and inheritance.

use webhook_tests::database::Database;

use crate::capture_seen::{kinds, seen};

/// `sales` by year, watched, with partitions for 2025 and 2026.
async fn sales() -> Database<'static> {
    let db = Database::new().await;
    db.run(
        "CREATE TABLE sales (id int, year int, note text, secret text, PRIMARY KEY (id, year)) PARTITION BY LIST (year);
         CREATE TABLE sales_2025 PARTITION OF sales FOR VALUES IN (2025);
         CREATE TABLE sales_2026 PARTITION OF sales FOR VALUES IN (2026);
         SELECT webhook_watch('sales', 'sale', exclude => '{secret}')",
    )
    .await;
    db
}

#[tokio::test]
async fn rows_of_every_partition_are_events_of_the_parent() {
    let db = sales().await;
    db.run("INSERT INTO sales VALUES (1, 2025, 'a', 's'), (2, 2026, 'b', 's')").await;
    db.run("UPDATE sales SET note = 'c' WHERE id = 2; DELETE FROM sales WHERE id = 1").await;
    let expected = [
        r#"sale.created {"id":1,"year":2025,"note":"a"}"#,
        r#"sale.created {"id":2,"year":2026,"note":"b"}"#,
        r#"sale.updated {"id":2,"year":2026,"note":"c"}"#,
        r#"sale.deleted {"id":1,"year":2025,"note":"a"}"#,
    ];
    assert_eq!(seen(&db).await, expected);
    assert_eq!(
        db.value("SELECT DISTINCT key FROM webhook.events WHERE type = 'sale.updated'").await,
        "[2,2026]"
    );
    assert_eq!(db.value("SELECT count(DISTINCT source) FROM webhook.events").await, "1");
}

#[tokio::test]
async fn a_row_written_to_a_partition_itself_is_captured() {
    let db = sales().await;
    db.run("INSERT INTO sales_2025 VALUES (1, 2025, 'a', 's'); UPDATE sales_2025 SET note = 'b'").await;
    assert_eq!(kinds(&db).await, ["sale.created", "sale.updated"]);
}

#[tokio::test]
async fn new_and_attached_partitions_are_watched_and_detached_ones_no_more() {
    let db = sales().await;
    db.run("CREATE TABLE sales_2027 PARTITION OF sales FOR VALUES IN (2027)").await;
    db.run("INSERT INTO sales VALUES (1, 2027, 'new', 's')").await;
    // Another order of columns, and one that was dropped.
    db.run(
        "CREATE TABLE sales_2028 (secret text NOT NULL, junk int, note text, year int NOT NULL, id int NOT NULL);
         ALTER TABLE sales_2028 DROP junk;
         INSERT INTO sales_2028 VALUES ('s', 'unseen', 2028, 1);
         ALTER TABLE sales ATTACH PARTITION sales_2028 FOR VALUES IN (2028);
         INSERT INTO sales VALUES (2, 2028, 'attached', 's'); INSERT INTO sales_2028 VALUES ('s', 'direct', 2028, 3)",
    )
    .await;
    db.run("ALTER TABLE sales DETACH PARTITION sales_2027; INSERT INTO sales_2027 VALUES (4, 2027, 'detached', 's')").await;
    let expected = [
        r#"sale.created {"id":1,"year":2027,"note":"new"}"#,
        r#"sale.created {"id":2,"year":2028,"note":"attached"}"#,
        r#"sale.created {"id":3,"year":2028,"note":"direct"}"#,
    ];
    assert_eq!(seen(&db).await, expected, "in the parent's order of columns");
}

#[tokio::test]
async fn a_row_that_moves_is_deleted_there_and_created_here() {
    let db = sales().await;
    db.run("INSERT INTO sales VALUES (1, 2025, 'a', 's'); UPDATE sales SET year = 2026").await;
    let expected = [
        r#"sale.created {"id":1,"year":2025,"note":"a"}"#,
        r#"sale.deleted {"id":1,"year":2025,"note":"a"}"#,
        r#"sale.created {"id":1,"year":2026,"note":"a"}"#,
    ];
    assert_eq!(seen(&db).await, expected);
}

#[tokio::test]
async fn partitions_of_partitions_are_watched() {
    let db = sales().await;
    db.run(
        "CREATE TABLE sales_old PARTITION OF sales DEFAULT PARTITION BY RANGE (year);
         CREATE TABLE sales_90s PARTITION OF sales_old FOR VALUES FROM (1990) TO (2000);
         INSERT INTO sales VALUES (1, 1995, 'a', 's')",
    )
    .await;
    assert_eq!(seen(&db).await, [r#"sale.created {"id":1,"year":1995,"note":"a"}"#]);
}

#[tokio::test]
async fn pausing_the_parent_pauses_its_partitions_and_unwatching_ends_them() {
    let db = sales().await;
    let other = db.connect().await;
    other.run("INSERT INTO sales VALUES (1, 2025)").await;
    db.run("SELECT webhook_pause(id) FROM webhook_sources()").await;
    other.run("INSERT INTO sales VALUES (2, 2025)").await;
    db.run("SELECT webhook_resume(id) FROM webhook_sources()").await;
    other.run("INSERT INTO sales VALUES (3, 2025)").await;
    db.run("SELECT webhook_unwatch('sales')").await;
    other.run("INSERT INTO sales VALUES (4, 2025)").await;
    assert_eq!(db.rows("SELECT data->>'id' FROM webhook.events ORDER BY seq").await.concat(), ["1", "3"]);
}

#[tokio::test]
async fn one_partition_alone_can_be_watched() {
    let db = sales().await;
    db.run("SELECT webhook_unwatch('sales'); SELECT webhook_watch('sales_2026', 'sale', columns => '{id}')")
        .await;
    db.run("INSERT INTO sales VALUES (1, 2025), (2, 2026)").await;
    assert_eq!(seen(&db).await, [r#"sale.created {"id":2}"#]);
}

#[tokio::test]
async fn conditions_work_on_partitioned_tables() {
    let db = sales().await;
    db.run("SELECT webhook_watch('sales', 'sale', update_of => '{note}', \"when\" => 'NEW.id > 1', columns => '{id}')").await;
    db.run("INSERT INTO sales VALUES (1, 2025), (2, 2026); UPDATE sales SET secret = 'x'; UPDATE sales SET note = 'x'").await;
    assert_eq!(seen(&db).await, [r#"sale.created {"id":2}"#, r#"sale.updated {"id":2}"#]);
}

#[tokio::test]
async fn an_inheriting_table_is_not_watched_and_a_warning_names_it() {
    let db = Database::new().await;
    db.run("CREATE TABLE parents (id int); CREATE TABLE sons () INHERITS (parents); CREATE TABLE girls () INHERITS (parents)")
        .await;
    // A warning becomes a notice of the session, which psql prints.
    let mut psql = db.cluster().program("psql");
    let output = psql
        .args(["-X", "-d", db.name(), "-c", "SELECT webhook_watch('parents', 'parent')"])
        .output()
        .expect("start psql");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("WARNING") && said.contains("sons") && said.contains("girls"), "{said}");
    db.run("INSERT INTO parents VALUES (1); INSERT INTO sons VALUES (2); UPDATE parents SET id = id + 10")
        .await;
    assert_eq!(seen(&db).await, [r#"parent.created {"id":1}"#, r#"parent.updated {"id":11}"#]);
    db.run("SELECT webhook_watch('sons', 'son'); INSERT INTO sons VALUES (3)").await;
    assert_eq!(
        kinds(&db).await.last().map(String::as_str),
        Some("son.created"),
        "each can be watched for itself"
    );
}
