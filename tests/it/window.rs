//! The reader's windows, asked directly and as fast as they answer: nothing is missed, nothing comes twice, and rows come in
//! the order of their changes, wherever the snapshots fall.

use std::collections::HashMap;

use webhook_tests::database::Database;
use webhook_tests::session::Session;

const EMITTERS: usize = 4;
const TRANSACTIONS: usize = 500;
/// Of a session, in one go: thousands a second, so that many begin while a page is being read.
const QUICK_TRANSACTIONS: usize = 10_000;

/// Reads page after page until told that all is emitted and a window that begins after that came back empty.
async fn read_all(
    reader: &Session,
    mut emitting: tokio::sync::watch::Receiver<bool>,
) -> Vec<(String, String)> {
    let mut read = Vec::new();
    let (mut window, mut seq, mut xid) =
        (r#"{"low": "3:3:", "floor": 0, "old": []}"#.to_string(), String::from("0"), String::from("0"));
    loop {
        let done = !*emitting.borrow_and_update() && seq == "0";
        let rows = reader
            .rows(&format!(
                "SELECT coalesce(id, ''), coalesce(key, ''), coalesce(seq::text, ''), coalesce(xid::text, ''), coalesce(more, ''), coalesce(next, '')
                 FROM webhook._relay_read('{window}', {seq}, {xid}, 50, 1000000, NULL)"
            ))
            .await;
        let end = rows.last().expect("the last row").clone();
        let page = &rows[..rows.len() - 1];
        read.extend(page.iter().map(|row| (row[0].clone(), row[1].clone())));
        if page.len() == 50 {
            let last = &page[49];
            (window, seq, xid) = (end[4].clone(), last[2].clone(), last[3].clone());
        } else {
            (window, seq, xid) = (end[5].clone(), "0".into(), "0".into());
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
    let first = r#"{"low": "3:3:", "floor": 0, "old": []}"#;
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
        (first, "20:20:", r#"{"term": null, "low": "20:20:", "floor": 0, "old": []}"#),
    ];
    for (window, high, next) in rows {
        let fresh =
            r#"jsonb_build_object('mark', jsonb_build_array((w.lsn - '0/0')::bigint, w.xid::text::bigint))"#;
        let sql = format!(
            "SELECT n @> '{next}' AND '{next}' @> n - CASE WHEN '{next}'::jsonb ? 'mark' THEN '' ELSE 'mark' END,
                    '{next}'::jsonb ? 'mark' OR n @> {fresh}
             FROM (SELECT pg_current_wal_insert_lsn(), pg_snapshot_xmax(pg_current_snapshot())) w(lsn, xid),
                  LATERAL (SELECT webhook._next_window('{window}', '{high}')::jsonb) v(n)"
        );
        assert_eq!(db.rows(&sql).await, [["t", "t"]], "{window} at {high}");
    }
    for (window, high) in [("{}", "20:20:"), (first, "20")] {
        let refusal = db.refusal(&format!("SELECT webhook._next_window('{window}', '{high}')")).await;
        assert_eq!(refusal.code, "22023", "{refusal:?}");
    }
}
