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
async fn the_next_window_begins_where_each_running_transaction_may_have_emitted() {
    let db = Database::new().await;
    let window = r#"{"term": 5, "low": "10:12:10", "high": "10:19:10", "floor": 600, "mark": [700, 20], "old": [[10, 400]]}"#;
    let rows = [
        // Not all that may emit below 700 have begun.
        (
            window,
            "10:19:10,13",
            r#"{"term": 5, "low": "10:19:10,13", "floor": 600, "mark": [700, 20], "old": [[10, 400], [13, 600]]}"#,
        ),
        // They have: the floor rises, and a new mark is set. Those that run keep the floors that they had.
        (
            window,
            "10:20:10,13",
            r#"{"term": 5, "low": "10:20:10,13", "floor": 700, "old": [[10, 400], [13, 600]]}"#,
        ),
        (FIRST, "20:20:", r#"{"term": null, "low": "20:20:", "floor": 0, "old": []}"#),
    ];
    for (window, high, next) in rows {
        // Others write meanwhile.
        let fresh = "(n->'mark'->>0)::bigint BETWEEN w.lsn - '0/0' AND pg_current_wal_insert_lsn() - '0/0' AND (n->'mark'->>1)::bigint >= w.xid::text::bigint";
        let sql = format!(
            "SELECT n @> '{next}' AND '{next}' @> n - CASE WHEN '{next}'::jsonb ? 'mark' THEN '' ELSE 'mark' END,
                    '{next}'::jsonb ? 'mark' OR {fresh}
             FROM (SELECT pg_current_wal_insert_lsn(), pg_snapshot_xmax(pg_current_snapshot())) w(lsn, xid),
                  LATERAL (SELECT webhook._next_window('{window}', '{high}')::jsonb) v(n)"
        );
        assert_eq!(db.rows(&sql).await, [["t", "t"]], "{window} at {high}");
    }
    for (window, high) in [("{}", "20:20:"), (FIRST, "20")] {
        let refusal = db.refusal(&format!("SELECT webhook._next_window('{window}', '{high}')")).await;
        assert_eq!(refusal.code, "22023", "{refusal:?}");
    }
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
