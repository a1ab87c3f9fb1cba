//! `webhook-relay run`: everything wired together.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use crate::client::{Client, Tls};
use crate::config::Run;
use crate::context::Context;
use crate::engine::{Engine, Inbox, Outbox};
use crate::error::Error;
use crate::keyring::Keyring;
use crate::lead::{Leader, Lines, Orders};
use crate::{errand, http, record};

/// Errands that may wait for a slow database.
const MOST_ERRANDS: usize = 10_000;

/// Runs until a signal says stop.
pub async fn run(mut config: Run) -> Result<(), Error> {
    // Told now rather than at the first connection.
    config.database.load()?;
    let keyring = Keyring::new(config.keys.load()?);
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let affordable = affordable(open_files(&limits));
    if affordable < config.max_in_flight {
        tracing::warn!(
            max_in_flight = affordable,
            "fewer requests at a time: the limit of open files is low"
        );
        config.max_in_flight = affordable;
    }
    let max_idle = config.max_in_flight as usize / 2;
    let client = Client::new(config.targets.policy(), Tls::load(&config.targets)?, max_idle);
    let context = Arc::new(Context::new(config));
    let (stop, stopped) = watch::channel(false);
    stop_on_signals(stop.clone())?;
    if let Some(address) = context.config.listen {
        let listener = http::bind(address).await?;
        let address = listener.local_addr().unwrap_or(address);
        tracing::info!(%address, "serving /healthz, /readyz and /metrics");
        tokio::spawn(http::serve(listener, context.clone()));
    }
    tracing::info!(instance = context.instance, version = env!("CARGO_PKG_VERSION"), "starting");

    let (news, news_in) = mpsc::unbounded_channel();
    let (orders, orders_in) = watch::channel(Orders::default());
    let (batches, batches_in) = mpsc::channel(1);
    let (recorded, recorded_in) = mpsc::unbounded_channel();
    let (errands, errands_in) = mpsc::channel(MOST_ERRANDS);
    let (run_errands, run_errands_in) = mpsc::unbounded_channel();
    let hungry = Arc::new(Notify::new());

    let lines = Lines { news, orders: orders_in, hungry: hungry.clone() };
    let leader = Leader::new(context.clone(), lines, keyring);
    let (engine, landings) =
        Engine::new(context.clone(), client, Outbox { orders, hungry, batches, errands });
    let inbox = Inbox { news: news_in, recorded: recorded_in, errands: run_errands_in, stop: stopped };
    let mut parts = JoinSet::new();
    let recorder = record::recorder(context.clone(), batches_in, move |done| drop(recorded.send(done)));
    parts.spawn(async {
        recorder.await;
        Ok(())
    });
    let runner = errand::runner(context, errands_in, move |done| drop(run_errands.send(done)));
    parts.spawn(async {
        runner.await;
        Ok(())
    });
    let main_session = parts.spawn(async move {
        let result = leader.run().await;
        // Where the main session cannot go on, nothing can; after a signal this changes nothing.
        stop.send_replace(true);
        result
    });
    parts.spawn(async move {
        engine.run(inbox, landings).await;
        // All is recorded, or there was no time left: the main session may be stuck with a dead server.
        main_session.abort();
        Ok(())
    });
    let mut result = Ok(());
    while let Some(ended) = parts.join_next().await {
        match ended {
            Ok(Err(error)) => result = Err(error),
            // Whoever starts the relay again begins where this one was; without that part it would only seem to work.
            Err(error) if error.is_panic() => return Err(Error::Panicked),
            Ok(Ok(())) | Err(_) => {}
        }
    }
    tracing::info!("stopped");
    result
}

/// This process's limit of open files, from the text of `/proc/self/limits`.
fn open_files(limits: &str) -> Option<u32> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Requests at a time for which the files suffice, with half as many idle connections and some files for the rest.
fn affordable(files: Option<u32>) -> u32 {
    files.map_or(u32::MAX, |files| (files.saturating_sub(40) / 3 * 2).max(1))
}

/// The first SIGTERM or SIGINT asks everybody to stop; the second ends the process at once.
fn stop_on_signals(stop: watch::Sender<bool>) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::System)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::System)?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.send_replace(true) {
                std::process::exit(1);
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_bounds_the_requests() {
        let text = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(open_files(text), Some(1024));
        assert_eq!(open_files("Max open files  unlimited  unlimited  files"), None);
        assert_eq!(affordable(Some(1024)), 656);
        assert_eq!(affordable(Some(64)), 16);
        assert_eq!(affordable(Some(8)), 1);
        assert_eq!(affordable(None), u32::MAX);
    }
}
