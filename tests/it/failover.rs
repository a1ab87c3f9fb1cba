//! The primary dies and its standby is promoted: a relay that knows both goes on there by itself.

use std::collections::HashSet;

use webhook_tests::cluster::{Cluster, Stop};
use webhook_tests::database::Database;
use webhook_tests::fault::Proxy;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;
use webhook_tests::until::until;

use crate::restart::{emit_until_cut, nothing_is_lost};

const DELIVERED: &str = "SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'";

/// A connection string that names these servers in this order.
fn url(clusters: &[&Cluster], database: &str) -> String {
    let ports = clusters.iter().map(|cluster| cluster.address().port().to_string());
    let hosts = vec!["127.0.0.1"; clusters.len()].join(",");
    let ports = ports.collect::<Vec<_>>().join(",");
    format!("host={hosts} port={ports} user=postgres dbname={database}")
}

#[tokio::test]
async fn to_a_promoted_standby() {
    let primary = Cluster::start(&[]).await;
    if !primary.has("pg_basebackup") {
        return;
    }
    let (db, receiver) = (Database::on(&primary).await, Receiver::start());
    let standby = primary.synchronous_standby().await;
    // The standby first, so that the relay passes it by at the start.
    let relay = Relay::start(&url(&[&standby, &primary], db.name())).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let epoch = db.value("SELECT webhook._epoch()").await;
    let writers: Vec<_> =
        [db.connect().await, db.connect().await].map(emit_until_cut).map(tokio::spawn).into();
    receiver.wait_for(200).await;
    primary.stop(Stop::Kill).await;
    let mut acknowledged = HashSet::new();
    for writer in writers {
        acknowledged.extend(writer.await.expect("a writer"));
    }
    let session = standby.connect(db.name()).await;
    assert_eq!(session.value("SELECT pg_is_in_recovery()").await, "t", "nobody can write now");
    session.run("SELECT pg_promote()").await;

    nothing_is_lost(&session, &receiver, &relay, acknowledged).await;
    let committed = session.value("SELECT count(*) FROM webhook.events").await;
    let logged = "SELECT count(DISTINCT event_id) FROM webhook.deliveries WHERE status = 'delivered'";
    session.until(logged, &committed).await;
    let twice = "SELECT count(*) - count(DISTINCT event_id) FROM webhook.deliveries";
    assert_eq!(session.value(twice).await, "0");
    assert_eq!(receiver.count().to_string(), committed, "the relay lived on and knew what it had sent");
    // It is the same cluster under another address: nobody has to adopt it.
    assert_eq!(session.value("SELECT webhook._epoch()").await, epoch);
    relay.ready().await;
}

#[tokio::test]
async fn to_a_standby_that_had_not_received_everything() {
    let primary = Cluster::start(&[]).await;
    if !primary.has("pg_basebackup") {
        return;
    }
    let (db, receiver) = (Database::on(&primary).await, Receiver::start());
    let link = Proxy::before(primary.address()).await;
    let standby = primary.standby(link.address()).await;
    let behind = standby.connect(db.name()).await;
    let relay = Relay::start(&url(&[&standby, &primary], db.name())).await;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "").await;
    let kept = db.emit("user.created", "{}").await;
    db.until(DELIVERED, "1").await;
    behind.until("SELECT count(*) FROM webhook.attempts WHERE outcome = 'delivered'", "1").await;
    link.stall();
    let mut lost = Vec::new();
    for _ in 0..3 {
        lost.push(db.emit("user.created", "{}").await);
    }
    db.until(DELIVERED, "4").await;
    primary.stop(Stop::Kill).await;
    behind.run("SELECT pg_promote()").await;
    behind.until("SELECT pg_is_in_recovery()", "f").await;
    assert_eq!(behind.rows("SELECT id FROM webhook.events").await.concat(), [kept], "the fault landed");

    // Numbers of transactions and places in the log that were used by what is lost are used again.
    let mut sent = receiver.count();
    for n in 2..=20 {
        behind.run("SELECT webhook_emit('user.updated', '{}')").await;
        sent += 1;
        receiver.wait_for(sent).await;
        behind.until(DELIVERED, &n.to_string()).await;
    }
    assert_eq!(receiver.count(), sent, "nothing twice");
    let known = format!(
        "SELECT count(*) FROM webhook_deliveries('{webhook}', \"limit\" => 100) WHERE event_id = ANY ('{{{}}}')",
        lost.join(",")
    );
    assert_eq!(behind.value(&known).await, "0", "what was sent and then lost is known to the receiver alone");
    assert!(relay.terminate().await.success());
}

#[tokio::test]
async fn what_a_synchronous_standby_does_not_have_is_not_sent() {
    let primary = Cluster::start(&[]).await;
    if !primary.has("pg_basebackup") {
        return;
    }
    let (db, receiver) = (Database::on(&primary).await, Receiver::start());
    db.webhook(&receiver.url("/hook"), "").await;
    let link = Proxy::before(primary.address()).await;
    let _standby = primary.standby(link.address()).await;
    primary.wait_for_standbys().await;
    let relay = Relay::start(&db.url()).await;
    relay.logs().wait_for("this relay leads").await;
    link.stall();
    // Seen at once, and lost if the standby took over now.
    db.run("SET synchronous_commit = off; SELECT webhook_emit('user.created', '{}')").await;
    let waits =
        "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%_relay_read(%'";
    let find = async || db.rows(waits).await.concat().pop().ok_or("nobody waits");
    let reader = until("the relay to wait for the standby", find).await;
    assert_eq!(receiver.count(), 0);
    // It tries again in other sessions, and leaves none behind.
    db.until(&format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {reader}"), "0").await;
    assert_eq!(receiver.count(), 0);
    link.pass();
    receiver.wait_for(1).await;
}

#[tokio::test]
async fn which_server_is_taken() {
    let primary = Cluster::start(&[]).await;
    if !primary.has("pg_basebackup") {
        return;
    }
    let db = Database::on(&primary).await;
    let standby = primary.synchronous_standby().await;
    let both = url(&[&standby, &primary], db.name());
    let only = url(&[&standby], db.name());
    for (url, expected) in [
        (both.clone(), "ok       this database may send"),
        (format!("{both} target_session_attrs=primary"), "ok       this database may send"),
        (format!("{both} load_balance_hosts=random"), "ok       this database may send"),
        (format!("{both} target_session_attrs=any"), "PROBLEM  this server is a standby"),
        (only.clone(), "PROBLEM  this server is a standby"),
        (format!("{only} target_session_attrs=read-write"), "the server is read-only"),
        (format!("{only} target_session_attrs=primary"), "the server is a standby"),
    ] {
        let said = Relay::check(&url).await;
        assert!(said.contains(expected), "{url}:\n{said}");
    }
    primary.stop(Stop::Kill).await;
    let said = Relay::check(&both).await;
    let ports = [&standby, &primary].map(|cluster| cluster.address().port());
    assert!(said.contains(&format!("127.0.0.1 port {}: the server is read-only", ports[0])), "{said}");
    assert!(said.contains(&format!("127.0.0.1 port {}: error connecting", ports[1])), "{said}");
}
