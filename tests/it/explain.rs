//! `webhook_explain` and `webhook_render`.

use webhook_tests::database::Database;
use webhook_tests::receiver::{Receiver, Reply};
use webhook_tests::relay::Relay;

#[tokio::test]
async fn every_webhook_is_accounted_for() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    receiver.answer("/down", [Reply::status(500).body("no")]);
    let once = r#"options => '{"retry_schedule": []}'"#;
    let retries = r#"options => '{"retry_schedule": ["1 hour"]}'"#;
    for (name, path, rest) in [
        ("delivered", "/up", ""),
        ("failed", "/down", once),
        ("pending", "/down", retries),
        ("not_subscribed", "/up", "events => '{user.*}'"),
        ("filtered_out", "/up", r#"filter_config => '{"total": {"$gt": 100}}'"#),
        ("other_account", "/up", "account => 'acme'"),
        ("inactive", "/up", ""),
    ] {
        let comma = if rest.is_empty() { "" } else { ", " };
        db.webhook(&receiver.url(path), &format!("name => '{name}'{comma}{rest}")).await;
    }
    db.run(
        r#"SELECT webhook_update(id, '{"status": "inactive"}') FROM webhook_list() WHERE name = 'inactive'"#,
    )
    .await;
    let event = db.emit("order.paid", r#"{"total": 7}"#).await;
    // Of that event alone: a delivery that fails for good is an event, too.
    let attempted =
        format!("SELECT count(*) FROM webhook.deliveries WHERE event_id = '{event}' AND attempts = 1");
    db.until(&attempted, "3").await;
    db.webhook(&receiver.url("/up"), "name => 'too_new'").await;
    let rows = db
        .rows(&format!("SELECT name, result, reason, delivery_id <> '' FROM webhook_explain('{event}') ORDER BY webhook_id"))
        .await;
    assert_eq!(rows.len(), 8);
    for row in &rows {
        assert_eq!(row[0], row[1], "{rows:?}");
    }
    for (at, words) in [
        (0, "HTTP 200 at attempt 1"),
        (1, "failed for good at attempt 1: HTTP 500"),
        (2, "1 attempts so far, the next one at "),
        (3, r#"neither its events {user.*} nor a subscription has "order.paid""#),
        (4, "total"),
        (5, "the event is of no account, the webhook of account acme"),
        (6, "made inactive by webhook_update"),
        (7, "it takes events from "),
    ] {
        assert!(rows[at][2].contains(words), "{words} in {:?}", rows[at]);
    }
    relay.terminate().await;
    let unread = db.emit("order.paid", r#"{"total": 200}"#).await;
    let results = format!(
        "SELECT DISTINCT result FROM webhook_explain('{unread}') WHERE name IN ('delivered', 'filtered_out')"
    );
    assert_eq!(db.rows(&results).await, [["unread"]]);
}

#[tokio::test]
async fn an_event_for_one_webhook_alone_and_one_of_a_deleted_webhook() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let (tested, _) = db.webhook(&receiver.url("/tested"), "events => '{}'").await;
    db.webhook(&receiver.url("/other"), "").await;
    let event = db.value(&format!("SELECT webhook_test('{tested}')")).await;
    db.until("SELECT count(*) FROM webhook_deliveries(status => 'delivered')", "1").await;
    let results = format!("SELECT result, reason FROM webhook_explain('{event}') ORDER BY webhook_id");
    let rows = db.rows(&results).await;
    assert_eq!(rows[1], ["not_subscribed", &format!("it is for {tested} alone")].map(String::from));
    db.run(&format!("SELECT webhook_delete('{tested}')")).await;
    assert_eq!(
        db.rows(&results).await[0],
        ["delivered", "HTTP 200 at attempt 1; the webhook was deleted"].map(String::from)
    );
    assert_eq!(receiver.requests_to("/other").len(), 0);
}

#[tokio::test]
async fn rendered_is_what_is_sent() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let everything = r#""headers": {"X-Token": "secret one"}, "params": {"a b": "c&d"},
                        "auth": {"username": "u", "password": "p"}"#;
    for (path, options) in [
        ("/event", "{}".to_owned()),
        ("/created", format!(r#"{{"format": "event_created", "signature": "hex", {everything}}}"#)),
        ("/standard", r#"{"format": "standard", "signature": "standard", "method": "PUT"}"#.to_owned()),
        ("/ce", r#"{"format": "cloudevents", "signature": "none"}"#.to_owned()),
        ("/binary", r#"{"format": "cloudevents_binary"}"#.to_owned()),
        (
            "/data",
            r#"{"format": "data", "signature": "static", "header_name": "X-Key", "header_value": "k"}"#
                .to_owned(),
        ),
    ] {
        let (webhook, secret) = db.webhook(&receiver.url(path), &format!("options => '{options}'")).await;
        let event = db
            .value(r#"SELECT webhook_emit('user.created', '{"name": "Grüße 🌍", "n": 1.10, "2": 3}', key => 'ü 1', source => 'src_x')"#)
            .await;
        let sent = receiver.wait_for_path(path, 1).await.remove(0);
        let stamp = sent.header("webhook-timestamp").to_owned();
        let row = db
            .rows(&format!("SELECT method, url, headers, body FROM webhook_render('{event}', '{webhook}')"))
            .await
            .remove(0);
        assert_eq!(row[0], sent.method);
        let query = sent.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        assert_eq!(row[1], receiver.url(path) + &query);
        assert_eq!(row[3].as_bytes(), sent.body, "{path}");
        let headers: serde_json::Value = serde_json::from_str(&row[2]).expect("headers are JSON");
        for (name, value) in headers.as_object().expect("an object") {
            let value = value.as_str().expect("a text");
            match name.as_str() {
                "webhook-timestamp" => {}
                "webhook-signature" => {
                    let now = headers["webhook-timestamp"].as_str().expect("a text");
                    let check = |body: &str, signature: &str, stamp: &str| {
                        format!(
                            "SELECT webhook_verify($b${body}$b$, '{signature}', '{secret}', 'standard', '{event}', {stamp})"
                        )
                    };
                    assert_eq!(db.value(&check(&row[3], value, now)).await, "t");
                    assert_eq!(
                        db.value(&check(&row[3], sent.header("webhook-signature"), &stamp)).await,
                        "t"
                    );
                }
                _ => assert_eq!(sent.headers[name].as_bytes(), value.as_bytes(), "{path} {name}"),
            }
        }
        let extra: Vec<_> = sent
            .headers
            .keys()
            .filter(|name| {
                !headers
                    .as_object()
                    .expect("an object")
                    .keys()
                    .any(|other| other.eq_ignore_ascii_case(name.as_str()))
            })
            .map(ToString::to_string)
            .filter(|name| !["host", "content-length", "accept"].contains(&&**name))
            .collect();
        assert!(extra.is_empty(), "sent and not rendered: {extra:?}");
        db.run(&format!("SELECT webhook_delete('{webhook}')")).await;
    }
}

#[tokio::test]
async fn rendering_needs_manage_and_explaining_only_read() {
    let db = Database::new().await;
    let (webhook, _) = db.webhook("https://example.com/", "").await;
    let event = db.emit("user.created", "{}").await;
    let role = format!("reader_{}", db.name());
    db.run(&format!("CREATE ROLE {role}; SELECT webhook_grant('{role}', 'read'); SET ROLE {role}")).await;
    let render = format!("SELECT webhook_render('{event}', '{webhook}')");
    assert_eq!(db.refusal(&render).await.code, "42501");
    assert_eq!(db.value(&format!("SELECT result FROM webhook_explain('{event}')")).await, "unread");
    db.run(&format!("RESET ROLE; SELECT webhook_grant('{role}', 'manage'); SET ROLE {role}")).await;
    db.value(&render).await;
    let nobody = db.refusal(&format!("SELECT webhook_render('{event}', 'wh_nope')")).await;
    assert_eq!((&*nobody.code, &*nobody.message), ("42704", "webhook \"wh_nope\" does not exist"));
}
