//! Webhooks, events and deliveries for the tests of several modules.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use webhook_wire::id::{self, Prefix};

use crate::delivery::{Claim, Delivery};
use crate::event::{Budget, Event, Facts};
use crate::ledger::{Ledger, Position};
use crate::matching::{Hook, HookRow, Registry};
use crate::outcome::{Answer, Exchange, Failure};

/// The row of an active webhook that wants everything.
pub(crate) fn row(n: u64, url: &str, options: &Value) -> HookRow {
    let mut options = options.clone();
    options["signature"] = "none".into();
    HookRow {
        id: id::floor(Prefix::Webhook, n),
        url: Some(url.into()),
        events: vec!["*".into()],
        active: true,
        options,
        ..HookRow::default()
    }
}

/// A registry of such webhooks, and the webhooks in order.
pub(crate) fn hooks(url: &str, options: &[Value]) -> (Registry, Vec<Arc<Hook>>) {
    registered(options.iter().zip(1..).map(|(options, n)| row(n, url, options)).collect())
}

/// A registry of these rows, and the webhooks in their order.
pub(crate) fn registered(rows: Vec<HookRow>) -> (Registry, Vec<Arc<Hook>>) {
    let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
    let mut registry = Registry::default();
    assert!(registry.apply(rows, true).is_empty());
    let hooks = ids.iter().map(|id| registry.get(id).unwrap().clone()).collect();
    (registry, hooks)
}

/// One webhook.
pub(crate) fn hook(options: &Value) -> Arc<Hook> {
    hooks("https://example.com/", std::slice::from_ref(options)).1.remove(0)
}

/// An event of that number.
pub(crate) fn event(n: u64) -> Arc<Event> {
    let facts = Facts {
        id: id::floor(Prefix::Event, n).into(),
        kind: "user.created".into(),
        data: Some("{}".into()),
        ..Facts::default()
    };
    Arc::new(Event::new(facts, &Budget::default()))
}

/// A fresh delivery.
pub(crate) fn fresh(hook: &Arc<Hook>, n: u64) -> Delivery {
    let mut ledger = Ledger::new(Position { window: "".into(), seq: 0, xid: 0 }, 0);
    let ticket = ledger.enter(Position { window: "".into(), seq: 1, xid: 0 }, 1);
    let event = event(n);
    let id = id::delivery(&event.facts().id, hook.id()).unwrap().into();
    Delivery {
        id,
        event,
        hook: hook.clone(),
        number: 1,
        tries: 0,
        in_turn: false,
        claim: Claim::Fresh(ticket),
    }
}

/// A leased delivery that may start within `good_for`.
pub(crate) fn leased(hook: &Arc<Hook>, n: u64, good_for: Duration) -> Delivery {
    let send_by = tokio::time::Instant::now() + good_for;
    Delivery { claim: Claim::Leased { token: 7, send_by }, ..fresh(hook, n) }
}

/// An answer.
#[allow(clippy::unnecessary_wraps, reason = "an exchange is what is wanted")]
pub(crate) fn status(status: u16) -> Exchange {
    Ok(Answer { status, ..Answer::default() })
}

/// No answer.
pub(crate) fn no_answer() -> Exchange {
    Err(Failure::Timeout)
}

/// No options.
pub(crate) fn plain() -> Value {
    json!({})
}
