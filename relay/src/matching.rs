//! Which webhooks get an event: a registry in memory, indexed so that ten thousand webhooks stay cheap.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::time::Instant;
use webhook_wire::id;

use crate::event::Event;
use crate::keyring::Locked;

mod hook;
mod index;

pub use hook::{Hook, HookError, HookRow, OneOff};
use index::Index;

/// The tenant name of webhooks that get everybody's events.
const EVERY_ACCOUNT: &str = "*";

/// An event and the webhooks it goes to.
#[derive(Debug)]
pub struct Matched {
    /// The event.
    pub event: Arc<Event>,
    /// Its webhooks, each with the delivery's id; may be empty.
    pub hooks: Vec<(Arc<Hook>, Box<str>)>,
    /// Webhooks of which matching panicked, so that nobody knows whether they are to get it.
    pub undecided: Vec<(Arc<Hook>, Box<str>)>,
}

/// All webhooks at one moment. Cheap to clone as a whole (`Arc`), replaced on every change.
#[derive(Debug, Default, Clone)]
pub struct Registry {
    /// Grows with every change.
    version: u64,
    hooks: HashMap<String, Arc<Hook>>,
    slots: HashMap<String, u32>,
    /// Webhooks without a tenant.
    common: Index,
    accounts: HashMap<String, Index>,
}

impl Registry {
    /// Takes changed rows in and returns those that cannot be used. `fresh`: these are all there are.
    pub fn apply(&mut self, rows: Vec<HookRow>, fresh: bool) -> Vec<(String, HookError)> {
        let mut broken = Vec::new();
        self.version += 1;
        if fresh {
            self.hooks.clear();
        }
        for row in rows {
            let id = row.id.clone();
            self.hooks.remove(&id);
            if row.url.is_none() {
                continue;
            }
            let next = self.slots.len() as u32;
            let slot = *self.slots.entry(id.clone()).or_insert(next);
            match Hook::parse(row, slot) {
                Ok(hook) => drop(self.hooks.insert(id, Arc::new(hook))),
                Err(error) => broken.push((id, error)),
            }
        }
        self.common = Index::default();
        self.accounts.clear();
        for hook in self.hooks.values() {
            match &hook.account {
                None => self.common.add(hook),
                Some(account) => self.accounts.entry(account.clone()).or_default().add(hook),
            }
        }
        broken
    }

    /// True when `other` is what this was before a change.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.version > other.version
    }

    /// The webhook of that id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Hook>> {
        self.hooks.get(id)
    }

    /// When the first secret of a webhook expires.
    #[must_use]
    pub fn secrets_until(&self) -> Option<Instant> {
        self.hooks.values().filter_map(|hook| hook.secrets_until).min()
    }

    /// All webhooks, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Hook>> {
        self.hooks.values()
    }

    /// How many are active.
    #[must_use]
    pub fn active(&self) -> usize {
        self.iter().filter(|hook| hook.active).count()
    }

    /// Those for which nothing can be signed, with why.
    pub fn locked(&self) -> impl Iterator<Item = (&str, &Locked)> {
        self.iter().filter_map(|hook| Some((hook.id(), hook.locked.as_ref()?)))
    }

    /// The event with the webhooks that get it: all that want it, or the one that it is meant for alone.
    #[must_use]
    pub fn matched(&self, event: Arc<Event>, target: Option<&str>) -> Matched {
        let address = |hook: &Arc<Hook>| match id::delivery(&event.facts().id, hook.id()) {
            Ok(id) => Some((hook.clone(), id.into())),
            Err(error) => {
                tracing::error!(%error, webhook = hook.id(), "an event cannot be delivered");
                None
            }
        };
        let (audience, undecided) = match target {
            Some(target) => {
                (self.hooks.get(target).into_iter().filter(|hook| hook.takes()).collect(), Vec::new())
            }
            None => self.audience(&event),
        };
        Matched {
            hooks: audience.into_iter().filter_map(address).collect(),
            undecided: undecided.into_iter().filter_map(address).collect(),
            event,
        }
    }

    /// The webhooks that get this event, each once, and those of which a panic left that open: an event on which one filter
    /// stumbles stops no other delivery.
    fn audience(&self, event: &Event) -> (Vec<&Arc<Hook>>, Vec<&Arc<Hook>>) {
        let own = match event.facts().account.as_deref() {
            None => Some(&self.common),
            Some(account) => self.accounts.get(account),
        };
        let mut hooks = Vec::new();
        for index in own.into_iter().chain(self.accounts.get(EVERY_ACCOUNT)) {
            index.collect(event.facts(), &mut hooks);
        }
        hooks.sort_unstable_by_key(|hook| hook.slot);
        hooks.dedup_by_key(|hook| hook.slot);
        let mut undecided = Vec::new();
        hooks.retain(|hook| {
            catch_unwind(AssertUnwindSafe(|| hook.wants(event))).unwrap_or_else(|_| {
                undecided.push(*hook);
                false
            })
        });
        (hooks, undecided)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::{Budget, Facts};

    fn row(id: &str, events: &[&str]) -> HookRow {
        HookRow {
            id: id.into(),
            url: Some("https://example.com/".into()),
            events: events.iter().map(ToString::to_string).collect(),
            active: true,
            options: json!({"signature": "none"}),
            ..HookRow::default()
        }
    }

    fn registry(rows: Vec<HookRow>) -> Registry {
        let mut registry = Registry::default();
        let broken = registry.apply(rows, true);
        assert!(broken.is_empty(), "{broken:?}");
        registry
    }

    fn ids(registry: &Registry, facts: Facts) -> Vec<String> {
        let event = Event::new(facts, &Budget::default());
        let mut ids: Vec<_> = registry.audience(&event).0.iter().map(|hook| hook.id().to_owned()).collect();
        ids.sort();
        ids
    }

    fn event(kind: &str) -> Facts {
        Facts { kind: kind.into(), data: Some("{\"n\":1}".into()), created_at: 10, ..Facts::default() }
    }

    #[test]
    fn by_type() {
        let registry = registry(vec![
            row("exact", &["user.created"]),
            row("below", &["user.*"]),
            row("both", &["user.*", "user.created", "*"]),
            row("every", &["*"]),
            row("none", &[]),
        ]);
        assert_eq!(ids(&registry, event("user.created")), ["below", "both", "every", "exact"]);
        assert_eq!(ids(&registry, event("user.role.changed")), ["below", "both", "every"]);
        assert_eq!(ids(&registry, event("user")), ["both", "every"]);
        assert_eq!(ids(&registry, event("users.created")), ["both", "every"]);
    }

    #[test]
    fn by_account() {
        let of =
            |id: &str, account: Option<&str>| HookRow { account: account.map(Into::into), ..row(id, &["*"]) };
        let registry =
            registry(vec![of("a", Some("a")), of("b", Some("b")), of("all", Some("*")), of("none", None)]);
        assert_eq!(ids(&registry, Facts { account: Some("a".into()), ..event("x") }), ["a", "all"]);
        assert_eq!(ids(&registry, Facts { account: Some("c".into()), ..event("x") }), ["all"]);
        assert_eq!(ids(&registry, event("x")), ["all", "none"]);
    }

    #[test]
    fn by_subscription() {
        let to = |id: &str, emitter: &str, name: &str| HookRow {
            subscriptions: vec![(emitter.into(), name.into())],
            ..row(id, &[])
        };
        let registry = registry(vec![
            to("one", "src_1", ""),
            to("named", "src_1", "x"),
            to("glob", "src_*", ""),
            to("two", "src_2", ""),
        ]);
        let from = |kind: &str| Facts { source: Some("src_1".into()), ..event(kind) };
        assert_eq!(ids(&registry, from("x")), ["glob", "named", "one"]);
        assert_eq!(ids(&registry, from("y")), ["glob", "one"]);
        assert_eq!(ids(&registry, event("x")), Vec::<String>::new());
    }

    #[test]
    fn by_filter_age_and_status() {
        let registry = registry(vec![
            HookRow { filter: Some(json!({"n": 1})), ..row("fits", &["*"]) },
            HookRow { filter: Some(json!({"n": 2})), ..row("fits not", &["*"]) },
            HookRow { active_since: 11, ..row("too young", &["*"]) },
            HookRow { active_since: 10, ..row("just old enough", &["*"]) },
            HookRow { active: false, ..row("inactive", &["*"]) },
            HookRow {
                active: false,
                options: json!({"signature": "none", "keep_backlog": true}),
                ..row("keeps", &["*"])
            },
        ]);
        assert_eq!(ids(&registry, event("x")), ["fits", "just old enough", "keeps"]);
    }

    #[test]
    fn debug_shows_no_secret() {
        let options = json!({
            "auth": {"username": "u", "password": "canary"}, "headers": {"X-Key": "canary"}, "params": {"token": "canary"},
            "signature": "static", "header_name": "X-Proof", "header_value": "canary"
        });
        let fixed =
            HookRow { options, url: Some("https://example.com/?token=canary".into()), ..row("a", &["*"]) };
        let signed =
            HookRow { options: json!({}), secrets: vec!["canary-canary".into()], ..row("b", &["*"]) };
        let shown = format!("{:?}", registry(vec![fixed, signed]));
        assert!(shown.contains("[redacted]") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn changes_replace_and_deletions_remove() {
        let mut registry = registry(vec![row("a", &["x"]), row("b", &["x"])]);
        let slot = registry.get("a").unwrap().slot;
        registry.apply(vec![row("a", &["y"]), HookRow { id: "b".into(), ..HookRow::default() }], false);
        assert_eq!(ids(&registry, event("x")), Vec::<String>::new());
        assert_eq!(ids(&registry, event("y")), ["a"]);
        assert_eq!(registry.get("a").unwrap().slot, slot);
        let broken =
            registry.apply(vec![HookRow { options: json!({"nonsense": 1}), ..row("c", &["*"]) }], false);
        assert_eq!(broken.len(), 1);
    }
}
