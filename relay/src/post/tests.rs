use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::outcome::{Answer, BodyEnd, Failure};
use crate::testing::{event, fresh, hook, hooks, leased, no_answer, plain, registered, row, status};

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
fn receivers_that_fail_leave_a_quarter_of_the_slots() {
    let hooks = leading_to((0..41).map(|n| format!("https://host{n}.example/")));
    let (well, sick) = hooks.split_first().unwrap();
    let now = Instant::now();
    let mut post = Post::new(16);
    for hook in sick {
        for n in 0..8 {
            post.offer(fresh(hook, n), now);
        }
    }
    // Until each is known to fail.
    for _ in 0..10 {
        for launch in launches(&mut post, now) {
            post.land(launch.flight, &no_answer(), now, 0.5);
        }
    }
    launches(&mut post, now);
    assert_eq!(post.in_flight(), 12);
    post.offer(fresh(well, 0), now);
    assert!(post.next(now).is_some());
}

#[test]
fn receivers_that_are_well_leave_a_quarter_of_the_slots() {
    let hooks = leading_to((0..4).map(|n| format!("https://host{n}.example/")));
    let (slow, well) = hooks.split_first().unwrap();
    let mut now = Instant::now();
    let mut post = Post::new(16);
    post.offer(fresh(slow, 0), now);
    let launch = post.next(now).unwrap();
    now += Duration::from_secs(2);
    post.land(launch.flight, &status(200), now, 0.5);
    for hook in well {
        post.offer(fresh(hook, 0), now);
        let launch = post.next(now).unwrap();
        post.land(launch.flight, &status(200), now, 0.5);
    }
    for hook in well {
        for n in 1..1000 {
            post.offer(fresh(hook, n), now);
        }
    }
    let mut flying: VecDeque<_> = launches(&mut post, now).into();
    for n in 1..8 {
        post.offer(fresh(slow, n), now);
    }
    // Its requests stay, the others' end, and every slot is taken again at once.
    for _ in 0..100 {
        let place = flying.iter().position(|launch| launch.hook.slot != slow.slot).unwrap();
        let launch = flying.remove(place).unwrap();
        post.land(launch.flight, &status(200), now, 0.5);
        flying.extend(launches(&mut post, now));
        assert_eq!(flying.len(), 16);
    }
    assert_eq!(flying.iter().filter(|launch| launch.hook.slot == slow.slot).count(), 4);
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
fn an_open_breaker_gives_everything_back_and_sends_one_probe_at_a_time() {
    let hook = hook(&plain());
    let mut now = Instant::now();
    let mut post = Post::new(64);
    assert_eq!(fail_ten(&mut post, &hook, now).change, Change::Opened);
    post.offer(fresh(&hook, 20), now);
    let refused = post.take_refused();
    assert!(matches!(refused[..], [(_, Refusal::Later(wait))] if wait == Duration::from_secs(1)));
    assert_eq!(post.closed(now).reopens, Some(now + Duration::from_secs(1)));

    now += Duration::from_secs(1);
    assert!(post.closed(now).probe_due);
    post.offer(leased(&hook, 21, LONG), now);
    post.offer(leased(&hook, 22, LONG), now);
    let probes = launches(&mut post, now);
    assert_eq!((probes.len(), post.take_refused().len()), (1, 1));
    let landing = post.land(probes[0].flight, &status(500), now, 0.5).unwrap();
    assert_eq!(landing.verdict, Verdict::Retry(Duration::from_secs(2)));
    assert!(!landing.counts, "a probe burns no try");

    now += Duration::from_secs(2);
    post.offer(leased(&hook, 23, LONG), now);
    let probe = post.next(now).unwrap();
    assert_eq!(post.land(probe.flight, &status(200), now, 0.5).unwrap().change, Change::Recovered);
    post.offer(fresh(&hook, 24), now);
    assert!(post.next(now).is_some());
}

#[test]
fn a_fault_of_the_relay_is_not_held_against_the_receiver() {
    let (hook, now) = (hook(&plain()), Instant::now());
    let mut post = Post::new(64);
    let last = end_ten(&mut post, &hook, &Err(Failure::Internal), now);
    assert_eq!(last.change, Change::None);
    assert!(matches!(last.verdict, Verdict::Retry(_)), "the delivery is tried again");
    post.offer(fresh(&hook, 10), now);
    assert!(post.next(now).is_some(), "and others are sent");
}

#[test]
fn retry_after_closes_the_whole_webhook() {
    let hook = hook(&plain());
    let now = Instant::now();
    let mut post = Post::new(64);
    for n in 0..20 {
        post.offer(fresh(&hook, n), now);
    }
    let mut answer = status(503);
    if let Ok(answer) = &mut answer {
        answer.retry_after = Some(LONG);
    }
    let launch = post.next(now).unwrap();
    post.land(launch.flight, &answer, now, 0.5);
    assert_eq!((post.take_refused().len(), post.queued()), (19, 0));
    post.offer(fresh(&hook, 20), now);
    assert!(matches!(post.take_refused()[..], [(_, Refusal::Later(LONG))]));
    assert!(post.next(now + LONG).is_none());
    post.offer(fresh(&hook, 21), now + LONG);
    assert!(post.next(now + LONG).is_some());
}

#[test]
fn an_endless_answer_is_a_success_after_which_the_webhook_rests() {
    let (_, hooks) = hooks("https://example.com/", &[plain()]);
    let mut now = Instant::now();
    let mut post = Post::new(64);
    for n in 0..100 {
        post.offer(fresh(&hooks[0], n), now);
    }
    let endless = Ok(Answer { status: 200, end: BodyEnd::TooLong, ..Answer::default() });
    for _ in 0..10 {
        let launched = launches(&mut post, now);
        assert!((1..=8).contains(&launched.len()), "{}", launched.len());
        for launch in launched {
            let landing = post.land(launch.flight, &endless, now, 0.5).unwrap();
            assert_eq!(landing.verdict, Verdict::Delivered);
        }
        assert!(post.next(now).is_none());
        now = post.wake_at().unwrap();
    }
}

#[test]
fn a_long_queue_behind_endless_answers_is_given_away_when_reading_is_blocked() {
    let (_, hooks) = hooks("https://example.com/", &[plain(), plain()]);
    let now = Instant::now();
    let mut post = Post::new(64);
    for n in 0..1000 {
        post.offer(fresh(&hooks[0], n), now);
    }
    let launch = post.next(now).unwrap();
    let endless = Ok(Answer { status: 200, end: BodyEnd::TooLong, ..Answer::default() });
    post.land(launch.flight, &endless, now, 0.5);
    post.relieve(2, now);
    assert_eq!((post.take_refused().len(), post.queued()), (999, 0));
}

#[test]
fn answers_without_end_are_a_success_of_which_few_are_in_flight() {
    let now = Instant::now();
    for (end, fewest, most) in [(BodyEnd::Complete, 33, 256), (BodyEnd::Broken, 32, 32)] {
        let (_, hooks) = hooks("https://example.com/", &[plain()]);
        let mut post = Post::new(256);
        for n in 0..1000 {
            post.offer(fresh(&hooks[0], n), now);
        }
        let answer = Ok(Answer { status: 200, end, ..Answer::default() });
        for _ in 0..3 {
            for launch in launches(&mut post, now) {
                assert_eq!(post.land(launch.flight, &answer, now, 0.5).unwrap().verdict, Verdict::Delivered);
            }
        }
        let in_flight = launches(&mut post, now).len();
        assert!((fewest..=most).contains(&in_flight), "{end:?}: {in_flight}");
    }
}

#[test]
fn a_thousand_webhooks_of_a_host_that_hangs_take_half_of_the_slots() {
    let hosts = (0..1000).map(|_| "dead").chain(["new"]);
    let hooks = leading_to(hosts.map(|host| format!("https://{host}.example/")));
    let mut now = Instant::now();
    let mut post = Post::new(64);
    for hook in &hooks[..1000] {
        post.offer(fresh(hook, 1), now);
    }
    let mut flying = launches(&mut post, now);
    assert_eq!(flying.len(), 32);
    post.offer(fresh(&hooks[1000], 1), now);
    let new = launches(&mut post, now);
    assert!(matches!(&new[..], [launch] if launch.hook.slot == hooks[1000].slot));
    let mut sent = 0;
    while !flying.is_empty() {
        sent += flying.len();
        now += LONG;
        for launch in flying.drain(..) {
            post.land(launch.flight, &no_answer(), now, 0.5);
        }
        flying = launches(&mut post, now);
        assert!(flying.len() <= 32);
    }
    assert_eq!(sent, 1000, "none waits for a host that has room");
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
fn a_slow_webhook_gives_its_queue_away_when_there_are_others() {
    let (_, hooks) = hooks("https://example.com/", &[plain(), plain()]);
    let now = Instant::now();
    let mut post = Post::new(64);
    for n in 0..100 {
        post.offer(fresh(&hooks[0], n), now);
    }
    launches(&mut post, now);
    let later = now + LONG;
    post.relieve(1, later);
    assert!(post.take_refused().is_empty(), "alone, it may take its time");
    post.relieve(2, now);
    assert!(post.take_refused().is_empty(), "it is not slow yet");
    let queued = post.queued();
    post.relieve(2, later);
    assert_eq!((post.take_refused().len(), post.queued()), (queued, 0));
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
