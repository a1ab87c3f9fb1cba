//! The scripts by pgspot: no name in them can be captured by somebody's search path.

use std::process::Command;

use webhook_tests::stage::Stage;

use crate::receivers::libraries;

/// Looks up its caller's names in its caller's search path, and none of its own there.
const WITHOUT_SEARCH_PATH: &str = "webhook_watch(\"table\" regclass,resource text,operations text[],columns text[],exclude text[],\
     update_of text[],\"when\" text,names jsonb,key text[],account_column name,previous boolean,on_error text)";

#[tokio::test]
async fn pgspot_finds_nothing_in_the_install_script_and_the_upgrade() {
    let folder = &Stage::get().await.extension;
    let version = env!("CARGO_PKG_VERSION");
    let install = folder.join(format!("pg_webhook--{version}.sql"));
    let [first, upgrade] = ["0.1.0".to_owned(), format!("0.1.0--{version}")]
        .map(|name| folder.join(format!("pg_webhook--{name}.sql")).display().to_string());
    let check = async |arguments: &[&str]| {
        let mut command = Command::new(libraries().await.join("venv/bin/pgspot"));
        // Its parser of PL/pgSQL gives up at the first variable of a row type. What is left: each body's search path.
        let output = command.arg("--no-plpgsql").args(arguments).output().expect("run pgspot");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let install = install.to_str().expect("a path");
    let none = "Errors: 0 Warnings: 0 Unknown: 0";
    let (passes, findings) = check(&["--proc-without-search-path", WITHOUT_SEARCH_PATH, install]).await;
    assert!(passes && findings.contains(none), "{findings}");
    let (passes, findings) = check(&[install]).await;
    assert!(!passes && findings.contains("webhook_watch"), "it looks at all of the script: {findings}");

    // Postgres lets a script replace functions and views of its own extension only (tests/it/upgrade.rs).
    let replacing = ["--ignore", "PS002", "--ignore", "PS012", "--append", &first, &upgrade];
    let allowed = ["--proc-without-search-path", WITHOUT_SEARCH_PATH];
    let (passes, findings) = check(&[&allowed[..], &replacing].concat()).await;
    assert!(passes && findings.contains(&format!("TOTAL: {none}")), "{findings}");
    let (passes, findings) = check(&replacing).await;
    let of_the_upgrade = findings.rsplit(&upgrade).next().expect("a part of its own");
    assert!(!passes && of_the_upgrade.contains("webhook_watch"), "it looks at all of the script: {findings}");
}
