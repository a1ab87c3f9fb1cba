//! `pg_upgrade`: the upgraded cluster is another one, which waits for `webhook_adopt()` and then goes on where the old one stopped.

use webhook_tests::cluster::Cluster;

use crate::backup::original;

#[tokio::test]
async fn from_15_to_18() {
    let old = Cluster::start_of(15, &[]).await;
    let from = original(&old).await;
    let new = old.upgraded_to(18).await;
    let major = new.connect("postgres").await.value("SHOW server_version_num").await;
    assert!(major.starts_with("18"), "{major}");
    from.goes_on(&new, from.db.name()).await;
}
