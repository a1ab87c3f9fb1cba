//! Outcomes whose rows somebody has locked.

use super::*;

#[tokio::test]
async fn what_is_locked_is_recorded_later_and_nothing_waits_for_it() {
    let mut stage = Stage::new(&[plain()]).await;
    let rows = vec![stage.pending(1), stage.pending(2)];
    let lease = stage.claim(rows).await;
    for _ in 0..2 {
        stage.arrival().await.answer.send(200).unwrap();
    }
    stage.delivered(2).await;
    let batch = stage.batches.recv().await.unwrap();
    let locked = batch.judged[1].delivery.id.clone();
    let result = Ok(Written { n: None, locked: vec![1] });
    stage.recorded.send(Recorded { batch, result }).unwrap();
    stage.lead(1);
    stage.read(3..=3).await;
    stage.arrival().await.answer.send(200).unwrap();
    let judged = stage.outcomes(2).await;
    let again: Vec<_> = judged.iter().filter(|one| one.ticket.is_none()).collect();
    assert_eq!((again.len(), &again[0].delivery.id, again[0].lease), (1, &locked, lease));
}

#[tokio::test]
async fn what_is_locked_is_not_sent_again_when_its_lease_has_run_out() {
    let mut stage = Stage::new(&[plain()]).await;
    let rows = vec![stage.pending(1)];
    stage.claim(rows).await;
    stage.arrival().await.answer.send(200).unwrap();
    let locked = |batch| Recorded { batch, result: Ok(Written { n: None, locked: vec![0] }) };
    let batch = stage.batches.recv().await.unwrap();
    stage.recorded.send(locked(batch)).unwrap();
    let rows = vec![stage.pending(1)];
    let lease = stage.claim(rows).await;
    loop {
        let batch = stage.batches.recv().await.unwrap();
        if batch.judged[0].lease == lease {
            break;
        }
        stage.recorded.send(locked(batch)).unwrap();
    }
    assert!(stage.arrived.try_recv().is_err());
}

#[tokio::test]
async fn stopping_waits_for_what_is_locked() {
    let mut stage = Stage::new(&[plain()]).await;
    let rows = vec![stage.pending(1)];
    stage.claim(rows).await;
    stage.arrival().await.answer.send(200).unwrap();
    let batch = stage.batches.recv().await.unwrap();
    stage.stop.send(true).unwrap();
    stage.orders.wait_for(|orders| orders.stop).await.unwrap();
    stage.recorded.send(Recorded { batch, result: Ok(Written { n: None, locked: vec![0] }) }).unwrap();
    assert_eq!(words(&stage.outcomes(1).await), [Word::Delivered]);
    stage.engine.await.unwrap();
}
