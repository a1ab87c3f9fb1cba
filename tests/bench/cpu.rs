//! Processor time of a process.

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
