//! Large payloads: what one webhook may have of the memory for them.

use super::*;

/// What each event of the tests weighs.
fn weight() -> usize {
    event(1).weight()
}

#[test]
fn one_webhook_has_so_many_bytes_in_flight_and_the_others_go_on() {
    let (_, hooks) = hooks("https://example.com/", &[plain(), plain()]);
    let now = Instant::now();
    let mut post = Post::new(64).carrying(2 * weight());
    for n in 0..10 {
        post.offer(fresh(&hooks[0], n), now);
    }
    let flying = launches(&mut post, now);
    assert_eq!(flying.len(), 2);
    post.offer(fresh(&hooks[1], 0), now);
    assert_eq!(launches(&mut post, now).len(), 1, "the other's own");
    post.land(flying[0].flight, &status(200), now, 0.5);
    assert_eq!(launches(&mut post, now).len(), 1, "as one is answered the next goes");
}

#[test]
fn one_that_is_larger_than_that_goes_alone() {
    let (_, hooks) = hooks("https://example.com/", &[plain()]);
    let now = Instant::now();
    let mut post = Post::new(64).carrying(1);
    for n in 0..3 {
        post.offer(fresh(&hooks[0], n), now);
    }
    for _ in 0..3 {
        let flying = launches(&mut post, now);
        assert_eq!(flying.len(), 1);
        post.land(flying[0].flight, &no_answer(), now, 0.5);
    }
    assert!(launches(&mut post, now).is_empty());
}

#[test]
fn a_queue_of_them_behind_a_slow_webhook_is_given_away_soon() {
    let (_, hooks) = hooks("https://example.com/", &[plain(), plain()]);
    let now = Instant::now();
    let mut post = Post::new(64).carrying(2 * weight());
    for n in 0..4 {
        post.offer(fresh(&hooks[0], n), now);
    }
    assert_eq!(launches(&mut post, now).len(), 2);
    let later = now + Duration::from_millis(600);
    post.relieve(2, LONG_QUEUE, later);
    assert!(post.take_refused().is_empty(), "two of two at a time are not long");
    post.relieve(2, LONG_HEAVY_QUEUE, later);
    assert_eq!(post.take_refused().len(), 2);
}
