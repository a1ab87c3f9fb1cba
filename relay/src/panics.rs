//! Panics: counted, and logged by their place. A message with values in it is left out: those may be a payload or a secret.

use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// From now on panics of this process are counted and logged here.
pub fn watch() {
    std::panic::set_hook(Box::new(|panic| {
        COUNT.fetch_add(1, Ordering::Relaxed);
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, message = constant(panic), "the relay panicked: please report it");
    }));
}

/// Panics so far.
#[must_use]
pub fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// The message if it stands in the source as it is.
fn constant<'a>(panic: &PanicHookInfo<'a>) -> Option<&'a str> {
    panic.payload().downcast_ref::<&'static str>().copied()
}
