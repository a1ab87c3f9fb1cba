//! The relay as a service: health, metrics, logs, the end.

use std::process::{Command, Stdio};

use webhook_tests::cluster::free_port;
use webhook_tests::database::Database;
use webhook_tests::process::{Process, Signal};
use webhook_tests::receiver::{Gate, Receiver, Reply};
use webhook_tests::relay::Relay;
use webhook_tests::stage::Stage;
use webhook_tests::until::until;

#[tokio::test]
async fn sigterm_drains_what_is_in_flight_and_exits_0() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    let gate = Gate::closed();
    receiver.answer("/hook", [Reply::status(200).held(&gate)]);
    db.webhook(&receiver.url("/hook"), r#"options => '{"max_in_flight": 8}'"#).await;
    db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 25)").await;
    receiver.wait_for(8).await;
    relay.signal(Signal::TERM);
    gate.open();
    let status = relay.ended().await;
    assert!(status.success(), "{status}\n{}", relay.logs().text());
    let drained = receiver.count();
    let delivered = "SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'";
    let logs = relay.logs().text();
    assert_eq!(db.value(delivered).await, drained.to_string(), "what was sent is recorded\n{logs}");
    let _relay = Relay::start(&db.url()).await;
    db.until(delivered, "25").await;
    assert_eq!(receiver.count(), 25, "nothing twice");
}

#[tokio::test]
async fn health_readiness_and_metrics() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    let ok = async |path: &str| reqwest::get(relay.url(path)).await.expect("an answer").status().is_success();
    assert!(ok("/healthz").await && ok("/readyz").await);
    db.webhook(&receiver.url("/hook"), "").await;
    db.emit("user.created", "{}").await;
    db.until("SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'", "1").await;
    let metrics = relay.page("/metrics").await;
    assert!(metrics.lines().any(|line| line.starts_with("# TYPE webhook_")), "{metrics}");
    assert!(metrics.lines().any(|line| line.starts_with("webhook_") && line.ends_with(" 1")), "{metrics}");
}

#[tokio::test]
async fn logs_hold_no_secret_and_no_payload() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    receiver.answer("/hook", [Reply::status(500)]);
    let options = r#"events => '{user.*}', options => '{"retry_schedule": [], "headers": {"Authorization": "canary-header"}}'"#;
    let url = format!("{}?token=canary-query", receiver.url("/hook"));
    let (webhook, secret) = db.webhook(&url, options).await;
    db.emit("user.created", r#"{"text": "canary-payload"}"#).await;
    db.until(&format!("SELECT status FROM webhook_deliveries('{webhook}')"), "failed").await;
    assert!(relay.terminate().await.success());
    let logs = relay.logs().text();
    for canary in [secret.as_str(), "canary-header", "canary-payload", "canary-query"] {
        assert!(!logs.contains(canary), "{canary} in:\n{logs}");
    }
    assert!(!db.cluster().log_text().contains(&secret), "nor does Postgres log it");
}

#[tokio::test]
async fn a_relay_without_its_database_waits_and_says_so() {
    let db = Database::new().await;
    let url = format!("host=127.0.0.1 port={} user=postgres dbname=x", free_port());
    let relay = Relay::launch(&url, &[]).await;
    let status = until("the relay's own server", async || {
        reqwest::get(relay.url("/readyz")).await.map(|answer| answer.status())
    })
    .await;
    assert_eq!(status, 503);
    relay.logs().wait_for("no connection to PostgreSQL").await;
    assert_eq!(relay.page("/healthz").await, "ok\n", "it lives");
    assert!(relay.terminate().await.success());
    drop(db);
}

#[tokio::test]
async fn a_log_that_nobody_takes_holds_up_nothing() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    receiver.answer("/fails", [Reply::status(500)]);
    // Each attempt that fails is a line: more than the pipe and the relay hold.
    let fails = r#"'{user.*}', options => '{"retry_schedule": []}') FROM generate_series(1, 1500)"#;
    db.run(&format!("SELECT webhook_create('{}', {fails}", receiver.url("/fails"))).await;
    db.webhook(&receiver.url("/hook"), "events => '{order.paid}'").await;
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(&Stage::get().await.relay);
    command.args(["run", "--database-url", &db.url(), "--allow-target", "127.0.0.0/8", "--log", "debug"]);
    // A pipe that is never read.
    command.args(["--listen", &address]).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut relay = Process::start(&mut command, Signal::KILL);
    db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 10)").await;
    until("lines to be dropped, the fault to land", async || {
        let answer =
            reqwest::get(format!("http://{address}/metrics")).await.map_err(|error| error.to_string())?;
        let page = answer.text().await.expect("a text");
        let none = page.contains("webhook_relay_log_lines_dropped_total 0");
        if none { Err(page) } else { Ok(()) }
    })
    .await;
    db.emit("order.paid", "{}").await;
    receiver.wait_for_path("/hook", 1).await;
    relay.signal(Signal::TERM);
    assert!(relay.wait().success(), "nor does it hold up the end");
}

#[tokio::test]
async fn what_it_cannot_be_started_with_ends_it_with_78() {
    let bad = [
        (&["run"][..], "--database-url"),
        (&["run", "--database-url", "postgres://h/d", "--max-in-flight", "0"], "--max-in-flight"),
        (&["run", "--database-url", "postgres://h/d?sslmode=perhaps"], "sslmode"),
        (&["run", "--database-url-file", "/nowhere/at/all"], "/nowhere/at/all"),
        (&["run", "--database-url", "postgres://h/d", "--allow-target", "10.0.0.0/99"], "10.0.0.0/99"),
        (&["run", "--database-url", "postgres://h/d", "--colour", "blue"], "--colour"),
    ];
    for (arguments, names) in bad {
        let output = Command::new(&Stage::get().await.relay).args(arguments).output().expect("start it");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{arguments:?}: {said}");
        assert!(said.contains(names), "{arguments:?}: {said}");
    }
}
