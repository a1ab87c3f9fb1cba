//! Outcomes that cannot be recorded.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn what_met_a_lock_is_recorded_as_it_was_and_the_lead_is_kept() {
    let mut stage = Stage::new(&[plain(), plain()]).await;
    stage.lead(1);
    stage.read(1..=1).await;
    let (one, two) = (stage.arrival().await, stage.arrival().await);
    one.answer.send(200).unwrap();
    stage.refuse(StoreError::Busy("deadlock detected".into())).await;
    two.answer.send(200).unwrap();
    stage.delivered(2).await;
    let batch = stage.record().await;
    assert_eq!(words(&batch.judged), [Word::Delivered]);
    assert_eq!(batch.cursor.unwrap().position, position(0), "one of the event's deliveries is not in it");
    let batch = stage.record().await;
    assert_eq!((words(&batch.judged), batch.cursor.unwrap().position), (vec![Word::Delivered], position(1)));
    assert_eq!(stage.orders.borrow().over, 0);
}

#[tokio::test]
async fn outcomes_of_leased_deliveries_survive_a_lost_database() {
    let mut stage = Stage::new(&[plain()]).await;
    let row = stage.pending(1);
    let lease = stage.claim(vec![row]).await;
    stage.arrival().await.answer.send(500).unwrap();
    stage.refuse(StoreError::Lost("gone".into())).await;
    let judged = stage.outcomes(1).await;
    assert_eq!(words(&judged), [Word::Retry]);
    assert_eq!((judged[0].lease, judged[0].tries, judged[0].ticket), (lease, 3, None));
}

#[tokio::test]
async fn nothing_is_sent_while_outcomes_cannot_be_recorded() {
    let mut stage = Stage::new(&[json!({"max_in_flight": 1})]).await;
    let rows = vec![stage.pending(1), stage.pending(2), stage.pending(3)];
    stage.claim(rows).await;
    stage.arrival().await.answer.send(200).unwrap();
    let two = stage.arrival().await;
    stage.refuse(StoreError::Lost("gone".into())).await;
    let again = stage.batches.recv().await.unwrap();
    two.answer.send(200).unwrap();
    stage.delivered(2).await;
    assert!(stage.arrived.try_recv().is_err(), "the third was sent");
    assert_eq!(words(&again.judged), [Word::Delivered]);
    stage.recorded.send(Recorded { batch: Batch::default(), result: Ok(Written::default()) }).unwrap();
    stage.arrival().await;
}

#[tokio::test]
async fn an_outcome_that_could_not_be_recorded_does_not_take_the_place_of_a_hold() {
    let mut stage = Stage::new(&[plain()]).await;
    stage.lead(1);
    let row = stage.pending(1);
    let lease = stage.claim(vec![row]).await;
    stage.arrival().await.answer.send(200).unwrap();
    // No cursor moves with it, so the term goes on when it cannot be recorded.
    let leased = stage.batches.recv().await.unwrap();
    assert_eq!((words(&leased.judged), leased.term), (vec![Word::Delivered], None));
    stage.read(2..=2).await;
    let fresh = stage.arrival().await;
    stage.stop.send(true).unwrap();
    stage.orders.wait_for(|orders| orders.stop).await.unwrap();
    stage.recorded.send(Recorded { batch: leased, result: Err(StoreError::Lost("gone".into())) }).unwrap();
    let delivery = fresh.delivery.clone();
    fresh.answer.send(200).unwrap();
    stage.delivered(2).await;
    let batch = stage.record().await;
    assert_eq!(words(&batch.judged), [Word::Delivered, Word::Delivered]);
    let fresh = batch.judged.iter().find(|one| *one.delivery.id == *delivery).unwrap();
    assert!(fresh.ticket.is_some() && fresh.lease == 0);
    assert!(batch.judged.iter().any(|one| one.lease == lease));
    assert_eq!(batch.cursor.unwrap().position, position(2));
}

#[tokio::test]
async fn who_forgets_what_it_could_not_record_for_long_reads_it_again() {
    let mut stage = Stage::new(&[plain()]).await;
    stage.lead(1);
    let row = stage.pending(1);
    stage.claim(vec![row]).await;
    let leased = stage.arrival().await;
    stage.read(2..=2).await;
    let fresh = stage.arrival().await;
    leased.answer.send(200).unwrap();
    stage.refuse(StoreError::Lost("gone".into())).await;
    let batch = stage.batches.recv().await.unwrap();
    assert_eq!((words(&batch.judged), batch.term), (vec![Word::Delivered], None));
    fresh.answer.send(200).unwrap();
    stage.delivered(2).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    stage.recorded.send(Recorded { batch, result: Err(StoreError::Lost("gone".into())) }).unwrap();
    stage.orders.wait_for(|orders| orders.over == 1).await.unwrap();
}
