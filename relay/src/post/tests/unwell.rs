//! Receivers that fail, are slow or never stop answering, and what is left for the others.

use super::*;
use crate::outcome::{Answer, BodyEnd, Failure, Reading};

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
    post.relieve(2, LONG_QUEUE, now);
    assert_eq!((post.take_refused().len(), post.queued()), (999, 0));
}

#[test]
fn while_answers_do_not_end_one_at_a_time_is_read_as_a_whole() {
    let (_, hooks) = hooks("https://example.com/", &[plain()]);
    let mut now = Instant::now();
    let mut post = Post::new(256);
    for n in 0..1000 {
        post.offer(fresh(&hooks[0], n), now);
    }
    let mut round = |whole: BodyEnd, start: BodyEnd| {
        let launched = launches(&mut post, now);
        let wholes = launched.iter().filter(|launch| launch.reading == Reading::Whole).count();
        for launch in &launched {
            let end = if launch.reading == Reading::Whole { whole } else { start };
            let answer = Ok(Answer { status: 200, end, ..Answer::default() });
            assert_eq!(post.land(launch.flight, &answer, now, 0.5).unwrap().verdict, Verdict::Delivered);
        }
        now += Duration::from_secs(1);
        (wholes, launched.len())
    };
    assert_eq!(round(BodyEnd::TooLong, BodyEnd::Cut), (8, 8), "nothing is known yet");
    for _ in 0..3 {
        assert_eq!(round(BodyEnd::TooLong, BodyEnd::Cut), (1, 8));
    }
    assert_eq!(round(BodyEnd::Complete, BodyEnd::Cut), (1, 8), "long, but not without end");
    let (wholes, all) = round(BodyEnd::Complete, BodyEnd::Complete);
    assert!(wholes == all && all >= 8, "{wholes} of {all}");
    let (wholes, all) = round(BodyEnd::Broken, BodyEnd::Complete);
    assert!(wholes == all && all > 8, "{wholes} of {all}");
    assert_eq!(round(BodyEnd::Complete, BodyEnd::Complete).1, 2 * all, "whoever breaks off may be quick");
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
fn a_slow_webhook_gives_its_queue_away_when_there_are_others() {
    let (_, hooks) = hooks("https://example.com/", &[plain(), plain()]);
    let now = Instant::now();
    let mut post = Post::new(64);
    for n in 0..100 {
        post.offer(fresh(&hooks[0], n), now);
    }
    launches(&mut post, now);
    let later = now + LONG;
    post.relieve(1, LONG_QUEUE, later);
    assert!(post.take_refused().is_empty(), "alone, it may take its time");
    post.relieve(2, LONG_QUEUE, now);
    assert!(post.take_refused().is_empty(), "it is not slow yet");
    let queued = post.queued();
    post.relieve(2, LONG_QUEUE, later);
    assert_eq!((post.take_refused().len(), post.queued()), (queued, 0));
}
