//! A restored or cloned database calls nobody until somebody adopts it.

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::receiver::{Receiver, Reply};
use webhook_tests::relay::Relay;
use webhook_tests::session::Session;

#[tokio::test]
async fn a_clone_sends_nothing_until_it_is_adopted() {
    let original = Database::new().await;
    let receiver = Receiver::start();
    let relay = Relay::start(&original.url()).await;
    original.webhook(&receiver.url("/hook"), "").await;
    let sent = original.emit("user.created", "{}").await;
    original.until("SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'", "1").await;
    assert!(relay.terminate().await.success());
    let unread = original.emit("user.created", "{}").await;

    let (clone, url) = clone_of(&original).await;
    let fresh = clone.value("SELECT webhook_emit('user.created', '{}')").await;
    let relay = Relay::launch(&url, &[]).await;
    relay.logs().wait_for("webhook_adopt").await;
    assert_eq!(receiver.count(), 1);

    clone.run("SELECT webhook_adopt()").await;
    let requests = receiver.wait_for(3).await;
    let ids: std::collections::HashSet<_> =
        requests.iter().map(|request| request.header("webhook-id")).collect();
    assert_eq!(ids, [&*sent, &*unread, &*fresh].into(), "what was unread goes on, nothing old again");
    clone.until("SELECT backlog FROM webhook_stats()", "0").await;
    assert_eq!(receiver.count(), 3);
}

/// The WAL position of another cluster may be larger or smaller than here.
#[tokio::test]
async fn a_key_goes_on_in_order_though_the_other_cluster_counted_further() {
    let original = Database::new().await;
    let receiver = Receiver::start();
    receiver.answer("/hook", [Reply::status(500), Reply::status(200)]);
    original.webhook(&receiver.url("/hook"), r#"events => '{user.*}', options => '{"ordered": true}'"#).await;
    let emit = |n: u32| format!("SELECT webhook_emit('user.updated', '{{\"n\": {n}}}', key => 'k')");
    let relay = Relay::start(&original.url()).await;
    for n in [1, 2] {
        original.run(&emit(n)).await;
    }
    original.until("SELECT count(*) FROM webhook.pending WHERE reason = 'retry' AND lease = 0", "1").await;
    original.until("SELECT count(*) FROM webhook.pending WHERE reason = 'ordered'", "1").await;
    assert!(relay.terminate().await.success());
    for n in [3, 4] {
        original.run(&emit(n)).await;
    }
    original.run("UPDATE webhook.pending SET seq = seq + (1::bigint << 50); UPDATE webhook.events SET seq = seq + (1::bigint << 50)").await;

    let (clone, url) = clone_of(&original).await;
    clone.run(&emit(5)).await;
    clone.run("SELECT webhook_adopt(); UPDATE webhook.pending SET due_at = clock_timestamp() WHERE reason = 'retry'").await;
    let _relay = Relay::start(&url).await;
    clone.run(&emit(6)).await;
    let requests = receiver.wait_for(7).await;
    let order: Vec<_> =
        requests.iter().map(|request| request.json()["data"]["n"].as_u64().expect("a number")).collect();
    assert_eq!(order, [1, 1, 2, 3, 4, 5, 6]);
}

/// A copy of the database, a session in it and its address.
async fn clone_of(original: &Database<'_>) -> (Session, String) {
    let cluster = Cluster::shared().await;
    let admin = cluster.connect("postgres").await;
    let (name, from) = (format!("clone_of_{}", original.name()), original.name());
    let others = format!("FROM pg_stat_activity WHERE datname = '{from}'");
    admin.run(&format!("SELECT pg_terminate_backend(pid) {others}")).await;
    admin.until(&format!("SELECT count(*) {others}"), "0").await;
    admin.run(&format!("CREATE DATABASE {name} TEMPLATE {from}")).await;
    (cluster.connect(&name).await, cluster.url(&name))
}
