//! Recovery to a point in time, from a base backup and archived WAL: the same cluster, as it was then.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use webhook_tests::cluster::{Cluster, Stop};
use webhook_tests::database::Database;
use webhook_tests::receiver::{Receiver, Reply};
use webhook_tests::relay::Relay;
use webhook_tests::run::subfolder;

use crate::backup::TOMORROW;

#[tokio::test]
async fn to_a_point_between_two_deliveries() {
    let archive = subfolder("archive");
    // The servers write there as another user.
    fs::set_permissions(&archive, fs::Permissions::from_mode(0o777)).expect("let postgres write");
    let copy = format!("archive_command=cp %p {}/%f", archive.display());
    let original = Cluster::start(&["archive_mode=on", &copy]).await;
    if !original.has("pg_basebackup") {
        return;
    }
    let (db, receiver) = (Database::on(&original).await, Receiver::start());
    receiver.answer("/fails", [Reply::status(500), Reply::status(200)]);
    let hook = r#"events => '{user.*}', options => '{"ordered": true}'"#;
    db.webhook(&receiver.url("/hook"), hook).await;
    db.webhook(&receiver.url("/fails"), TOMORROW).await;
    let emit = |n: u32| format!("SELECT webhook_emit('user.updated', '{{\"n\": {n}}}', key => 'k')");
    let delivered = "SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'";

    let relay = Relay::start(&db.url()).await;
    let before = db.value(&emit(1)).await;
    db.until(delivered, "1").await;
    let recovered = original.base_backup(&[]);
    let known = db.value(&emit(2)).await;
    let retried = db.emit("order.paid", "{}").await;
    db.until(delivered, "2").await;
    db.until("SELECT count(*) FROM webhook.pending WHERE attempts = 1 AND lease = 0", "1").await;
    assert!(relay.terminate().await.success());
    let unread = db.value(&emit(3)).await;
    db.run("SELECT pg_create_restore_point('here')").await;
    // What happens from here on is undone.
    let relay = Relay::start(&db.url()).await;
    let undone = db.value(&emit(4)).await;
    db.until(delivered, "4").await;
    assert!(relay.terminate().await.success());
    let epoch = db.value("SELECT webhook._epoch()").await;
    db.run("SELECT pg_switch_wal()").await;
    db.until(
        "SELECT last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1) FROM pg_stat_archiver",
        "t",
    )
    .await;
    original.stop(Stop::Kill).await;
    let sent = receiver.count();

    recovered.recover(&archive, "here").await;
    let now = recovered.connect(db.name()).await;
    assert_eq!(
        now.value("SELECT webhook._epoch()").await,
        epoch,
        "it is the same cluster: nobody has to adopt it"
    );
    let ids = now.rows("SELECT id FROM webhook.events ORDER BY id").await.concat();
    assert_eq!(ids, [&*before, &*known, &*retried, &*unread], "the fault landed: what came later never was");
    let fresh = now.value(&emit(5)).await;
    assert!(fresh > undone, "no id is given twice");
    now.run("UPDATE webhook.pending SET due_at = clock_timestamp()").await;
    let relay = Relay::start(&recovered.url(db.name())).await;
    now.until(delivered, "5").await;
    now.until("SELECT backlog + pending FROM webhook_stats()", "0").await;
    assert!(relay.terminate().await.success());
    let requests = receiver.requests();
    let again = |path: &str| -> Vec<_> {
        let requests = requests[sent..].iter().filter(|request| request.path == path);
        requests.map(|request| request.header("webhook-id").to_owned()).collect()
    };
    assert_eq!(again("/hook"), [unread, fresh], "what was unread at that point, in order, and nothing older");
    assert_eq!(again("/fails"), [retried]);
}
