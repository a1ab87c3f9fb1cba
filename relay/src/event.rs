//! An event as read from the outbox, shared by all its deliveries.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;
use webhook_wire::body::{self, EventRef, Format};

use crate::outcome::Failure;

/// Bytes of payload held in memory, over all events, and how many there may be.
#[derive(Debug, Clone)]
pub struct Budget {
    held: Arc<AtomicUsize>,
    most: usize,
}

impl Default for Budget {
    /// One without a limit.
    fn default() -> Self {
        Self::of(usize::MAX)
    }
}

impl Budget {
    /// One of so many bytes.
    #[must_use]
    pub fn of(most: usize) -> Self {
        Self { held: Arc::default(), most }
    }

    /// Bytes held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// How many there may be.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// Nothing more should come until something is done.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.held() >= self.most
    }

    fn hold(&self, bytes: usize) -> Weight {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        Weight { budget: self.clone(), bytes }
    }
}

/// Gives its bytes back to the budget when the last delivery of the event is done.
#[derive(Debug)]
struct Weight {
    budget: Budget,
    bytes: usize,
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What the database says of an event.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// `evt_…`
    pub id: Box<str>,
    /// The event's type.
    pub kind: Box<str>,
    /// Microseconds since 1970.
    pub created_at: i64,
    /// JSON text; none when retention has dropped it.
    pub data: Option<Bytes>,
    /// JSON text of the old values.
    pub previous: Option<Bytes>,
    /// Ordering key.
    pub key: Option<Box<str>>,
    /// Tenant.
    pub account: Option<Box<str>>,
    /// What emitted it.
    pub source: Option<Box<str>>,
}

impl Facts {
    /// Bytes of data and old values.
    #[must_use]
    pub fn payload(&self) -> usize {
        self.data.as_ref().map_or(0, Bytes::len) + self.previous.as_ref().map_or(0, Bytes::len)
    }
}

/// An event and what is made of it once for all webhooks: its bodies and its parsed data.
#[derive(Debug)]
pub struct Event {
    facts: Facts,
    bodies: [OnceLock<Result<Bytes, Failure>>; Format::ALL.len()],
    value: OnceLock<Option<Value>>,
    weight: Weight,
}

impl Event {
    /// Takes the facts and counts their bytes (payload and one body made of it) against the budget.
    #[must_use]
    pub fn new(facts: Facts, budget: &Budget) -> Self {
        let weight = budget.hold(2 * facts.payload() + 512);
        Self { facts, bodies: Default::default(), value: OnceLock::new(), weight }
    }

    /// What it counts against the budget.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.weight.bytes
    }

    /// What the database says.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The event as the pure crate takes it; an error when its data is gone.
    pub fn as_wire(&self) -> Result<EventRef<'_>, Failure> {
        let facts = &self.facts;
        Ok(EventRef {
            id: &facts.id,
            kind: &facts.kind,
            created_at_ms: facts.created_at.div_euclid(1000),
            data: facts.data.as_deref().ok_or(Failure::EventExpired)?,
            previous: facts.previous.as_deref(),
            key: facts.key.as_deref(),
            source: facts.source.as_deref(),
        })
    }

    /// The body in one format: rendered once, the same bytes for every webhook and attempt.
    pub fn body(&self, format: Format) -> Result<Bytes, Failure> {
        let slot = Format::ALL.iter().position(|&known| known == format).unwrap_or_default();
        self.bodies[slot]
            .get_or_init(|| {
                let body = body::write(format, &self.as_wire()?).map_err(|error| match error {
                    webhook_wire::json::JsonError::InvalidUtf8 => Failure::InvalidUtf8,
                    other => Failure::BadRequest(other.to_string()),
                })?;
                Ok(Bytes::from(body))
            })
            .clone()
    }

    /// The data, parsed for filters; none when it is not JSON in UTF-8.
    #[must_use]
    pub fn value(&self) -> Option<&Value> {
        let parse = || webhook_wire::json::value(self.facts.data.as_deref()?).ok();
        self.value.get_or_init(parse).as_ref()
    }
}
