//! A machine that gives the relay little.

use std::fs;

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::receiver::{Gate, Receiver, Reply};
use webhook_tests::relay::Relay;

#[tokio::test]
async fn few_open_files_are_fewer_requests_at_a_time_and_none_fails() {
    const EVENTS: usize = 300;
    let (db, receiver) = (Database::new().await, Receiver::start());
    let gate = Gate::closed();
    let relay = Relay::start_limited(&db.url(), "ulimit -n 64").await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", relay.pid())).expect("its limits");
    assert!(
        limits.lines().any(|line| line.starts_with("Max open files") && line.contains(" 64 ")),
        "{limits}"
    );
    // Known to be well, so that each gets as much at a time as it may.
    let webhooks = 20;
    for n in 0..webhooks {
        let path = format!("/{n}");
        let well = (0..5).map(|_| Reply::status(200));
        receiver.answer(&path, well.chain([Reply::status(200).held(&gate)]));
        db.webhook(&receiver.url(&path), "").await;
    }
    for n in 1..=5 {
        db.run("SELECT webhook_emit('user.created', '{}')").await;
        receiver.wait_for(n * webhooks).await;
    }
    db.run(&format!(
        "SELECT webhook_emit('user.created', '{{}}') FROM generate_series(6, {})",
        EVENTS / webhooks
    ))
    .await;
    relay.logs().wait_for("the limit of open files is low").await;
    receiver.wait_for(5 * webhooks + 16).await;
    gate.open();
    db.until("SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'", &EVENTS.to_string()).await;
    let failed = "SELECT count(*) FROM webhook.attempts WHERE outcome <> 'delivered'";
    assert_eq!((db.value(failed).await.as_str(), receiver.count()), ("0", EVENTS));
    assert!(relay.terminate().await.success());
}

#[tokio::test]
async fn without_autovacuum_what_grows_is_only_appended_to() {
    let cluster = Cluster::start(&["autovacuum=off"]).await;
    let (db, receiver) = (Database::on(&cluster).await, Receiver::start());
    assert_eq!(db.value("SHOW autovacuum").await, "off", "the fault landed");
    let relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    for n in 1..=20 {
        db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 100)").await;
        receiver.wait_for(n * 100).await;
    }
    db.until("SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'", "2000").await;
    assert!(relay.terminate().await.success());
    let changed = "SELECT string_agg(relname || ' ' || n_tup_upd || ' ' || n_tup_del, ', ') FROM pg_stat_user_tables
                   WHERE schemaname = 'webhook' AND relname ~ '^(events|attempts)' AND n_tup_upd + n_tup_del > 0";
    let appended = "SELECT sum(n_tup_ins) FROM pg_stat_user_tables WHERE schemaname = 'webhook' AND relname ~ '^(events|attempts)'";
    // The relay's sessions tell what they did when they end.
    db.until(appended, "4000").await;
    assert_eq!(db.value(changed).await, "");
}
