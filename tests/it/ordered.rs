//! What holds the order of a key together, below the relay.

use webhook_tests::database::Database;

#[tokio::test]
async fn a_batch_out_of_order_is_put_aside_in_order() {
    let db = Database::new().await;
    let (webhook, _) = db.webhook("https://example.com/", r#"options => '{"ordered": true}'"#).await;
    db.run("SELECT webhook_emit('user.created', '{}', key => 'k') FROM generate_series(1, 3)").await;
    let spill = format!(
        "SELECT webhook._relay_record(
             'relay', NULL, NULL, NULL, NULL, NULL, array_agg(webhook._delivery_id(e.id, '{webhook}') ORDER BY e.seq DESC),
             array_agg(e.id ORDER BY e.seq DESC), array_agg('{webhook}'::text), array_agg(e.key), array_agg('spill'::text), array_agg(1),
             array_agg(0), array_agg(0::bigint), array_agg(0), array_agg(NULL::int), array_agg(NULL::int),
             array_agg('ordered'::text), array_agg(NULL::text), array_agg(NULL::bytea), array_agg(0::bigint))
         FROM webhook.events e"
    );
    db.run(&spill).await;
    let waits = "SELECT due_at = 'infinity' FROM webhook.pending ORDER BY seq";
    assert_eq!(db.rows(waits).await.concat(), ["f", "t", "t"]);
    db.run("DELETE FROM webhook.pending WHERE due_at < 'infinity'").await;
    assert_eq!(db.rows(waits).await.concat(), ["f", "t"]);
}
