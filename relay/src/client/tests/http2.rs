//! Receivers that speak HTTP/2, well and badly.

use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use hyper::{Response, StatusCode};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;

type Server = Connection<TlsStream<TcpStream>, Bytes>;
type Asked = (Request<RecvStream>, SendResponse<Bytes>);

/// A receiver behind TLS, with a client that trusts it.
struct Secure {
    url: String,
    client: Client,
    connections: Arc<AtomicUsize>,
}

/// A receiver that offers these protocols and treats each connection as told.
async fn secure<F>(
    protocols: &[&str],
    treat: impl Fn(usize, TlsStream<TcpStream>) -> F + Send + Sync + 'static,
) -> Secure
where
    F: Future<Output = ()> + Send + 'static,
{
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = CertificateDer::from(made.cert);
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut config = ServerConfig::builder_with_provider(crate::certificates::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let treat = Arc::new(treat);
    let (url, connections) = receiver(move |number, stream| {
        let (acceptor, treat) = (acceptor.clone(), treat.clone());
        async move {
            stream.set_nodelay(true).unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                treat(number, stream).await;
            }
        }
    })
    .await;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let policy = Policy { allow: vec![Allow::parse("127.0.0.1").unwrap()], allow_http: false };
    let client = Client::new(policy, Tls::new(roots), 10);
    Secure { url: url.replace("http:", "https:"), client, connections }
}

impl Secure {
    async fn exchange(&self) -> Exchange {
        exchange(&self.client, &self.url).await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// One that speaks HTTP/2 and hands every request of a connection to `treat`.
async fn speaking<F>(
    builder: h2::server::Builder,
    treat: impl Fn(usize, Asked) -> F + Send + Sync + 'static,
) -> Secure
where
    F: Future<Output = ()> + Send + 'static,
{
    let treat = Arc::new(treat);
    secure(&["h2", "http/1.1"], move |number, stream| {
        let (builder, treat) = (builder.clone(), treat.clone());
        async move {
            let mut server: Server = builder.handshake(stream).await.unwrap();
            while let Some(Ok(asked)) = server.accept().await {
                tokio::spawn(treat(number, asked));
            }
        }
    })
    .await
}

fn ok(mut answer: SendResponse<Bytes>) {
    let mut body = answer.send_response(Response::new(()), false).unwrap();
    body.send_data(Bytes::from_static(b"ok"), true).unwrap();
}

async fn read(body: &mut RecvStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(Ok(part)) = body.data().await {
        body.flow_control().release_capacity(part.len()).unwrap();
        all.extend_from_slice(&part);
    }
    all
}

/// Waits until so many requests wait at the receiver at the same moment.
async fn all_at_once(arrived: &Semaphore, count: u32) {
    let all = tokio::time::timeout(LIMIT, arrived.acquire_many(count)).await;
    all.expect("all arrive").unwrap().forget();
}

#[tokio::test]
async fn one_connection_carries_many_requests_at_a_time() {
    let arrived = Arc::new(Semaphore::new(0));
    let (open, opened) = watch::channel(false);
    let counter = arrived.clone();
    let host = speaking(h2::server::Builder::new(), move |_, (_, answer)| {
        let (counter, mut opened) = (counter.clone(), opened.clone());
        async move {
            counter.add_permits(1);
            opened.wait_for(|open| *open).await.unwrap();
            ok(answer);
        }
    })
    .await;
    let host = Arc::new(host);
    let exchanges = several(&host.client, &host.url, 50, TERMS);
    all_at_once(&arrived, 50).await;
    assert_eq!(host.connections(), 1);
    open.send_replace(true);
    for exchange in exchanges {
        let answer = exchange.await.unwrap().unwrap();
        assert_eq!((answer.status, answer.body.as_deref()), (200, Some(&b"ok"[..])));
    }
    host.exchange().await.unwrap();
    assert_eq!(host.connections(), 1);
}

#[tokio::test]
async fn no_more_at_a_time_than_the_receiver_allows() {
    let arrived = Arc::new(Semaphore::new(0));
    let (open, opened) = watch::channel(false);
    let (tell, mut told) = mpsc::unbounded_channel();
    let counter = arrived.clone();
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(2);
    let host = speaking(builder, move |number, (_, answer)| {
        let (counter, mut opened, tell) = (counter.clone(), opened.clone(), tell.clone());
        async move {
            tell.send(number).unwrap();
            counter.add_permits(1);
            opened.wait_for(|open| *open).await.unwrap();
            ok(answer);
        }
    })
    .await;
    let host = Arc::new(host);
    let exchanges = several(&host.client, &host.url, 6, TERMS);
    all_at_once(&arrived, 6).await;
    let mut seats = [0; 3];
    while let Ok(number) = told.try_recv() {
        seats[number] += 1;
    }
    assert_eq!(seats, [2, 2, 2], "another connection for those who have no place");
    open.send_replace(true);
    for exchange in exchanges {
        assert_eq!(exchange.await.unwrap().unwrap().status, 200);
    }
}

#[tokio::test]
async fn the_request_is_the_same_as_over_http_1() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let host = speaking(h2::server::Builder::new(), move |_, (request, answer)| {
        let tell = tell.clone();
        async move {
            let (head, mut body) = request.into_parts();
            tell.send((head, read(&mut body).await)).unwrap();
            ok(answer);
        }
    })
    .await;
    exchange(&host.client, &format!("{}hook?a=b", host.url)).await.unwrap();
    let (head, body) = told.recv().await.unwrap();
    assert_eq!((head.method.as_str(), head.uri.to_string()), ("POST", format!("{}hook?a=b", host.url)));
    assert!(head.headers.get(HOST).is_none(), "the authority says it");
    assert_eq!(body, b"{}");
}

#[tokio::test]
async fn what_was_not_processed_is_sent_again() {
    let refuse_one = |number: usize, (_, mut answer): Asked| async move {
        static REFUSED: AtomicUsize = AtomicUsize::new(0);
        match REFUSED.fetch_add(1, Ordering::SeqCst) {
            0..2 => answer.send_reset(Reason::REFUSED_STREAM),
            _ => ok(answer),
        }
        assert_eq!(number, 0, "the connection is good");
    };
    let host = speaking(h2::server::Builder::new(), refuse_one).await;
    assert_eq!(host.exchange().await.unwrap().status, 200);

    let host = secure(&["h2"], |number, stream| async move {
        let mut server: Server = h2::server::handshake(stream).await.unwrap();
        if number == 0 {
            // Goodbye before any request was looked at.
            server.abrupt_shutdown(Reason::NO_ERROR);
        }
        while let Some(Ok((_, answer))) = server.accept().await {
            ok(answer);
        }
    })
    .await;
    assert_eq!(host.exchange().await.unwrap().status, 200);
    assert_eq!(host.connections(), 2);
}

#[tokio::test]
async fn what_may_have_been_processed_is_not_sent_again() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    let host = speaking(h2::server::Builder::new(), move |_, (_, mut answer)| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move { answer.send_reset(Reason::INTERNAL_ERROR) }
    })
    .await;
    assert_eq!(host.exchange().await.unwrap_err().word(), "connect_error");
    let cut = secure(&["h2"], |_, stream| async move {
        let mut server: Server = h2::server::handshake(stream).await.unwrap();
        let _request = server.accept().await;
    })
    .await;
    assert_eq!(cut.exchange().await.unwrap_err().word(), "connect_error");
    assert_eq!((requests.load(Ordering::SeqCst), cut.connections()), (1, 1));
}

#[tokio::test]
async fn a_receiver_that_refuses_everything_is_a_failure() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    let host = speaking(h2::server::Builder::new(), move |_, (_, mut answer)| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move { answer.send_reset(Reason::REFUSED_STREAM) }
    })
    .await;
    assert_eq!(host.exchange().await.unwrap_err().word(), "connect_error");
    assert_eq!(requests.load(Ordering::SeqCst), 1 + MOST_REFUSALS as usize);
}

#[tokio::test]
async fn an_endless_body_is_cut_and_holds_nobody_up() {
    let host = speaking(h2::server::Builder::new(), |_, (request, mut answer)| async move {
        if request.uri().path() == "/short" {
            return ok(answer);
        }
        let mut body = answer.send_response(Response::new(()), false).unwrap();
        while body.send_data(Bytes::from_static(&[b'x'; 4096]), false).is_ok() {
            body.reserve_capacity(4096);
            if std::future::poll_fn(|cx| body.poll_capacity(cx)).await.is_none_or(|got| got.is_err()) {
                return;
            }
        }
    })
    .await;
    for _ in 0..200 {
        let answer = host.exchange().await.unwrap();
        assert_eq!((answer.status, answer.body.unwrap().len()), (200, LONGEST_BODY));
    }
    assert_eq!(exchange(&host.client, &format!("{}short", host.url)).await.unwrap().body.unwrap(), "ok");
    assert_eq!(host.connections(), 1);
}

#[tokio::test]
async fn a_connection_on_which_an_answer_did_not_come_gets_no_more_requests() {
    let host = speaking(h2::server::Builder::new(), |number, (_, answer)| async move {
        match number {
            0 => std::future::pending().await,
            _ => ok(answer),
        }
    })
    .await;
    let limit = Duration::from_millis(150);
    let failure = host.client.exchange(request(&host.url), Terms { limit, ..TERMS }).await.unwrap_err();
    assert_eq!(failure, Failure::Timeout);
    assert_eq!(host.exchange().await.unwrap().status, 200);
    assert_eq!(host.connections(), 2);
}

#[tokio::test]
async fn an_error_status_and_headers() {
    let host = speaking(h2::server::Builder::new(), |_, (_, mut answer)| async move {
        let response = Response::builder().status(StatusCode::TOO_MANY_REQUESTS).header("retry-after", "7");
        answer.send_response(response.body(()).unwrap(), true).unwrap();
    })
    .await;
    let answer = host.exchange().await.unwrap();
    assert_eq!((answer.status, answer.retry_after), (429, Some(Duration::from_secs(7))));
    assert_eq!(answer.headers.as_deref(), Some(r#"{"retry-after":"7"}"#));
}

#[tokio::test]
async fn without_http_2_each_request_has_a_connection_of_its_own() {
    let arrived = Arc::new(Semaphore::new(0));
    let (open, opened) = watch::channel(false);
    let counter = arrived.clone();
    let host = secure(&["http/1.1"], move |_, mut stream| {
        let (counter, mut opened) = (counter.clone(), opened.clone());
        async move {
            let mut text = Vec::new();
            while !text.ends_with(b"{}") {
                assert!(stream.read_buf(&mut text).await.unwrap() > 0);
            }
            assert!(text.starts_with(b"POST / HTTP/1.1\r\n"));
            counter.add_permits(1);
            opened.wait_for(|open| *open).await.unwrap();
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    let host = Arc::new(host);
    let exchanges = several(&host.client, &host.url, 10, TERMS);
    all_at_once(&arrived, 10).await;
    assert_eq!(host.connections(), 10);
    open.send_replace(true);
    for exchange in exchanges {
        assert_eq!(exchange.await.unwrap().unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts() {
    let host = speaking(h2::server::Builder::new(), |_, (_, answer)| async move { ok(answer) }).await;
    let failure = exchange(&client(&["127.0.0.1"]), &host.url).await.unwrap_err();
    assert_eq!(failure.word(), "tls_error");
    assert!(failure.text().contains("UnknownIssuer"), "{failure:?}");
}

#[tokio::test]
async fn who_waited_for_a_connection_that_failed_fails_with_it() {
    let (close, closed) = watch::channel(false);
    let host = receiver(move |_, stream| {
        let mut closed = closed.clone();
        async move {
            closed.wait_for(|close| *close).await.unwrap();
            drop(stream);
        }
    })
    .await;
    let (url, connections) = (host.0.replace("http:", "https:"), host.1);
    let client = client(&["127.0.0.1"]);
    let exchanges = std::iter::repeat_with(|| Box::pin(exchange(&client, &url))).take(20);
    let mut exchanges: Vec<_> = exchanges.collect();
    // Each has been polled, and so waits, before the first may fail.
    for exchange in &mut exchanges {
        assert!(poll_once(exchange.as_mut()).await.is_pending());
    }
    close.send_replace(true);
    for exchange in exchanges {
        assert_eq!(exchange.await.unwrap_err().word(), "tls_error");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn headers_without_end_are_a_bad_response() {
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // The status 200, and the end of the headers does not come.
    const HEADERS: &[u8] = &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x88];
    // Nothing, and a header.
    const CONTINUATIONS: [&[u8]; 2] =
        [&[0, 0, 0, 9, 0, 0, 0, 0, 1], &[0, 0, 5, 9, 0, 0, 0, 0, 1, 0, 1, b'a', 1, b'b']];
    for continuation in CONTINUATIONS {
        let (tell, mut told) = mpsc::unbounded_channel();
        let host = secure(&["h2"], move |_, stream| {
            let tell = tell.clone();
            async move {
                let (mut from, mut to) = tokio::io::split(stream);
                let mut read = Vec::new();
                while !read.ends_with(b"{}") {
                    // It waits for our settings before it asks anything.
                    if read.is_empty() {
                        to.write_all(SETTINGS).await.unwrap();
                    }
                    from.read_buf(&mut read).await.unwrap();
                }
                to.write_all(HEADERS).await.unwrap();
                let many = continuation.repeat(100);
                let mut count = 0;
                while to.write_all(&many).await.is_ok() && to.flush().await.is_ok() {
                    count += 100;
                }
                tell.send(count).unwrap();
            }
        })
        .await;
        let failure = host.exchange().await.unwrap_err();
        assert_eq!(failure.word(), "bad_response", "{failure:?}");
        assert!(told.recv().await.unwrap() > 0);
    }
}
