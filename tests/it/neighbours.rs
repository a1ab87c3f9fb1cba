//! What is beside a database: others of its cluster, and those that it is replicated to.

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;

const EMIT: &str = "SELECT webhook_emit('user.created', '{}')";

#[tokio::test]
async fn two_databases_of_a_cluster_know_nothing_of_each_other() {
    let (one, other) = (Database::new().await, Database::new().await);
    assert_eq!(one.cluster().pid(), other.cluster().pid());
    let (of_one, of_other) = (Receiver::start(), Receiver::start());
    one.webhook(&of_one.url("/hook"), "").await;
    other.webhook(&of_other.url("/hook"), "").await;
    let (relay, neighbour) = (Relay::start(&one.url()).await, Relay::start(&other.url()).await);
    for relay in [&relay, &neighbour] {
        relay.logs().wait_for("this relay leads").await;
    }
    one.run(EMIT).await;
    of_one.wait_for(1).await;
    one.until("SELECT backlog FROM webhook_stats()", "0").await;
    relay.kill().await;
    one.run(EMIT).await;
    other.run(EMIT).await;
    of_other.wait_for(1).await;
    other.until("SELECT backlog + pending FROM webhook_stats()", "0").await;
    for (db, relays, unread) in [(&one, "1", "1"), (&other, "1", "0")] {
        assert_eq!(db.value("SELECT count(*) FROM webhook.relays").await, relays);
        assert_eq!(db.value("SELECT backlog FROM webhook_stats()").await, unread);
    }
    assert_eq!((of_one.count(), of_other.count()), (1, 1));
    assert!(neighbour.terminate().await.success());
}

#[tokio::test]
async fn what_another_cluster_applies_it_does_not_announce() {
    let publisher = Cluster::start(&["wal_level=logical", "fsync=off"]).await;
    let subscriber = Cluster::start(&["fsync=off"]).await;
    let (from, to) = (Database::on(&publisher).await, Database::on(&subscriber).await);
    for db in [&from, &to] {
        db.run("CREATE TABLE users (id int PRIMARY KEY); SELECT webhook_watch('users', 'user')").await;
    }
    from.run("CREATE PUBLICATION users FOR TABLE users").await;
    let address = publisher.address();
    to.run(&format!(
        "CREATE SUBSCRIPTION users CONNECTION 'host={} port={} user=postgres dbname={}' PUBLICATION users",
        address.ip(),
        address.port(),
        from.name()
    ))
    .await;
    from.run("INSERT INTO users VALUES (1); UPDATE users SET id = 2; DELETE FROM users; INSERT INTO users VALUES (3)").await;
    to.until("SELECT string_agg(id::text, ' ') FROM users", "3").await;
    let events = "SELECT string_agg(type, ' ' ORDER BY seq) FROM webhook.events";
    assert_eq!(from.value(events).await, "user.created user.updated user.deleted user.created");
    assert_eq!(to.value(events).await, "", "it was applied and not captured");
    to.run("INSERT INTO users VALUES (4)").await;
    assert_eq!(to.value(events).await, "user.created", "its own writes are");
    to.run("DROP SUBSCRIPTION users").await;
}
