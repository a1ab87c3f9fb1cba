//! Another clock for a program: libfaketime.

use std::path::Path;

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
