//! A sleeping relay hears of a commit at once, and NOTIFY is not sent while it is awake.

use std::time::Duration;

use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;

#[tokio::test]
async fn a_sleeping_relay_is_woken_by_the_commit() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let asleep = "SELECT last_value = 1 FROM webhook.bell";
    let mut late = Vec::new();
    for n in 1..=10 {
        db.until(asleep, "t").await;
        let before = std::time::Instant::now();
        db.emit("user.created", "{}").await;
        late.push(receiver.wait_for(n).await[n - 1].at - before);
    }
    late.sort();
    // The poll interval is a second: a median far below it is the bell's doing.
    assert!(late[5] < Duration::from_millis(200), "{late:?}");
}

#[tokio::test]
async fn a_commit_in_every_phase_of_falling_asleep_is_heard() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let mut slowest = Duration::ZERO;
    for n in 1..=200 {
        let before = std::time::Instant::now();
        db.emit("user.created", "{}").await;
        slowest = slowest.max(receiver.wait_for(n).await[n - 1].at - before);
    }
    assert!(slowest < Duration::from_millis(900), "the slowest took {slowest:?}: a wake-up was lost");
}
