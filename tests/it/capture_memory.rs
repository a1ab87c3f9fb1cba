//! A backend that captures does not grow with the rows.

use std::time::Duration;

use webhook_tests::database::Database;
use webhook_tests::session::Session;

use crate::capture_seen::users;

const MIB: u64 = 1024;

/// The memory of a backend's own, in KiB: without what it shares.
fn memory(pid: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the backend runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux 4.5 or later");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Runs a statement; the most memory that the backend had meanwhile, and what it has at the end, beyond what it had before.
async fn growth(session: &Session, sql: &str) -> (u64, u64) {
    let pid = session.value("SELECT pg_backend_pid()").await;
    let (before, mut peak) = (memory(&pid), 0);
    let mut sample = tokio::time::interval(Duration::from_millis(5));
    let mut work = std::pin::pin!(session.run(sql));
    loop {
        tokio::select! {
            () = &mut work => break,
            _ = sample.tick() => peak = peak.max(memory(&pid)),
        }
    }
    let after = memory(&pid);
    (peak.max(after).saturating_sub(before), after.saturating_sub(before))
}

async fn watched() -> Database<'static> {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', previous => true)").await;
    db.run("INSERT INTO users SELECT -n, 'warm' FROM generate_series(1, 1000) n").await;
    db
}

async fn events(session: &Session) -> String {
    session.value("SELECT count(*) FROM webhook.events").await
}

#[tokio::test]
async fn a_million_rows_in_one_statement() {
    let db = watched().await;
    let (peak, after) =
        growth(&db, "INSERT INTO users SELECT n, 'name' FROM generate_series(1, 1000000) n").await;
    assert_eq!(events(&db).await, "1001000");
    // Postgres' own queue of a million row triggers is some 12 MiB of it.
    assert!(peak < 64 * MIB && after < 32 * MIB, "{peak} KiB at most, {after} KiB at the end");
    let (peak, after) = growth(&db, "UPDATE users SET name = 'other'").await;
    assert!(peak < 64 * MIB && after < 32 * MIB, "an update: {peak} KiB at most, {after} KiB at the end");
}

#[tokio::test]
async fn a_million_statements_in_one_session() {
    let db = watched().await;
    let rows = |from: u32, to: u32, per_commit: u32| {
        format!(
            "DO $$ BEGIN FOR n IN {from}..{to} LOOP INSERT INTO users VALUES (n, 'name');
             IF n % {per_commit} = 0 THEN COMMIT; END IF; END LOOP; END $$"
        )
    };
    db.run(&rows(1, 1000, 1)).await;
    let (peak, _) = growth(&db, &rows(1001, 101_000, 1)).await;
    assert!(peak < 8 * MIB, "one by one: {peak} KiB");
    let (peak, _) = growth(&db, &rows(101_001, 1_000_000, 100)).await;
    assert!(peak < 8 * MIB, "a hundred to a transaction: {peak} KiB");
    assert_eq!(events(&db).await, "1001000");
}

#[tokio::test]
async fn a_hundred_thousand_emits_in_one_transaction() {
    let db = watched().await;
    let emit = "DO $$ BEGIN FOR n IN 1..100000 LOOP PERFORM webhook_emit('user.created', '{\"a\": 1}', key => n::text); END LOOP; END $$";
    db.run(&emit.replace("100000", "1000")).await;
    let (peak, _) = growth(&db, emit).await;
    assert!(peak < 16 * MIB, "{peak} KiB");
    assert_eq!(events(&db).await, "102000");
}

#[tokio::test]
async fn subtransactions_whose_parent_has_an_event_that_waits() {
    let db = watched().await;
    for end in ["NULL", "RAISE division_by_zero"] {
        let blocks = format!(
            "DO $$ BEGIN INSERT INTO users VALUES (0, repeat('x', 1000));
             FOR n IN 1..100000 LOOP
                 BEGIN INSERT INTO users VALUES (n, repeat('x', 1000)); {end}; EXCEPTION WHEN division_by_zero THEN NULL; END;
             END LOOP; END $$"
        );
        let (peak, _) = growth(&db, &blocks).await;
        // A hundred thousand subtransactions cost Postgres itself some of it.
        assert!(peak < 64 * MIB, "{end}: {peak} KiB");
        db.run("TRUNCATE users").await;
    }
}

#[tokio::test]
async fn large_rows_in_one_statement() {
    let db = watched().await;
    db.run("INSERT INTO users VALUES (0, repeat('x', 500000))").await;
    let (peak, _) =
        growth(&db, "INSERT INTO users SELECT n, repeat('x', 500000) FROM generate_series(1, 500) n").await;
    assert!(peak < 64 * MIB, "{peak} KiB");
}

#[tokio::test]
async fn rows_whose_source_only_warns() {
    let db = watched().await;
    db.run("SELECT webhook_watch('users', 'user', on_error => 'warn')").await;
    let insert =
        |from: u32, to: u32| format!("INSERT INTO users SELECT n, 'x' FROM generate_series({from}, {to}) n");
    db.run(&insert(1, 1000)).await;
    let (peak, _) = growth(&db, &insert(1001, 51_000)).await;
    assert!(peak < 64 * MIB, "{peak} KiB");
    assert_eq!(events(&db).await, "52000");
}
