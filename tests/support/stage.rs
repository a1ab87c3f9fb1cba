//! A private Postgres tree with the extension in it, and the relay's binary, built once a run.
//!
//! Postgres finds its files relative to its binaries, so a copy of the machine's tree takes our extension and the
//! machine's own Postgres is never touched.

use std::collections::btree_map::{BTreeMap, Entry};
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::sync::Mutex;

use crate::run;

/// What everything else runs on.
#[derive(Debug)]
pub struct Stage {
    /// The Postgres major; that of a run is from `PG_MAJOR` (default 15).
    pub major: u32,
    /// Where `postgres`, `initdb` and `psql` are.
    pub bin: PathBuf,
    /// Where the extension's control file and scripts are.
    pub extension: PathBuf,
    /// The relay's binary, of the profile that this harness was built in.
    pub relay: PathBuf,
}

impl Stage {
    /// The stage of this run; the first caller builds it.
    ///
    /// # Panics
    /// If the build fails or that major is not there.
    pub async fn get() -> &'static Self {
        Self::of(std::env::var("PG_MAJOR").map_or(15, |text| text.parse().expect("PG_MAJOR is a number")))
            .await
    }

    /// The stage of any major.
    ///
    /// # Panics
    /// As [`Stage::get`].
    pub async fn of(major: u32) -> &'static Self {
        // One after the other, as each build puts its library in the same place. One that failed is not tried again by every test.
        static STAGES: Mutex<BTreeMap<u32, Option<&Stage>>> = Mutex::const_new(BTreeMap::new());
        let mut stages = STAGES.lock().await;
        if let Entry::Vacant(place) = stages.entry(major) {
            let stage = tokio::task::spawn_blocking(move || Self::build(major)).await;
            place.insert(stage.ok().map(|stage| &*Box::leak(Box::new(stage))));
        }
        stages[&major].expect("the stage could not be built; the first failure says why")
    }

    fn build(major: u32) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let release = (!cfg!(debug_assertions)).then_some("--release");
        run(Command::new(cargo).arg("build").args(release));
        let trees = trees(major);
        let root = run::subfolder("stage");
        for tree in &trees {
            copy(tree, &below(&root, tree));
        }
        let home = &trees[0];
        let pg_config = home.join("bin/pg_config");
        install(&pg_config, &root);
        let output = Command::new(pg_config).arg("--sharedir").output().expect("run pg_config");
        let share = String::from_utf8(output.stdout).expect("a path");
        Self {
            major,
            bin: below(&root, home).join("bin"),
            extension: below(&root, Path::new(share.trim())).join("extension"),
            relay: artifacts().join("webhook-relay"),
        }
    }
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    artifacts().parent().expect("target/<profile>").into()
}

/// Whether this program is a test, not the demo, the bench or chaos.
pub fn is_a_test() -> bool {
    std::env::current_exe()
        .is_ok_and(|program| program.parent().is_some_and(|folder| folder.ends_with("deps")))
}

/// `target/<profile>`, where this very program was built.
fn artifacts() -> PathBuf {
    let program = std::env::current_exe().expect("know our own path");
    let folder = program.parent().expect("a program lies in a folder");
    if folder.ends_with("deps") { folder.parent().expect("deps lies in it").into() } else { folder.into() }
}

/// The folders that make up an installed Postgres, the one with `bin` first: the machine's, or a fetched one.
fn trees(major: u32) -> Vec<PathBuf> {
    let installed = PathBuf::from(format!("/usr/lib/postgresql/{major}"));
    if installed.join("bin/postgres").exists() {
        return vec![installed, format!("/usr/share/postgresql/{major}").into()];
    }
    let fetched = target().join(format!("postgres/{major}"));
    run(Command::new("sh").arg("tests/support/postgres.sh").arg(major.to_string()).arg(&fetched));
    // As pg_config spells it.
    vec![fetched.canonicalize().expect("just fetched")]
}

/// `make install` puts the extension below DESTDIR, which is where the copies lie.
fn install(pg_config: &Path, root: &Path) {
    run(Command::new("make")
        .args(["--silent", "--no-print-directory", "install-extension"])
        .arg(format!("PG_CONFIG={}", pg_config.display()))
        .arg(format!("DESTDIR={}", root.display()))
        .arg(if cfg!(debug_assertions) { "PROFILE=dev" } else { "PROFILE=release" })
        // What an outer make was told is not meant for this one.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL"));
}

fn below(root: &Path, tree: &Path) -> PathBuf {
    root.join(tree.strip_prefix("/").expect("an absolute path"))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().expect("a tree has a parent")).expect("make a folder of the stage");
    run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(to));
}

fn run(command: &mut Command) {
    let command = command.current_dir(run::repository()).env("CARGO_TARGET_DIR", target());
    let status = command.status().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(status.success(), "{command:?} failed: {status}");
}
