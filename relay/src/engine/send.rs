//! Sending and judging.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::Engine;
use super::crew::Landed;
use super::term::Orphan;
use crate::delivery::{Claim, Delivery};
use crate::lane::Change;
use crate::matching::Hook;
use crate::notice::{DELIVERY_FAILED, Notice};
use crate::outcome::{Answer, Exchange, Failure, Verdict, error_text};
use crate::post::Landing;
use crate::record::{Attempt, Judged, Word};

/// The types of events about webhooks. A failed delivery of one is told by no further event.
const OPERATOR_EVENTS: [&str; 4] =
    ["webhook.failing", "webhook.disabled", "webhook.recovered", DELIVERY_FAILED];

impl Engine {
    /// Starts what may start.
    pub(super) fn launch(&mut self, now: Instant) {
        if !self.may_send(now) {
            return;
        }
        while let Some(launch) = self.post.next(now) {
            self.crew.send(launch);
        }
    }

    /// Nothing is sent while its outcome might not be recorded, or while we may no longer be the one to send it.
    fn may_send(&self, now: Instant) -> bool {
        let pulse = &self.context.pulse;
        pulse.is_adopted() && self.flush.is_healthy(now) && (self.term.is_none() || pulse.is_fresh(now))
    }

    /// A request ended: judges it and queues the outcome for the record.
    pub(super) fn land(&mut self, landed: Landed) {
        let now = Instant::now();
        let Landed { flight, courier, exchange, started, took } = landed;
        self.crew.is_back(courier);
        let Some(landing) = self.post.land(flight, &exchange, now, rand::random()) else { return };
        self.learn(&landing, &exchange);
        let metrics = &self.context.metrics;
        metrics.times.observe(took);
        let (word, delay) = match landing.verdict {
            Verdict::Delivered => (Word::Delivered, Duration::ZERO),
            Verdict::Retry(delay) => (Word::Retry, delay),
            Verdict::Failed | Verdict::Gone => (Word::Failed, Duration::ZERO),
        };
        match word {
            Word::Delivered => metrics.delivered.add(1),
            Word::Retry => metrics.retried.add(1),
            _ => metrics.failed.add(1),
        }
        if word == Word::Retry {
            self.claims.within(now, delay);
        }
        let error = error_text(&exchange);
        let answer = exchange.ok();
        let code = answer.as_ref().map(|answer| answer.status);
        let Answer { headers, body, .. } = answer.unwrap_or_default();
        let flying = landing.flight;
        let mut judged = Judged {
            word,
            ticket: None,
            lease: 0,
            tries: flying.delivery.tries + u32::from(landing.counts),
            attempt: Some(Attempt { started, took, code, headers, body }),
            error,
            delay,
            delivery: flying.delivery,
        };
        let hook = &judged.delivery.hook;
        if hook.one_off || hook.options().ordered && word != Word::Retry {
            // The key's next delivery may go; one-off requests do not even wait for another's retries.
            self.batch.makes_due = true;
        }
        match (self.unhold(flight), flying.claim) {
            // Its hold has not left yet: it is recorded as if there had been none.
            (Some(ticket), _) | (None, Claim::Fresh(ticket)) => judged.ticket = Some(ticket),
            (None, Claim::Leased { token, .. }) => judged.lease = token,
            (None, Claim::Orphan) => {
                self.orphans.insert(judged.delivery.id.clone(), Orphan::Judged(judged, now));
                return;
            }
        }
        self.batch.judged.push(judged);
    }

    /// Fails a delivery for good without sending it.
    pub(super) fn fail_unsent(&mut self, delivery: Delivery, failure: &Failure, now: Instant) {
        self.context.metrics.failed.add(1);
        self.tell_failed(&delivery, None, Some(failure.word()));
        let mut judged = Judged::unsent(delivery, Word::Failed, Some(failure.text()), Duration::ZERO);
        judged.tries += 1;
        judged.attempt =
            Some(Attempt { started: now, took: Duration::ZERO, code: None, headers: None, body: None });
        self.batch.judged.push(judged);
    }

    /// What an outcome says about the webhook, for its operator.
    fn learn(&mut self, landing: &Landing, exchange: &Exchange) {
        let delivery = landing.flight.delivery.clone();
        let hook = delivery.hook.clone();
        let id = hook.id().to_owned();
        if landing.verdict == Verdict::Delivered {
            let had_failed = self.duty.works(&id);
            if had_failed {
                self.notice(Notice::Failing { webhook: id.clone(), failing: false });
            }
            let recovered = landing.change == Change::Recovered;
            if recovered {
                tracing::info!(webhook = id, "the webhook works again");
                self.claims.soon(Instant::now());
            }
            // That it fails may have been told by another relay, or by this one before it was restarted.
            if recovered || had_failed {
                let data = json!({"webhook_id": id, "url": hook.endpoint.url.redacted()});
                self.notice(Notice::Signal { webhook: id, kind: "webhook.recovered", data });
            }
            return;
        }
        let code = exchange.as_ref().ok().map(|answer| answer.status);
        let error = error_text(exchange);
        tracing::debug!(
            webhook = id,
            delivery = &*delivery.id,
            code,
            error = error.as_deref(),
            "an attempt failed"
        );
        // A one-off request says nothing about a webhook.
        if !hook.one_off {
            self.hold_against(landing, &hook, code, error.as_deref());
        }
        if is_final(landing) {
            self.tell_failed(&delivery, code, error.as_deref());
        }
    }

    /// What a failed attempt says about its webhook.
    fn hold_against(&mut self, landing: &Landing, hook: &Hook, code: Option<u16>, error: Option<&str>) {
        let id = hook.id();
        let opened = landing.change == Change::Opened;
        if (opened || is_final(landing)) && self.duty.fails(id, self.context.clock.micros()) {
            self.notice(Notice::Failing { webhook: id.to_owned(), failing: true });
        }
        if opened {
            tracing::warn!(webhook = id, code, error, "the webhook fails: ten attempts in a row");
            let data = json!({"webhook_id": id, "url": hook.endpoint.url.redacted(), "response_code": code, "error": error});
            self.notice(Notice::Signal { webhook: id.to_owned(), kind: "webhook.failing", data });
        }
        if landing.verdict == Verdict::Gone {
            self.disable(id, "410 Gone: the endpoint wants no more");
        } else if self.duty.failed_too_long(id, self.context.clock.micros()) {
            self.disable(id, "nothing but failures for five days");
        }
    }

    fn disable(&mut self, webhook: &str, reason: &str) {
        if !self.duty.disabled(webhook) {
            return;
        }
        tracing::warn!(webhook, reason, "the webhook becomes inactive");
        self.notice(Notice::Disable { webhook: webhook.to_owned(), reason: reason.to_owned() });
        let data = json!({"webhook_id": webhook, "reason": reason});
        self.notice(Notice::Signal { webhook: webhook.to_owned(), kind: "webhook.disabled", data });
    }

    fn tell_failed(&mut self, delivery: &Delivery, code: Option<u16>, error: Option<&str>) {
        let facts = delivery.event.facts();
        if OPERATOR_EVENTS.contains(&&*facts.kind) {
            return;
        }
        let data = json!({
            "delivery_id": delivery.id, "event_id": facts.id, "event_type": facts.kind,
            "webhook_id": delivery.hook.id(), "attempts": delivery.number, "response_code": code, "error": error,
        });
        self.notice(Notice::Signal { webhook: delivery.hook.id().to_owned(), kind: DELIVERY_FAILED, data });
    }
}

fn is_final(landing: &Landing) -> bool {
    matches!(landing.verdict, Verdict::Failed | Verdict::Gone)
}
