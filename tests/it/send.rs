//! `webhook_send`: one request, after commit (seed 001).

use webhook_tests::database::Database;
use webhook_tests::receiver::{Gate, Receiver, Reply};
use webhook_tests::relay::Relay;

/// Runs `SELECT webhook_send(…)` and returns the delivery's id.
async fn send(db: &Database<'_>, arguments: &str) -> String {
    db.value(&format!("SELECT webhook_send({arguments})")).await
}

async fn status(db: &Database<'_>, delivery: &str, expected: &str) {
    db.until(&format!("SELECT status FROM webhook.deliveries WHERE id = '{delivery}'"), expected).await;
}

#[tokio::test]
async fn the_request_is_what_the_call_says() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/hook", [Reply::status(201).header("X-Answer", "yes").body("made")]);
    let delivery = send(
        &db,
        &format!(
            r#"method => 'put', url => '{}', data => '{{"name": "Luke", "n": 1.50}}',
               headers => '{{"X-Custom": "a b", "Content-Type": "application/vnd.x+json"}}',
               params => '{{"q": "a b&c=ü", "n": 1}}', auth => '{{"username": "luke", "password": "pä:ss"}}'"#,
            receiver.url("/hook?x=1")
        ),
    )
    .await;
    let request = receiver.wait_for(1).await.remove(0);
    assert_eq!((&*request.method, &*request.body), ("PUT", &br#"{"n":1.5,"name":"Luke"}"#[..]));
    assert_eq!(request.query.as_deref(), Some("x=1&n=1&q=a%20b%26c%3D%C3%BC"));
    assert_eq!(request.header("x-custom"), "a b");
    assert_eq!(request.header("content-type"), "application/vnd.x+json");
    assert_eq!(request.header("authorization"), "Basic bHVrZTpww6Q6c3M=");
    assert_eq!(request.header("x-webhook-delivery"), delivery);
    assert_eq!(request.header("x-webhook-signature"), "", "there is no secret to sign with");
    status(&db, &delivery, "delivered").await;
    let attempt = db
        .rows(&format!(
            "SELECT number, request_headers->>'X-Custom', request_headers->>'Authorization', response_code,
                    response_headers->>'x-answer', response_body, error FROM webhook_attempts('{delivery}')"
        ))
        .await;
    assert_eq!(attempt, [["1", "a b", "[redacted]", "201", "yes", "made", ""].map(String::from)]);
}

#[tokio::test]
async fn every_method_with_and_without_data() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    for method in methods {
        send(&db, &format!("'{method}', '{}'", receiver.url("/bare"))).await;
        send(&db, &format!("'{method}', '{}', '[1]'", receiver.url("/full"))).await;
    }
    for (path, body, content_type) in [("/bare", "", ""), ("/full", "[1]", "application/json")] {
        let requests = receiver.wait_for_path(path, methods.len()).await;
        let seen: Vec<_> = requests.iter().map(|request| &*request.method).collect();
        assert_eq!(seen, methods, "in the order of the calls");
        for request in &requests {
            assert_eq!((&*request.body, request.header("content-type")), (body.as_bytes(), content_type));
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_before_commit_or_after_rollback() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let other = db.connect().await;
    other.run(&format!("BEGIN; SELECT webhook_send('POST', '{}')", receiver.url("/undone"))).await;
    db.run(&format!("BEGIN; SELECT webhook_send('POST', '{}')", receiver.url("/late"))).await;
    db.connect()
        .await
        .run(&format!(
            "SELECT webhook_send('POST', '{}')",
            receiver.url("/now").replace("127.0.0.1", "127.0.0.2")
        ))
        .await;
    other.run("ROLLBACK").await;
    let watcher = db.connect().await;
    watcher.until("SELECT count(*) FROM webhook_deliveries(status => 'pending')", "0").await;
    assert_eq!(receiver.requests_to("/late").len() + receiver.requests_to("/undone").len(), 0);
    db.run("COMMIT").await;
    receiver.wait_for_path("/late", 1).await;
    assert_eq!(receiver.requests_to("/undone").len(), 0);
}

#[tokio::test]
async fn requests_to_one_host_go_in_order_and_another_host_does_not_wait() {
    let (db, receiver, other) = (Database::new().await, Receiver::start(), Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let gate = Gate::closed();
    receiver.answer("/first", [Reply::status(500).held(&gate)]);
    db.run(&format!(
        "BEGIN;
         SELECT webhook_send('POST', '{}');
         SELECT webhook_send('POST', '{}' || n, to_jsonb(n)) FROM generate_series(1, 50) n;
         SELECT webhook_send('POST', '{}');
         COMMIT",
        receiver.url("/first"),
        receiver.url("/path"),
        other.url("/hook"),
    ))
    .await;
    other.wait_for(1).await;
    receiver.wait_for(1).await;
    assert_eq!(receiver.count(), 1, "the others wait for the first");
    gate.open();
    let requests = receiver.wait_for(51).await;
    let numbers: Vec<_> = requests[1..].iter().map(|request| request.json().as_i64()).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
}

#[tokio::test]
async fn a_failure_is_final_unless_the_call_asks_for_retries() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/down", [Reply::status(500).body("broken")]);
    receiver.answer("/again", [Reply::status(500), Reply::status(200)]);
    receiver.answer("/gone", [Reply::status(410)]);
    let url = |path: &str| format!("'POST', '{}'", receiver.url(path));
    let down = send(&db, &url("/down")).await;
    let gone = send(&db, &url("/gone")).await;
    let again =
        send(&db, &(url("/again") + r#", options => '{"retry_schedule": ["100 milliseconds"]}'"#)).await;
    let after = send(&db, &url("/after")).await;
    status(&db, &again, "delivered").await;
    status(&db, &after, "delivered").await;
    for (delivery, code) in [(&down, "500"), (&gone, "410")] {
        status(&db, delivery, "failed").await;
        let attempts =
            db.rows(&format!("SELECT number, response_code FROM webhook_attempts('{delivery}')")).await;
        assert_eq!(attempts, [["1", code].map(String::from)]);
    }
    db.until("SELECT count(*) FROM webhook.events WHERE type = 'delivery.failed'", "2").await;
    let disabled = "SELECT count(*) FROM webhook.events WHERE type = 'webhook.disabled'";
    assert_eq!(db.value(disabled).await, "0", "410 says nothing about other requests");
    let order: Vec<_> = receiver.requests().iter().map(|request| request.path.clone()).collect();
    assert_eq!(order, ["/down", "/gone", "/again", "/after", "/again"], "a retry holds nobody back");
}

#[tokio::test]
async fn a_host_that_is_down_gets_each_request_once() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/down", [Reply::close()]);
    db.run(&format!("SELECT webhook_send('POST', '{}') FROM generate_series(1, 30)", receiver.url("/down")))
        .await;
    db.until("SELECT count(*) FROM webhook_deliveries() WHERE status = 'failed' AND attempts = 1", "30")
        .await;
    let signals =
        "SELECT count(*) FROM webhook.events WHERE type LIKE 'webhook.%' AND type <> 'webhook.send'";
    assert_eq!(db.value(signals).await, "0", "no breaker, no operator events");
}

#[tokio::test]
async fn the_limit_is_five_seconds_and_can_be_shorter() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/hang", [Reply::hang()]);
    let delivery =
        send(&db, &format!(r#"'POST', '{}', options => '{{"timeout_ms": 200}}'"#, receiver.url("/hang")))
            .await;
    status(&db, &delivery, "failed").await;
    assert_eq!(db.value(&format!("SELECT error FROM webhook_attempts('{delivery}')")).await, "timeout");
    let stored = "SELECT DISTINCT options->>'timeout_ms' FROM webhook.requests WHERE delivery_id <> ";
    send(&db, &format!("'POST', '{}'", receiver.url("/hook"))).await;
    assert_eq!(db.value(&format!("{stored}'{delivery}'")).await, "5000");
}

#[tokio::test]
async fn its_queue_is_no_webhook_of_the_api_and_its_secrets_stay_hidden() {
    let db = Database::new().await;
    let delivery =
        send(&db, r#"'POST', 'https://example.com/x', auth => '{"username": "u", "password": "p4ssword"}'"#)
            .await;
    let queue = db.value("SELECT id FROM webhook.webhooks").await;
    assert_eq!(db.rows("SELECT * FROM webhook_list()").await.len(), 0);
    assert_eq!(db.value("SELECT webhooks_active FROM webhook_stats()").await, "0");
    for call in [
        format!("SELECT webhook_get('{queue}')"),
        format!("SELECT webhook_update('{queue}', '{{\"status\": \"inactive\"}}')"),
        format!("SELECT webhook_delete('{queue}')"),
        format!("SELECT webhook_test('{queue}')"),
        format!("SELECT webhook_rotate_secret('{queue}')"),
        format!("SELECT webhook_subscribe('src_*', '{queue}')"),
    ] {
        assert_eq!(db.refusal(&call).await.code, "42704", "{call}");
    }
    let role = format!("reader_{}", db.name());
    db.run(&format!("CREATE ROLE {role}; SELECT webhook_grant('{role}', 'read'); SET ROLE {role}")).await;
    assert_eq!(db.refusal("SELECT * FROM webhook.requests").await.code, "42501");
    assert_eq!(db.refusal("SELECT webhook_send('GET', 'https://example.com')").await.code, "42501");
    assert!(delivery.starts_with("del_"), "{delivery}");
}

#[tokio::test]
async fn its_attempts_can_be_asked_for_before_there_are_any() {
    let db = Database::new().await;
    let role = format!("manager_{}", db.name());
    db.run(&format!("CREATE ROLE {role}; SELECT webhook_grant('{role}', 'manage')")).await;
    let attempts = |delivery: &str| format!("SELECT number FROM webhook_attempts('{delivery}')");
    let delivery = send(&db, "'POST', 'https://example.com/'").await;
    assert_eq!(db.rows(&attempts(&delivery)).await, [[""; 0]; 0], "no relay has seen it yet");
    for verb in ["cancel", "replay"] {
        let refusal = db.refusal(&format!("SELECT webhook_{verb}('{delivery}')")).await;
        assert_eq!(
            (&*refusal.code, refusal.message.contains("not known to a relay yet")),
            ("55000", true),
            "{refusal:?}"
        );
    }
    db.run(&format!("SET ROLE {role}; SET webhook.account = 'acme'")).await;
    assert_eq!(db.refusal(&attempts(&delivery)).await.code, "42704", "it is of no account");
    let own = send(&db, "'POST', 'https://example.com/'").await;
    assert_eq!(db.rows(&attempts(&own)).await, [[""; 0]; 0]);
}
