//! Webhooks that take longer than others.

use super::*;

#[tokio::test]
async fn what_waits_for_a_slow_webhook_is_put_aside_for_the_cursor_to_pass_it() {
    let mut stage = Stage::new(&[json!({"max_in_flight": 1}), plain()]).await;
    stage.lead(1);
    stage.read(1..=40).await;
    let slow = stage.registry.matched(event(1), None).hooks[0].1.clone();
    let mut hanging = None;
    for _ in 0..41 {
        let arrived = stage.arrival().await;
        if *arrived.delivery == *slow {
            hanging = Some(arrived);
        } else {
            arrived.answer.send(200).unwrap();
        }
    }
    assert!(hanging.is_some());
    let mut counts = (0, 0);
    loop {
        let batch = stage.record().await;
        let count = |word| batch.judged.iter().filter(|one| one.word == word).count();
        counts = (counts.0 + count(Word::Spill), counts.1 + count(Word::Hold));
        if batch.cursor.is_some_and(|cursor| cursor.position == position(40)) {
            break;
        }
    }
    assert_eq!(counts, (39, 1), "the first is under way");
}
