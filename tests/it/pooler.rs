//! Behind a pooler in transaction mode the relay polls and leads by a lease, and loses and doubles nothing.

use std::collections::HashSet;
use std::os::unix::process::ExitStatusExt;

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::pooler::Pooler;
use webhook_tests::process::Signal;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;

const WARNING: &str = "notifications do not arrive";
const LEADS: &str = "this relay leads";

const DELIVERED: &str = "SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'";

/// Two relays through the pooler, the leader first.
async fn two(url: &str) -> (Relay, Relay) {
    let leader = Relay::start(url).await;
    leader.logs().wait_for(LEADS).await;
    (leader, Relay::start(url).await)
}

async fn emit(db: &Database<'_>, transactions: usize) {
    for _ in 0..transactions {
        db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 10)").await;
    }
}

fn lines(relay: &Relay, words: &str) -> usize {
    relay.logs().text().lines().filter(|line| line.contains(words)).count()
}

#[tokio::test]
async fn two_relays_share_the_work_and_one_is_killed() {
    let db = Database::new().await;
    let pooler = Pooler::start(db.cluster(), "transaction", 3).await;
    let receiver = Receiver::start();
    let (leader, second) = two(&pooler.url(db.name())).await;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "").await;
    emit(&db, 50).await;
    db.until(DELIVERED, "500").await;
    assert_eq!(receiver.count(), 500, "nothing twice");
    for relay in [&leader, &second] {
        assert_eq!(lines(relay, WARNING), 1, "{}", relay.logs().text());
    }
    assert_eq!(lines(&second, LEADS), 0, "one leads");
    let locks = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                 WHERE l.locktype = 'advisory' AND d.datname = current_database()";
    db.until(locks, "0").await;

    // Something fails and comes back, so that pending is claimed too.
    db.run(&format!("SELECT webhook_update('{webhook}', '{{\"max_in_flight\": 2}}')")).await;
    let writer = db.connect().await;
    let writing = tokio::spawn(async move {
        for _ in 0..100 {
            writer.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 5)").await;
        }
    });
    receiver.wait_for(600).await;
    let status = leader.kill().await;
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "the fault landed");
    let killed_at = db.value(DELIVERED).await.parse::<usize>().expect("a number");
    assert!(killed_at < 1000, "there was more to do: {killed_at}");
    writing.await.expect("the writer");
    db.until(DELIVERED, "1000").await;
    db.until("SELECT pending FROM webhook_stats()", "0").await;
    assert_eq!(lines(&second, LEADS), 1);
    let ids: HashSet<_> = receiver.requests().iter().map(|r| r.header("webhook-id").to_string()).collect();
    assert_eq!(ids.len(), 1000, "nothing lost");
    let log = "SELECT count(*), count(DISTINCT event_id) FROM webhook.deliveries";
    assert_eq!(db.rows(log).await, [["1000", "1000"]]);
}

#[tokio::test]
async fn a_leader_that_was_frozen_for_longer_than_its_lease() {
    let db = Database::new().await;
    let pooler = Pooler::start(db.cluster(), "transaction", 3).await;
    let receiver = Receiver::start();
    let (frozen, second) = two(&pooler.url(db.name())).await;
    db.webhook(&receiver.url("/hook"), "").await;
    emit(&db, 10).await;
    db.until(DELIVERED, "100").await;
    frozen.signal(Signal::STOP);
    emit(&db, 10).await;
    second.logs().wait_for(LEADS).await;
    db.until(DELIVERED, "200").await;
    frozen.signal(Signal::CONT);
    emit(&db, 10).await;
    db.until(DELIVERED, "300").await;
    // Either way: in the middle of a call, or between two.
    let over = ["does not lead any more", "trying again"];
    let is_over = |lines: &[String]| {
        lines.iter().any(|line| over.iter().any(|words| line.contains(words))).then_some(())
    };
    frozen.logs().find("the end of its lead", is_over).await;
    assert_eq!(receiver.count(), 300, "nothing twice");
}

#[tokio::test]
async fn one_leads_whichever_way_it_came() {
    let db = Database::new().await;
    let pooler = Pooler::start(db.cluster(), "transaction", 3).await;
    let receiver = Receiver::start();
    db.webhook(&receiver.url("/hook"), "").await;
    let mut expected = 0;
    for [first, second] in [[pooler.url(db.name()), db.url()], [db.url(), pooler.url(db.name())]] {
        let leader = Relay::start(&first).await;
        leader.logs().wait_for(LEADS).await;
        let follower = Relay::start(&second).await;
        emit(&db, 20).await;
        expected += 200;
        db.until(DELIVERED, &expected.to_string()).await;
        assert_eq!(lines(&follower, LEADS), 0);
        // A leader that leaves in order leaves the lead at once.
        assert!(leader.terminate().await.success());
        follower.logs().wait_for(LEADS).await;
        emit(&db, 20).await;
        expected += 200;
        db.until(DELIVERED, &expected.to_string()).await;
        assert!(follower.terminate().await.success());
    }
    assert_eq!(receiver.count(), expected, "nothing twice");
}

#[tokio::test]
async fn settings_of_the_role_do_not_reach_the_relay() {
    let cluster = Cluster::start(&[]).await;
    let db = Database::on(&cluster).await;
    db.run("ALTER ROLE postgres SET statement_timeout = '1ms'; ALTER ROLE postgres SET default_transaction_isolation = 'serializable'").await;
    let pooler = Pooler::start(&cluster, "transaction", 3).await;
    let receiver = Receiver::start();
    let _relay = Relay::start(&pooler.url(db.name())).await;
    db.webhook(&receiver.url("/hook"), "").await;
    db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 3000)").await;
    receiver.wait_for(3000).await;
}

#[tokio::test]
async fn a_pooler_in_session_mode_is_like_none() {
    let db = Database::new().await;
    let pooler = Pooler::start(db.cluster(), "session", 10).await;
    let relay = Relay::start(&pooler.url(db.name())).await;
    relay.logs().wait_for(LEADS).await;
    assert_eq!(lines(&relay, WARNING), 0);
    let said = Relay::check(&pooler.url(db.name())).await;
    assert!(said.contains("ok       notifications arrive"), "{said}");
    let lent = Pooler::start(db.cluster(), "transaction", 3).await;
    let said = Relay::check(&lent.url(db.name())).await;
    assert!(said.contains("slow     notifications do not arrive"), "{said}");
    assert!(!said.contains("PROBLEM"), "{said}");
}

#[tokio::test]
async fn the_pooler_goes_away_and_comes_back() {
    let db = Database::new().await;
    let pooler = Pooler::start(db.cluster(), "transaction", 3).await;
    let receiver = Receiver::start();
    let relay = Relay::start(&pooler.url(db.name())).await;
    db.webhook(&receiver.url("/hook"), "").await;
    emit(&db, 5).await;
    db.until(DELIVERED, "50").await;
    pooler.stop();
    relay.logs().wait_for("trying again").await;
    emit(&db, 5).await;
    pooler.resume().await;
    db.until(DELIVERED, "100").await;
    assert_eq!((receiver.count(), lines(&relay, WARNING)), (100, 1), "nothing twice, and said once");
}
