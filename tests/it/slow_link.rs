//! Postgres is far away.

use std::time::{Duration, Instant};

use webhook_tests::database::Database;
use webhook_tests::fault::Proxy;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;
use webhook_tests::session::Session;

#[tokio::test]
async fn a_tenth_of_a_second_for_each_answer_of_postgres() {
    const ONE_WAY: Duration = Duration::from_millis(50);
    let (db, receiver) = (Database::new().await, Receiver::start());
    db.webhook(&receiver.url("/hook"), r#"options => '{"retry_schedule": ["1 second"]}'"#).await;
    let link = Proxy::before(db.cluster().address()).await;
    let url = format!("host=127.0.0.1 port={} user=postgres dbname={}", link.address().port(), db.name());
    let leader = Relay::start(&url).await;
    leader.logs().wait_for("this relay leads").await;
    let near = Relay::start(&db.url()).await;
    let session = Session::open(&url).await;
    link.move_away(ONE_WAY);
    let asked = Instant::now();
    session.run("SELECT 1").await;
    assert!(asked.elapsed() >= 2 * ONE_WAY, "the fault landed");

    for n in 1..=20 {
        db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 50)").await;
        receiver.wait_for(n * 50).await;
    }
    db.until("SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'", "1000").await;
    assert_eq!(receiver.count(), 1000, "nothing twice");
    assert_eq!(db.value("SELECT count(DISTINCT leader) FROM webhook.cursors").await, "1");
    assert!(!near.logs().text().contains("this relay leads"), "{}", near.logs().text());
    assert!(leader.terminate().await.success() && near.terminate().await.success());
}
