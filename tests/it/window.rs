//! The reader's windows, asked directly and as fast as they answer: nothing is missed, nothing comes twice, and rows come in
//! the order of their changes, wherever the snapshots fall.

use std::collections::HashMap;

use webhook_tests::database::Database;
use webhook_tests::session::Session;

const EMITTERS: usize = 4;
const TRANSACTIONS: usize = 500;
/// Of a session, in one go: thousands a second, so that many begin while a page is being read.
const QUICK_TRANSACTIONS: usize = 10_000;

/// The first window of all.
const FIRST: &str = r#"{"low": "3:3:", "floor": 0, "old": []}"#;

/// At most fifty events (id, key, seq, xid), how this window goes on, and the window after it.
async fn read_page(
    reader: &Session,
    window: &str,
    (seq, xid): (&str, &str),
) -> (Vec<Vec<String>>, String, String) {
    let mut rows = reader
        .rows(&format!(
            "SELECT coalesce(id, ''), coalesce(key, ''), coalesce(seq::text, ''), coalesce(xid::text, ''), coalesce(more, ''), coalesce(next, '')
             FROM webhook._relay_read('{window}', {seq}, {xid}, 50, 1000000, NULL)"
        ))
        .await;
    let end = rows.pop().expect("the last row");
    (rows, end[4].clone(), end[5].clone())
}

/// Reads page after page until told that all is emitted and a window that begins after that came back empty.
async fn read_all(
    reader: &Session,
    mut emitting: tokio::sync::watch::Receiver<bool>,
) -> Vec<(String, String)> {
    let mut read = Vec::new();
    let (mut window, mut seq, mut xid) = (FIRST.to_string(), String::from("0"), String::from("0"));
    loop {
        let done = !*emitting.borrow_and_update() && seq == "0";
        let (page, more, next) = read_page(reader, &window, (&seq, &xid)).await;
        read.extend(page.iter().map(|row| (row[0].clone(), row[1].clone())));
        if page.len() == 50 {
            let last = &page[49];
            (window, seq, xid) = (more, last[2].clone(), last[3].clone());
        } else {
            (window, seq, xid) = (next, "0".into(), "0".into());
            if done && page.is_empty() {
                return read;
            }
        }
    }
}

#[tokio::test]
async fn every_event_is_read_once_and_those_of_a_row_in_order() {
    let db = Database::new().await;
    db.run("CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL); INSERT INTO counters SELECT i, 0 FROM generate_series(1, 3) i").await;
    let (stop, emitting) = tokio::sync::watch::channel(true);
    let reader = db.connect().await;
    let reading = tokio::spawn(async move { read_all(&reader, emitting).await });
    let mut emitters = Vec::new();
    for emitter in 0..EMITTERS {
        let session = db.connect().await;
        emitters.push(tokio::spawn(async move {
            for n in 0..TRANSACTIONS {
                // Some get their transaction id long before they emit, some by emitting; some roll back.
                let (early, end) = (n % 3 == 0, if n % 7 == 0 { "ROLLBACK" } else { "COMMIT" });
                let row = (emitter + n) % 3 + 1;
                session.run("BEGIN").await;
                if early {
                    session.run("SELECT pg_current_xact_id()").await;
                }
                if n % 2 == 0 {
                    session.run(&format!("UPDATE counters SET n = n + 1 WHERE id = {row}")).await;
                    session.run(&format!(
                        "SELECT webhook_emit('counter.moved', '{{}}', key => (SELECT '{row}:' || n FROM counters WHERE id = {row}))"
                    )).await;
                } else {
                    session.run("SELECT webhook_emit('counter.idle', '{}')").await;
                }
                session.run(end).await;
            }
            session
                .run(&format!(
                    "DO $$ BEGIN FOR i IN 1..{QUICK_TRANSACTIONS} LOOP PERFORM webhook_emit('counter.idle', '{{}}'); COMMIT; END LOOP; END $$"
                ))
                .await;
        }));
    }
    for emitter in emitters {
        emitter.await.expect("an emitter");
    }
    stop.send(false).expect("a reader");
    let read = reading.await.expect("the reader");
    let committed = db.value("SELECT count(*) FROM webhook.events").await;
    assert_eq!(read.len().to_string(), committed);
    let mut last: HashMap<&str, u32> = HashMap::new();
    for (id, key) in &read {
        let Some((row, n)) = key.split_once(':') else { continue };
        let n: u32 = n.parse().expect("a number");
        let before = last.insert(row, n).unwrap_or(0);
        assert_eq!(n, before + 1, "row {row}, event {id}");
    }
    assert_eq!(
        db.value("SELECT count(DISTINCT id) FROM webhook.events").await,
        read.iter().map(|(id, _)| id).collect::<std::collections::HashSet<_>>().len().to_string()
    );
}

#[tokio::test]
async fn a_new_mark_is_where_the_server_is() {
    let db = Database::new().await;
    // Others write meanwhile.
    let sql = format!(
        "SELECT (r.next::jsonb->'mark'->>0)::bigint BETWEEN w.lsn - '0/0' AND pg_current_wal_insert_lsn() - '0/0',
                (r.next::jsonb->'mark'->>1)::bigint >= w.xid::text::bigint
         FROM (SELECT pg_current_wal_insert_lsn(), pg_snapshot_xmax(pg_current_snapshot()) OFFSET 0) w(lsn, xid),
              LATERAL webhook._relay_read('{FIRST}', (w.lsn - w.lsn)::bigint, 0, 50, 1000000, NULL) r
         WHERE r.id IS NULL"
    );
    assert_eq!(db.rows(&sql).await, [["t", "t"]]);
}

#[tokio::test]
async fn a_transaction_that_began_many_megabytes_ago_is_read_in_its_place() {
    let db = Database::new().await;
    let (slow, reader) = (db.connect().await, db.connect().await);
    let emit = |key: u32| format!("SELECT webhook_emit('a.b', '{{}}', key => '{key}')");
    slow.run(&format!("BEGIN; {}", emit(1))).await;
    let mut window = FIRST.to_string();
    for other in [10, 11, 12] {
        // Each switch to a new segment passes up to 16 MiB.
        db.run(&format!("SELECT pg_switch_wal(); {}", emit(other))).await;
        let (page, _, next) = read_page(&reader, &window, ("0", "0")).await;
        assert_eq!(page.iter().map(|row| row[1].clone()).collect::<Vec<_>>(), [other.to_string()]);
        window = next;
    }
    let far = format!(
        "SELECT (w->>'floor')::bigint - (w->'old'->0->>1)::bigint > 16 * 1024 * 1024 FROM (SELECT '{window}'::jsonb) v(w)"
    );
    assert_eq!(db.value(&far).await, "t", "{window}");
    slow.run(&format!("{}; {}", emit(2), "SAVEPOINT a")).await;
    db.run(&emit(13)).await;
    slow.run(&format!("{}; COMMIT", emit(3))).await;
    db.run(&emit(14)).await;
    let (page, _, next) = read_page(&reader, &window, ("0", "0")).await;
    assert_eq!(page.iter().map(|row| row[1].as_str()).collect::<Vec<_>>(), ["1", "2", "13", "3", "14"]);
    let (page, _, _) = read_page(&reader, &next, ("0", "0")).await;
    assert!(page.is_empty(), "{page:?}");
}

#[tokio::test]
async fn a_partition_without_its_index_is_named_and_loses_nothing() {
    let db = Database::new().await;
    let reader = db.connect().await;
    db.run("SELECT webhook_emit('a.b', '{}', key => '1'); DROP INDEX webhook.events_default_seq_xid_idx")
        .await;
    // Others do not serve: of another order, of one column, of some rows.
    db.run("CREATE INDEX ON webhook.events_default (seq DESC, xid); CREATE INDEX ON webhook.events_default (seq);
            CREATE INDEX ON webhook.events_default (seq, xid) WHERE seq > 0").await;
    let refusal =
        db.refusal(&format!("SELECT webhook._relay_read('{FIRST}', 0, 0, 50, 1000000, NULL)")).await;
    assert_eq!(refusal.code, "55000", "{refusal:?}");
    assert_eq!(refusal.message, "webhook.events_default has no index on (seq, xid), by which it is read");
    db.run(refusal.hint.trim_end_matches('.')).await;
    let (page, _, _) = read_page(&reader, FIRST, ("0", "0")).await;
    assert_eq!(page.iter().map(|row| row[1].as_str()).collect::<Vec<_>>(), ["1"]);
}

#[tokio::test]
async fn what_is_not_a_window_is_refused() {
    let db = Database::new().await;
    for (window, config) in
        [("{}", "NULL"), ("", "NULL"), (r#"{"low": "3", "floor": 0, "old": []}"#, "NULL"), (FIRST, "'20'")]
    {
        let refusal =
            db.refusal(&format!("SELECT webhook._relay_read('{window}', 0, 0, 50, 1000000, {config})")).await;
        assert_eq!(refusal.code, "22023", "{refusal:?}");
    }
}
