//! How an answer is judged, and what the log says of it.

use std::process::Command;
use std::time::Duration;

use webhook_tests::database::Database;
use webhook_tests::receiver::{Receiver, Reply};
use webhook_tests::relay::Relay;

/// One attempt, then `failed`.
const ONCE: &str = r#"events => '{user.*}', options => '{"retry_schedule": [], "timeout_ms": 300}'"#;

/// Status, response code and error of the one delivery of `webhook`, once it is not pending.
async fn settled(db: &Database<'_>, webhook: &str) -> [String; 3] {
    let of = format!("FROM webhook_deliveries('{webhook}') WHERE status IN ('delivered', 'failed')");
    db.until(&format!("SELECT count(*) {of}"), "1").await;
    let row = db.rows(&format!("SELECT status, response_code, error {of}")).await.remove(0);
    row.try_into().expect("three columns")
}

#[tokio::test]
async fn two_hundreds_deliver_and_all_else_fails() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let codes = [200, 201, 204, 299, 301, 302, 307, 308, 400, 401, 404, 409, 422, 500, 503];
    let mut webhooks = Vec::new();
    for code in codes {
        let path = format!("/{code}");
        receiver.answer(&path, [Reply::status(code).header("location", &receiver.url("/canary"))]);
        webhooks.push((code, db.webhook(&receiver.url(&path), ONCE).await.0));
    }
    db.emit("user.created", "{}").await;
    for (code, webhook) in webhooks {
        let [status, logged, _] = settled(&db, &webhook).await;
        let expected = if code < 300 { "delivered" } else { "failed" };
        assert_eq!((&*status, logged), (expected, code.to_string()));
    }
    assert_eq!(receiver.requests_to("/canary").len(), 0, "a redirect is never followed");
}

#[tokio::test]
async fn no_answer_in_time_is_a_timeout() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/hang", [Reply::hang()]);
    let (webhook, _) = db.webhook(&receiver.url("/hang"), ONCE).await;
    db.emit("user.created", "{}").await;
    let [status, code, error] = settled(&db, &webhook).await;
    assert_eq!((&*status, &*code), ("failed", ""));
    assert!(error.contains("timeout") || error.contains("timed out"), "{error}");
}

#[tokio::test]
async fn a_connection_error_fails_and_says_which() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/close", [Reply::close()]);
    let (closed, _) = db.webhook(&receiver.url("/close"), ONCE).await;
    let nobody = webhook_tests::cluster::free_port();
    let (refused, _) = db.webhook(&format!("http://127.0.0.1:{nobody}/"), ONCE).await;
    db.emit("user.created", "{}").await;
    let errors = [settled(&db, &closed).await, settled(&db, &refused).await];
    for [status, code, error] in &errors {
        assert_eq!((status.as_str(), code.as_str()), ("failed", ""), "{error}");
        assert!(!error.is_empty());
    }
    assert_ne!(errors[0][2], errors[1][2], "an operator can tell them apart");
}

#[tokio::test]
async fn an_endless_body_is_cut_and_a_slow_one_does_not_block() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    receiver.answer("/endless", [Reply::status(200).endless()]);
    let (webhook, _) = db.webhook(&receiver.url("/endless"), "").await;
    db.emit("user.created", "{}").await;
    assert_eq!(settled(&db, &webhook).await[0], "delivered");
    let body = format!(
        "SELECT length(a.response_body)
         FROM webhook_deliveries('{webhook}') d, webhook_attempts(d.id) a"
    );
    assert_eq!(db.value(&body).await, "16384");
    assert!(relay.peak_memory() < 150 * 1024, "{} KiB", relay.peak_memory());
}

#[tokio::test]
async fn a_compressed_body_is_kept_as_it_came() {
    const BYTES: usize = 300_000_000;
    let (db, receiver) = (Database::new().await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    let mut gzip = Command::new("sh");
    gzip.arg("-c").arg(format!("head -c {BYTES} /dev/zero | tr '\\0' A | gzip --best"));
    let bomb = gzip.output().expect("start gzip").stdout;
    assert!(bomb.starts_with(b"\x1f\x8b") && bomb.len() < BYTES / 500, "{} bytes", bomb.len());
    let reply = Reply::status(200).header("content-encoding", "gzip").body(bomb);
    receiver.answer("/bomb", [reply]);
    let (webhook, _) = db.webhook(&receiver.url("/bomb"), r#"options => '{"store_response": "body"}'"#).await;
    db.emit("user.created", "{}").await;
    assert_eq!(settled(&db, &webhook).await[0], "delivered");
    assert!(receiver.requests()[0].headers.get("accept-encoding").is_none(), "nor was it asked for");
    let body =
        format!("SELECT a.response_body FROM webhook_deliveries('{webhook}') d, webhook_attempts(d.id) a");
    let body = db.value(&body).await;
    assert!(body.starts_with('\u{1f}') && !body.contains("AAAA"), "{body:?}");
    assert!(relay.peak_memory() < 150 * 1024, "{} KiB", relay.peak_memory());
}

#[tokio::test]
async fn bytes_that_are_no_text_are_logged_too() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/nul", [Reply::status(200).body(&b"a\0b\xff \xf0\x9f\x98\x80"[..])]);
    let (webhook, _) = db.webhook(&receiver.url("/nul"), "").await;
    db.emit("user.created", "{}").await;
    assert_eq!(settled(&db, &webhook).await[0], "delivered");
    let body =
        format!("SELECT a.response_body FROM webhook_deliveries('{webhook}') d, webhook_attempts(d.id) a");
    let body = db.value(&body).await;
    assert!(body.starts_with('a') && body.ends_with('😀'), "{body:?}");
}

#[tokio::test]
async fn store_response_says_what_is_kept() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let mut kept = Vec::new();
    for what in ["none", "headers", "body"] {
        let path = format!("/{what}");
        receiver.answer(&path, [Reply::status(200).header("x-trace", "t").body("text")]);
        let options = format!(r#"options => '{{"store_response": "{what}"}}'"#);
        let (webhook, _) = db.webhook(&receiver.url(&path), &options).await;
        kept.push(webhook);
    }
    db.emit("user.created", "{}").await;
    let mut seen = Vec::new();
    for webhook in kept {
        settled(&db, &webhook).await;
        let sql = format!(
            "SELECT a.response_headers->>'x-trace', a.response_body
             FROM webhook_deliveries('{webhook}') d, webhook_attempts(d.id) a"
        );
        seen.push(db.rows(&sql).await.remove(0).join("|"));
    }
    assert_eq!(seen, ["|", "t|", "t|text"]);
}

#[tokio::test]
async fn gone_fails_for_good_and_disables_the_webhook() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/gone", [Reply::status(410)]);
    let (webhook, _) = db.webhook(&receiver.url("/gone"), "").await;
    db.emit("user.created", "{}").await;
    let [status, code, _] = settled(&db, &webhook).await;
    assert_eq!((&*status, &*code), ("failed", "410"));
    db.until(&format!("SELECT status FROM webhook_get('{webhook}')"), "inactive").await;
    let reason = db.value(&format!("SELECT disabled_reason FROM webhook_get('{webhook}')")).await;
    assert!(reason.contains("410"), "{reason}");
    db.emit("user.created", "{}").await;
    db.until("SELECT backlog FROM webhook_stats()", "0").await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn a_slow_receiver_is_given_the_time_it_has() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/slow", [Reply::status(200).after(Duration::from_millis(400)).body("at last")]);
    let (webhook, _) = db.webhook(&receiver.url("/slow"), "").await;
    db.emit("user.created", "{}").await;
    assert_eq!(settled(&db, &webhook).await[0], "delivered");
    let time = db.value(&format!("SELECT response_time_ms FROM webhook_deliveries('{webhook}')")).await;
    assert!(time.parse::<u32>().expect("a number") >= 400, "{time}");
}
