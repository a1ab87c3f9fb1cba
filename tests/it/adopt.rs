//! A restored or cloned database calls nobody until somebody adopts it.

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;

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

    let admin = Cluster::shared().await.connect("postgres").await;
    let (name, from) = (format!("clone_of_{}", original.name()), original.name().to_string());
    let leave = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{from}'");
    admin.run(&leave).await;
    admin.until(&format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{from}'"), "0").await;
    admin.run(&format!("CREATE DATABASE {name} TEMPLATE {from}")).await;
    let clone = Cluster::shared().await.connect(&name).await;
    let fresh = clone.value("SELECT webhook_emit('user.created', '{}')").await;
    let relay = Relay::launch(&Cluster::shared().await.url(&name), &[]).await;
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
