//! Places where a test lets the relay die, between any two stages of a delivery. Not in release builds.
//!
//! `WEBHOOK_RELAY_FAILPOINT=sent:3` ends the process, without any farewell, when `sent` is passed for the third time.

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    /// The point's name and how often it is still to be passed.
    static POINT: LazyLock<Option<(String, AtomicU32)>> = LazyLock::new(|| {
        let text = std::env::var("WEBHOOK_RELAY_FAILPOINT").ok()?;
        let (name, nth) = text.split_once(':')?;
        Some((name.to_owned(), AtomicU32::new(nth.parse().ok()?)))
    });

    fn is_hit(point: &str) -> bool {
        POINT.as_ref().is_some_and(|(name, left)| name == point && left.fetch_sub(1, Ordering::Relaxed) == 1)
    }

    pub(crate) fn pass(point: &str) {
        if is_hit(point) {
            std::process::abort();
        }
    }

    pub(crate) fn begin(point: &str) {
        if is_hit(point) {
            std::thread::spawn(|| {
                std::thread::sleep(Duration::from_micros(u64::from(rand::random::<u16>()) / 16));
                std::process::abort();
            });
        }
    }
}

#[cfg(not(debug_assertions))]
mod armed {
    pub(crate) fn pass(_: &str) {}
    pub(crate) fn begin(_: &str) {}
}

/// The process may end here.
pub(crate) use armed::pass;

/// The process may end within the next milliseconds: somewhere in what follows.
pub(crate) use armed::begin;
