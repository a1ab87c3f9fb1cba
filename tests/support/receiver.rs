//! An HTTP receiver on loopback that journals every request and misbehaves on command.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

pub use reply::{Gate, Reply};
pub use secured::Secured;

use crate::until::PATIENCE;

mod reply;
mod secured;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query, as sent.
    pub query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Bytes,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: hyper::Version,
    /// When the last byte had come.
    pub at: Instant,
    /// The same by the clock of the machine.
    pub clock: SystemTime,
}

impl Request {
    /// A header's value, empty if absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header in ASCII"))
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is not.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// The receiver; it stops when dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    secure: bool,
    state: Arc<State>,
    _stop: oneshot::Sender<Infallible>,
}

#[derive(Debug)]
struct State {
    /// `None`: requests are only counted.
    journal: Option<Mutex<Vec<Request>>>,
    /// How many requests came to each path.
    arrived: watch::Sender<HashMap<String, usize>>,
    answers: Mutex<HashMap<String, Vec<Reply>>>,
    connections: AtomicUsize,
}

impl Receiver {
    /// Starts on a free port, in a thread of its own; answers 200 to everything until told otherwise.
    ///
    /// # Panics
    /// If there is no port.
    pub fn start() -> Self {
        Self::serving(Some(Mutex::default()), None)
    }

    /// [`Receiver::start`] behind TLS.
    pub fn secure(tls: Secured) -> Self {
        Self::serving(Some(Mutex::default()), Some(tls.acceptor()))
    }

    /// [`Receiver::start`] that counts the requests and keeps none: for hundreds of thousands.
    pub fn counting() -> Self {
        Self::serving(None, None)
    }

    fn serving(journal: Option<Mutex<Vec<Request>>>, tls: Option<TlsAcceptor>) -> Self {
        let state = Arc::new(State {
            journal,
            arrived: watch::Sender::new(HashMap::new()),
            answers: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("bind a port");
        listener.set_nonblocking(true).expect("set the listener up");
        let address = listener.local_addr().expect("it has an address");
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&state);
        let secure = tls.is_some();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("start the receiver's runtime").block_on(async {
                let listener = TcpListener::from_std(listener).expect("listen");
                tokio::select! {
                    () = serve(listener, tls, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, secure, state, _stop: stop }
    }

    /// The address, `127.0.0.1:<port>`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path, such as `/hook`.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// Says how requests to `path` are answered: one reply each, the last one for ever.
    ///
    /// # Panics
    /// If there are no replies.
    pub fn answer(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut replies: Vec<_> = replies.into_iter().collect();
        assert!(!replies.is_empty(), "at least one reply");
        replies.reverse();
        self.state.answers.lock().expect("answers").insert(path.into(), replies);
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state.journal.as_ref().map_or(Vec::new(), |journal| journal.lock().expect("journal").clone())
    }

    /// The requests to `path` so far.
    pub fn requests_to(&self, path: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.path == path).collect()
    }

    /// How many connections have been made so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// How many requests have arrived so far.
    pub fn count(&self) -> usize {
        self.state.arrived.borrow().values().sum()
    }

    /// Waits for at least `count` requests and returns all that came.
    ///
    /// # Panics
    /// If they do not come.
    pub async fn wait_for(&self, count: usize) -> Vec<Request> {
        self.wait(count, "", |arrived| arrived.values().sum()).await;
        self.requests()
    }

    /// Waits for at least `count` requests to `path` and returns all that came there.
    ///
    /// # Panics
    /// If they do not come.
    pub async fn wait_for_path(&self, path: &str, count: usize) -> Vec<Request> {
        self.wait(count, path, |arrived| arrived.get(path).copied().unwrap_or(0)).await;
        self.requests_to(path)
    }

    async fn wait(&self, count: usize, path: &str, of: impl Fn(&HashMap<String, usize>) -> usize) {
        let mut arrived = self.state.arrived.subscribe();
        let wait = arrived.wait_for(|arrived| of(arrived) >= count);
        let came = tokio::time::timeout(PATIENCE, wait).await.is_ok();
        let seen = self.state.arrived.borrow();
        assert!(came, "waited for {count} requests {path}, {} came: {seen:?}", of(&seen));
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        state.connections.fetch_add(1, Ordering::Relaxed);
        let state = Arc::clone(&state);
        let answer = service_fn(move |request| answer(request, Arc::clone(&state)));
        match tls.clone() {
            None => drop(tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer))),
            Some(tls) => drop(tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else { return };
                // What the client has agreed to by ALPN, seen in its first bytes.
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
            })),
        }
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    state: Arc<State>,
) -> Result<hyper::Response<BoxBody<Bytes, Infallible>>, reply::Closed> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| reply::Closed)?.to_bytes();
    let request = Request {
        method: head.method.to_string(),
        path: head.uri.path().into(),
        query: head.uri.query().map(Into::into),
        headers: head.headers,
        body,
        version: head.version,
        at: Instant::now(),
        clock: SystemTime::now(),
    };
    let reply = state.next(&request.path);
    state.note(request);
    reply.send().await
}

impl State {
    fn next(&self, path: &str) -> Reply {
        let mut answers = self.answers.lock().expect("answers");
        match answers.get_mut(path) {
            Some(replies) if replies.len() > 1 => replies.pop().expect("more than one"),
            Some(replies) => replies[0].clone(),
            None => Reply::status(200),
        }
    }

    fn note(&self, request: Request) {
        let path = request.path.clone();
        if let Some(journal) = &self.journal {
            journal.lock().expect("journal").push(request);
        }
        self.arrived.send_modify(|arrived| *arrived.entry(path).or_default() += 1);
    }
}
