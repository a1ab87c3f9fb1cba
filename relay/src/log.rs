//! Logs: text or JSON on standard error, written by a thread of its own.
//!
//! When nobody takes the lines (a blocked pipe, a full disk), they are dropped and counted; deliveries go on.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::prelude::*;

use crate::config::{ConfigError, Log, LogFormat};

const LINES: usize = 10_000;
/// When the program ends, its last lines have so long to be taken.
const LAST_WORDS: Duration = Duration::from_secs(1);

static WRITER: OnceLock<Writer> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Starts logging.
pub fn start(log: &Log) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&log.log).map_err(|_| ConfigError::LogLevel(log.log.clone()))?;
    // What these libraries tell in detail holds payloads, secrets and URLs. A filter of its own: no directive is more specific.
    let quiet =
        ["h2", "hyper", "hyper_util", "rustls", "tokio_postgres"].map(|library| (library, LevelFilter::INFO));
    let quiet = Targets::new().with_default(LevelFilter::TRACE).with_targets(quiet);
    let registry = tracing_subscriber::registry().with(filter).with(quiet);
    let lines = fmt::layer().with_target(false).with_writer(WRITER.get_or_init(Writer::start).clone());
    match log.log_format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).init(),
    }
    Ok(())
}

/// Lines that were dropped so far.
#[must_use]
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Waits until what was logged is written, but not for long.
pub fn finish() {
    let (written, wait) = sync_channel(0);
    if let Some(Writer(lines)) = WRITER.get()
        && lines.try_send(Line::Last(written)).is_ok()
    {
        let _ = wait.recv_timeout(LAST_WORDS);
    }
}

enum Line {
    Text(Vec<u8>),
    Last(SyncSender<()>),
}

/// Hands lines to the writing thread.
#[derive(Clone)]
struct Writer(SyncSender<Line>);

impl Writer {
    fn start() -> Self {
        let (sender, lines) = sync_channel(LINES);
        std::thread::spawn(move || {
            for line in lines {
                match line {
                    // A line that cannot be written is lost; there is nobody to tell.
                    Line::Text(text) => drop(io::stderr().write_all(&text)),
                    Line::Last(written) => drop(written.send(())),
                }
            }
        });
        Self(sender)
    }
}

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Line::Text(line.to_vec())).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
