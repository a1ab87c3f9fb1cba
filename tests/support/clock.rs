//! Another clock for a program: libfaketime; or at times none.

use std::path::Path;
use std::process::Command;

use crate::run;

/// Debian's package `libfaketime` puts it there.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Whether there can be another clock.
pub fn exists() -> bool {
    Path::new(LIBRARY).exists()
}

/// What makes a program live so many days ahead. Timers run as they do.
pub fn ahead(days: u32) -> [(&'static str, String); 3] {
    [
        ("LD_PRELOAD", LIBRARY.to_owned()),
        ("FAKETIME", format!("+{days}d")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

/// The library for programs of several threads, which a server is not; `None` where it is not there.
pub fn threaded() -> Option<&'static Path> {
    let path = Path::new("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1");
    path.exists().then_some(path)
}

/// What makes a program unable to tell the time of day while the file `broken` exists.
///
/// # Panics
/// Without a C compiler.
pub fn that_breaks(broken: &Path) -> [(&'static str, String); 2] {
    let library = run::subfolder("clock").join("no_clock.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library);
    let compiled = compiler.arg(run::repository().join("tests/support/no_clock.c")).status();
    assert!(compiled.expect("start cc").success(), "no_clock.c is compiled");
    [("LD_PRELOAD", library.display().to_string()), ("NO_CLOCK", broken.display().to_string())]
}
