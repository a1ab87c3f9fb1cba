//! The API in a schema of its own, which is on nobody's search path.

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;

#[tokio::test]
async fn everything_works_there_and_whoever_has_a_capability_may_use_it() {
    let (db, receiver) = (Database::bare(Cluster::shared().await).await, Receiver::start());
    db.run(r#"CREATE SCHEMA "my api"; CREATE EXTENSION pg_webhook SCHEMA "my api""#).await;
    let [emitter, manager] =
        ["emit", "manage"].map(|capability| (capability, format!("{capability}_{}", db.name())));
    for (capability, role) in [&emitter, &manager] {
        db.run(&format!(r#"CREATE ROLE {role}; SELECT "my api".webhook_grant('{role}', '{capability}')"#))
            .await;
    }
    let _relay = Relay::start(&db.url()).await;

    db.run(&format!(
        "CREATE SCHEMA own AUTHORIZATION {}; SET ROLE {0}; CREATE TABLE own.users (id int PRIMARY KEY)",
        manager.1
    ))
    .await;
    let url = receiver.url("/hook");
    let webhook = db.value(&format!(r#"SELECT id FROM "my api".webhook_create('{url}')"#)).await;
    let source = db
        .value(
            r#"SELECT "my api".webhook_watch('own.users', 'user', previous => true, "when" => 'NEW.id > 0')"#,
        )
        .await;
    db.run("INSERT INTO own.users VALUES (1)").await;
    receiver.wait_for(1).await;
    db.run(&format!("RESET ROLE; SET ROLE {}", emitter.1)).await;
    let event =
        db.value(r#"SELECT "my api".webhook_emit('order.paid', '{}', idempotency_key => 'once')"#).await;
    receiver.wait_for(2).await;

    db.run(&format!("RESET ROLE; SET ROLE {}", manager.1)).await;
    db.until(r#"SELECT count(*) FROM "my api".webhook_deliveries(status => 'delivered')"#, "2").await;
    let delivery =
        db.value(&format!(r#"SELECT id FROM "my api".webhook_deliveries(event_id => '{event}')"#)).await;
    for call in [
        "webhook_get('WH')",
        "webhook_list()",
        "webhook_update('WH', '{\"events\": [\"user.*\"], \"timeout_ms\": 5000}')",
        "webhook_rotate_secret('WH')",
        "webhook_test('WH')",
        "webhook_event_type_create('order.sent')",
        "webhook_event_types()",
        "webhook_pause('SRC')",
        "webhook_resume('SRC')",
        "webhook_sources()",
        "webhook_source_create('one')",
        "webhook_subscribe('SRC', 'WH')",
        "webhook_subscriptions()",
        "webhook_unsubscribe('SRC', 'WH')",
        "webhook_send('POST', 'URL')",
        "webhook_filter_test('{}', '{}')",
        "webhook_filter_preview('{}', '*')",
        "webhook_attempts('DEL')",
        "webhook_replay('DEL')",
        "webhook_replay('WH', now() - interval '1 hour')",
        "webhook_cancel('DEL')",
        "webhook_explain('EVT')",
        "webhook_render('EVT', 'WH')",
        "webhook_stats()",
        "webhook_verify('p', \"my api\".webhook_sign('p', 'a secret'), 'a secret')",
        "webhook_unwatch('own.users')",
        "webhook_delete('WH')",
    ] {
        let call = call.replace("WH", &webhook).replace("SRC", &source).replace("DEL", &delivery);
        let call = call.replace("EVT", &event).replace("URL", &url);
        let rows = db.rows(&format!(r#"SELECT * FROM "my api".{call}"#)).await;
        assert!(!rows.is_empty() || call.starts_with("webhook_subscriptions"), "{call}");
    }
    db.run(r#"RESET ROLE; SELECT "my api".webhook_adopt()"#).await;
}
