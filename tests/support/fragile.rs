//! A machine whose clock or disk fails on demand, under a Postgres: see `fragile.c`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run;

/// What can fail, and where that is said.
#[derive(Debug)]
pub struct Fragile(PathBuf);

impl Fragile {
    /// Failures are said in `folder`, which the server can write to.
    pub fn told_in(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// The environment that makes a program fragile.
    ///
    /// # Panics
    /// Without a C compiler.
    pub(crate) fn environment(&self) -> [(&'static str, String); 2] {
        let library = run::subfolder("fragile").join("fragile.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&library);
        let compiled = compiler.arg(run::repository().join("tests/support/fragile.c")).status();
        assert!(compiled.expect("start cc").success(), "fragile.c is compiled");
        [("LD_PRELOAD", library.display().to_string()), ("FRAGILE", self.0.display().to_string())]
    }

    /// From now on nobody can tell the time.
    ///
    /// # Panics
    /// If that cannot be said.
    pub fn stop_clock(&self) {
        File::create(self.0.join("clock")).expect("break the clock");
    }

    /// The clock goes again.
    ///
    /// # Panics
    /// If it was not stopped.
    pub fn start_clock(&self) {
        fs::remove_file(self.0.join("clock")).expect("mend the clock");
    }

    /// The disk fails at the next `fdatasync`, once.
    ///
    /// # Panics
    /// If that cannot be said.
    pub fn fail_next_sync(&self) {
        File::create(self.0.join("sync")).expect("break the disk");
    }

    /// Whether that failure has come.
    pub fn has_failed(&self) -> bool {
        !self.0.join("sync").exists()
    }
}
