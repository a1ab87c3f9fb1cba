//! The password of the relay's role is changed while it runs: it reads the new one from its file.

use std::fs;

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;
use webhook_tests::run;

#[tokio::test]
async fn the_new_one_is_read_from_the_file() {
    let folder = run::subfolder("password");
    let (hba, file) = (folder.join("pg_hba.conf"), folder.join("database-url"));
    fs::write(&hba, "local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        .expect("write pg_hba.conf");
    let cluster = Cluster::start(&[&format!("hba_file={}", hba.display())]).await;
    let (db, receiver) = (Database::on(&cluster).await, Receiver::start());
    let set = async |password: &str| {
        db.run(&format!("ALTER ROLE relay PASSWORD '{password}'")).await;
    };
    let write = |password: &str| {
        let port = cluster.address().port();
        fs::write(&file, format!("postgres://relay:{password}@127.0.0.1:{port}/{}\n", db.name()))
            .expect("write the URL");
    };
    db.run("CREATE ROLE relay LOGIN; SELECT webhook_grant('relay', 'relay')").await;
    set("canary-of-old").await;
    write("canary-of-old");
    db.webhook(&receiver.url("/hook"), "").await;
    let relay = Relay::start_from_file(&file).await;
    db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;

    set("canary-of-new").await;
    db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'relay'").await;
    relay.logs().wait_for("password authentication failed").await;
    db.emit("user.created", "{}").await;
    assert_eq!(receiver.count(), 1, "the fault landed");
    write("canary-of-new");
    receiver.wait_for(2).await;
    db.until("SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'", "2").await;
    assert!(relay.terminate().await.success());
    assert!(!relay.logs().text().contains("canary-of"), "{}", relay.logs().text());
}
