//! What capture costs the writer, beside (a) the same table without a trigger and (b) with the trigger that one would write
//! by hand: PL/pgSQL, an insert of `to_jsonb(NEW)` into an outbox table, and `pg_notify`. One-row transactions also with (c)
//! the same without `pg_notify`, which nobody would hear of. A relay is connected and reads.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::relay::Relay;
use webhook_tests::run;
use webhook_tests::session::Session;

use crate::background;
use crate::goals::Goal::{AtLeast, AtMost};
use crate::report::{Report, median, quantile};

/// Rounds of everything, variants in turn, so that a noisy neighbour disturbs all alike; medians are reported.
const ROUNDS: usize = 5;
const SECONDS: u32 = 3;
const BULK: usize = 100_000;

const TABLES: &str = "
    CREATE TABLE plain (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE, name text NOT NULL,
                        role text NOT NULL DEFAULT 'member', balance numeric(12,2) NOT NULL DEFAULT 10.50,
                        created_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE watched (LIKE plain INCLUDING ALL);
    CREATE TABLE unmatched (LIKE plain INCLUDING ALL);
    CREATE TABLE by_hand (LIKE plain INCLUDING ALL);
    CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, type text, data jsonb,
                         created_at timestamptz DEFAULT now());
    CREATE FUNCTION to_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO outbox (type, data) VALUES ('user.' || lower(TG_OP), to_jsonb(NEW));
        PERFORM pg_notify('outbox', '');
        RETURN NULL;
    END $$;
    CREATE TRIGGER to_outbox AFTER INSERT OR UPDATE ON by_hand FOR EACH ROW EXECUTE FUNCTION to_outbox();
    CREATE TABLE silent (LIKE plain INCLUDING ALL);
    CREATE FUNCTION to_outbox_silently() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO outbox (type, data) VALUES ('user.' || lower(TG_OP), to_jsonb(NEW));
        RETURN NULL;
    END $$;
    CREATE TRIGGER to_outbox AFTER INSERT ON silent FOR EACH ROW EXECUTE FUNCTION to_outbox_silently();
    SELECT webhook_watch('watched', 'user');
    SELECT webhook_watch('unmatched', 'nobody');";

/// Runs the scenario.
pub async fn run(cluster: &Cluster) {
    let db = Database::on(cluster).await;
    db.run(TABLES).await;
    db.webhook("https://example.com/", "events => '{something.else}'").await;
    let relay = Relay::start(&db.url()).await;
    let listener = db.connect().await;
    listener.run("LISTEN outbox").await;
    background(&db, false).await;

    let mut report =
        Report::new("writes", "what capture costs the writer, as ratios to the table without a trigger");
    statements(&db, &mut report).await;
    emits(&db, &mut report).await;
    for clients in [1, 8, 32] {
        transactions(&db, &mut report, clients, false).await;
    }
    transactions(&db, &mut report, 32, true).await;
    report.write();
    background(&db, true).await;
    drop(relay);
}

/// One statement that changes 100,000 rows.
async fn statements(db: &Session, report: &mut Report) {
    let tables = ["plain", "watched", "by_hand", "unmatched"];
    let mut inserts = [const { Vec::new() }; 4];
    let mut updates = [const { Vec::new() }; 4];
    for round in 0..ROUNDS {
        for n in in_turn(round) {
            let table = tables[n];
            db.run("CHECKPOINT").await;
            if table == "unmatched" {
                db.run("SET webhook.capture_unmatched = off").await;
            }
            inserts[n].push(timed(db, &format!(
                "INSERT INTO {table} (email, name) SELECT 'user' || i || '@example.com', 'Jane Doe ' || i FROM generate_series(1, {BULK}) i"
            )).await);
            updates[n].push(timed(db, &format!("UPDATE {table} SET balance = balance + 1")).await);
            db.run("RESET webhook.capture_unmatched").await;
            db.run(&format!("TRUNCATE {table}, outbox")).await;
        }
    }
    for (what, times) in [("insert", inserts.map(median)), ("update", updates.map(median))] {
        report.add(&format!("{what}_plain_us_per_row"), times[0] * 1e6 / BULK as f64, "µs");
        report.want(&format!("{what}_watched_to_plain"), times[1] / times[0], "times (a)", AtMost(2.0));
        report.want(&format!("{what}_watched_to_by_hand"), times[1] / times[2], "times (b)", AtMost(0.5));
        report.want(
            &format!("{what}_plain_to_unmatched"),
            times[0] / times[3],
            "of (a)'s speed",
            AtLeast(0.95),
        );
    }
}

/// `webhook_emit` in a loop of one transaction, beside an INSERT of the same rows.
async fn emits(db: &Session, report: &mut Report) {
    let data = "jsonb_build_object('n', i, 'text', repeat('x', 470))";
    let looped = |body: &str| format!("DO $$ BEGIN FOR i IN 1..{BULK} LOOP {body}; END LOOP; END $$");
    let insert = looped(&format!("INSERT INTO outbox (type, data) VALUES ('user.created', {data})"));
    let emit = looped(&format!("PERFORM webhook_emit('user.created', {data})"));
    let mut times = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        times[0].push(timed(db, &insert).await);
        times[1].push(timed(db, &emit).await);
        db.run("TRUNCATE outbox").await;
    }
    let [insert, emit] = times.map(median);
    report.add("emit_us_per_event", emit * 1e6 / BULK as f64, "µs");
    report.want(
        "emit_to_insert",
        insert / emit,
        "of the rate of a plain INSERT of the same rows",
        AtLeast(0.5),
    );
}

/// Which of the four variants comes when: each has now this one's leavings before it, now that one's.
fn in_turn(round: usize) -> impl Iterator<Item = usize> {
    (0..4).map(move |n| if round.is_multiple_of(2) { n } else { 3 - n })
}

async fn timed(db: &Session, sql: &str) -> f64 {
    let start = Instant::now();
    db.run(sql).await;
    start.elapsed().as_secs_f64()
}

/// Transactions of one INSERT from `clients` sessions; `slow_flush`: each WAL flush takes a millisecond more.
async fn transactions(db: &Database<'_>, report: &mut Report, clients: u32, slow_flush: bool) {
    let tables = ["plain", "watched", "by_hand", "silent"];
    let mut rates = [const { Vec::new() }; 4];
    let mut p99 = [const { Vec::new() }; 4];
    for round in 0..ROUNDS {
        for n in in_turn(round) {
            db.run("CHECKPOINT").await;
            let (rate, tail) = pgbench(db, tables[n], clients, slow_flush);
            rates[n].push(rate);
            p99[n].push(tail);
        }
    }
    let [plain, watched, by_hand, silent] = rates.map(median);
    let [plain_p99, watched_p99, ..] = p99.map(median);
    let name = |what: &str| format!("{clients}_clients{}_{what}", if slow_flush { "_1ms_flush" } else { "" });
    let least = if slow_flush { 0.93 } else { 0.8 };
    report.add(&name("plain_per_second"), plain, "transactions without a trigger");
    report.want(&name("watched_to_plain"), watched / plain, "of (a)", AtLeast(least));
    match clients {
        8 => report.want(&name("watched_to_by_hand"), watched / by_hand, "times (b)", AtLeast(2.5)),
        32 => report.want(&name("watched_to_by_hand"), watched / by_hand, "times (b)", AtLeast(4.0)),
        _ => report.add(&name("watched_to_by_hand"), watched / by_hand, "times (b)"),
    }
    report.add(&name("by_hand_to_plain"), by_hand / plain, "of (a): the trigger by hand");
    report.add(&name("silent_to_plain"), silent / plain, "of (a): the trigger by hand without NOTIFY (c)");
    report.want(&name("p99_watched_to_plain"), watched_p99 / plain_p99, "times (a)'s latency", AtMost(1.25));
}

/// Transactions per second and the 99th percentile of their latency in milliseconds.
fn pgbench(db: &Database<'_>, table: &str, clients: u32, slow_flush: bool) -> (f64, f64) {
    let folder = run::subfolder("pgbench");
    // pgbench runs as the server's user and writes its log there.
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777))
        .expect("open the folder to pgbench");
    let script = folder.join("insert.sql");
    std::fs::write(
        &script,
        format!(
            "INSERT INTO {table} (email, name) VALUES (gen_random_uuid() || '@example.com', 'Jane Doe');\n"
        ),
    )
    .expect("write the script");
    let log = folder.join("log");
    let mut command = db.cluster().program("pgbench");
    command.args(["--no-vacuum", "--protocol=prepared", "-j", "2", "-c", &clients.to_string()]);
    command
        .args(["-T", &SECONDS.to_string(), "--log", "--log-prefix"])
        .arg(&log)
        .arg("-f")
        .arg(&script)
        .arg(db.name());
    command.current_dir("/");
    if slow_flush {
        command.env("PGOPTIONS", "-c commit_delay=1000 -c commit_siblings=0");
    }
    let output = command.output().expect("start pgbench");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    let mut latencies = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("read the folder").flatten() {
        if entry.file_name().to_string_lossy().starts_with("log.") {
            let lines = std::fs::read_to_string(entry.path()).expect("read the log");
            let micros = |line: &str| line.split(' ').nth(2)?.parse::<f64>().ok();
            latencies.extend(lines.lines().filter_map(micros).map(|micros| micros / 1000.0));
        }
    }
    std::fs::remove_dir_all(&folder).expect("remove the folder");
    latencies.sort_by(f64::total_cmp);
    (rate.expect("pgbench says tps"), quantile(&latencies, 0.99))
}
