//! Processor time of a process.

use std::fs;

use webhook_tests::process::{children, ticks};

/// Clock ticks a second, as `/proc` counts them on every Linux.
const TICKS: f64 = 100.0;

/// Seconds of processor time that a process has used so far.
pub fn seconds(pid: u32) -> f64 {
    ticks(pid) as f64 / TICKS
}

/// The same with its children: what ended in the meantime is in the parent's figure.
pub fn family(pid: u32) -> f64 {
    children(pid).into_iter().map(seconds).sum::<f64>() + seconds(pid)
}

/// The same of the threads that a process has now, to the nanosecond: ticks are a sample, of which two hundred are good to 7 %.
///
/// # Panics
/// If there is no such process.
pub fn exactly(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a process").flatten();
    let nanos = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e9
}
