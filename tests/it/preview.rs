//! `webhook_filter_preview`: a filter on past events, before it is used.

use webhook_tests::database::Database;

#[tokio::test]
async fn it_counts_past_events_and_names_the_newest_that_pass() {
    let db = Database::new().await;
    db.run("SELECT webhook_emit('order.paid', jsonb_build_object('total', n)) FROM generate_series(1, 30) n")
        .await;
    db.emit("order.refunded", r#"{"total": 99}"#).await;
    let preview = async |filter: &str, event: &str| {
        db.rows(&format!(
            "SELECT total, matched, cardinality(samples) FROM webhook_filter_preview('{filter}', '{event}')"
        ))
        .await
        .remove(0)
        .join(" ")
    };
    assert_eq!(preview(r#"{"total": {"$gt": 15}}"#, "order.paid").await, "30 15 10");
    assert_eq!(preview(r#"{"total": {"$gt": 28}}"#, "order.*").await, "31 3 3");
    assert_eq!(preview("{}", "*").await, "31 31 10");
    assert_eq!(preview(r#"{"total": 1000}"#, "order.paid").await, "30 0 ");
    assert_eq!(preview("{}", "user.created").await, "0 0 ");
    let newest = db.value("SELECT max(id) FROM webhook.events WHERE type = 'order.paid'").await;
    let first = "SELECT samples[1] FROM webhook_filter_preview('{\"total\": {\"$lt\": 99}}', 'order.paid')";
    assert_eq!(db.value(first).await, newest);
}

#[tokio::test]
async fn it_agrees_with_webhook_filter_test() {
    let db = Database::new().await;
    db.run(
        r#"SELECT webhook_emit('x', d::jsonb) FROM unnest(ARRAY['{"a": 1}', '{"a": "1"}', '{"a": [1, 2]}', '{"b": {"c": "xyz"}}',
               '{}', '[]', '7', '{"a": null}', '{"a": 1e400}']) d"#,
    )
    .await;
    for filter in [
        r#"{"a": 1}"#,
        r#"{"a": {"$exist": false}}"#,
        r#"{"b.c": {"$regex": "^x"}}"#,
        r#"{"a": {"$gt": 1e300}}"#,
        r#"{"a": {"$lt": 1e400}}"#,
        r#"{"$not": {"a": {"$gte": 1}}}"#,
        r#"{"$or": [{"a": {"$in": [2]}}, {"b": {"c": {"$endsWith": "z"}}}]}"#,
    ] {
        let expected =
            format!("SELECT count(*) FROM webhook.events WHERE webhook_filter_test('{filter}', data::jsonb)");
        let preview = format!("SELECT matched FROM webhook_filter_preview('{filter}', 'x')");
        assert_eq!(db.value(&preview).await, db.value(&expected).await, "{filter}");
    }
}

#[tokio::test]
async fn only_the_time_asked_for_counts() {
    let db = Database::new().await;
    db.emit("user.created", "{}").await;
    let total = |since: &str| format!("SELECT total FROM webhook_filter_preview('{{}}', '*', '{since}')");
    assert_eq!(db.value(&total("1 hour")).await, "1");
    db.until(&total("10 milliseconds"), "0").await;
}
