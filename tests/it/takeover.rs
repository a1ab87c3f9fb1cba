//! A relay dies; what it had in flight may come twice, nothing is lost, nothing is logged twice.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use webhook_tests::database::Database;
use webhook_tests::process::Signal;
use webhook_tests::receiver::{Gate, Receiver, Reply};
use webhook_tests::relay::Relay;

/// How often each event arrived.
fn arrivals(receiver: &Receiver) -> HashMap<String, usize> {
    let mut arrivals = HashMap::new();
    for request in receiver.requests() {
        *arrivals.entry(request.header("webhook-id").to_string()).or_default() += 1;
    }
    arrivals
}

#[tokio::test]
async fn killed_with_hundreds_in_flight() {
    const EVENTS: usize = 1500;
    const PASS: usize = 500;
    let (db, receiver) = (Database::new().await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    let gate = Gate::closed();
    // The first pass, which lets the relay trust the receiver with more at a time; the rest hangs.
    let replies = (0..PASS).map(|_| Reply::status(200)).chain([Reply::status(200).held(&gate)]);
    receiver.answer("/hook", replies);
    let (webhook, _) = db.webhook(&receiver.url("/hook"), r#"options => '{"max_in_flight": 300}'"#).await;
    db.run(&format!("SELECT webhook_emit('user.created', '{{}}') FROM generate_series(1, {EVENTS})")).await;
    receiver.wait_for(PASS + 300).await;
    let status = relay.kill().await;
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "the fault landed");
    // In flight is what was sent and not recorded: the answer may have come and the relay died with it.
    let recorded =
        db.value("SELECT count(*) FROM webhook.attempts").await.parse::<usize>().expect("a number");
    let in_flight = receiver.count() - recorded;
    assert!(in_flight >= 300, "work in flight at that instant: {in_flight}");

    gate.open();
    let _relay = Relay::start(&db.url()).await;
    let delivered = format!(
        "SELECT count(*) FROM webhook.deliveries WHERE webhook_id = '{webhook}' AND status = 'delivered'"
    );
    db.until(&delivered, &EVENTS.to_string()).await;
    db.until("SELECT pending FROM webhook_stats()", "0").await;
    let arrivals = arrivals(&receiver);
    assert_eq!(arrivals.len(), EVENTS, "every event arrives");
    let twice = receiver.count() - EVENTS;
    assert!(twice <= in_flight, "{twice} came twice, {in_flight} were in flight");
    assert!(arrivals.values().all(|count| *count <= 2));
    let log = format!(
        "SELECT count(*), count(DISTINCT event_id), max(attempts) FROM webhook.deliveries WHERE webhook_id = '{webhook}'"
    );
    assert_eq!(db.rows(&log).await, [[EVENTS.to_string(), EVENTS.to_string(), "1".into()]]);
}

#[tokio::test]
async fn a_second_relay_takes_over_within_five_seconds() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let leader = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;
    let _second = Relay::start(&db.url()).await;
    leader.kill().await;
    let killed = Instant::now();
    let event = db.emit("user.created", "{}").await;
    let request = &receiver.wait_for(2).await[1];
    assert_eq!(request.header("webhook-id"), event);
    let took = request.at - killed;
    assert!(took <= Duration::from_secs(5), "took over after {took:?}");
}

#[tokio::test]
async fn a_leader_that_was_frozen_does_not_send_on_as_one() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let frozen = Relay::start(&db.url()).await;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "").await;
    db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;
    let _second = Relay::start(&db.url()).await;
    frozen.signal(Signal::STOP);
    // What a dead network does in the end: the server gives the leader's session up.
    db.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')",
    )
    .await;
    db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 100)").await;
    receiver.wait_for(101).await;
    frozen.signal(Signal::CONT);
    db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 100)").await;
    let delivered = format!(
        "SELECT count(*) FROM webhook.deliveries WHERE webhook_id = '{webhook}' AND status = 'delivered'"
    );
    db.until(&delivered, "201").await;
    assert_eq!(receiver.count(), 201, "nothing twice");
}

#[tokio::test]
async fn several_relays_send_everything_once() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let mut relays = Vec::new();
    for _ in 0..3 {
        relays.push(Relay::start(&db.url()).await);
    }
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "").await;
    for _ in 0..10 {
        db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 100)").await;
    }
    let delivered = format!(
        "SELECT count(*) FROM webhook.deliveries WHERE webhook_id = '{webhook}' AND status = 'delivered'"
    );
    db.until(&delivered, "1000").await;
    assert_eq!((receiver.count(), arrivals(&receiver).len()), (1000, 1000));
}

#[tokio::test]
async fn a_rolling_restart_under_load_doubles_nothing() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let mut relay = Relay::start(&db.url()).await;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "").await;
    let writer = db.connect().await;
    let writing = tokio::spawn(async move {
        for _ in 0..600 {
            writer.run("SELECT webhook_emit('user.created', '{}')").await;
        }
    });
    for arrived in [50, 150, 300] {
        receiver.wait_for(arrived).await;
        let next = Relay::start(&db.url()).await;
        assert!(relay.terminate().await.success());
        relay = next;
    }
    writing.await.expect("the writer");
    let delivered = format!(
        "SELECT count(*) FROM webhook.deliveries WHERE webhook_id = '{webhook}' AND status = 'delivered'"
    );
    db.until(&delivered, "600").await;
    assert_eq!(receiver.count(), 600);
}
