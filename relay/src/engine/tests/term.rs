//! Terms that begin and end.

use super::*;

#[tokio::test]
async fn a_page_that_is_there_before_the_dispatcher_hears_of_its_term_is_not_lost() {
    let mut stage = Stage::new(&[plain()]).await;
    let (chunks, taken) = mpsc::channel(1);
    chunks.try_send(stage.chunk(1..=1)).unwrap();
    stage.begin(1, taken);
    stage.arrival().await.answer.send(200).unwrap();
    assert_eq!(stage.record().await.cursor.unwrap().position, position(1));
}

#[tokio::test]
async fn pages_of_a_term_that_is_over_are_not_taken() {
    let mut stage = Stage::new(&[plain()]).await;
    stage.lead(1);
    let former = stage.chunks.clone();
    stage.lead(2);
    former.closed().await;
    stage.read(2..=2).await;
    stage.arrival().await.answer.send(200).unwrap();
    assert_eq!(stage.record().await.term, Some(2));
}

#[tokio::test]
async fn a_fenced_leader_sends_nothing_twice_when_it_leads_again() {
    let mut stage = Stage::new(&[plain()]).await;
    stage.lead(1);
    stage.read(1..=2).await;
    let (one, two) = (stage.arrival().await, stage.arrival().await);
    one.answer.send(200).unwrap();
    stage.refuse(StoreError::Fenced).await;
    stage.orders.wait_for(|orders| orders.over == 1).await.unwrap();
    stage.lead(2);
    stage.read(1..=2).await;
    assert_eq!(words(&stage.outcomes(1).await), [Word::Delivered]);
    two.answer.send(200).unwrap();
    let batch = stage.record().await;
    assert_eq!(words(&batch.judged), [Word::Delivered]);
    assert_eq!(batch.cursor.unwrap().position, position(2));
    assert!(stage.arrived.try_recv().is_err(), "a request was sent twice");
}
