//! A machine that gives the relay little.

use std::fs;

use webhook_tests::cgroup::Share;
use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::island::Island;
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
    // Or rows may move to their partitions, and be inserted twice.
    db.run("SELECT webhook._relay_maintain()").await;
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

#[tokio::test]
async fn few_ports_are_failed_attempts_that_are_repeated() {
    const PORTS: usize = 4;
    const EVENTS: usize = 10;
    let db = Database::new().await;
    let island = Island::new(&db.url(), &[], &["--allow-target", "127.0.0.0/8"]).await;
    let (gate, receiver) = (Gate::closed(), island.within(Receiver::start));
    island.within(|| {
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", format!("50000 {}", 49_999 + PORTS))
            .expect("take ports away");
    });
    // Known to be well, so that it gets as much at a time as it may.
    receiver.answer("/hook", (0..5).map(|_| Reply::status(200)).chain([Reply::status(200).held(&gate)]));
    let rest = r#"events => '{user.*}', options => '{"retry_schedule": ["2 seconds", "2 seconds", "2 seconds", "2 seconds"]}'"#;
    db.webhook(&receiver.url("/hook"), rest).await;
    for n in 1..=5 {
        db.emit("user.created", "{}").await;
        receiver.wait_for(n).await;
    }
    db.run(&format!("SELECT webhook_emit('user.created', '{{}}') FROM generate_series(1, {EVENTS})")).await;
    receiver.wait_for(5 + PORTS).await;
    let failed = "SELECT count(DISTINCT delivery_id) FROM webhook.attempts WHERE outcome = 'retry'";
    db.until(failed, &(EVENTS - PORTS).to_string()).await;
    let errors =
        db.rows("SELECT DISTINCT error FROM webhook.attempts WHERE outcome = 'retry'").await.concat();
    assert_eq!(errors, ["connect_error: address not available"], "the fault landed");
    gate.open();
    let delivered = "SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'";
    db.until(delivered, &(5 + EVENTS).to_string()).await;
    assert_eq!(receiver.count(), 5 + EVENTS, "nothing twice");
    assert!(island.relay().terminate().await.success());
}

#[tokio::test]
async fn a_leader_with_a_twentieth_of_a_processor_keeps_the_lead() {
    let Some(share) = Share::of(5) else {
        println!("NOT CHECKED: a relay with little of a processor, as this user may not make control groups");
        return;
    };
    let (db, receiver) = (Database::new().await, Receiver::start());
    db.webhook(&receiver.url("/hook"), "").await;
    let leader = Relay::start(&db.url()).await;
    leader.logs().wait_for("this relay leads").await;
    let second = Relay::start(&db.url()).await;
    share.take(leader.pid());
    // As many as it can read before it would have lost the lead twice.
    for n in 1..=10 {
        db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 20)").await;
        receiver.wait_for(n * 20).await;
    }
    db.until("SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'", "200").await;
    assert_eq!(receiver.count(), 200, "nothing twice");
    assert!(share.stops() > 10, "the fault landed: {}", share.stops());
    assert_eq!(db.value("SELECT count(DISTINCT leader) FROM webhook.cursors").await, "1");
    assert!(!second.logs().text().contains("this relay leads"), "{}", second.logs().text());
    assert!(leader.terminate().await.success() && second.terminate().await.success());
}
