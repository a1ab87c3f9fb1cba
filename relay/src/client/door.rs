//! The door of a host, where connections wait while others are new there.
//!
//! What a host has not accepted yet waits in a queue of 50 (Java's default) or 128 (that of many others). It does not hear of more:
//! the system tries these again after a second, and after three.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// So many may be new at a time.
const NEWCOMERS: usize = 32;
/// A connection is new until it is answered on, or for so long: hosts accept sooner than they answer.
const NEW_FOR: Duration = Duration::from_millis(10);

/// The door of one host.
#[derive(Debug, Clone)]
pub(super) struct Door(Arc<Semaphore>);

/// Who came in, until dropped.
#[derive(Debug)]
pub(super) struct Newcomer {
    permit: Option<OwnedSemaphorePermit>,
    until: Instant,
}

impl Default for Door {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(NEWCOMERS)))
    }
}

impl Door {
    /// Waits to be let in.
    pub(super) async fn enter(&self) -> Newcomer {
        // It is never closed.
        let permit = self.0.clone().acquire_owned().await.ok();
        Newcomer { permit, until: Instant::now() + NEW_FOR }
    }

    /// True while somebody waits or is new.
    pub(super) fn is_busy(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// How many more would be let in.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.0.available_permits()
    }
}

impl Newcomer {
    /// Does some work, and is new no longer when that takes too long.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if self.permit.is_some() {
            if let Ok(done) = timeout_at(self.until, &mut work).await {
                return done;
            }
            self.permit = None;
        }
        work.await
    }
}
