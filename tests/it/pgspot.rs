//! The install script by pgspot: no name in it can be captured by somebody's search path.

use std::process::Command;

use webhook_tests::stage::Stage;

use crate::receivers::libraries;

#[tokio::test]
async fn pgspot_finds_nothing_in_the_install_script() {
    let stage = Stage::get().await;
    let folder = Command::new(stage.bin.join("pg_config")).arg("--sharedir").output().expect("run pg_config");
    let folder = String::from_utf8(folder.stdout).expect("a path");
    let script = format!("{}/extension/pg_webhook--{}.sql", folder.trim(), env!("CARGO_PKG_VERSION"));
    let output =
        Command::new(libraries().await.join("venv/bin/pgspot")).arg(&script).output().expect("run pgspot");
    let findings = String::from_utf8_lossy(&output.stdout);
    assert!(findings.contains("Errors: 0 Warnings: 0 Unknown: 0"), "{findings}");
}
