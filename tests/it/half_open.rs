//! Packets are dropped, and neither side is told.

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::fault::Proxy;
use webhook_tests::firewall::{Deaf, Firewall};
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;
use webhook_tests::stage::Stage;

#[tokio::test]
async fn a_leader_that_is_gone_without_a_word_is_replaced() {
    // It may have to be built first, which takes the machine's own network.
    Stage::get().await;
    let Some(firewall) = Firewall::enter() else {
        println!(
            "NOT CHECKED: packets that are dropped, as this user may not make a network, or there is no nft"
        );
        return;
    };
    let cluster = Cluster::start(&[]).await;
    let (db, receiver) = (Database::on(&cluster).await, Receiver::start());
    db.webhook(&receiver.url("/hook"), "").await;
    let link = Proxy::before(cluster.address()).await;
    let url = |port| format!("host=127.0.0.1 port={port} user=postgres dbname={}", db.name());
    let first = Relay::start(&url(link.address().port())).await;
    let second = Relay::start(&url(cluster.address().port())).await;
    let leader = "SELECT instance FROM webhook.relays WHERE leader";
    let before = db.value("SELECT leader FROM webhook.cursors ORDER BY n DESC LIMIT 1").await;
    db.until(leader, &before).await;

    firewall.silence("first", (link.home(), 0).into(), Deaf::Both);
    let event = db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;
    assert_eq!(receiver.requests()[0].header("webhook-id"), event);
    second.logs().wait_for("this relay leads").await;
    assert!(firewall.pass("first") > 0, "the fault landed");
    first.ready().await;
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_any_more_does_not_come_later() {
    Stage::get().await;
    let Some(firewall) = Firewall::enter() else { return not_checked() };
    let cluster = Cluster::start(&[]).await;
    let (db, receiver) = (Database::on(&cluster).await, Receiver::start());
    db.webhook(&receiver.url("/hook"), r#"options => '{"timeout_ms": 500, "retry_schedule": ["1 hour"]}'"#)
        .await;
    let _relay = Relay::start(&db.url()).await;
    db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;

    // The connection is there already, and the next request goes out over it.
    firewall.silence("receiver", receiver.address(), Deaf::There);
    db.emit("user.created", "{}").await;
    db.until("SELECT reason FROM webhook.pending", "retry").await;
    // With what is to be brought over still, a connection that was closed waits for that.
    let port = format!(":{:04X}", receiver.address().port());
    let connections =
        std::fs::read_to_string("/proc/thread-self/net/tcp").expect("this network's connections");
    let unfinished = connections.lines().filter(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields[2].ends_with(&port) && fields[3] != "0A"
    });
    assert_eq!(unfinished.collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(firewall.pass("receiver") > 0, "the fault landed");
}

fn not_checked() {
    println!(
        "NOT CHECKED: packets that are dropped, as this user may not make a network, or there is no nft"
    );
}
