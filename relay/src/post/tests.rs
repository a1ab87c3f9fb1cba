use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{event, fresh, hook, hooks, leased, no_answer, plain, registered, row, status};

mod heavy;
mod unwell;

const LONG: Duration = Duration::from_secs(60);

/// Starts all that may start now.
fn launches(post: &mut Post, now: Instant) -> Vec<Launch> {
    std::iter::from_fn(|| post.next(now)).collect()
}

/// A webhook for each of these URLs.
fn leading_to(urls: impl Iterator<Item = String>) -> Vec<Arc<Hook>> {
    registered(urls.zip(1..).map(|(url, n)| row(n, &url, &plain())).collect()).1
}

fn fail_ten(post: &mut Post, hook: &Arc<Hook>, now: Instant) -> Landing {
    end_ten(post, hook, &no_answer(), now)
}

/// Sends ten requests that end so, and returns the last.
fn end_ten(post: &mut Post, hook: &Arc<Hook>, exchange: &Exchange, now: Instant) -> Landing {
    let mut last = None;
    for n in 0..10 {
        post.offer(fresh(hook, n), now);
        let launch = post.next(now).unwrap();
        last = post.land(launch.flight, exchange, now, 0.5);
    }
    last.unwrap()
}

#[test]
fn lanes_take_turns() {
    let (_, hooks) = hooks("https://example.com/", &[plain(), plain(), plain()]);
    let now = Instant::now();
    let mut post = Post::new(64);
    // Known to be well, so that all are in the same ring.
    for hook in &hooks {
        post.offer(fresh(hook, 0), now);
        let launch = post.next(now).unwrap();
        post.land(launch.flight, &status(200), now, 0.5);
    }
    for n in 0..100 {
        post.offer(fresh(&hooks[0], n), now);
    }
    for n in 0..2 {
        post.offer(fresh(&hooks[1], n), now);
        post.offer(fresh(&hooks[2], n), now);
    }
    let order: Vec<_> = launches(&mut post, now).iter().take(6).map(|launch| launch.hook.slot).collect();
    assert_eq!(order, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn one_webhook_never_takes_every_slot() {
    let (_, hooks) = hooks("https://example.com/", &[plain(), plain()]);
    let now = Instant::now();
    let mut post = Post::new(16);
    for n in 0..1000 {
        post.offer(fresh(&hooks[0], n), now);
        for launch in launches(&mut post, now) {
            post.land(launch.flight, &status(200), now, 0.5);
        }
    }
    for n in 0..1000 {
        post.offer(fresh(&hooks[0], n), now);
    }
    assert_eq!(launches(&mut post, now).len(), 8, "half of the slots");
    post.offer(fresh(&hooks[1], 0), now);
    assert_eq!(launches(&mut post, now).len(), 1);
}

#[test]
fn the_webhooks_own_limit_holds() {
    let hook = hook(&json!({"max_in_flight": 2}));
    let now = Instant::now();
    let mut post = Post::new(64);
    for n in 0..10 {
        post.offer(fresh(&hook, n), now);
    }
    let under_way = launches(&mut post, now);
    assert_eq!(under_way.len(), 2);
    post.land(under_way[0].flight, &status(200), now, 0.5);
    assert_eq!(launches(&mut post, now).len(), 1);
    post.share(2, now);
    post.land(under_way[1].flight, &status(200), now, 0.5);
    assert_eq!(launches(&mut post, now).len(), 0, "two relays share the limit");
}

#[test]
fn the_rate_limit_is_waited_for() {
    let hook = hook(&json!({"rate_limit": 2}));
    let mut now = Instant::now();
    let mut post = Post::new(64);
    for n in 0..3 {
        post.offer(fresh(&hook, n), now);
    }
    assert_eq!(launches(&mut post, now).len(), 1);
    now = post.wake_at().unwrap();
    assert_eq!(launches(&mut post, now).len(), 1);
    assert!(post.take_refused().is_empty());
}

#[test]
fn a_late_lease_is_not_sent() {
    let hook = hook(&plain());
    let now = Instant::now();
    let mut post = Post::new(64);
    post.offer(leased(&hook, 1, Duration::ZERO), now);
    assert!(post.next(now + LONG).is_none());
    assert!(matches!(post.take_refused()[..], [(_, Refusal::Late)]));
    assert_eq!((post.queued(), post.leased()), (0, 0));
}

#[test]
fn it_tells_when_the_last_leased_one_of_a_webhook_went() {
    let hook = hook(&json!({"max_in_flight": 2}));
    let now = Instant::now();
    let mut post = Post::new(64);
    post.offer(fresh(&hook, 0), now);
    for n in 1..4 {
        post.offer(leased(&hook, n, LONG), now);
    }
    let first = launches(&mut post, now);
    assert!(!post.take_dry(), "two of them wait");
    for launch in first {
        post.land(launch.flight, &status(200), now, 0.5);
    }
    launches(&mut post, now);
    assert!(post.take_dry());
    assert!(!post.take_dry(), "told once");
}

#[test]
fn fresh_and_leased_take_turns() {
    let hook = hook(&json!({"max_in_flight": 4}));
    let now = Instant::now();
    let mut post = Post::new(64);
    for n in 0..50 {
        post.offer(fresh(&hook, n), now);
        post.offer(leased(&hook, 100 + n, LONG), now);
    }
    let leased = launches(&mut post, now).iter().filter(|launch| is_leased(&launch.delivery)).count();
    assert_eq!(leased, 2);
}

#[test]
fn what_waits_for_a_webhook_that_became_inactive_is_unwanted() {
    let (mut registry, hooks) = hooks("https://example.com/", &[plain()]);
    let now = Instant::now();
    let mut post = Post::new(1);
    for n in 0..3 {
        post.offer(fresh(&hooks[0], n), now);
    }
    post.next(now).unwrap();
    registry.apply(
        vec![crate::matching::HookRow { active: false, ..row(1, "https://example.com/", &plain()) }],
        false,
    );
    post.configure(&registry, now);
    post.offer(fresh(&hooks[0], 3), now);
    let refused = post.take_refused();
    assert_eq!(refused.len(), 3);
    assert!(refused.iter().all(|(_, why)| *why == Refusal::Unwanted));
}

#[test]
fn losing_the_lead_forgets_what_was_read_and_keeps_what_is_leased() {
    let hook = hook(&json!({"max_in_flight": 1}));
    let now = Instant::now();
    let mut post = Post::new(64);
    post.offer(fresh(&hook, 1), now);
    let launch = post.next(now).unwrap();
    post.offer(fresh(&hook, 2), now);
    post.offer(leased(&hook, 3, LONG), now);
    post.forget_fresh();
    assert_eq!((post.queued(), post.leased()), (1, 1));
    assert_eq!(post.flight_mut(launch.flight).unwrap().claim, Claim::Orphan);
}

/// What a run of random steps may do.
#[derive(Debug, Clone)]
enum Deed {
    Offer { hook: usize, leased: bool },
    Land { which: prop::sample::Index, status: u16 },
    Tick(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (0usize..4, any::<bool>()).prop_map(|(hook, leased)| Deed::Offer { hook, leased }),
        3 => (any::<prop::sample::Index>(), prop_oneof![4 => Just(200u16), 1 => Just(500), 1 => Just(503)])
            .prop_map(|(which, status)| Deed::Land { which, status }),
        1 => (0u64..3000).prop_map(Deed::Tick),
    ]
}

proptest! {
    /// Whatever happens: limits hold, nothing is lost, and what can be sent is sent in the end.
    #[test]
    fn nothing_is_lost_and_limits_hold(deeds in proptest::collection::vec(deed(), 1..300)) {
        let options = [plain(), json!({"max_in_flight": 1}), json!({"rate_limit": 50}), plain()];
        let (_, hooks) = hooks("https://example.com/", &options);
        let mut now = Instant::now();
        let mut post = Post::new(6);
        let mut flying: Vec<Launch> = Vec::new();
        let (mut offered, mut done) = (0, 0);
        for deed in deeds {
            match deed {
                Deed::Offer { hook, leased: true } => post.offer(leased(&hooks[hook], offered, LONG), now),
                Deed::Offer { hook, leased: false } => post.offer(fresh(&hooks[hook], offered), now),
                Deed::Land { which, status: code } if !flying.is_empty() => {
                    let launch = flying.swap_remove(which.index(flying.len()));
                    post.land(launch.flight, &status(code), now, 0.5);
                    done += 1;
                }
                Deed::Land { .. } => {}
                Deed::Tick(ms) => now += Duration::from_millis(ms),
            }
            offered += u64::from(matches!(deed, Deed::Offer { .. }));
            flying.append(&mut launches(&mut post, now));
            done += post.take_refused().len();
            let mut of_hook = HashMap::new();
            for launch in &flying {
                *of_hook.entry(launch.hook.slot).or_insert(0) += 1;
            }
            prop_assert!(flying.len() <= 6 && of_hook.get(&1).is_none_or(|&count| count <= 1));
            prop_assert_eq!(flying.len(), post.in_flight());
            prop_assert_eq!(offered as usize, done + flying.len() + post.queued());
        }
        while post.queued() > 0 || !flying.is_empty() {
            for launch in flying.drain(..) {
                post.land(launch.flight, &status(200), now, 0.5);
            }
            post.take_refused();
            now = post.wake_at().unwrap_or(now).max(now);
            flying = launches(&mut post, now);
            prop_assert!(post.queued() == 0 || !flying.is_empty() || post.wake_at().is_some(), "it stands still");
        }
    }
}

#[test]
fn what_is_sent_in_turn_waits_for_the_one_before_it_and_holds_back_nothing_else() {
    let hook = hook(&plain());
    let now = Instant::now();
    let mut post = Post::new(64);
    for n in 0..3 {
        post.offer(Delivery { in_turn: true, ..leased(&hook, n, LONG) }, now);
    }
    post.offer(fresh(&hook, 10), now);
    post.offer(fresh(&hook, 11), now);
    let id = |launch: &Launch| launch.delivery.event.facts().id.clone();
    let expected = |n: u64| event(n).facts().id.clone();
    let first = launches(&mut post, now);
    let mut ids: Vec<_> = first.iter().map(id).collect();
    ids.sort();
    assert_eq!(ids, [expected(0), expected(10), expected(11)]);
    let [turn, others @ ..] = {
        let mut first = first;
        first.sort_by_key(|launch| !launch.delivery.in_turn);
        <[Launch; 3]>::try_from(first).unwrap()
    };
    for other in others {
        post.land(other.flight, &status(200), now, 0.5);
    }
    assert!(launches(&mut post, now).is_empty(), "its turn is not over");
    post.land(turn.flight, &no_answer(), now, 0.5);
    let next = launches(&mut post, now);
    assert_eq!(next.iter().map(id).collect::<Vec<_>>(), [expected(1)]);
}
