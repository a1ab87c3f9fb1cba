//! A committed row becomes a signed, delivered, logged webhook: the bytes on the wire.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use webhook_tests::database::Database;
use webhook_tests::receiver::{Receiver, Request};
use webhook_tests::relay::Relay;

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// `v1,…` of the Standard Webhooks specification.
fn standard(request: &Request, secret: &str) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a whsec_ secret")).expect("base64");
    let mut signed =
        format!("{}.{}.", request.header("webhook-id"), request.header("webhook-timestamp")).into_bytes();
    signed.extend_from_slice(&request.body);
    format!("v1,{}", STANDARD.encode(hmac(&key, &signed)))
}

#[tokio::test]
async fn a_changed_row_arrives_signed_and_is_logged() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    db.run("CREATE TABLE users (id int PRIMARY KEY, name text, balance numeric(10,2))").await;
    db.run("SELECT webhook_watch('users', 'user')").await;
    let (webhook, secret) = db.webhook(&receiver.url("/hook"), "events => '{user.*}'").await;
    db.run("INSERT INTO users VALUES (1, 'Ada', 1.10)").await;

    let request = &receiver.wait_for(1).await[0];
    let row = db.rows("SELECT id, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') FROM webhook.events").await;
    let (event, at) = (&row[0][0], &row[0][1]);
    let body = format!(
        r#"{{"id":"{event}","type":"user.created","created_at":"{at}","data":{{"id":1,"name":"Ada","balance":1.1}}}}"#
    );
    assert_eq!(String::from_utf8_lossy(&request.body), body);
    assert_eq!((&*request.method, &*request.path), ("POST", "/hook"));
    assert_eq!(request.header("content-type"), "application/json");
    assert!(request.header("user-agent").starts_with("pg_webhook/"), "{}", request.header("user-agent"));
    assert_eq!(request.header("x-webhook-id"), webhook);
    assert_eq!(request.header("x-webhook-event"), "user.created");
    assert_eq!(request.header("webhook-id"), event);
    let digest = hex(&hmac(secret.as_bytes(), &request.body));
    assert_eq!(request.header("x-webhook-signature"), format!("sha256={digest}"));
    assert_eq!(request.header("webhook-signature"), standard(request, &secret));
    let sent: u64 = request.header("webhook-timestamp").parse().expect("unix seconds");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    assert!(now.abs_diff(sent) <= 2, "signed at {sent}, now {now}");

    let delivery = request.header("x-webhook-delivery");
    db.until(&format!("SELECT status FROM webhook_deliveries('{webhook}')"), "delivered").await;
    let log = db
        .rows(&format!(
            "SELECT id, event_id, event_type, webhook_id, status, attempts, response_code, response_time_ms >= 0, error,
                    next_attempt_at
             FROM webhook_deliveries(event_id => '{event}')"
        ))
        .await;
    let expected = [delivery, event, "user.created", &webhook, "delivered", "1", "200", "t", "", ""];
    assert_eq!(log, [expected.map(String::from)]);
    let triggered = format!("SELECT last_triggered > created_at FROM webhook_get('{webhook}')");
    assert_eq!(db.value(&triggered).await, "t");
}

#[tokio::test]
async fn an_attempt_shows_what_was_sent_and_answered_without_secrets() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let reply = webhook_tests::receiver::Reply::status(201).header("x-trace", "t-1").body("thanks");
    receiver.answer("/hook", [reply]);
    let options = r#"options => '{"headers": {"Authorization": "Bearer canary", "X-Team": "blue"}}'"#;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), options).await;
    db.emit("user.created", "{}").await;
    let request = &receiver.wait_for(1).await[0];
    assert_eq!((request.header("authorization"), request.header("x-team")), ("Bearer canary", "blue"));

    db.until(&format!("SELECT status FROM webhook_deliveries('{webhook}')"), "delivered").await;
    let delivery = request.header("x-webhook-delivery");
    let row = db
        .rows(&format!(
            "SELECT number, at <= now(), response_code, response_headers->>'x-trace', response_body,
                    response_time_ms >= 0, error, request_headers
             FROM webhook_attempts('{delivery}')"
        ))
        .await
        .remove(0);
    assert_eq!(row[..7], ["1", "t", "201", "t-1", "thanks", "t", ""].map(String::from));
    assert!(row[7].contains("blue") && row[7].contains(&webhook), "{}", row[7]);
    assert!(!row[7].contains("canary"), "{}", row[7]);
}

#[tokio::test]
async fn signature_options() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let mut secrets = std::collections::HashMap::new();
    for scheme in ["sha256", "hex", "standard", "none"] {
        let options = format!(r#"options => '{{"signature": "{scheme}"}}'"#);
        secrets.insert(scheme, db.webhook(&receiver.url(&format!("/{scheme}")), &options).await.1);
    }
    let fixed =
        r#"options => '{"signature": "static", "header_name": "X-Token", "header_value": "opensesame"}'"#;
    db.webhook(&receiver.url("/static"), fixed).await;
    db.webhook(&receiver.url("/own"), "secret => 'a secret of my own'").await;
    db.emit("user.created", r#"{"a": 1}"#).await;
    receiver.wait_for(6).await;

    let one = |path: &str| receiver.requests_to(path).remove(0);
    for scheme in ["sha256", "hex"] {
        let request = one(&format!("/{scheme}"));
        let prefix = if scheme == "hex" { "" } else { "sha256=" };
        let digest = hex(&hmac(secrets[scheme].as_bytes(), &request.body));
        assert_eq!(request.header("x-webhook-signature"), format!("{prefix}{digest}"));
        assert_eq!(request.header("webhook-signature"), standard(&request, &secrets[scheme]));
    }
    let request = one("/standard");
    assert_eq!(request.header("x-webhook-signature"), "");
    assert_eq!(request.header("webhook-signature"), standard(&request, &secrets["standard"]));
    for path in ["/none", "/static"] {
        let request = one(path);
        assert_eq!(
            (request.header("x-webhook-signature"), request.header("webhook-signature")),
            ("", ""),
            "{path}"
        );
    }
    assert_eq!(one("/static").header("x-token"), "opensesame");
    let own = one("/own");
    let digest = hex(&hmac(b"a secret of my own", &own.body));
    assert_eq!(own.header("x-webhook-signature"), format!("sha256={digest}"));
    assert_eq!(own.header("webhook-signature"), "", "only a whsec_ secret has a standard signature");
}

#[tokio::test]
async fn a_rotated_secret_signs_beside_the_old_one_during_the_grace() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let (webhook, old) = db.webhook(&receiver.url("/hook"), "").await;
    let new = db.value(&format!("SELECT secret FROM webhook_rotate_secret('{webhook}')")).await;
    db.emit("user.created", "{}").await;
    let request = &receiver.wait_for(1).await[0];
    let both = format!("{} {}", standard(request, &new), standard(request, &old));
    assert_eq!(request.header("webhook-signature"), both);
    assert_eq!(
        request.header("x-webhook-signature"),
        format!("sha256={}", hex(&hmac(new.as_bytes(), &request.body)))
    );

    let newest =
        db.value(&format!("SELECT secret FROM webhook_rotate_secret('{webhook}', grace => '0')")).await;
    db.emit("user.created", "{}").await;
    let request = &receiver.wait_for(2).await[1];
    assert_eq!(request.header("webhook-signature"), standard(request, &newest));
}

#[tokio::test]
async fn after_the_grace_the_new_secret_signs_alone() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let (webhook, old) = db.webhook(&receiver.url("/hook"), "").await;
    let rotate = format!("SELECT secret FROM webhook_rotate_secret('{webhook}', grace => '2 seconds')");
    let new = db.value(&rotate).await;
    db.emit("user.created", "{}").await;
    let request = &receiver.wait_for(1).await[0];
    let both = format!("{} {}", standard(request, &new), standard(request, &old));
    assert_eq!(request.header("webhook-signature"), both);
    // The relay's clock and the database's are not the same to the millisecond.
    db.until(
        "SELECT clock_timestamp() > min(expires_at) + interval '300 milliseconds' FROM webhook.secrets",
        "t",
    )
    .await;
    db.emit("user.created", "{}").await;
    let request = &receiver.wait_for(2).await[1];
    assert_eq!(request.header("webhook-signature"), standard(request, &new));
}

#[tokio::test]
async fn formats() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    for format in ["event", "event_created", "standard", "data"] {
        let options = format!(r#"options => '{{"format": "{format}"}}'"#);
        db.webhook(&receiver.url(&format!("/{format}")), &options).await;
    }
    let id = db.emit("user.created", r#"{"a": 1}"#).await;
    receiver.wait_for(4).await;
    let keys = |path: &str| {
        let body = receiver.requests_to(path).remove(0).json();
        body.as_object().expect("an object").keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(keys("/event"), "id type created_at data");
    assert_eq!(keys("/event_created"), "id type created data");
    assert_eq!(keys("/standard"), "type timestamp data");
    assert_eq!(keys("/data"), "a");
    assert_eq!(receiver.requests_to("/event")[0].json()["id"], id);
}

#[tokio::test]
async fn method_params_auth_and_headers_are_obeyed() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let options = r#"options => '{"method": "PUT", "params": {"q": "a b&c"}, "headers": {"User-Agent": "mine/1"},
                                  "auth": {"username": "ada", "password": "pw"}}'"#;
    db.webhook(&receiver.url("/hook?x=1"), options).await;
    db.emit("user.created", "{}").await;
    let request = &receiver.wait_for(1).await[0];
    assert_eq!(request.method, "PUT");
    let query = request.query.as_deref().expect("a query");
    assert!(["x=1&q=a%20b%26c", "x=1&q=a+b%26c"].contains(&query), "{query}");
    assert_eq!(request.header("authorization"), format!("Basic {}", STANDARD.encode("ada:pw")));
    assert_eq!(request.header("user-agent"), "mine/1");
}

#[tokio::test]
async fn only_matching_events_of_later_date_are_sent() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    db.emit("user.created", r#"{"n": 0}"#).await;
    let filter = r#"events => '{user.*,report.generated}', filter_config => '{"n": {"$lt": 100}}'"#;
    db.webhook(&receiver.url("/hook"), filter).await;
    db.emit("user.created", r#"{"n": 1}"#).await;
    db.emit("user.created", r#"{"n": 100}"#).await;
    db.emit("users.created", r#"{"n": 2}"#).await;
    db.emit("user.address.changed", r#"{"n": 3}"#).await;
    db.emit("report.generated", r#"{"n": 4}"#).await;
    let mut numbers: Vec<_> =
        receiver.wait_for(3).await.iter().map(|request| request.json()["data"]["n"].clone()).collect();
    numbers.sort_by_key(serde_json::Value::as_i64);
    assert_eq!(numbers, [1, 3, 4]);
    db.until("SELECT backlog FROM webhook_stats()", "0").await;
    assert_eq!(receiver.count(), 3);
}

#[tokio::test]
async fn accounts_are_kept_apart() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    for (path, account) in [("/none", "NULL"), ("/a", "'a'"), ("/b", "'b'"), ("/all", "'*'")] {
        db.webhook(&receiver.url(path), &format!("account => {account}")).await;
    }
    db.run("SELECT webhook_emit('user.created', '{}', account => 'a')").await;
    db.run("SELECT webhook_emit('user.created', '{}')").await;
    receiver.wait_for(4).await;
    db.until("SELECT backlog FROM webhook_stats()", "0").await;
    let counts = ["/none", "/a", "/b", "/all"].map(|path| receiver.requests_to(path).len());
    assert_eq!(counts, [1, 1, 0, 2]);
}

#[tokio::test]
async fn a_test_delivery_goes_to_that_webhook_alone() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let (webhook, _) = db.webhook(&receiver.url("/one"), "events => '{user.created}'").await;
    db.webhook(&receiver.url("/two"), "").await;
    let event = db.value(&format!("SELECT webhook_test('{webhook}')")).await;
    let request = &receiver.wait_for(1).await[0];
    assert_eq!((request.path.as_str(), request.header("webhook-id")), ("/one", event.as_str()));
    assert_eq!(request.header("x-webhook-event"), "webhook.test");
    db.until(&format!("SELECT status FROM webhook_deliveries(event_id => '{event}')"), "delivered").await;
    assert_eq!(receiver.count(), 1);
}
