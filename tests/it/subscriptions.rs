//! Sources, subscriptions, and webhooks that listen only through them (seed 000).

use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;

#[tokio::test]
async fn one_source_reaches_several_webhooks_and_only_those_that_listen() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let source = db.value("SELECT webhook_source_create('stars')").await;
    let other = db.value("SELECT webhook_source_create('tweets')").await;
    for (path, emitter, event) in [
        ("/all", &*source, ""),
        ("/named", &source, "star.added"),
        ("/glob", "src_*", ""),
        ("/other", &other, ""),
        ("/none", "", ""),
    ] {
        let (webhook, _) = db.webhook(&receiver.url(path), "events => '{}'").await;
        if !emitter.is_empty() {
            db.run(&format!("SELECT webhook_subscribe('{emitter}', '{webhook}', '{event}')")).await;
        }
    }
    let emit = async |kind: &str, source: &str| {
        db.value(&format!("SELECT webhook_emit('{kind}', '{{}}', source => nullif('{source}', ''))")).await
    };
    let added = emit("star.added", &source).await;
    let removed = emit("star.removed", &source).await;
    let tweet = emit("tweet.sent", &other).await;
    emit("star.added", "").await;
    db.until("SELECT backlog FROM webhook_stats()", "0").await;
    let ids = async |path: &str, count| {
        let requests = receiver.wait_for_path(path, count).await;
        let mut ids: Vec<_> =
            requests.iter().map(|request| request.header("webhook-id").to_owned()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids("/all", 2).await, [added.clone(), removed.clone()]);
    assert_eq!(ids("/named", 1).await, std::slice::from_ref(&added));
    assert_eq!(ids("/glob", 3).await, [added, removed, tweet.clone()]);
    assert_eq!(ids("/other", 1).await, [tweet]);
    assert_eq!(receiver.requests_to("/none").len(), 0);
}

#[tokio::test]
async fn a_watched_table_is_a_source_and_unsubscribing_ends_it() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    db.run("CREATE TABLE users (id int PRIMARY KEY)").await;
    let source = db.value("SELECT webhook_watch('users', 'user')").await;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "events => '{}'").await;
    let subscribe = format!("SELECT webhook_subscribe('{source}', '{webhook}', 'user.created')");
    let subscription = db.value(&subscribe).await;
    assert!(subscription.starts_with("sub_"), "{subscription}");
    assert_eq!(db.value(&subscribe).await, subscription, "the same arguments are the same subscription");
    let listed = db
        .rows(&format!(
            "SELECT id, emitter_id, listener_id, event_name FROM webhook_subscriptions('{webhook}')"
        ))
        .await;
    assert_eq!(listed, [[&*subscription, &source, &webhook, "user.created"].map(String::from)]);
    db.run("INSERT INTO users VALUES (1); DELETE FROM users").await;
    assert_eq!(receiver.wait_for(1).await[0].header("x-webhook-event"), "user.created");
    let unsubscribe = format!("SELECT webhook_unsubscribe('{source}', '{webhook}', 'user.created')");
    assert_eq!(db.value(&unsubscribe).await, "t");
    assert_eq!(db.value(&unsubscribe).await, "f");
    db.run("INSERT INTO users VALUES (2)").await;
    db.until("SELECT backlog FROM webhook_stats()", "0").await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn a_pattern_and_a_subscription_together_send_once() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let source = db.value("SELECT webhook_source_create('users')").await;
    assert_eq!(
        db.value("SELECT webhook_source_create('users')").await,
        source,
        "the same name, the same source"
    );
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "").await;
    for emitter in [&*source, "src_*"] {
        db.run(&format!("SELECT webhook_subscribe('{emitter}', '{webhook}')")).await;
    }
    db.run(&format!("SELECT webhook_emit('user.created', '{{}}', source => '{source}')")).await;
    db.until("SELECT count(*) FROM webhook_deliveries(status => 'delivered')", "1").await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn capture_goes_by_subscriptions_too_when_only_wanted_rows_are_captured() {
    let db = Database::new().await;
    db.run("CREATE TABLE users (id int PRIMARY KEY); SET webhook.capture_unmatched = off").await;
    let source = db.value("SELECT webhook_watch('users', 'user')").await;
    let (webhook, _) = db.webhook("https://example.com", "events => '{}'").await;
    db.run("INSERT INTO users VALUES (1)").await;
    let glob = format!("{}?", &source[..source.len() - 1]);
    db.run(&format!("SELECT webhook_subscribe('{glob}', '{webhook}')")).await;
    db.run("INSERT INTO users VALUES (2)").await;
    assert_eq!(db.value("SELECT data->>'id' FROM webhook.events").await, "2");
}
