//! The install script by pgspot: no name in it can be captured by somebody's search path.

use std::process::Command;

use webhook_tests::stage::Stage;

use crate::receivers::libraries;

/// Looks up its caller's names in its caller's search path, and none of its own there.
const WITHOUT_SEARCH_PATH: &str = "webhook_watch(\"table\" regclass,resource text,operations text[],columns text[],exclude text[],\
     update_of text[],\"when\" text,names jsonb,key text[],account_column name,previous boolean,on_error text)";

#[tokio::test]
async fn pgspot_finds_nothing_in_the_install_script() {
    let stage = Stage::get().await;
    let folder = Command::new(stage.bin.join("pg_config")).arg("--sharedir").output().expect("run pg_config");
    let folder = String::from_utf8(folder.stdout).expect("a path");
    let script = format!("{}/extension/pg_webhook--{}.sql", folder.trim(), env!("CARGO_PKG_VERSION"));
    let check = async |arguments: &[&str]| {
        let mut command = Command::new(libraries().await.join("venv/bin/pgspot"));
        // Its parser of PL/pgSQL gives up at the first variable of a row type. What is left: each body's search path.
        let output = command.arg("--no-plpgsql").args(arguments).arg(&script).output().expect("run pgspot");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (passes, findings) = check(&["--proc-without-search-path", WITHOUT_SEARCH_PATH]).await;
    assert!(passes && findings.contains("Errors: 0 Warnings: 0 Unknown: 0"), "{findings}");
    let (passes, findings) = check(&[]).await;
    assert!(!passes && findings.contains("webhook_watch"), "it looks at all of the script: {findings}");
}
