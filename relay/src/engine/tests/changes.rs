//! Webhooks that change between reading, matching and sending.

use super::*;
use crate::matching::HookRow;

#[tokio::test]
async fn a_webhook_not_heard_of_is_asked_for() {
    let mut stage = Stage::new(&[plain()]).await;
    let row = stage.pending(1);
    Arc::make_mut(&mut stage.registry).apply(Vec::new(), true);
    stage.news.send(News::Registry(stage.registry.clone())).unwrap();
    stage.claim(vec![row]).await;
    stage.orders.wait_for(|orders| orders.refresh > 0).await.unwrap();
}

#[tokio::test]
async fn a_page_that_was_matched_before_a_webhook_changed_does_not_undo_the_change() {
    let mut stage = Stage::new(&[plain()]).await;
    stage.lead(1);
    let row = stage.pending(1);
    Arc::make_mut(&mut stage.registry).apply(Vec::new(), true);
    let mut newer = Registry::clone(&stage.registry);
    newer.apply(vec![testing::row(1, &stage.url, &plain())], false);
    stage.news.send(News::Registry(Arc::new(newer))).unwrap();
    stage.read(1..=1).await;
    let batch = stage.batches.recv().await.unwrap();
    assert_eq!(batch.cursor.unwrap().position, position(1), "the page was taken in");
    stage.claim(vec![row]).await;
    stage.arrival().await.answer.send(200).unwrap();
}

#[tokio::test]
async fn a_webhook_that_was_deleted_since_a_page_was_matched_gets_nothing_of_it() {
    let mut stage = Stage::new(&[plain(), plain()]).await;
    stage.lead(1);
    let mut newer = Registry::clone(&stage.registry);
    newer.apply(vec![testing::row(1, &stage.url, &plain())], true);
    stage.news.send(News::Registry(Arc::new(newer))).unwrap();
    stage.read(1..=1).await;
    stage.arrival().await.answer.send(200).unwrap();
    let mut batch = stage.record().await;
    if batch.judged.is_empty() {
        // What is forgotten did not wait for the answer.
        batch = stage.record().await;
    }
    assert_eq!((batch.judged.len(), batch.cursor.unwrap().position), (1, position(1)));
    assert!(stage.arrived.try_recv().is_err());
}

#[tokio::test]
async fn a_webhook_that_was_made_active_since_its_first_page_was_matched_gets_that_page() {
    let mut stage = Stage::new(&[json!({"keep_backlog": true})]).await;
    stage.lead(1);
    let row = |active| HookRow { active, ..testing::row(1, &stage.url, &json!({"keep_backlog": true})) };
    let [paused, resumed] = [row(false), row(true)];
    Arc::make_mut(&mut stage.registry).apply(vec![paused], true);
    let mut newer = Registry::clone(&stage.registry);
    newer.apply(vec![resumed], true);
    stage.news.send(News::Registry(Arc::new(newer))).unwrap();
    stage.read(1..=1).await;
    stage.arrival().await.answer.send(200).unwrap();
}
