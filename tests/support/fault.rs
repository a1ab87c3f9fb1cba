//! A TCP proxy that breaks the connections through it on command.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

/// The proxy; it stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    link: Arc<Link>,
    accept: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Link {
    /// New connections are closed at once.
    refusing: watch::Sender<bool>,
    /// Connections stay open and nothing moves, as behind a dead link.
    stalled: watch::Sender<bool>,
    /// Every change resets the open connections.
    cuts: watch::Sender<u32>,
    /// How long everything is on its way.
    distance: watch::Sender<Duration>,
}

impl Proxy {
    /// A proxy before `target`.
    ///
    /// # Panics
    /// If there is no port.
    pub async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("bind a port");
        let address = listener.local_addr().expect("it has an address");
        let [refusing, stalled] = [false; 2].map(watch::Sender::new);
        let link = Arc::new(Link {
            refusing,
            stalled,
            cuts: watch::Sender::new(0),
            distance: watch::Sender::new(Duration::ZERO),
        });
        let shared = Arc::clone(&link);
        let accept = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, home(address), target, Arc::clone(&shared)));
            }
        });
        Self { address, link, accept }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of loopback from which it connects, which is its own.
    pub fn home(&self) -> Ipv4Addr {
        home(self.address)
    }

    /// Resets every open connection; new ones pass.
    pub fn cut(&self) {
        self.link.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Resets every open connection and refuses new ones.
    pub fn refuse(&self) {
        self.link.refusing.send_replace(true);
        self.cut();
    }

    /// Keeps connections open and moves nothing.
    pub fn stall(&self) {
        self.link.stalled.send_replace(true);
    }

    /// From now on everything takes this long in each direction.
    pub fn move_away(&self, distance: Duration) {
        self.link.distance.send_replace(distance);
    }

    /// Lets everything pass again; what was stalled is not lost.
    pub fn pass(&self) {
        self.link.refusing.send_replace(false);
        self.link.stalled.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

fn home(address: SocketAddr) -> Ipv4Addr {
    let [high, low] = address.port().to_be_bytes();
    Ipv4Addr::new(127, high, low, 1)
}

async fn connect(from: Ipv4Addr, target: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(target).await
}

async fn forward(client: TcpStream, home: Ipv4Addr, target: SocketAddr, link: Arc<Link>) {
    let mut cuts = link.cuts.subscribe();
    if *link.refusing.borrow() {
        return;
    }
    let Ok(server) = connect(home, target).await else { return };
    // A reset, not a polite end, when the two are dropped.
    let _ = (client.set_zero_linger(), server.set_zero_linger());
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = pump(from_client, to_server, &link) => {}
        _ = pump(from_server, to_client, &link) => {}
        _ = cuts.changed() => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    link: &Link,
) -> io::Result<()> {
    let mut stalled = link.stalled.subscribe();
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut bytes).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        let _ = stalled.wait_for(|stalled| !stalled).await;
        let distance = *link.distance.borrow();
        if !distance.is_zero() {
            tokio::time::sleep(distance).await;
        }
        to.write_all(&bytes[..count]).await?;
    }
}
