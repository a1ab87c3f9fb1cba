//! Counters, and their text for Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the histogram's buckets, in milliseconds.
const BOUNDS: [u64; 10] = [1, 5, 10, 25, 50, 100, 500, 1000, 5000, 15_000];

/// How long exchanges took.
#[derive(Debug, Default)]
pub struct Times {
    buckets: [AtomicU64; BOUNDS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

impl Times {
    /// Counts one.
    pub fn observe(&self, time: Duration) {
        if let Some(bucket) = BOUNDS.iter().position(|&bound| time <= Duration::from_millis(bound)) {
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(time.as_micros() as u64, Ordering::Relaxed);
    }
}

/// Everything that is counted.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "the help texts in `text` say it")]
pub struct Metrics {
    pub events: Counter,
    pub delivered: Counter,
    pub retried: Counter,
    pub failed: Counter,
    pub spilled: Counter,
    pub claimed: Counter,
    pub times: Times,
    pub locked: Gauge,
    pub in_flight: Gauge,
    pub queued: Gauge,
    pub payload_bytes: Gauge,
    pub unrecorded: Gauge,
    pub leader: Gauge,
    pub connected: Gauge,
}

impl Metrics {
    /// The exposition format of Prometheus.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, help, counter) in [
            ("events_read_total", "Events read from the outbox", &self.events),
            ("attempts_delivered_total", "Attempts answered by 2xx", &self.delivered),
            ("attempts_retried_total", "Failed attempts that will be repeated", &self.retried),
            ("deliveries_failed_total", "Deliveries failed for good", &self.failed),
            ("deliveries_spilled_total", "Deliveries put aside before their first attempt", &self.spilled),
            ("deliveries_claimed_total", "Pending deliveries leased", &self.claimed),
        ] {
            metric(&mut text, name, help, "counter", counter.get());
        }
        for (name, help, count) in [
            ("log_lines_dropped_total", "Log lines that nobody took in time", crate::log::dropped()),
            ("panics_total", "Errors of the relay itself", crate::panics::count()),
        ] {
            metric(&mut text, name, help, "counter", count);
        }
        for (name, help, gauge) in [
            ("requests_in_flight", "Requests under way", &self.in_flight),
            ("deliveries_queued", "Deliveries waiting in memory", &self.queued),
            ("payload_bytes", "Memory held for event payloads", &self.payload_bytes),
            ("outcomes_unrecorded", "Outcomes not yet in the database", &self.unrecorded),
            (
                "webhooks_locked",
                "Webhooks whose secrets cannot be read, so that their deliveries wait",
                &self.locked,
            ),
            ("leader", "1 while this relay reads the outbox", &self.leader),
            ("database_connected", "1 while connected to a database that may send", &self.connected),
        ] {
            metric(&mut text, name, help, "gauge", gauge.get());
        }
        let name = "webhook_relay_attempt_seconds";
        let _ = writeln!(
            text,
            "# HELP {name} Time from the start of a request to the end of the exchange\n# TYPE {name} histogram"
        );
        let mut below = 0;
        for (bound, bucket) in BOUNDS.iter().zip(&self.times.buckets) {
            below += bucket.load(Ordering::Relaxed);
            let _ = writeln!(text, "{name}_bucket{{le=\"{}\"}} {below}", *bound as f64 / 1000.0);
        }
        let count = self.times.count.load(Ordering::Relaxed);
        let seconds = self.times.micros.load(Ordering::Relaxed) as f64 / 1e6;
        let _ = writeln!(
            text,
            "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {seconds}\n{name}_count {count}"
        );
        text
    }
}

fn metric(text: &mut String, name: &str, help: &str, kind: &str, value: u64) {
    let _ = writeln!(
        text,
        "# HELP webhook_relay_{name} {help}\n# TYPE webhook_relay_{name} {kind}\nwebhook_relay_{name} {value}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histogram_buckets_are_cumulative() {
        let metrics = Metrics::default();
        for ms in [0, 3, 3, 700, 60_000] {
            metrics.times.observe(Duration::from_millis(ms));
        }
        let text = metrics.text();
        for line in [
            "le=\"0.001\"} 1",
            "le=\"0.005\"} 3",
            "le=\"1\"} 4",
            "le=\"15\"} 4",
            "le=\"+Inf\"} 5",
            "seconds_count 5",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
