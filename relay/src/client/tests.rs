//! Exchanges with receivers that behave badly, over real sockets.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use webhook_wire::target::Allow;

use super::*;

mod door;
mod http2;

const LIMIT: Duration = Duration::from_secs(5);
const TERMS: Terms = Terms { limit: LIMIT, store: StoreResponse::Body, reading: Reading::Whole };
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn client(allowed: &[&str]) -> Client {
    let allow = allowed.iter().map(|text| Allow::parse(text).unwrap()).collect();
    Client::new(Policy { allow, allow_http: false }, Tls::new(rustls::RootCertStore::empty()), 10)
}

fn request(url: &str) -> Signed {
    let mut request = Request::new(Full::new(Bytes::from_static(b"{}")));
    *request.method_mut() = hyper::Method::POST;
    *request.uri_mut() = url.parse().unwrap();
    Signed { request, client_cert: None }
}

async fn exchange(client: &Client, url: &str) -> Exchange {
    client.exchange(request(url), TERMS).await
}

/// So many requests under way at once.
fn several(client: &Client, url: &str, count: usize, terms: Terms) -> Vec<JoinHandle<Exchange>> {
    let one = |_| {
        let (client, url) = (client.clone(), url.to_owned());
        tokio::spawn(async move { client.exchange(request(&url), terms).await })
    };
    (0..count).map(one).collect()
}

/// A receiver that treats each connection as told, and the number of connections it has had.
async fn receiver<F>(treat: impl Fn(usize, TcpStream) -> F + Send + 'static) -> (String, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(treat(counter.fetch_add(1, Ordering::SeqCst), stream));
        }
    });
    (url, count)
}

/// Reads one request, which ends with the body `{}`.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n{}") {
        if stream.read_buf(&mut text).await.unwrap_or(0) == 0 {
            break;
        }
    }
    String::from_utf8(text).unwrap()
}

/// Always answers the same and keeps the connection.
async fn answering(answer: &'static str) -> (String, Arc<AtomicUsize>) {
    receiver(move |_, mut stream| async move {
        while !read_request(&mut stream).await.is_empty() {
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

/// Polls it once.
async fn poll_once<T>(mut future: std::pin::Pin<&mut impl Future<Output = T>>) -> std::task::Poll<T> {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx))).await
}

#[tokio::test]
async fn connections_are_used_again() {
    let (url, connections) = answering(OK).await;
    let client = client(&["127.0.0.1"]);
    for _ in 0..3 {
        let answer = exchange(&client, &url).await.unwrap();
        assert_eq!((answer.status, answer.body.as_deref()), (200, Some(&b"ok"[..])));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn no_more_connections_wait_than_the_pool_holds() {
    let arrived = Arc::new(tokio::sync::Semaphore::new(0));
    let (open, opened) = tokio::sync::watch::channel(false);
    let (closed, mut is_closed) = tokio::sync::mpsc::unbounded_channel();
    let counter = arrived.clone();
    let (url, connections) = receiver(move |_, mut stream| {
        let (counter, mut opened, closed) = (counter.clone(), opened.clone(), closed.clone());
        async move {
            while !read_request(&mut stream).await.is_empty() {
                counter.add_permits(1);
                opened.wait_for(|open| *open).await.unwrap();
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
            let _ = closed.send(());
        }
    })
    .await;
    let client = client(&["127.0.0.1"]);
    let exchanges = several(&client, &url, 30, TERMS);
    arrived.acquire_many(30).await.unwrap().forget();
    open.send_replace(true);
    for exchange in exchanges {
        assert!(exchange.await.unwrap().is_ok());
    }
    // Thirty at a time, ten of which may stay.
    for _ in 0..20 {
        is_closed.recv().await.unwrap();
    }
    for _ in 0..10 {
        assert!(exchange(&client, &url).await.is_ok());
    }
    assert_eq!(connections.load(Ordering::SeqCst), 30, "those that stayed are used");
}

#[tokio::test]
async fn the_request_has_a_host_and_a_path_of_its_own() {
    let (asked, mut got) = tokio::sync::mpsc::unbounded_channel();
    let (url, _) = receiver(move |_, mut stream| {
        let asked = asked.clone();
        async move {
            asked.send(read_request(&mut stream).await).unwrap();
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    exchange(&client(&["127.0.0.1"]), &format!("{url}hook?a=b")).await.unwrap();
    let text = got.recv().await.unwrap().to_lowercase();
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    assert!(text.starts_with("post /hook?a=b http/1.1\r\n"), "{text}");
    assert!(text.contains(&format!("\r\nhost: {host}\r\n")), "{text}");
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_waited_is_not_a_failure() {
    let (closed, mut is_closed) = tokio::sync::mpsc::unbounded_channel();
    let (url, connections) = receiver(move |number, mut stream| {
        let closed = closed.clone();
        async move {
            while !read_request(&mut stream).await.is_empty() {
                stream.write_all(OK.as_bytes()).await.unwrap();
                if number == 0 {
                    break;
                }
            }
            drop(stream);
            let _ = closed.send(());
        }
    })
    .await;
    let client = client(&["127.0.0.1"]);
    assert!(exchange(&client, &url).await.is_ok());
    is_closed.recv().await.unwrap();
    assert!(exchange(&client, &url).await.is_ok());
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_request_that_was_written_is_not_sent_again() {
    let (url, connections) = receiver(|_, mut stream| async move {
        read_request(&mut stream).await;
    })
    .await;
    let failure = exchange(&client(&["127.0.0.1"]), &url).await.unwrap_err();
    assert_eq!(failure.word(), "connect_error");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let (url, connections) =
        answering("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(exchange(&client(&["127.0.0.1"]), &url).await.unwrap().status, 302);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_long_body_is_cut_and_its_connection_closed() {
    let (url, connections) = receiver(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    })
    .await;
    let client = client(&["127.0.0.1"]);
    let readings = [(Reading::Whole, BodyEnd::TooLong), (Reading::Start, BodyEnd::Cut)];
    for ((reading, end), expected) in readings.into_iter().zip(1..) {
        let answer = client.exchange(request(&url), Terms { reading, ..TERMS }).await.unwrap();
        assert_eq!((answer.body.unwrap().len(), answer.end), (LONGEST_BODY, end));
        assert_eq!(connections.load(Ordering::SeqCst), expected);
    }
}

#[tokio::test]
async fn a_page_for_an_answer_is_read_to_its_end_and_its_connection_kept() {
    let page = format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{}", "x".repeat(100_000));
    let (url, connections) = answering(page.leak()).await;
    let client = client(&["127.0.0.1"]);
    for _ in 0..2 {
        let answer = exchange(&client, &url).await.unwrap();
        assert_eq!((answer.body.unwrap().len(), answer.end), (LONGEST_BODY, BodyEnd::Complete));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_status_counts_when_the_body_does_not_come() {
    let (url, _) = receiver(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\n\r\nab").await.unwrap();
    })
    .await;
    let answer = exchange(&client(&["127.0.0.1"]), &url).await.unwrap();
    assert_eq!((answer.status, answer.body.as_deref()), (201, Some(&b"ab"[..])));
    assert_eq!(answer.end, BodyEnd::Broken);
}

#[tokio::test]
async fn the_status_counts_when_the_body_stalls() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (url, _) = receiver(move |_, mut stream| {
        let tell = tell.clone();
        async move {
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\n\r\nab").await.unwrap();
            // Until the other side has had enough.
            tell.send(stream.read(&mut [0]).await.unwrap_or(0)).unwrap();
        }
    })
    .await;
    let client = client(&["127.0.0.1"]);
    for (reading, end) in [(Reading::Whole, BodyEnd::TooLong), (Reading::Start, BodyEnd::Cut)] {
        let answer = client.exchange(request(&url), Terms { reading, ..TERMS }).await.unwrap();
        assert_eq!((answer.status, answer.body.as_deref()), (201, Some(&b"ab"[..])));
        assert_eq!(answer.end, end);
        assert_eq!(told.recv().await, Some(0), "nothing more is asked on that connection");
    }
}

#[tokio::test]
async fn what_is_not_http_is_a_bad_response() {
    let [many, very_many] =
        [200, 100_000].map(|count| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(count)));
    let long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(1024 * 1024));
    let heads = [many, very_many, long].map(|head| &*head.leak());
    for answer in ["SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 999999 x\r\n\r\n"].into_iter().chain(heads) {
        let (url, _) = answering(answer).await;
        let failure = exchange(&client(&["127.0.0.1"]), &url).await.unwrap_err();
        assert_eq!(failure.word(), "bad_response", "{}", &answer[..20]);
    }
}

#[tokio::test]
async fn promises_of_an_answer_without_end_are_a_timeout() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (url, _) = receiver(move |_, mut stream| {
        let tell = tell.clone();
        async move {
            read_request(&mut stream).await;
            let mut count = 0;
            while stream.write_all(b"HTTP/1.1 103 Early Hints\r\na: b\r\n\r\n").await.is_ok() {
                count += 1;
            }
            tell.send(count).unwrap();
        }
    })
    .await;
    let limit = Duration::from_millis(300);
    let client = client(&["127.0.0.1"]);
    let failure = client.exchange(request(&url), Terms { limit, ..TERMS }).await.unwrap_err();
    assert_eq!(failure, Failure::Timeout);
    assert!(told.recv().await.unwrap() > 100, "many came");
}

#[tokio::test]
async fn one_deadline_covers_the_whole_exchange() {
    let (url, _) = receiver(|_, mut stream| async move {
        read_request(&mut stream).await;
        for byte in b"HTTP/1.1 200 OK\r\n".iter().cycle() {
            sleep(Duration::from_millis(20)).await;
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    })
    .await;
    let client = client(&["127.0.0.1"]);
    let limit = Duration::from_millis(150);
    let failure = client.exchange(request(&url), Terms { limit, ..TERMS }).await.unwrap_err();
    assert_eq!(failure, Failure::Timeout);
}

#[tokio::test]
async fn forbidden_targets_are_never_connected_to() {
    let (url, connections) = answering(OK).await;
    let port = url.trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
    for (allowed, target) in [
        (&[][..], url.clone()),
        (&["10.0.0.0/8"], url.clone()),
        (&["127.0.0.1:1"], url.clone()),
        (&[], format!("http://localhost:{port}/")),
        (&[], format!("http://[::ffff:127.0.0.1]:{port}/")),
    ] {
        let failure = exchange(&client(allowed), &target).await.unwrap_err();
        assert_eq!(failure.word(), "blocked_target", "{target}: {failure:?}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_cannot_be_reached_says_why() {
    let client = client(&["127.0.0.1", "nowhere.invalid"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let (plain, _) =
        receiver(|_, mut stream| async move { drop(stream.write_all(OK.as_bytes()).await) }).await;
    for (url, word) in [
        (format!("http://{closed}/"), "connect_error"),
        ("http://nowhere.invalid:8080/".to_owned(), "dns_error"),
        (plain.replace("http:", "https:"), "tls_error"),
    ] {
        let failure = exchange(&client, &url).await.unwrap_err();
        assert_eq!(failure.word(), word, "{failure:?}");
        assert!(!failure.text().contains("http"), "{failure:?}");
    }
}

#[test]
fn headers_become_json() {
    let mut headers = HeaderMap::new();
    assert_eq!(as_json(&headers), "{}");
    for (name, value) in [("a", "1"), ("b", "say \"hi\""), ("a", "2"), ("c", "\u{e9}")] {
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let value: serde_json::Value = serde_json::from_str(&as_json(&headers)).unwrap();
    assert_eq!(value, serde_json::json!({"a": "1, 2", "b": "say \"hi\"", "c": "\u{e9}"}));
}
