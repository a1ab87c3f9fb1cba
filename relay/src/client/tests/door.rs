//! How many connections may be new to a host.

use super::*;

/// Long: none is to end before it has come in.
const PATIENT: Terms = Terms { limit: Duration::from_secs(60), ..TERMS };

fn origin(url: &str) -> Origin {
    address(&mut request(url).request, None).unwrap()
}

#[tokio::test]
async fn who_waits_to_connect_takes_what_comes_back() {
    let (url, connections) = answering(OK).await;
    let client = client(&["127.0.0.1"]);
    exchange(&client, &url).await.unwrap();
    let line = client.pool.take(&origin(&url)).await.unwrap();
    let door = client.pool.door(&origin(&url));
    let mut others = Vec::new();
    while door.room() > 0 {
        others.push(door.enter().await);
    }
    let mut waiting = std::pin::pin!(exchange(&client, &url));
    assert!(poll_once(waiting.as_mut()).await.is_pending());
    let Line::Own(link) = line else { panic!("of HTTP/1.1") };
    client.pool.put(origin(&url), link).await;
    drop(others);
    waiting.await.unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn many_at_once_come_in_by_and_by() {
    let (url, _) = answering(OK).await;
    let client = client(&["127.0.0.1"]);
    let door = client.pool.door(&origin(&url));
    let room = door.room();
    for exchange in several(&client, &url, 10 * room, PATIENT) {
        exchange.await.unwrap().unwrap();
    }
    assert_eq!(door.room(), room, "nobody is new any more");
}

#[tokio::test]
async fn a_host_that_does_not_answer_keeps_nobody_out() {
    let arrived = Arc::new(tokio::sync::Semaphore::new(0));
    let counter = arrived.clone();
    let (url, _) = receiver(move |_, mut stream| {
        let counter = counter.clone();
        async move {
            read_request(&mut stream).await;
            counter.add_permits(1);
            std::future::pending::<()>().await;
        }
    })
    .await;
    let client = client(&["127.0.0.1"]);
    let many = 3 * client.pool.door(&origin(&url)).room();
    let exchanges = several(&client, &url, many, PATIENT);
    arrived.acquire_many(many as u32).await.unwrap().forget();
    assert!(!exchanges.iter().any(JoinHandle::is_finished), "they did not wait for others to give up");
    exchanges.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn a_failed_connection_lets_the_next_one_in() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let client = client(&["127.0.0.1"]);
    let door = client.pool.door(&origin(&url));
    let room = door.room();
    for exchange in several(&client, &url, 3 * room, PATIENT) {
        assert!(matches!(exchange.await.unwrap(), Err(Failure::Connect(_))));
    }
    assert_eq!(door.room(), room);
}
