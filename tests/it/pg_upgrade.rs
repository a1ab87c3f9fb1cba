//! `pg_upgrade`: the upgraded cluster is another one, which waits for `webhook_adopt()` and then goes on where the old one stopped.

use webhook_tests::cluster::Cluster;

use crate::backup::original;

async fn from_15_to(major: u32) {
    let old = Cluster::start_of(15, &[]).await;
    let from = original(&old).await;
    let new = old.upgraded_to(major).await;
    let version = new.connect("postgres").await.value("SHOW server_version_num").await;
    assert!(version.starts_with(&major.to_string()), "{version}");
    from.goes_on(&new, from.db.name()).await;
}

#[tokio::test]
async fn from_15_to_17() {
    from_15_to(17).await;
}

#[tokio::test]
async fn from_15_to_18() {
    from_15_to(18).await;
}
