//! Waiting for something that sends no signal: the one place that sleeps.

use std::time::{Duration, Instant};

/// How long a condition may take to come true: generous, as it is only waited out by a failing test.
pub const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(10);

/// Asks `probe` until it answers `Ok`, and returns that answer.
///
/// # Panics
/// After [`PATIENCE`], with `what` and the last `Err` of the probe.
pub async fn until<T, E: std::fmt::Display>(what: &str, probe: impl AsyncFnMut() -> Result<T, E>) -> T {
    within(PATIENCE, what, probe).await
}

/// [`until`] with a patience of its own.
pub async fn within<T, E: std::fmt::Display>(
    patience: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let start = Instant::now();
    loop {
        match probe().await {
            Ok(answer) => return answer,
            Err(last) if start.elapsed() > patience => {
                panic!("waited {patience:?} for {what}; last seen: {last}")
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
