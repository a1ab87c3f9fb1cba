//! Ordered webhooks that appear while older events are under way.

use super::*;
use crate::event::{Budget, Event, Facts};

/// A page of one event of the key k, matched with this registry.
async fn read(stage: &Stage, registry: &Arc<Registry>, n: u64) {
    let facts = Facts { key: Some("k".into()), ..event(n).facts().clone() };
    let matched = registry.matched(Arc::new(Event::new(facts, &Budget::default())), None);
    let end = position(n as i64);
    let items = vec![Item { matched, due: None, after: end.clone() }];
    stage.chunks.send(Chunk { registry: Arc::clone(registry), items, end }).await.unwrap();
}

/// A leader that sends an event to one webhook, and then reads another event of its key that an ordered one wants too, which was
/// not there before.
async fn stage() -> (Stage, Arrived) {
    let mut stage = Stage::new(&[plain()]).await;
    stage.lead(1);
    let before = Arc::clone(&stage.registry);
    read(&stage, &before, 1).await;
    let first = stage.arrival().await;
    Arc::make_mut(&mut stage.registry)
        .apply(vec![testing::row(2, &stage.url, &json!({"ordered": true}))], false);
    stage.news.send(News::Registry(Arc::clone(&stage.registry))).unwrap();
    let after = Arc::clone(&stage.registry);
    read(&stage, &after, 2).await;
    (stage, first)
}

fn spilled(batch: &Batch) -> usize {
    batch.judged.iter().filter(|one| one.word == Word::Spill).count()
}

#[tokio::test]
async fn they_get_nothing_before_the_cursor_has_passed_what_they_did_not_get() {
    let (mut stage, first) = stage().await;
    stage.arrival().await.answer.send(200).unwrap();
    let (mut first, mut passed) = (Some(first), false);
    loop {
        let batch = stage.record().await;
        passed |= batch.cursor.as_ref().is_some_and(|cursor| cursor.position.seq >= 1);
        if spilled(&batch) > 0 {
            assert!(passed);
            break;
        }
        // Not before the other event is recorded for the webhook that was there.
        if let Some(first) = first.take() {
            first.answer.send(200).unwrap();
        }
    }
}

#[tokio::test]
async fn what_takes_long_is_put_aside_for_them() {
    let (mut stage, _first) = stage().await;
    let mut held = false;
    loop {
        let batch = stage.record().await;
        held |= batch.judged.iter().any(|one| one.word == Word::Hold);
        if spilled(&batch) > 0 {
            assert!(held);
            break;
        }
    }
}

#[tokio::test]
async fn those_that_were_there_do_not_wait() {
    let mut stage = Stage::new(&[plain(), json!({"ordered": true})]).await;
    stage.lead(1);
    for n in 1..=2 {
        let registry = Arc::clone(&stage.registry);
        read(&stage, &registry, n).await;
        let batch = stage.record().await;
        assert_eq!((spilled(&batch), batch.cursor.unwrap().position), (1, position(0)));
    }
}
