//! Places where a test lets the relay die or panic, between any two stages of a delivery. Not in release builds.
//!
//! `WEBHOOK_RELAY_FAILPOINT=send:3` ends the process, without any farewell, when `send` is passed for the third time;
//! `send:3:panic` makes that task panic.

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    struct Point {
        name: String,
        /// How often it is still to be passed.
        left: AtomicU32,
        panics: bool,
    }

    static POINT: LazyLock<Option<Point>> = LazyLock::new(|| {
        let text = std::env::var("WEBHOOK_RELAY_FAILPOINT").ok()?;
        let mut parts = text.split(':');
        let (name, nth) = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
        Some(Point { name, left: AtomicU32::new(nth), panics: parts.next() == Some("panic") })
    });

    fn hit(name: &str) -> Option<&'static Point> {
        POINT.as_ref().filter(|point| point.name == name && point.left.fetch_sub(1, Ordering::Relaxed) == 1)
    }

    pub(crate) fn pass(name: &str) {
        match hit(name) {
            None => {}
            Some(point) if point.panics => panic!("a message with a value: {name}"),
            Some(_) => std::process::abort(),
        }
    }

    pub(crate) fn begin(name: &str) {
        if hit(name).is_some() {
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

/// The process may end here, or the task panic.
pub(crate) use armed::pass;

/// The process may end within the next milliseconds: somewhere in what follows.
pub(crate) use armed::begin;
